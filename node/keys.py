"""Keys at rest: Ethereum keystores V3 for node keys (Ed25519) and account keys (secp256k1) alike.

A `kind` beside the keystore says which; without it the key is an account's, as every Ethereum tool writes it.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak
from nacl.signing import SigningKey

from node.errors import GridpactError
from node.parsing import parse_hex

NODE_KIND = "gridpact-node-ed25519"
ACCOUNT_KIND = "ethereum-account"
SCRYPT_STANDARD = 1 << 18  # a third of a second and 256 MiB a guess
SCRYPT_LIGHT = 1 << 12  # devnets only, whose keys everyone knows: start-up must not wait for them
PASSPHRASE_VARIABLE = "GRIDPACT_PASSPHRASE"
MAX_KEYFILE_BYTES = 64 * 1024
GROUP_AND_OTHERS = 0o077


class KeyFileError(GridpactError):
    """A key cannot be read or written: which file, what was wrong, what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path
        self.what = what
        self.expected = expected


def new_seed() -> bytes:
    """Return 32 fresh random bytes: an Ed25519 seed, or a secp256k1 key."""
    return secrets.token_bytes(32)


def node_key_of(seed: bytes) -> bytes:
    """Return the Ed25519 public key (32 bytes) of a seed."""
    return bytes(SigningKey(seed).verify_key)


def save_key(path: Path, secret: bytes, passphrase: str, kind: str = NODE_KIND, scrypt: int = SCRYPT_STANDARD) -> None:
    """Write a new key file, readable by its owner alone.

    Args:
        path: must not exist.
        secret: 32 bytes.
        passphrase: encrypts it.
        kind: NODE_KIND or ACCOUNT_KIND.
        scrypt: the cost parameter N, a power of two.

    Raises:
        KeyFileError: the file exists or cannot be written.
    """
    from eth_keyfile.keyfile import create_keyfile_json  # imports pairings, which takes a third of a second

    content: dict[str, Any] = create_keyfile_json(secret, passphrase.encode(), kdf="scrypt", iterations=scrypt)
    if kind == NODE_KIND:
        content["kind"] = NODE_KIND
        content["node_key"] = "0x" + node_key_of(secret).hex()
        content.pop("address", None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(path, "the file exists", "a new file: a key is never overwritten") from None
    except OSError as error:
        raise KeyFileError(path, error.strerror or "cannot be written", "a writable folder") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise KeyFileError(path, error.strerror or "cannot be written", "room for a key file") from None


def load_key(path: Path, passphrase: str, kind: str = NODE_KIND) -> bytes:
    """Return the 32 secret bytes of a key file.

    Raises:
        KeyFileError: missing, open to others, no keystore, of the other kind, or the passphrase is wrong.
    """
    from eth_keyfile.keyfile import decode_keyfile_json

    content = _read(path)
    found = content.get("kind", ACCOUNT_KIND)
    if found != kind:
        raise KeyFileError(path, f"the key is of kind {found!r}", f"one of kind {kind!r}")
    try:
        secret: bytes = decode_keyfile_json(content, passphrase.encode())
    except ValueError as error:
        raise KeyFileError(path, f"cannot be decrypted ({error})", "the passphrase it was saved with") from None
    except (KeyError, TypeError, AttributeError, AssertionError, NotImplementedError) as error:
        raise KeyFileError(path, f"no keystore ({type(error).__name__}: {error})", "an Ethereum keystore V3") from None
    if len(secret) != 32:
        raise KeyFileError(path, f"holds {len(secret)} secret bytes", "32")
    if kind == NODE_KIND and node_key_of(secret) != public_node_key(path):
        raise KeyFileError(path, "the node key it names is not that of its secret", "a file that nobody changed")
    return secret


def public_node_key(path: Path) -> bytes:
    """Return the public key that a node's key file names, without its passphrase."""
    content = _read(path)
    text = content.get("node_key")
    if content.get("kind") != NODE_KIND or not isinstance(text, str):
        raise KeyFileError(path, "it names no node key", f"a key file of kind {NODE_KIND!r}")
    return parse_hex(text, 32, lambda: KeyFileError(path, "node_key is none", "0x and 64 hexadecimal digits"))


def public_half(path: Path) -> tuple[str, bytes]:
    """Return what a key file says without its passphrase: the kind, and a node key (32) or an address (20 bytes).

    Raises:
        KeyFileError: missing, open to others, or it does not say so.
    """
    content = _read(path)
    if content.get("kind", ACCOUNT_KIND) == NODE_KIND:
        return NODE_KIND, public_node_key(path)
    address = str(content.get("address", "")).removeprefix("0x")
    found = parse_hex("0x" + address, 20, lambda: KeyFileError(path, "it names no address", "an Ethereum keystore V3"))
    return ACCOUNT_KIND, found


def account_address(secret: bytes) -> bytes:
    """Return the Ethereum address (20 bytes) of a secp256k1 key."""
    from coincurve import PrivateKey

    return keccak(PrivateKey(secret).public_key.format(compressed=False)[1:])[12:]


def read_passphrase(path: Path | None, prompt: str = "passphrase of the node key: ") -> str:
    """Return the passphrase from a file, else from GRIDPACT_PASSPHRASE, else from a prompt.

    Raises:
        KeyFileError: the file cannot be read.
    """
    if path is None:
        from getpass import getpass

        found = os.environ.get(PASSPHRASE_VARIABLE)
        if found is not None:
            return found
        try:
            return getpass(prompt)
        except (EOFError, OSError):
            where = Path("passphrase_file")
            raise KeyFileError(
                where, "no terminal to ask on", f"a file, or the variable {PASSPHRASE_VARIABLE}"
            ) from None
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(path, f"cannot be read ({error})", "a text file with the passphrase") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
        if status.st_size > MAX_KEYFILE_BYTES:
            raise KeyFileError(path, f"{status.st_size} bytes", f"a keystore of at most {MAX_KEYFILE_BYTES} bytes")
        if stat.S_IMODE(status.st_mode) & GROUP_AND_OTHERS:
            mode = oct(stat.S_IMODE(status.st_mode))
            raise KeyFileError(path, f"others may read it (mode {mode})", "mode 0600: chmod 600 the file")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeyFileError(path, error.strerror or "cannot be read", "a key file") from None
    except (ValueError, RecursionError) as error:
        raise KeyFileError(path, f"no JSON ({error})", "an Ethereum keystore V3") from None
    if not isinstance(content, dict):
        raise KeyFileError(path, "no JSON object", "an Ethereum keystore V3")
    return content
