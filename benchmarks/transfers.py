"""A load of ERC-20 transfers that costs its machine little: everything is signed and encoded before the clock starts.

Every sender has a connection of its own, kept alive, on which its batches go out in the order of its nonces.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi.abi import default_codec
from eth_account.signers.local import LocalAccount

from benchmarks.ethereum import Node, accounts, sign, transfer_data
from benchmarks.presigned import Signed, TokenSenders, batch_body

SENDERS = 8  # two connections to each of four validators
BATCH = 50
POLL_S = 0.05
DEADLINE_S = 240.0
IN_FLIGHT = 1_000  # submitted and not yet seen in a block; a pool takes 512 of a sender, 4,096 of one member's accounts
CHECKED = 200  # receipts that are read after a run


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one run committed.

    Args:
        transfers, seconds: how many, from the first submission until the last was seen in a block.
        blocks: how many they took.
        generator_s: CPU time of the load generator meanwhile.
        in_flight, batch: transfers on their way at most, and in one request.
    """

    transfers: int
    seconds: float
    blocks: int
    generator_s: float = 0.0
    in_flight: int = IN_FLIGHT
    batch: int = BATCH

    @property
    def load(self) -> str:
        """What was sent, in words."""
        return f"{self.transfers:,} transfers a run, {self.in_flight:,} at most on their way, {self.batch} a request"

    @property
    def per_second(self) -> float:
        """Committed transfers per second."""
        return self.transfers / self.seconds


class Run:
    """A token on the chain, and the accounts that send it, with their next nonces."""

    def __init__(self, nodes: list[Node], chain_id: int, token: str, senders: list[LocalAccount], fee: int) -> None:
        self.nodes = nodes
        self.chain_id = chain_id
        self.token = token
        self.senders = senders
        self.fee = fee
        self.nonces: dict[str, int] = {}

    async def read_nonces(self) -> None:
        """Read every sender's next nonce from the chain."""
        calls = [("eth_getTransactionCount", [sender.address, "latest"]) for sender in self.senders]
        for sender, nonce in zip(self.senders, await self.nodes[0].batch(calls), strict=True):
            self.nonces[sender.address] = int(nonce, 16)

    def over(self, nodes: list[Node]) -> Run:
        """Return the same token and accounts, for transfers over other nodes."""
        return Run(nodes, self.chain_id, self.token, self.senders, self.fee)

    async def signers(self) -> TokenSenders:
        """Return the senders with their next nonces as the chain has them: nothing of theirs may be on its way."""
        await self.read_nonces()
        return TokenSenders(
            self.chain_id,
            bytes.fromhex(self.token[2:]),
            [bytes(sender.key) for sender in self.senders],
            [self.nonces[sender.address] for sender in self.senders],
            self.fee,
        )


async def deploy(nodes: list[Node], compiled: Mapping[str, Any], *, fee: int = 0) -> Run:
    """Deploy the test token and give every sender some of it.

    Args:
        nodes: the validators' RPC.
        compiled: the token's artifact; its constructor takes name, symbol and supply.
        fee: what a transaction offers, in wei a gas.
    """
    senders = accounts(SENDERS)
    chain_id = int(await nodes[0].call("eth_chainId"), 16)
    run = Run(nodes, chain_id, "", senders, fee)
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
                raise RuntimeError(f"{transaction} failed, status {receipt['status']}")
            return dict(receipt)
        await asyncio.sleep(POLL_S)
    raise TimeoutError(f"no receipt for {transaction} within {DEADLINE_S} s")


class CommitCounter:
    """Counts what some accounts have on the chain since `begin`, by their nonces as one node reports them."""

    def __init__(self, node: Node, senders: Sequence[str]) -> None:
        self._node = node
        self._calls: list[tuple[str, list[Any]]] = [
            *(("eth_getTransactionCount", [sender, "latest"]) for sender in senders),
            ("eth_blockNumber", []),  # read last: the node may commit between two entries of a batch
        ]
        self._began = (0, 0)
        self.height = 0
        self.committed = 0

    @classmethod
    async def begin(cls, node: Node, senders: Sequence[str]) -> CommitCounter:
        """Return a counter that stands at 0."""
        counter = cls(node, senders)
        await counter.poll()
        counter._began = (counter.height, counter.committed)
        counter.committed = 0
        return counter

    async def poll(self) -> int:
        """Read the nonces; return how many transactions there are since the beginning."""
        *nonces, height = (int(each, 16) for each in await self._node.batch(self._calls))
        self.height, self.committed = height, sum(nonces) - self._began[1]
        return self.committed

    @property
    def blocks(self) -> int:
        """Blocks seen since the beginning."""
        return self.height - self._began[0]


def bodies_by_sender(signed: list[Signed], batch: int) -> list[list[tuple[int, bytes]]]:
    """Return each sender's transfers as (how many, JSON-RPC batch), in the order of its nonces."""
    lanes: dict[int, list[Signed]] = {}
    for each in signed:
        lanes.setdefault(each.sender, []).append(each)
    cut = ([lane[at : at + batch] for at in range(0, len(lane), batch)] for lane in lanes.values())
    return [[(len(part), batch_body(part)) for part in parts] for parts in cut]


async def throughput(run: Run, transfers: int, *, in_flight: int = IN_FLIGHT, batch: int = BATCH) -> Throughput:
    """Sign transfers, then submit them over all nodes, and time them from the first until the last is in a block.

    Args:
        run: nobody else sends from its accounts.
        transfers: how many.
        in_flight: how many may be submitted and not yet seen in a block.
        batch: how many are submitted in one request.

    Raises:
        ExceptionGroup: a node does not take one (`RpcError`), or is not there.
        RuntimeError: one failed.
        TimeoutError: they are not committed in time.
    """
    signed = (await run.signers()).next_transfers(transfers)
    lanes = bodies_by_sender(signed, batch)
    counter = await CommitCounter.begin(run.nodes[0], [sender.address for sender in run.senders])
    submitted = 0
    room = asyncio.Event()

    async def send(node: Node, lane: list[tuple[int, bytes]]) -> None:
        nonlocal submitted
        for count, body in lane:
            while submitted + count - counter.committed > in_flight:
                room.clear()
                await room.wait()
            submitted += count
            await node.post(body)

    started, used = time.perf_counter(), time.process_time()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for number, lane in enumerate(lanes):
            group.create_task(send(run.nodes[number % len(run.nodes)], lane))
        while await counter.poll() < transfers:
            room.set()
            await asyncio.sleep(POLL_S)
    seconds, generator_s = time.perf_counter() - started, time.process_time() - used
    await _check(run.nodes[-1], signed, counter.height)
    return Throughput(transfers, seconds, counter.blocks, generator_s, in_flight, batch)


async def _check(node: Node, signed: list[Signed], height: int) -> None:
    """Read some receipts of what is said to be committed up to a height, from a node that may be a little behind."""
    async with asyncio.timeout(DEADLINE_S):
        while int(await node.call("eth_blockNumber"), 16) < height:
            await asyncio.sleep(POLL_S)
    some = random.Random(0).sample(signed, min(CHECKED, len(signed)))
    for each, receipt in zip(
        some, await node.batch([("eth_getTransactionReceipt", [each.hash]) for each in some]), strict=True
    ):
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"{each.hash} did not succeed: {receipt}")


async def latency(session: aiohttp.ClientSession, run: Run, senders: int, rounds: int) -> list[float]:
    """Let each of some senders have one transfer on its way at a time.

    Args:
        session: for a WebSocket that hears of new heads.
        run: nobody else sends from its accounts.
        senders: how many take part.
        rounds: how many transfers each sends.

    Returns:
        Milliseconds from before the submission until the receipt is there, of every transfer, sorted.
    """
    signed = (await run.signers()).next_transfers(rounds * SENDERS)
    node = run.nodes[0]
    head = asyncio.Event()
    taken = []

    async def listen(socket: aiohttp.ClientWebSocketResponse) -> None:
        nonlocal head
        while True:
            await socket.receive_json()
            head.set()
            head = asyncio.Event()

    async def send(lane: list[Signed]) -> None:
        for each in lane:
            body = batch_body([each])
            started = time.perf_counter()
            following = head
            await node.post(body)
            while await node.call("eth_getTransactionReceipt", each.hash) is None:
                await following.wait()
                following = head
            taken.append((time.perf_counter() - started) * 1000)

    async with session.ws_connect(node.url.replace("http", "ws", 1)) as socket:
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        await socket.receive_json()
        listening = asyncio.create_task(listen(socket))
        try:
            async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
                for sender in range(senders):
                    group.create_task(send([each for each in signed if each.sender == sender]))
        finally:
            listening.cancel()
    return sorted(taken)
