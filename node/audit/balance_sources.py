"""Where the logs of sealed meters come from: a node's RPC, or a data directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from contracts.bindings import sealed_meters
from contracts.bindings.events import decode_log
from contracts.bindings.sealed_meters import (
    AuditorsAppointed,
    BalanceOpened,
    FeederAttested,
    PartGiven,
    SealedAttested,
    WindowClosed,
)
from contracts.system import SEALED_METERS
from node.application import make_block_0
from node.audit.balance import Logged, Street, street_of
from node.chain.receipt import bloom_bits
from node.chain.transaction import decode_transaction
from node.client import NodeClient, NodeUnanswered
from node.config import DATABASE_NAME
from node.genesis import Genesis, load_genesis, parse_genesis
from node.parsing import ConfigError
from node.rules import RuleBook
from node.storage import Store, View

MAX_LOG_RANGE = 10_000  # blocks of one query: fewer than any node refuses
_OF_WINDOW = (WindowClosed, PartGiven, BalanceOpened, FeederAttested)
_BLOOM_BITS = bloom_bits(SEALED_METERS)


class RpcSource:
    """A node, by its public RPC; what it says is believed."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    def genesis(self) -> dict[str, Any]:
        """Return the genesis file as the node tells it.

        Raises:
            NodeError: there is no answer.
        """
        found = self._client.ask("grid_genesis")
        if not isinstance(found, dict):
            raise NodeUnanswered(self._client.url, "grid_genesis: no table")
        return found

    def logs(self, window: int, quarters: int) -> list[Logged]:
        """Return what the sealed meters logged of a window, and of auditors' appointments, in the chain's order.

        Raises:
            NodeError: there is no answer, or it cannot be read.
        """
        topic = sealed_meters.INTERFACE.topic
        readings = [_word(quarter) for quarter in range(window * quarters, (window + 1) * quarters)]
        wanted: list[list[Any]] = [
            [_hex(topic(AuditorsAppointed))],
            [_hex(topic(SealedAttested)), None, None, readings],
            [[_hex(topic(kind)) for kind in _OF_WINDOW], [_word(window)]],
        ]
        head = self._client.quantity("eth_blockNumber")
        rows: list[dict[str, Any]] = []
        try:
            for first in range(0, head + 1, MAX_LOG_RANGE):
                bounds = {"fromBlock": hex(first), "toBlock": hex(min(head, first + MAX_LOG_RANGE - 1))}
                queries = [{"address": _hex(SEALED_METERS), "topics": topics, **bounds} for topics in wanted]
                for found in self._client.ask_all([("eth_getLogs", [query]) for query in queries]):
                    rows += found
            rows.sort(key=lambda row: (int(row["blockNumber"], 16), int(row["logIndex"], 16)))
            return self._with_transactions(rows)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NodeUnanswered(self._client.url, f"logs: {type(error).__name__}: {error}") from None

    def _with_transactions(self, rows: Sequence[dict[str, Any]]) -> list[Logged]:
        transactions = self._client.ask_all([("eth_getTransactionByHash", [row["transactionHash"]]) for row in rows])
        found = []
        for row, transaction in zip(rows, transactions, strict=True):
            event = decode_log(SEALED_METERS, [_bytes(each) for each in row["topics"]], _bytes(row["data"]))
            if event is not None:
                to = _bytes(transaction["to"]) if transaction["to"] else None
                found.append(Logged(event, _bytes(transaction["from"]), to, _bytes(transaction["input"])))
        return found


def from_node(client: NodeClient, genesis: Path | None, window: int) -> tuple[Street, list[Logged]]:
    """Return what the genesis file says of sealed meters, and their logs that matter for a window.

    Args:
        client: asks the node.
        genesis: the file to trust; None for what the node tells.
        window: which.

    Raises:
        NodeError, ConfigError: there is no answer, it is of another chain, or of one without sealed meters.
    """
    source = RpcSource(client)
    parsed = parse_genesis(source.genesis(), client.url)
    if genesis is not None and load_genesis(genesis).file_hash != parsed.file_hash:
        raise ConfigError(genesis, "", f"the genesis file of the chain of {client.url}, but that has another one")
    street = _street(parsed, client.url)
    return street, source.logs(window, street.quarters)


def from_directory(data: Path, genesis: Path | None) -> tuple[Street, list[Logged]]:
    """Return what the genesis file says of sealed meters, and all their logs in a data directory.

    Args:
        data: a validator's; its node may be running.
        genesis: the file to trust; None for the directory's own.

    Raises:
        ConfigError, StorageError: a file cannot be read, or is of another chain, or of one without sealed meters.
        CorruptValue: a stored value is damaged.
    """
    file, path = genesis or data / "genesis.json", data / DATABASE_NAME
    parsed = load_genesis(file)
    street = _street(parsed, file)
    sealed = make_block_0(parsed, RuleBook(parsed.content["rules"], parsed.chain_id).rules_at(0))
    store = Store.open(path, chain_id=parsed.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    try:
        with store.read() as view:
            if not view.keeps(1):
                raise ConfigError(path, "", "a whole chain: this one begins with a snapshot")
            return street, database_logs(view, parsed.chain_id)
    finally:
        store.close()


def _street(genesis: Genesis, where: Path | str) -> Street:
    street = street_of(genesis.content)
    if street is None:
        raise ConfigError(where, "sealing", "a private street's genesis file; this one has no sealed meters")
    return street


def database_logs(view: View, chain_id: int) -> list[Logged]:
    """Return all that the sealed meters logged up to a view's head, in the chain's order.

    Raises:
        StorageError: a value is damaged or missing.
    """
    return [logged for height in range(1, view.head_height + 1) for logged in _logs_at(view, height, chain_id)]


def _logs_at(view: View, height: int, chain_id: int) -> Iterator[Logged]:
    if int.from_bytes(view.header(height).bloom, "big") & _BLOOM_BITS != _BLOOM_BITS:
        return
    for raw, receipt in zip(view.transactions(height), view.receipts(height), strict=True):
        events = [decode_log(e.address, e.topics, e.data) for e in receipt.logs if e.address == SEALED_METERS]
        if any(events):
            transaction = decode_transaction(raw, chain_id)
            for event in events:
                if event is not None:
                    yield Logged(event, transaction.sender, transaction.to, transaction.data)


def _word(number: int) -> str:
    return f"0x{number:064x}"


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
