"""A node for the agents' tests: the real contracts on py-evm behind a handful of JSON-RPC methods, a block every so
often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from eth.vm.message import Message
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from hexbytes import HexBytes

from tests.contracts.street import CHAIN_ID, Street

BLOCK_S = 0.1


@dataclass(slots=True)
class FakeNode:
    """One node; `scale` is how fast its chain clock runs from `wall_start_ms` on."""

    street: Street
    scale: int
    wall_start_ms: int
    nonces: dict[str, int] = field(default_factory=dict)
    pool: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    times: dict[int, int] = field(default_factory=dict)
    height: int = 0
    gas_used: int = 0
    refuse: bool = False

    def now_s(self) -> int:
        """The chain's time."""
        passed_ms = max(0, time.time_ns() // 1_000_000 - self.wall_start_ms)
        start: int = self.street.genesis["schedule"]["window_zero_s"]
        return start + passed_ms * self.scale // 1000

    def mine(self) -> None:
        """Make a block of what is in the pool, in the order in which it came, by nonce."""
        if not self.pool:
            return
        self.height += 1
        self.times[self.height] = self.street.state.execution_context._timestamp = self.now_s()
        for digest, sender, fields in self.pool:
            self._execute(digest, sender, fields)
        self.pool = []

    def _execute(self, digest: str, sender: str, fields: dict[str, Any]) -> None:
        state = self.street.state
        state.accounts.begin_transaction()
        to = bytes(fields["to"])
        message = Message(fields["gas"], to, bytes.fromhex(sender[2:]), 0, bytes(fields["data"]), state.get_code(to))
        context = state.get_transaction_context_class()(0, message.sender, [])
        done = state.computation_class.apply_message(state, message, context)
        self.gas_used += done.get_gas_used()
        logs = [] if done.is_error else done.get_log_entries()
        for address, topics, data in logs:
            self.logs.append(
                {
                    "address": f"0x{address.hex()}",
                    "topics": [f"0x{topic:064x}" for topic in topics],
                    "data": f"0x{data.hex()}",
                    "blockNumber": hex(self.height),
                }
            )
        if done.is_error:
            self.failures.append(f"{digest} {bytes(done.output).hex()[:8]} {done.error!r:.80}")
        self.receipts[digest] = {"status": hex(0 if done.is_error else 1), "blockNumber": hex(self.height)}

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of one request."""
        match method:
            case "grid_genesis":
                return {**self.street.genesis, "chain_id": CHAIN_ID}
            case "grid_clock":
                start = self.street.genesis["schedule"]["window_zero_s"]
                return {"segments": [[self.wall_start_ms, start, self.scale]]}
            case "eth_blockNumber":
                return hex(self.height)
            case "eth_getBlockByNumber":
                start = self.street.genesis["schedule"]["window_zero_s"]
                return {"number": params[0], "timestamp": hex(self.times.get(int(params[0], 16), start))}
            case "eth_getTransactionCount":
                return hex(self.nonces.get(params[0].lower(), 0))
            case "eth_getTransactionReceipt":
                return self.receipts.get(params[0])
            case "eth_call":
                return self._call(params[0])
            case "eth_getLogs":
                return self._logs(params[0])
            case "eth_sendRawTransaction":
                return self._send(params[0])
        raise ValueError(f"no method {method}")

    def _call(self, fields: dict[str, Any]) -> str:
        state = self.street.state
        snapshot = state.snapshot()
        to = bytes.fromhex(fields["to"][2:])
        message = Message(10**7, to, bytes(20), 0, bytes.fromhex(fields["data"][2:]), state.get_code(to))
        context = state.get_transaction_context_class()(0, bytes(20), [])
        done = state.computation_class.apply_message(state, message, context)
        state.revert(snapshot)
        if done.is_error:
            raise ValueError("execution reverted")
        return f"0x{bytes(done.output).hex()}"

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        wanted = query.get("topics", [])
        return [
            log
            for log in self.logs
            if first <= int(log["blockNumber"], 16) <= last
            and log["address"] in query["address"]
            and all(_matches(log["topics"], i, w) for i, w in enumerate(wanted))
        ]

    def _send(self, raw: str) -> str:
        if self.refuse:
            raise ValueError("the pool is full")
        data = HexBytes(raw)
        digest = f"0x{keccak(bytes(data)).hex()}"
        if digest in self.receipts or any(digest == known for known, _, _ in self.pool):
            raise ValueError("already known")
        sender = Account.recover_transaction(data).lower()
        fields = TypedTransaction.from_bytes(data).as_dict()
        expected = self.nonces.get(sender, 0)
        if fields["nonce"] != expected:
            raise ValueError("nonce too low" if fields["nonce"] < expected else "nonce gap")
        self.nonces[sender] = expected + 1
        self.pool.append((digest, sender, fields))
        return digest


def _matches(topics: list[str], index: int, wanted: str | list[str] | None) -> bool:
    if wanted is None:
        return True
    return index < len(topics) and topics[index] in ([wanted] if isinstance(wanted, str) else wanted)


def _respond(node: FakeNode, request: dict[str, Any]) -> dict[str, Any]:
    base = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        return {**base, "result": node.answer(request["method"], request["params"])}
    except ValueError as error:
        return {**base, "error": {"code": -32000, "message": str(error)}}


async def serve(node: FakeNode, port: int = 0) -> tuple[str, Callable[[], Awaitable[None]]]:
    """Serve a node on loopback and mine; returns its address and how to stop it."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.json()
        if isinstance(body, list):
            return web.json_response([_respond(node, row) for row in body])
        return web.json_response(_respond(node, body))

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]

    async def mining() -> None:
        while True:
            await asyncio.sleep(BLOCK_S)
            node.mine()

    miner = asyncio.create_task(mining())

    async def stop() -> None:
        miner.cancel()
        await runner.cleanup()

    return f"http://127.0.0.1:{bound}", stop
