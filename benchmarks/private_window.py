"""One private window of a whole street on four validators: from the last bid to the last confirmed payment.

Every household of the grid semiurb4 is a member; half sell what the other half buy. All that a window has is there:
registration, notes, anonymous offers, budgets, trades, sealed quarters, settlement against them, notes paid out, and at
the end the books: what the pool holds is what the members' notes and the operator's total add up to.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from eth_account import Account
from eth_hash.auto import keccak
from rich.console import Console

from agents.private import openings
from benchmarks import machine
from benchmarks.ethereum import Node, RpcError, sign
from benchmarks.private_street import SETTLE_GAS, TRADE_GAS, Member, random, rows_from
from benchmarks.results import Result, show
from benchmarks.validators import SETTING
from contracts.bindings import fiat_token, privacy_registry, private_market, sealed_meters, shielded_pool
from contracts.bindings.abi import View
from contracts.bindings.private_market import Side
from contracts.system import FIAT_TOKEN, PRIVACY_REGISTRY, PRIVATE_MARKET, SEALED_METERS, SHIELDED_POOL
from devnet.accounts import derived_key
from devnet.auditors import THRESHOLD, devnet_auditors
from devnet.layout import CHAIN_ID, Options, Place
from devnet.run import Devnet
from devnet.scenario import DATA, HouseholdPlan, find_scenario, load_scenario
from node.clock import ChainClock
from node.genesis import load_genesis
from privacy.clsag import Member as BinMember
from privacy.envelopes import RingRow, ring_to_code
from privacy.secp256k1 import POINT_BYTES, SECP256K1

RPC_PORT = 20_645
WINDOW = 2  # traded in window 1, for which those are in the ring who register in window 0
LEAD_S = 75  # wall seconds for registrations and deposits
WINDOW_S = 3_600
QUARTERS = 4
DEPOSITS, DEPOSIT_MICROEUR = 2, 4_000_000
BUDGET_MICROEUR = 3_000_000
TICK = 200
QUARTER_WH = 250  # what a seller's meter gives and a buyer's takes
BATCH = 10
REGISTER_GAS, DEPOSIT_GAS, ATTEST_GAS, CLOSE_GAS, PREPARE_GAS = 4_500_000, 2_500_000, 600_000, 300_000, 9_000_000
T = TypeVar("T")
G = SECP256K1


class Validators(Devnet):
    """Four validators of a private street whose households are played by this benchmark."""

    def start_household(self, index: int) -> None:
        """Start nothing."""

    def start_operator(self) -> None:
        """Start nothing."""

    def start_auditors(self) -> None:
        """Start nothing."""


@contextmanager
def validators(members: int, scale: int) -> Iterator[Validators]:
    """Start four validators whose genesis file has this many households, and end them whatever happens.

    Args:
        members: of the street.
        scale: chain seconds in a wall second.
    """
    scenario = load_scenario(find_scenario("street-8"))
    with (DATA / "semiurb4_connections.csv").open(encoding="utf-8", newline="") as file:
        connections = [row["connection"] for row in csv.DictReader(file)][:members]
    plans = tuple(HouseholdPlan(connection, 0, {}) for connection in connections)
    changed = replace(scenario, households=plans, clock_steps=((0, scale),), start_lead_s=LEAD_S)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        place = Place(Path(folder) / "devnet", changed, Options(rpc_port=RPC_PORT, private=True))
        devnet = Validators(place, Console(file=io.StringIO()))
        try:
            devnet.start()
            yield devnet
        finally:
            devnet.stop()


class Driver:
    """Sends what members send, a node after the other, and waits for receipts."""

    def __init__(self, devnet: Validators, session: aiohttp.ClientSession) -> None:
        self._nodes = [Node(session, f"http://{devnet.place.rpc(i)}") for i in range(devnet.place.validators)]
        self._clock = ChainClock(load_genesis(devnet.place.genesis))
        self._nonces: dict[bytes, int] = {}
        self.gas: dict[str, list[int]] = {}

    async def until(self, chain_s: float) -> None:
        """Sleep until the chain's clock is there, and a block can have this time."""
        while self._clock.now_s() < chain_s + 1:
            await asyncio.sleep(0.05)

    @property
    def window_zero_s(self) -> int:
        """When window 0 begins."""
        return load_scenario(find_scenario("street-8")).window_zero_s

    async def height(self) -> int:
        """Return the newest height."""
        return int(await self._nodes[0].call("eth_blockNumber"), 16)

    async def read(self, view: View[T]) -> T:
        """Return what a view says now."""
        fields = {"to": f"0x{view.to.hex()}", "data": f"0x{view.data.hex()}"}
        answer = await self._nodes[0].call("eth_call", fields, "latest")
        return view.decode(bytes.fromhex(answer[2:]))

    def by_key(self, key: bytes, to: bytes, data: bytes, gas: int) -> str:
        """Return a transaction of an ordinary account, its nonces in the order of the calls."""
        nonce = self._nonces.get(key, 0)
        self._nonces[key] = nonce + 1
        account = Account.from_key(key)
        return sign(account, chain_id=CHAIN_ID, nonce=nonce, to=f"0x{to.hex()}", data=f"0x{data.hex()}", gas=gas)

    async def send(self, what: str, raws: Sequence[str]) -> float:
        """Send raw transactions, wait until all are in blocks, and return how many seconds that took.

        Raises:
            RuntimeError: one was refused, or reverted.
        """
        began = time.perf_counter()
        hashes: list[str] = []
        for at in range(0, len(raws), BATCH):
            node = self._nodes[at // BATCH % len(self._nodes)]
            hashes += await node.batch([("eth_sendRawTransaction", [raw]) for raw in raws[at : at + BATCH]])
        waiting = list(hashes)
        while waiting:
            found = await self._nodes[0].batch([("eth_getTransactionReceipt", [each]) for each in waiting])
            for receipt in filter(None, found):
                if receipt["status"] != "0x1":
                    raise RuntimeError(f"{what}: {await self._why(receipt)}")
                self.gas.setdefault(what, []).append(int(receipt["gasUsed"], 16))
            waiting = [each for each, receipt in zip(waiting, found, strict=True) if receipt is None]
            await asyncio.sleep(0.05)
        took = time.perf_counter() - began
        gas = self.gas[what]
        print(f"{what}: {len(raws)} in {took:.1f} s, {max(gas):,} gas at most", flush=True)
        return took

    async def _why(self, receipt: dict[str, Any]) -> str:
        tx = await self._nodes[0].call("eth_getTransactionByHash", receipt["transactionHash"])
        fields = {"from": tx["from"], "to": tx["to"], "data": tx["input"], "gas": tx["gas"]}
        try:
            await self._nodes[0].call("eth_call", fields, "latest")
        except RpcError as error:
            return str(error)
        return f"{receipt['transactionHash']} reverted, {int(receipt['gasUsed'], 16):,} of {int(tx['gas'], 16):,} gas"

    async def notes_made(self) -> list[tuple[int, bytes]]:
        """Return all notes with their index."""
        query = {"address": f"0x{SHIELDED_POOL.hex()}", "fromBlock": "0x0", "toBlock": "latest"}
        found = []
        for log in await self._nodes[0].call("eth_getLogs", query):
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            event = shielded_pool.INTERFACE.decode_event(topics, bytes.fromhex(log["data"][2:]))
            if isinstance(event, shielded_pool.NoteMade):
                found.append((event.index, event.note))
        return found

    async def bins(self) -> dict[int, tuple[BinMember[Any], ...]]:
        """Return the closed bins by number."""
        found = {}
        count: int = await self.read(shielded_pool.bin_count())
        for number in range(count):
            raw = await self.read(shielded_pool.bin(number))
            points = [G.point_from_bytes_checked(raw[at : at + POINT_BYTES]) for at in range(0, len(raw), POINT_BYTES)]
            found[number] = tuple(BinMember(*pair) for pair in zip(points[::2], points[1::2], strict=True))
        return found


def street(count: int) -> list[Member]:
    """Return the members: the first half sell, the second buy as much."""
    joint_key = devnet_auditors(CHAIN_ID).joint_key
    half = count // 2
    members = []
    for index in range(count):
        side = Side.SELL if index < half else Side.BUY if index < 2 * half else Side.NONE
        readings = (0, QUARTER_WH) if side is Side.SELL else (QUARTER_WH, 0)
        members.append(Member(index, CHAIN_ID, joint_key, side, *readings))
    return members


async def prepare(driver: Driver, members: Sequence[Member]) -> None:
    """Give everybody money, keys in the ring, and notes in closed bins."""
    issuer = derived_key("operator")
    keys = [derived_key(f"household {member.index}") for member in members]
    mints = [fiat_token.mint(m.account, DEPOSITS * DEPOSIT_MICROEUR, random(f"money {m.index}")) for m in members]
    await driver.send("issue", [driver.by_key(issuer, FIAT_TOKEN, data, 200_000) for data in mints])
    approval = fiat_token.approve(SHIELDED_POOL)
    await driver.send("approve", [driver.by_key(key, FIAT_TOKEN, approval, 100_000) for key in keys])
    boxes = await driver.read(privacy_registry.box_keys(WINDOW))
    data = [member.registration(WINDOW, boxes, THRESHOLD) for member in members]
    to = PRIVACY_REGISTRY
    await driver.send("register", [driver.by_key(k, to, d, REGISTER_GAS) for k, d in zip(keys, data, strict=True)])
    for round_ in range(DEPOSITS):
        data = [member.deposit(round_, DEPOSIT_MICROEUR) for member in members]
        raws = [driver.by_key(k, SHIELDED_POOL, d, DEPOSIT_GAS) for k, d in zip(keys, data, strict=True)]
        await driver.send(f"deposit {round_ + 1}", raws)
    for index, note in await driver.notes_made():
        for member in members:
            member.scan(index, note)


async def offers(driver: Driver, members: Sequence[Member]) -> float:
    """Make everybody's anonymous call and lock its budget; return when the last call was confirmed."""
    rows = tuple(
        RingRow(row.account, G.point_from_bytes_checked(row.ring_key), G.point_from_bytes_checked(row.trace_key))
        for row in await driver.read(privacy_registry.rows_of(WINDOW))
    )
    root = keccak(ring_to_code(rows))
    height, bins = await driver.height(), await driver.bins()
    calls = [f"0x{m.offer(WINDOW, TICK, rows, root, height, BUDGET_MICROEUR).hex()}" for m in members]
    transfers = [f"0x{m.fund(WINDOW, BUDGET_MICROEUR, bins, height).hex()}" for m in members]
    await driver.until(driver.window_zero_s + (WINDOW - 1) * WINDOW_S)
    await driver.send("offer", calls)
    last_bid = time.perf_counter()
    await driver.send("fund", transfers)
    return last_bid


async def trade(driver: Driver, members: Sequence[Member]) -> list[tuple[Member, Member, openings.Opening, bytes]]:
    """Let every seller sell to one buyer; return the trades."""
    sellers = [member for member in members if member.side is Side.SELL]
    buyers = [member for member in members if member.side is Side.BUY]
    trades, allocations, allowances = [], [], []
    for seller, buyer in zip(sellers, buyers, strict=True):
        quantity = openings.drawn("quantity", QUARTERS * QUARTER_WH, random(f"quantity {seller.index}"))
        place, randomness = seller.place(WINDOW), random(f"allocate {seller.index}")
        made = openings.allocation(place, buyer.session_account, TICK, quantity, seller.balance, 0, randomness)
        seller.balance = made.balance
        allocations.append(seller.by_session(0, made.data, TRADE_GAS))
        taken = openings.allowance(
            buyer.place(WINDOW), made.trade_id, TICK, quantity, buyer.balance, random(f"allow {buyer.index}")
        )
        buyer.balance = taken.balance
        allowances.append(buyer.by_session(0, taken.data, TRADE_GAS))
        trades.append((seller, buyer, quantity, made.trade_id))
    await driver.send("allocate", allocations)
    await driver.send("allow", allowances)
    return trades


async def deliver(driver: Driver, members: Sequence[Member]) -> None:
    """Let every meter attest the window's quarters as they end, and close it."""
    keys = [derived_key(f"meter {member.index}") for member in members]
    for quarter in range(QUARTERS * WINDOW, QUARTERS * (WINDOW + 1)):
        sealed = [member.attestation(quarter) for member in members]
        await driver.until(driver.window_zero_s + (quarter + 1) * WINDOW_S // QUARTERS)
        raws = [driver.by_key(k, SEALED_METERS, d, ATTEST_GAS) for k, d in zip(keys, sealed, strict=True)]
        await driver.send("attest", raws)
    operator = derived_key("operator")
    await driver.send("close", [driver.by_key(operator, SEALED_METERS, sealed_meters.close_window(WINDOW), CLOSE_GAS)])
    await driver.send("rows", [driver.by_key(operator, PRIVATE_MARKET, private_market.prepare(WINDOW), PREPARE_GAS)])


async def settle(
    driver: Driver, members: Sequence[Member], trades: Iterable[tuple[Member, Member, openings.Opening, bytes]]
) -> int:
    """Settle all sessions, sellers first; return what the operator is owed, in micro-euro."""
    rows = rows_from(await driver.read(private_market.rows_of(WINDOW)))
    tariff = await driver.read(private_market.tariff_at(WINDOW))
    quarters = range(QUARTERS * WINDOW, QUARTERS * (WINDOW + 1))
    told = {seller.index: (buyer, quantity, trade_id) for seller, buyer, quantity, trade_id in trades}
    bought: dict[int, openings.Purchase] = {}
    owed = 0

    def settlement(member: Member) -> str:
        nonlocal owed
        sales, purchases = [], []
        if member.index in told:
            buyer, quantity, trade_id = told[member.index]
            sales = [openings.Sale(trade_id, TICK, quantity, random(f"shared {trade_id.hex()}"))]
        elif member.index in bought:
            purchases = [bought[member.index]]
        done = openings.settlement(
            member.place(WINDOW),
            member.read(rows, quarters),
            member.balance,
            sales,
            purchases,
            [],
            tariff,
            0,
            member.payee,
            random(f"settle {member.index}"),
        )
        if sales:
            bought[buyer.index] = openings.Purchase(TICK, quantity, done.delivered[0])
        owed += done.owed_microeur
        return member.by_session(0 if member.side is Side.NONE else 1, done.data, SETTLE_GAS)

    sellers = [member for member in members if member.side is Side.SELL]
    await driver.send("settle, sellers", [settlement(member) for member in sellers])
    await driver.send("settle, others", [settlement(member) for member in members if member not in sellers])
    return owed


async def books(driver: Driver, members: Sequence[Member], owed: int) -> None:
    """Hold what the pool has against what its notes open to and the operator is owed.

    Raises:
        RuntimeError: they differ.
    """
    seen = {index for member in members for index, _ in member.found}
    first_paid = await driver.read(shielded_pool.note_count()) - len(members) * 3
    for index, note in await driver.notes_made():
        if index not in seen and index >= first_paid:
            for member in members:
                member.scan(index, note)
    unspent = sum(note.opening.amount for member in members for _, note in member.found)
    held = await driver.read(shielded_pool.balance())
    print(f"the pool holds {held}, notes {unspent} and the operator's total {owed} micro-euro", flush=True)
    if held != unspent + owed:
        raise RuntimeError("the pool does not hold what its notes add up to")


async def measure(devnet: Validators, count: int) -> dict[str, float]:
    """Play the window; return seconds by what they are of."""
    members = street(count)
    async with aiohttp.ClientSession() as session:
        driver = Driver(devnet, session)
        await prepare(driver, members)
        last_bid = await offers(driver, members)
        trades = await trade(driver, members)
        traded = time.perf_counter()
        await deliver(driver, members)
        read = time.perf_counter()
        owed = await settle(driver, members, trades)
        paid = time.perf_counter()
        await books(driver, members, owed)
    return {
        "last bid to last payment": paid - last_bid,
        "budgets and trades": traded - last_bid,
        "until the meters' last quarter is on chain": read - traded,
        "settlement": paid - read,
    }


def main() -> None:
    """Parse the command line, measure, and end the validators whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=41)
    parser.add_argument("--window", type=int, default=30, help="wall seconds of a window of an hour")
    parser.add_argument("--keep", action="store_true", help="keep the figure in benchmarks/results")
    options = parser.parse_args()
    with validators(options.members, WINDOW_S // options.window) as devnet:
        found = asyncio.run(measure(devnet, options.members))
        about = f"{machine.describe(devnet.place.root)}; {SETTING}"
    beside = {name: f"{value:.1f} s" for name, value in found.items()}
    beside["a window"] = f"{options.window} s: what is delivered in it has to be waited for"
    what = f"a private window of {options.members} members, from the last bid to the last confirmed payment"
    seconds = found["last bid to last payment"]
    show(Result("private-window", what, seconds, "s", "≤ 120", [seconds], beside, about), keep=options.keep)


if __name__ == "__main__":
    main()
