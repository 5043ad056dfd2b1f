"""Options that the commands about disclosures share, and what they are turned into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from eth_keys.datatypes import PrivateKey

from agents.client import WAIT_S, connected
from agents.consortium_input import HASH_BYTES, parse_data
from agents.disclosure.parts import NotEnoughParts, WrongPart
from agents.disclosure.record import Record
from agents.errors import ConfigError
from agents.keys import load_key, read_passphrase
from agents.reporting import Failed, guarded

Rpc = Annotated[str, typer.Option("--rpc", help="A member's node; your own, if you have one.")]
ChainId = Annotated[int | None, typer.Option("--chain-id", help="Refuse a node of any other chain.")]
Key = Annotated[Path, typer.Option("--key", help="The key file of the auditor's account (an Ethereum keystore V3).")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the key's passphrase; else GRIDPACT_PASSPHRASE.")
]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for the block.", min=1, max=3_600)]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; its hash goes on record, the words stay with the auditors.")
]
RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request's id, as `request` printed it.")]
Parts = Annotated[list[Path], typer.Argument(metavar="PART…", help="Files that `part` wrote, of different auditors.")]
Out = Annotated[Path, typer.Option("--out", help="A new file.")]
DEFAULT_RPC = "http://127.0.0.1:8545"

__all__ = [
    "DEFAULT_RPC",
    "WAIT_S",
    "ChainId",
    "Key",
    "Out",
    "Parts",
    "Passphrase",
    "Reason",
    "RequestId",
    "Rpc",
    "Wait",
]

Job = Callable[[Record], Awaitable[None]]


def parse_id(text: str) -> bytes:
    """Return a request's id (32 bytes); raises InputError."""
    return parse_data(text, HASH_BYTES, "ID")


def read_key(path: Path, passphrase_file: Path | None) -> PrivateKey:
    """Open a key file; raises KeyFileError."""
    return load_key(path, read_passphrase(passphrase_file))


def with_record(
    job: Callable[[], Job],
    rpc: str,
    chain_id: int | None,
    *,
    key: Callable[[], PrivateKey] | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Do a job over a node; a known error is one line and exit status 2, parts that open nothing are exit status 1.

    Args:
        job: checks what was typed, and returns what to do; nothing is asked or sent before.
        rpc, chain_id: the node, and the only chain that will do.
        key: opens the key that signs; None to read only.
        wait_s: how long a receipt is waited for (wall seconds).
    """

    async def run(checked: Job, opened: PrivateKey | None) -> None:
        async with connected(rpc, key=opened, chain_id=chain_id, wait_s=wait_s) as node:
            await checked(Record(node))

    def use_case() -> None:
        try:
            checked = job()
            asyncio.run(run(checked, None if key is None else key()))
        except (NotEnoughParts, WrongPart) as error:
            raise Failed(str(error), status=1) from None

    guarded(use_case)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a new file; one that is there already is kept.

    Raises:
        ConfigError: it is there, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(path, "", f"a new file that can be written ({error.strerror})") from None
