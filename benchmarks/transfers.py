"""Committed ERC-20 transfers per second, and submit-to-receipt latency, over four validators on one machine.

TLS on, write-ahead log and database synced, the load generator on the same machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi.abi import default_codec
from eth_account.signers.local import LocalAccount

from benchmarks.ethereum import Node, accounts, sign, transfer_data

SENDERS = 10
BATCH = 50
POLL_S = 0.02
DEADLINE_S = 240.0
IN_FLIGHT = 600  # transactions submitted and not yet seen in a block: keeps the pools within their bounds


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one run committed: transfers, seconds from first submission to last commit, blocks used."""

    transfers: int
    seconds: float
    blocks: int

    @property
    def per_second(self) -> float:
        """Committed transfers per second."""
        return self.transfers / self.seconds


class Run:
    """A token on the chain, and the accounts that send it, with their next nonces."""

    def __init__(
        self,
        nodes: list[Node],
        chain_id: int,
        token: str,
        senders: list[LocalAccount],
        fee: int,
        in_flight: int,
        batch: int,
    ) -> None:
        self.nodes = nodes
        self.chain_id = chain_id
        self.token = token
        self.senders = senders
        self.fee = fee
        self.in_flight = in_flight
        self.batch = batch
        self.nonces: dict[str, int] = {}

    async def read_nonces(self) -> None:
        """Read every sender's next nonce from the chain."""
        calls = [("eth_getTransactionCount", [sender.address, "latest"]) for sender in self.senders]
        for sender, nonce in zip(self.senders, await self.nodes[0].batch(calls), strict=True):
            self.nonces[sender.address] = int(nonce, 16)

    def next_transfer(self, index: int) -> str:
        """Sign the next transfer of sender `index` to its neighbour."""
        sender, to = self.senders[index % SENDERS], self.senders[(index + 1) % SENDERS]
        nonce = self.nonces[sender.address]
        self.nonces[sender.address] = nonce + 1
        data = transfer_data(to.address, 1)
        return sign(sender, chain_id=self.chain_id, nonce=nonce, to=self.token, data=data, fee=self.fee)


async def deploy(
    nodes: list[Node], compiled: Mapping[str, Any], *, fee: int = 0, in_flight: int = IN_FLIGHT, batch: int = BATCH
) -> Run:
    """Deploy the test token and give every sender some of it.

    Args:
        nodes: the validators' RPC.
        compiled: the token's artifact; its constructor takes name, symbol and supply.
        fee: what a transaction offers, in wei a gas.
        in_flight: how many transactions may be submitted and not yet seen in a block.
        batch: how many are submitted in one request.
    """
    senders = accounts(SENDERS)
    chain_id = int(await nodes[0].call("eth_chainId"), 16)
    run = Run(nodes, chain_id, "", senders, fee, in_flight, batch)
    await run.read_nonces()
    owner = senders[0]
    nonce = run.nonces[owner.address]
    code = compiled["bytecode"] + constructor_arguments(compiled["abi"])
    created = await nodes[0].call(
        "eth_sendRawTransaction",
        sign(owner, chain_id=chain_id, nonce=nonce, to=None, data=code, gas=3_000_000, fee=fee),
    )
    receipt = await wait_for_receipt(nodes[0], created)
    run.token = receipt["contractAddress"]
    last = created
    for offset, sender in enumerate(senders[1:], start=1):
        data = transfer_data(sender.address, 10**9)
        last = await nodes[0].call(
            "eth_sendRawTransaction",
            sign(owner, chain_id=chain_id, nonce=nonce + offset, to=run.token, data=data, fee=fee),
        )
    await wait_for_receipt(nodes[0], last)
    await run.read_nonces()
    return run


def constructor_arguments(abi: list[dict[str, Any]]) -> str:
    """Return the ABI encoding (hexadecimal, no 0x) of the token's constructor arguments."""
    inputs: list[dict[str, Any]] = next((entry["inputs"] for entry in abi if entry["type"] == "constructor"), [])
    values = {"string": "Bench", "uint256": 10**24, "address": "0x" + "00" * 19 + "01"}
    types = [str(item["type"]) for item in inputs]
    return default_codec.encode(types, [values[kind] for kind in types]).hex()


async def wait_for_receipt(node: Node, transaction: str) -> dict[str, str]:
    """Poll until the transaction has a receipt with status 1."""
    deadline = time.perf_counter() + DEADLINE_S
    while time.perf_counter() < deadline:
        receipt = await node.call("eth_getTransactionReceipt", transaction)
        if receipt is not None:
            if receipt["status"] != "0x1":
                raise RuntimeError(f"{transaction} failed: {receipt}")
            return dict(receipt)
        await asyncio.sleep(POLL_S)
    raise TimeoutError(f"no receipt for {transaction} within {DEADLINE_S} s")


class CommitCounter:
    """Counts the transactions in the blocks after a given height, as one node reports them."""

    def __init__(self, node: Node, height: int) -> None:
        self._node = node
        self._start = height
        self.height = height
        self.committed = 0

    async def poll(self) -> int:
        """Read the blocks committed since the last call; return the total."""
        head = int(await self._node.call("eth_blockNumber"), 16)
        if head > self.height:
            calls = [("eth_getBlockTransactionCountByNumber", [hex(n)]) for n in range(self.height + 1, head + 1)]
            self.committed += sum(int(count, 16) for count in await self._node.batch(calls))
            self.height = head
        return self.committed

    @property
    def blocks(self) -> int:
        """Blocks seen since the start."""
        return self.height - self._start


async def throughput(run: Run, transfers: int) -> Throughput:
    """Submit `transfers` signed transfers in batches over all nodes; time them until the last is committed."""
    signed = [run.next_transfer(i) for i in range(transfers)]
    groups = [signed[i : i + run.batch] for i in range(0, transfers, run.batch)]
    counter = CommitCounter(run.nodes[0], int(await run.nodes[0].call("eth_blockNumber"), 16))
    started = time.perf_counter()
    submitted = 0
    for number, group in enumerate(groups):
        node = run.nodes[number % len(run.nodes)]
        await node.batch([("eth_sendRawTransaction", [raw]) for raw in group])
        submitted += len(group)
        while submitted - await counter.poll() > run.in_flight:
            await asyncio.sleep(POLL_S)
    while await counter.poll() < transfers:
        if time.perf_counter() - started > DEADLINE_S:
            raise TimeoutError(f"{counter.committed} of {transfers} transfers committed within {DEADLINE_S} s")
        await asyncio.sleep(POLL_S)
    return Throughput(transfers, time.perf_counter() - started, counter.blocks)


async def latency(session: aiohttp.ClientSession, run: Run, rounds: int) -> list[float]:
    """Send one transfer at a time and wait for its receipt by `newHeads`; return each round's milliseconds, sorted."""
    taken = []
    url = run.nodes[0].url.replace("http", "ws", 1)
    async with session.ws_connect(url) as socket:
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        await socket.receive_json()
        for index in range(rounds):
            raw = run.next_transfer(index)
            started = time.perf_counter()
            hash_ = await run.nodes[0].call("eth_sendRawTransaction", raw)
            while await run.nodes[0].call("eth_getTransactionReceipt", hash_) is None:
                await socket.receive_json()
            taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)
