"""A street on the node's own machine: the system contracts deployed from a genesis file, accounts that send, a clock.

With GRIDPACT_LONG set it runs on py-evm's opcode loop in place of the node's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from eth.vm.message import Message
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey

from contracts import layout, system
from contracts.bindings import consortium_votes, erc20, fiat_token, market, meter_registry
from contracts.bindings.abi import Event, View
from contracts.bindings.events import decode_log
from contracts.bindings.market_types import Cash, CashKind, Tariff
from contracts.bindings.reverts import Revert, decode_revert, explain_revert
from node.execution import BlockEnvironment, Loop
from node.execution.computation import computation_class
from node.execution.machine import Machine
from node.rules import Rules
from node.state import EMPTY_ROOT, Account, AccountChange, slot_key
from node.state.code import beginnings
from tests.long import LONG

T = TypeVar("T")

CHAIN_ID = 2016
SYSTEM = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")
ZERO_S = 1_466_460_000
HOUR_S = 3600
QUARTER_S = 900
CLOSE_S = 2700
DEADLINE = 4
CALL_GAS = 9_000_000
DEPLOY_GAS = 100_000_000


def key(name: str) -> PrivateKey:
    """The secp256k1 key of a person of these tests."""
    return PrivateKey(name.encode().rjust(32, b"\x01"))


def account(name: str) -> bytes:
    """The account of a person of these tests."""
    return bytes(key(name).public_key.to_canonical_address())


def hexed(data: bytes) -> str:
    """Data as a genesis file writes it."""
    return f"0x{data.hex()}"


HOUSES = ("ann", "bob", "cat", "dan")
SHARED = Tariff(0, 70_000, 67_000, 150_000, 0, 123_000)
PUBLIC = Tariff(0, 70_000, 67_000, 150_000, 217_000, 123_000)


def genesis(
    tariffs: tuple[Tariff, ...] = (SHARED,), *, penalty: int = 0, margin: int = 0, houses: tuple[str, ...] = HOUSES
) -> dict[str, Any]:
    """A genesis file's content as far as the contracts read it; meters are named house + "-meter"."""
    return {
        "schedule": {
            "window_zero_s": ZERO_S,
            "window_length_s": HOUR_S,
            "quarter_length_s": QUARTER_S,
            "negotiation_close_s": CLOSE_S,
            "recording_margin_s": 600,
            "settlement_deadline_windows": DEADLINE,
        },
        "members": [
            {
                "name": house,
                "node_key": hexed(bytes([i + 1]) * 32),
                "p2p": f"127.0.0.1:{30300 + i}",
                "account": hexed(account(f"{house}-member")),
                "vouched": [hexed(account(house)), hexed(account(f"{house}-meter"))],
            }
            for i, house in enumerate(houses)
        ],
        "operator": hexed(account("operator")),
        "issuers": [hexed(account("issuer"))],
        "meters": [
            {
                "meter": hexed(account(f"{house}-meter")),
                "household": hexed(account(house)),
                "connection": f"LV4.101-{house}",
                "max_power_w": 20_000,
            }
            for house in houses
        ],
        "tariffs": [
            {name: getattr(tariff, name) for name in Tariff.__dataclass_fields__} | {"preset": "test"}
            for tariff in tariffs
        ],
        "market": {
            "penalty_microeur_per_kwh": penalty,
            "minimum_lot_wh": 10,
            "operator_margin_microeur_per_kwh": margin,
        },
    }


class Refused(Exception):
    """A call reverted; `error` is the custom error's name, `values` its values."""

    def __init__(self, data: bytes) -> None:
        super().__init__(explain_revert(data))
        revert = decode_revert(data) or Revert("", "", {})
        self.data = data
        self.error = revert.name
        self.values = revert.values


@contextmanager
def refused(error: str, **values: Any) -> Iterator[None]:
    """Expect a call to be refused with this error, and with these of its values."""
    try:
        yield
    except Refused as refusal:
        found = {name: refusal.values.get(name) for name in values}
        if (refusal.error, found) != (error, values):
            raise AssertionError(f"refused, but not by {error} with {values}: {refusal}") from None
        return
    raise AssertionError(f"not refused by {error}")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a transaction did: its events, what it returned, and the gas of its execution."""

    events: tuple[Event, ...]
    output: bytes
    gas_used: int

    def only(self, kind: type[T]) -> T:
        """The one event of this kind."""
        (event,) = self.all(kind)
        return event

    def all(self, kind: type[T]) -> list[T]:
        """The events of this kind."""
        return [event for event in self.events if isinstance(event, kind)]


def block_hash(height: int) -> bytes:
    """The hash of an earlier block of these tests."""
    return bytes(keccak(b"block" + height.to_bytes(8, "big")))


RULES = Rules(1, CHAIN_ID)
LOOP = Loop.STOCK if LONG else Loop.INLINED


class Computation(computation_class(RULES.fork, LOOP)):  # type: ignore[misc]
    """The node's, without EIP-3860's bound, which does not hold at genesis."""

    @classmethod
    def validate_create_message(cls, message: Any) -> None:
        """Let constructors have a hundred members' arguments."""


@dataclass(frozen=True, slots=True)
class World:
    """A state that stays as it is: what the node's machine stands on."""

    accounts: Mapping[bytes, AccountChange] = field(default_factory=dict)
    slots: Mapping[bytes, int] = field(default_factory=dict)
    codes: Mapping[bytes, bytes] = field(default_factory=dict)

    def account(self, address: bytes) -> Account | None:
        """The account; its storage root is not kept."""
        found = self.accounts.get(address)
        return None if found is None else Account(found.nonce, found.balance, EMPTY_ROOT, found.code_hash)

    def storage(self, address: bytes, slot: int) -> int:
        """A slot's value."""
        return self.slots.get(slot_key(address, slot), 0)

    def code(self, code_hash: bytes) -> bytes:
        """A contract's code."""
        return self.codes.get(code_hash, b"")

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Where its instructions begin."""
        return _beginnings(self.code(code_hash))


_beginnings = cache(beginnings)


class ChainState(Machine):
    """The node's, with block hashes for whatever block it is."""

    def __init__(self, world: World, now_s: int) -> None:
        super().__init__(world, BlockEnvironment(1, now_s, 30_000_000, bytes(32), CHAIN_ID, block_hash), RULES)
        self.computation_class = Computation

    def get_ancestor_hash(self, block_number: int) -> Any:
        """BLOCKHASH, of the last 256 blocks."""
        return block_hash(block_number) if self.block_number - 256 <= block_number < self.block_number else b""


class Street:
    """The contracts of a genesis file, at a chain time."""

    def __init__(self, content: dict[str, Any] | None = None) -> None:
        self.genesis = content or genesis()
        self.world = World()
        self.state = ChainState(self.world, ZERO_S)
        for address, init_code in system.genesis_deployments(self.genesis):
            self.deploy(init_code, address)
        self.keep()

    def keep(self) -> Street:
        """Let `fresh` go back to what is now."""
        changes = self.state.accounts.changes()
        accounts = {**self.world.accounts, **changes.accounts}
        self.world = World(
            {address: account for address, account in accounts.items() if account is not None},
            {**self.world.slots, **changes.storage},
            {**self.world.codes, **changes.codes},
        )
        context, self.state = self.state.execution_context, ChainState(self.world, ZERO_S)
        self.state.execution_context = context
        return self

    def fresh(self) -> Street:
        """A copy as it was when it was kept (after genesis), at the first second of window 0."""
        twin = copy.copy(self)
        twin.state = ChainState(self.world, ZERO_S)
        return twin

    @property
    def now_s(self) -> int:
        """The chain's time."""
        return int(self.state.timestamp)

    def at(self, window: int, elapsed_s: int = 0) -> Street:
        """Set the clock to a moment of a window."""
        self.state.execution_context._timestamp = ZERO_S + window * HOUR_S + elapsed_s
        return self

    @property
    def height(self) -> int:
        """The block that transactions are in."""
        return int(self.state.block_number)

    def next_block(self) -> Sent | None:
        """Begin the next block as the node does; return what that did, if something waited."""
        self.state.execution_context._block_number = self.height + 1
        return self.begin_block() if self.pending() else None

    def begin_block(self, sender: bytes = SYSTEM) -> Sent:
        """Call what the node calls at the start of a block."""
        return self.send(sender, system.CONSORTIUM, consortium_votes.begin_block())

    def pending(self) -> bool:
        """Whether something waits for the start of a block."""
        return layout.has_pending(self.storage)

    def storage(self, address: bytes, slot: int) -> int:
        """Read storage as a node does."""
        return int(self.state.get_storage(address, slot))

    def consortium(self, sender: str, data: bytes) -> Sent:
        """Send a transaction to the consortium."""
        return self.send(sender, system.CONSORTIUM, data)

    def deploy(self, init_code: bytes, address: bytes, sender: bytes = bytes(20)) -> bytes:
        """Run a constructor at an address and return the code that lies there."""
        message = Message(DEPLOY_GAS, b"", sender, 0, b"", init_code, create_address=address)
        return self._run(message, create=True).output

    def send(self, sender: str | bytes, to: bytes, data: bytes, *, origin: bytes | None = None) -> Sent:
        """Send a transaction; raises Refused when it reverts."""
        source = account(sender) if isinstance(sender, str) else sender
        self.state.accounts.begin_transaction()
        message = Message(CALL_GAS, to, source, 0, data, self.state.get_code(to))
        return self._run(message, origin=origin)

    def view(self, call: View[T]) -> T:
        """Make a reading call; raises Refused when it reverts."""
        snapshot = self.state.snapshot()
        message = Message(CALL_GAS, call.to, bytes(20), 0, call.data, self.state.get_code(call.to))
        try:
            return call.decode(self._run(message).output)
        finally:
            self.state.revert(snapshot)

    def _run(self, message: Message, *, create: bool = False, origin: bytes | None = None) -> Sent:
        context = self.state.get_transaction_context_class()(0, origin or message.sender, [])
        run = self.state.computation_class.apply_create_message if create else None
        computation = (run or self.state.computation_class.apply_message)(self.state, message, context)
        if computation.is_error:
            if not computation.output:
                raise AssertionError(f"the machine stopped: {computation.error!r}")
            raise Refused(bytes(computation.output))
        logs = computation.get_log_entries()
        events = (decode_log(a, [t.to_bytes(32, "big") for t in topics], data) for a, topics, data in logs)
        known = tuple(event for event in events if event is not None)
        return Sent(known, bytes(computation.output), computation.get_gas_used())

    def fund(self, *names: str, euro: int = 100) -> Street:
        """Give wallets money and let the market take it."""
        for name in names or HOUSES:
            receipt = name.encode().ljust(32, b"\0")
            self.send("issuer", system.FIAT_TOKEN, fiat_token.mint(account(name), euro * 1_000_000, receipt))
            self.send(name, system.FIAT_TOKEN, fiat_token.approve(system.MARKET))
        return self

    def market(self, sender: str, data: bytes) -> Sent:
        """Send a transaction to the market."""
        return self.send(sender, system.MARKET, data)

    def attest(self, house: str, window: int, *, imported: int = 0, exported: int = 0) -> None:
        """Let the house's meter attest the four quarters of a window, the energy in the first of them."""
        imports, exports = (spread(imported), spread(exported))
        data = meter_registry.attest_batch(4 * window, imports, exports)
        self.send(f"{house}-meter", system.METER_REGISTRY, data)

    def terms(self, window: int, seller: str, buyer: str, energy_wh: int, price: int, nonce: int = 0) -> dict[str, Any]:
        """A contract's terms, as both sides know them."""
        return {
            "window": window,
            "seller": account(seller),
            "buyer": account(buyer),
            "energy_wh": energy_wh,
            "price_microeur_per_kwh": price,
            "negotiation_id": nonce.to_bytes(32, "big"),
        }

    def sign(self, buyer: str, terms: dict[str, Any]) -> bytes:
        """The buyer's acceptance of terms."""
        digest = market.acceptance_digest(chain_id=CHAIN_ID, **terms)
        signature = bytes(key(buyer).sign_msg_hash(digest).to_bytes())
        return signature[:64] + bytes([signature[64] + 27])

    def offer(self, seller: str, window: int, energy_wh: int, price: int, *, deposit: int | None = None) -> int:
        """Make an offer with the least deposit, in the trading window; returns its number."""
        self.at(window - 1)
        if deposit is None:
            tariff, parameters = self.view(market.tariff_at(window)), self.view(market.parameters())
            deposit = market.deposit_required(tariff, parameters, energy_wh, price)
        sent = self.market(seller, market.make_offer(window, energy_wh, price, deposit))
        return int.from_bytes(sent.output, "big")

    def allocate(self, offer_id: int, terms: dict[str, Any], seller: str, buyer: str) -> bytes:
        """Allocate energy by the buyer's acceptance, in the recording margin; returns the trade's number."""
        self.at(terms["window"] - 1, CLOSE_S)
        data = market.allocate_energy(
            offer_id,
            terms["buyer"],
            terms["energy_wh"],
            terms["price_microeur_per_kwh"],
            terms["negotiation_id"],
            self.sign(buyer, terms),
        )
        return self.market(seller, data).output

    def contract(self, window: int, seller: str, buyer: str, energy_wh: int, price: int, nonce: int = 0) -> bytes:
        """Make a contract from offer to escrow; returns its number."""
        offer_id = self.offer(seller, window, energy_wh, price)
        terms = self.terms(window, seller, buyer, energy_wh, price, nonce)
        trade_id = self.allocate(offer_id, terms, seller, buyer)
        self.market(buyer, market.allow_transaction(trade_id))
        return trade_id

    def settle(self, window: int, trades: list[bytes], houses: tuple[str, ...]) -> list[Cash]:
        """Settle contracts, then windows; returns the lines."""
        lines: list[Cash] = []
        for trade_id in trades:
            lines += self.market("operator", market.make_transaction(trade_id)).all(Cash)
        for house in houses:
            lines += self.market("operator", market.settle_window(window, account(house))).all(Cash)
        return lines

    def books_hold(self) -> bool:
        """Whether the market's tokens are its balances and what is locked, and no energy token circulates."""
        parties = [account(name) for name in (*HOUSES, "operator", "issuer")] + [system.GRID]
        balances = sum(self.view(market.balance_of(party)) for party in parties)
        held = self.view(fiat_token.balance_of(system.MARKET))
        energy = self.view(erc20.total_supply(system.ENERGY_TOKEN))
        return held == balances + self.view(market.locked_microeur()) and energy == 0


def spread(energy_wh: int) -> list[int]:
    """Energy over the four quarters of a window, uneven where it must be."""
    return [energy_wh // 4 + (1 if i < energy_wh % 4 else 0) for i in range(4)]


def cash_of(lines: list[Cash], party: bytes) -> int:
    """What the lines give a party."""
    return sum(line.amount_microeur for line in lines if line.party == party)


def by_kind(lines: list[Cash], party: bytes) -> dict[CashKind, int]:
    """What the lines give a party, kind by kind."""
    kinds: dict[CashKind, int] = {}
    for line in lines:
        if line.party == party:
            kinds[line.kind] = kinds.get(line.kind, 0) + line.amount_microeur
    return kinds
