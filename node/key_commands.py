"""`gridpact keys`: make, take in, hand out and list node keys and account keys, each an encrypted file of mode 0600."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from node.keys import (
    ACCOUNT_KIND,
    GROUP_AND_OTHERS,
    NODE_KIND,
    KeyFileError,
    account_address,
    load_key,
    new_seed,
    node_key_of,
    public_half,
    read_passphrase,
    save_key,
)
from node.output import emit
from node.parsing import ConfigError, parse_hex

app = typer.Typer(help="Make, import, export and list node keys and account keys.", no_args_is_help=True)

KINDS = {"node": NODE_KIND, "account": ACCOUNT_KIND}
MAX_SECRET_BYTES = 1024  # of a file with 64 hexadecimal digits
CONFIRM = "export"

Kind = Annotated[str, typer.Option(help=f"What the key is for: {' or '.join(KINDS)}.")]
Out = Annotated[Path, typer.Option(help="The new file; it must not exist.")]
PassphraseFile = Annotated[Path | None, typer.Option(help="File with the passphrase of the key file; else asked for.")]


@app.callback()
def root() -> None:
    """Make, import, export and list node keys and account keys.

    Exit status: 0 done, 1 a file in a list cannot be used, 2 an error. No key is ever taken from the command line.
    """


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be said of a key: its kind, its public half and its file; for a node key the account it reports with."""

    kind: str
    public: str
    file: str
    reporter: str = ""


def show_secret(path: Path, secret: bytes, kind: str) -> Shown:
    """Return what may be said of a key (32 secret bytes)."""
    from node.evidence import reporter_account

    if kind == ACCOUNT_KIND:
        return Shown("account", "0x" + account_address(secret).hex(), str(path))
    return Shown("node", "0x" + node_key_of(secret).hex(), str(path), reporter_account(secret).address)


def tell(shown: Shown) -> None:
    """Print what may be said of a new key."""
    lines = [f"{'account' if shown.kind == 'account' else 'node key'} {shown.public} in {shown.file}"]
    if shown.reporter:
        lines.append(f"reporter account {shown.reporter}: vouch for it, so that the node can report liars")
    emit({name: value for name, value in asdict(shown).items() if value}, *lines)


@app.command()
def new(out: Out, kind: Kind = "node", passphrase_file: PassphraseFile = None) -> None:
    """Make a key; print its public half.

    Example: gridpact keys new --kind account --out household-key.json --passphrase-file secret
    """
    wanted, secret = _kind(kind), new_seed()
    save_key(out, secret, read_passphrase(passphrase_file), wanted)
    tell(show_secret(out, secret, wanted))


@app.command(name="import")
def import_key(
    out: Out,
    source: Annotated[Path, typer.Option("--from", help="File with 64 hexadecimal digits, or a keystore; -: stdin.")],
    kind: Kind = "node",
    passphrase_file: PassphraseFile = None,
    from_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the passphrase of a keystore that is imported.")
    ] = None,
) -> None:
    """Encrypt a key that is there already, in hexadecimal digits or as a keystore of any Ethereum tool.

    Example: gridpact keys import --kind account --from geth-keystore.json --out household-key.json
    """
    wanted = _kind(kind)
    secret = _secret(source, wanted, from_passphrase_file)
    if wanted == ACCOUNT_KIND:
        try:
            account_address(secret)
        except ValueError:
            raise ConfigError(source, "", "a secp256k1 key: above zero and below the order of the curve") from None
    save_key(out, secret, read_passphrase(passphrase_file), wanted)
    tell(show_secret(out, secret, wanted))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The key file.")],
    out: Out,
    unencrypted: Annotated[bool, typer.Option("--unencrypted", help="Say that the copy may be readable.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write a key in plain hexadecimal digits, for a tool that reads no keystore.

    A key file is encrypted and can be copied as it is. Whoever reads what this writes has the key.

    Example: gridpact keys export household-key.json --out household-key.txt --unencrypted
    """
    if not unencrypted:
        raise ConfigError("command line", "--unencrypted", "it: the copy is not encrypted (the key file itself is)")
    wanted = _kind_of(file)
    if not yes and typer.prompt(f"whoever reads {out} will have the key; type {CONFIRM} to go on", err=True) != CONFIRM:
        raise ConfigError("prompt", "confirmation", f"the word {CONFIRM}; nothing was written")
    secret = load_key(file, read_passphrase(passphrase_file), wanted)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as plain:
            plain.write(secret.hex() + "\n")
    except OSError as error:
        raise KeyFileError(out, error.strerror or "cannot be written", "a new file") from None
    shown = show_secret(file, secret, wanted)
    emit(
        {"kind": shown.kind, "public": shown.public, "file": out, "encrypted": False},
        f"{shown.kind} key {shown.public} in {out}, not encrypted",
    )


@app.command(name="list")
def list_keys(
    folder: Annotated[Path, typer.Argument(help="Folder with key files.")] = Path(),
) -> None:
    """List the key files of a folder, without opening them; exit status 1 if one cannot be used.

    Example: gridpact keys list keys
    """
    if not folder.is_dir():
        raise ConfigError(folder, "", "a folder with key files")
    found, refused = [], []
    for path in sorted(folder.glob("*.json")):
        if not _looks_like_keystore(path):
            continue
        try:
            kind, public = public_half(path)
        except KeyFileError as error:
            refused.append(str(error))
            continue
        found.append(Shown("node" if kind == NODE_KIND else "account", "0x" + public.hex(), str(path)))
    keys = [{"kind": each.kind, "public": each.public, "file": each.file} for each in found]
    lines = [f"{each.kind:8} {each.public:68} {each.file}" for each in found]
    emit({"keys": keys, "refused": refused}, *lines, *(f"refused  {reason}" for reason in refused))
    if refused:
        raise typer.Exit(1)


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ConfigError("command line", "--kind", " or ".join(KINDS))
    return KINDS[name]


def _kind_of(path: Path) -> str:
    return public_half(path)[0]


def _looks_like_keystore(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and ("crypto" in content or "Crypto" in content)


def _secret(source: Path, kind: str, passphrase_file: Path | None) -> bytes:
    """Return the secret (32 bytes) that a file or stdin holds."""
    if str(source) == "-":
        text = sys.stdin.read(MAX_SECRET_BYTES)
    else:
        if _looks_like_keystore(source):
            return load_key(source, read_passphrase(passphrase_file, f"passphrase of {source}: "), kind)
        try:
            status = source.stat()
            if status.st_mode & GROUP_AND_OTHERS:
                raise KeyFileError(source, "others may read it", "mode 0600: chmod 600 the file")
            text = source.read_text(encoding="ascii")[:MAX_SECRET_BYTES]
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(source, f"cannot be read ({error})", "hexadecimal digits, or a keystore") from None
    digits = text.strip().removeprefix("0x")
    return parse_hex("0x" + digits, 32, lambda: ConfigError(source, "", "64 hexadecimal digits, or a keystore"))
