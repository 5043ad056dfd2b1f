"""The real contracts of a private street on py-evm, as the agents see a node; a transaction is in a block at once.

Transactions without an account are taken with their proofs, checked by the functions that admission uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from hexbytes import HexBytes

from agents.chain import Call, LoggedEvent, NodeError
from agents.clock import ChainClock
from contracts import system
from contracts.bindings import privacy_registry
from contracts.bindings.abi import Event, View
from node.chain.private import decode_call, decode_transfer
from privacy.envelopes import ANONYMOUS_TYPE, SHIELDED_TYPE, call_holds, ring_from_code
from tests.contracts.street import CHAIN_ID, Refused, Sent, Street


class EvmChain:
    """A node over a street; `refusals` holds why transactions failed."""

    url = "memory"

    def __init__(self, street: Street, clock: ChainClock) -> None:
        self.street = street
        self.clock = clock
        self.logs: list[LoggedEvent] = []
        self.receipts: dict[str, str] = {}
        self.nonces: dict[bytes, int] = {}
        self.refusals: list[str] = []
        self.blocks = 0
        self.listeners: list[Callable[[Event], None]] = []
        self._waiting: dict[tuple[bytes, int], bytes] = {}
        self._news = asyncio.Event()

    # -- what agents ask

    async def height(self) -> int:
        return self.blocks

    async def read(self, *views: View[Any]) -> tuple[Any, ...]:
        return tuple(await self.read_all(views))

    async def read_all(self, views: Sequence[View[Any]]) -> list[Any]:
        self._tick()
        return [self.street.view(view) for view in views]

    async def request(self, method: str, *params: Any) -> Any:
        if method == "eth_sendRawTransaction":
            return self.submit(bytes.fromhex(params[0][2:]))
        if method == "eth_getTransactionReceipt":
            status = self.receipts.get(params[0])
            return None if status is None else {"status": status}
        if method == "eth_getTransactionCount":
            return hex(self.nonces.get(bytes.fromhex(params[0][2:]), 0))
        raise NodeError(method, -32601, "no such method")

    async def try_batch(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers = {
            "eth_chainId": hex(CHAIN_ID),
            "eth_getBlockByNumber": {"hash": "0x" + "11" * 32},
            "eth_getCode": "0x00",
            "eth_blockNumber": hex(self.blocks),
        }
        return [answers[method] for method, _ in requests]

    async def events(
        self, addresses: Sequence[bytes], first: int, last: int, topics: Sequence[Any] = ()
    ) -> list[LoggedEvent]:
        return [logged for logged in self.logs if first <= logged.height <= last]

    async def changed(self, wall_s: float) -> None:
        try:
            async with asyncio.timeout(max(wall_s, 0.001)):
                await self._news.wait()
        except TimeoutError:
            pass

    # -- what a node does

    def submit(self, raw: bytes) -> str:
        """Take a signed transaction."""
        digest = "0x" + keccak(raw).hex()
        if digest in self.receipts:
            return digest
        if raw[0] == ANONYMOUS_TYPE:
            signed = decode_call(raw)
            rows = self.street.view(privacy_registry.rows_of(signed.call.window))
            code = b"\0" + b"".join(row.account + row.ring_key + row.trace_key for row in rows)
            assert signed.call.ring_root == keccak(code)
            assert call_holds(signed.call, system.PRIVACY_REGISTRY, ring_from_code(code), signed.proof)
            self._execute(digest, signed.call.sender(system.PRIVACY_REGISTRY), signed.call.to, signed.call.data)
        elif raw[0] == SHIELDED_TYPE:
            transfer = decode_transfer(raw).transfer
            self._execute(digest, transfer.sender(), transfer.to, transfer.data)
        else:
            sender = bytes.fromhex(Account.recover_transaction(raw)[2:])
            self._waiting[sender, TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["nonce"]] = raw
            while (ready := self._waiting.pop((sender, self.nonces.get(sender, 0)), None)) is not None:
                self.nonces[sender] = self.nonces.get(sender, 0) + 1
                fields = TypedTransaction.from_bytes(HexBytes(ready)).as_dict()
                self._execute("0x" + keccak(ready).hex(), sender, bytes(fields["to"]), bytes(fields["data"]))
        return digest

    def send(self, sender: str | bytes, to: bytes, data: bytes) -> Sent:
        """Send as an account; raises Refused."""
        self._tick()
        sent = self.street.send(sender, to, data)
        self.blocks += 1
        self.logs += [LoggedEvent(self.blocks, event) for event in sent.events]
        for event in sent.events:
            for listener in self.listeners:
                listener(event)
        self._news.set()
        self._news = asyncio.Event()
        return sent

    def _execute(self, digest: str, sender: bytes, to: bytes, data: bytes) -> None:
        try:
            self.send(sender, to, data)
            self.receipts[digest] = "0x1"
        except Refused as refusal:
            self.refusals.append(str(refusal))
            self.receipts[digest] = "0x0"

    def _tick(self) -> None:
        self.street.state.execution_context._timestamp = int(self.clock.now_s())


class EvmSender:
    """Sends an account's calls."""

    def __init__(self, chain: EvmChain, key: PrivateKey) -> None:
        self._chain = chain
        self.account: bytes = key.public_key.to_canonical_address()

    async def send(self, calls: Sequence[Call]) -> list[Any]:
        pending = []
        for call in calls:
            outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            try:
                self._chain.send(self.account, call.to, call.data)
                outcome.set_result(True)
            except Refused as refusal:
                self._chain.refusals.append(f"{call.what}: {refusal}")
                outcome.set_result(False)
            pending.append(type("Sent", (), {"outcome": outcome})())
        return pending
