"""`gridpact tx`: transactions, asked of a running node: why one is stuck, what it is, what waits; and sending one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from node.chain.address import checksummed
from node.client import NodeUnanswered
from node.client.target import ConfigOption, RpcOption, TokenOption, client_of
from node.output import emit
from node.parsing import ConfigError

app = typer.Typer(help="Transactions: why one is stuck, what it is, what waits; send one.", no_args_is_help=True)

Hash = Annotated[str, typer.Argument(metavar="HASH", help="0x and 64 hexadecimal digits.")]

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_RAW = re.compile(r"0x([0-9a-fA-F]{2})+")


@app.callback()
def root() -> None:
    """Transactions: why one is stuck, what it is, what waits; send one."""


@app.command()
def why(
    what: Annotated[str, typer.Argument(metavar="HASH|ADDRESS", help="A transaction's hash, or an account.")],
    rpc: RpcOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Say why a transaction, or what an account sent, is not in a block; or that it is, and what became of it.

    Exit status 0 if nothing is stuck, 1 if something is: queued, dropped, or not known to this node.

    Example: gridpact tx why 0x5e8c9752a8dba05e4cc859f093dbe1d013e149bd8a8894a4fc4fd463d3681a85
    """
    if _HASH.fullmatch(what):
        method = "grid_explainTransaction"
        subject = f"transaction {what}"
    elif _ADDRESS.fullmatch(what):
        method = "grid_explainSender"
        subject = f"account {checksummed(bytes.fromhex(what[2:]))}"
    else:
        raise ConfigError("command line", "HASH|ADDRESS", f"0x and 64 or 40 hexadecimal digits, found {what!r}")
    client = client_of(rpc, config, token_file, "grid")
    found = client.ask(method, what)
    if not isinstance(found, dict) or not {"status", "reason", "explanation", "advice"} <= found.keys():
        raise NodeUnanswered(client.url, f"explained nothing: {str(found)[:200]!r}")
    lines = [f"{subject}: {found['status']} ({found['reason']})"]
    lines += [f"  {sentence}" for sentence in found["explanation"]]
    lines += [f"  → {sentence}" for sentence in found["advice"]]
    emit(found, *lines)
    raise typer.Exit(1 if found["status"] in ("queued", "dropped", "unknown") else 0)


@app.command()
def show(
    transaction_hash: Hash,
    rpc: RpcOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show a transaction that waits or is committed, with its receipt.

    Exit status 1 if the node does not know it.

    Example: gridpact tx show 0x5e8c9752a8dba05e4cc859f093dbe1d013e149bd8a8894a4fc4fd463d3681a85
    """
    if not _HASH.fullmatch(transaction_hash):
        raise ConfigError("command line", "HASH", f"0x and 64 hexadecimal digits, found {transaction_hash!r}")
    client = client_of(rpc, config, token_file, "eth")
    found = client.ask("eth_getTransactionByHash", transaction_hash)
    receipt = None if found is None else client.ask("eth_getTransactionReceipt", transaction_hash)
    unknown = [f"not known to this node; see gridpact tx why {transaction_hash}"]
    emit({"transaction": found, "receipt": receipt}, *(unknown if found is None else _lines(found, receipt)))
    raise typer.Exit(1 if found is None else 0)


def _lines(found: Mapping[str, Any], receipt: Mapping[str, Any] | None) -> list[str]:
    def number(key: str, table: Mapping[str, Any] = found) -> int:
        return int(table[key], 16)

    lines = [
        f"hash   {found['hash']}",
        f"from   {found['from']}, nonce {number('nonce')}",
        f"to     {found['to'] or 'a new contract'}, {number('value')} wei, {len(found['input']) // 2 - 1} bytes",
        f"gas    at most {number('gas')}, at {number('gasPrice')} wei",
    ]
    if receipt is None:
        return [*lines, "state  waits in this node's pool"]
    outcome = "succeeded" if number("status", receipt) else "reverted"
    place = f"block {number('blockNumber', receipt)}, place {number('transactionIndex', receipt)}"
    return [*lines, f"state  {outcome} in {place}; {number('gasUsed', receipt)} gas, {len(receipt['logs'])} logs"]


@app.command("list")
def list_pool(
    account: Annotated[str | None, typer.Option(help="Of this account only, 0x and 40 hexadecimal digits.")] = None,
    rpc: RpcOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """List what waits in the node's pool, a line each: those that can be executed, and those that are queued.

    Example: gridpact tx list --rpc http://127.0.0.1:8545
    """
    if account is None:
        found = client_of(rpc, config, token_file, "txpool").ask("txpool_content")
    elif _ADDRESS.fullmatch(account):
        found = {
            part: {account: entries} if entries else {}
            for part, entries in client_of(rpc, config, token_file, "txpool").ask("txpool_contentFrom", account).items()
        }
    else:
        raise ConfigError("command line", "--account", f"0x and 40 hexadecimal digits, found {account!r}")
    lines = []
    for part in ("pending", "queued"):
        number = sum(len(entries) for entries in found[part].values())
        lines.append(f"{part}: {number}")
        for sender, entries in found[part].items():
            lines += [f"  {sender} nonce {nonce}  {entry['hash']}" for nonce, entry in entries.items()]
    emit(found, *lines)


@app.command()
def send(
    raw: Annotated[str, typer.Argument(metavar="RAW", help="A signed transaction, 0x and hexadecimal digits.")],
    rpc: RpcOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Send a transaction that is signed already; print its hash.

    Example: gridpact tx send 0x02f8… --rpc http://127.0.0.1:8545
    """
    if not _RAW.fullmatch(raw):
        raise ConfigError("command line", "RAW", "a signed transaction as 0x and hexadecimal digits")
    sent = client_of(rpc, config, token_file, "eth").ask("eth_sendRawTransaction", raw)
    emit({"hash": sent}, sent)
