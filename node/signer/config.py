"""A signer's folder: `signer.toml`, the votes that it signed, and a lock, so that one process serves a key."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consensus.types import Domain
from node.errors import GridpactError
from node.parsing import read_toml

SIGNER_CONFIG = "signer.toml"
VOTES_NAME = "votes"
SOCKET_NAME = "socket"
LOCK_NAME = "lock"
MAX_UID = 2**32 - 2


@dataclass(frozen=True, slots=True)
class SignerConfig:
    """What a signer process needs to know. Paths are absolute; `uids` are the users whose processes may ask it."""

    directory: Path
    key: Path
    passphrase_file: Path | None
    socket: Path
    domain: Domain
    uids: tuple[int, ...]

    @property
    def votes(self) -> Path:
        """The journal of the votes that were signed."""
        return self.directory / VOTES_NAME


def load_signer_config(path: Path) -> SignerConfig:
    """Read and check a signer.toml.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    base = path.parent.resolve()
    top = read_toml(path)
    signer, chain = top.table("signer"), top.table("chain")
    passphrase_file = signer.text("passphrase_file", "")
    uids = signer.value("uids", list, "a list of user ids") if signer.has("uids") else []
    if not all(type(uid) is int and 0 <= uid <= MAX_UID for uid in uids):
        raise signer.error("uids", "a list of user ids")
    config = SignerConfig(
        directory=base,
        key=base / signer.text("key"),
        passphrase_file=base / passphrase_file if passphrase_file else None,
        socket=base / signer.text("socket"),
        domain=Domain(chain.integer("id", 1, 2**52), chain.data("genesis_hash", 32)),
        uids=tuple(uids),
    )
    for table in (top, signer, chain):
        table.close()
    return config


def render_signer_config(
    *, key: str, passphrase_file: str, socket: str, domain: Domain, uids: Sequence[int] = ()
) -> str:
    """Return the text of a new signer.toml; paths are relative to its folder or absolute."""
    lines = (
        "# A gridpact signer: it holds one validator's node key. Paths are relative to this file.",
        "[signer]",
        f"key = {json.dumps(key)}",
        f"passphrase_file = {json.dumps(passphrase_file)}  # empty: GRIDPACT_PASSPHRASE, or a prompt",
        f"socket = {json.dumps(socket)}  # mode 0600, unless other users are named",
        f"uids = {json.dumps(list(uids))}  # of users whose processes may ask, beside this signer's own",
        "",
        "[chain]",
        f"id = {domain.chain_id}",
        f'genesis_hash = "0x{domain.genesis_hash.hex()}"  # of block 0; it signs for no other chain',
    )
    return "\n".join(lines) + "\n"


class SignerRuns(GridpactError):
    """Another process uses a signer's folder; two that sign for one key could contradict each other."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory}: a signer runs in it; expected a folder that no process uses")
        self.directory = directory


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Have a signer's folder for this process alone.

    Raises:
        SignerRuns: another process has it.
    """
    with (directory / LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SignerRuns(directory) from None
        yield
