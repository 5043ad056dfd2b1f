"""A private street of eight households, and their sessions from offer to settlement.

Calls without an account are sent from the address that the chain gives them: it has checked the ring before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode

from agents.private.openings import (
    NOTHING,
    Member,
    Opening,
    Place,
    Purchase,
    Sale,
    Settled,
    allocation,
    allowance,
    budget,
    consent,
    drawn,
    heard,
    settlement,
)
from contracts import system
from contracts.artifact import load_artifact
from contracts.bindings import private_market, sealed_meters, shielded_pool
from contracts.bindings.market_types import Tariff
from contracts.bindings.private_market import ROW_BYTES, Side, TradeDelivered
from contracts.bindings.shielded_pool import NoteMade
from contracts.system import canonical_type
from privacy import range_proof
from privacy.claims import Row
from privacy.clsag import key_image
from privacy.commitment import commit
from privacy.envelopes import anonymous_sender, scope_of, shielded_sender
from privacy.group import Scalar
from privacy.notes import (
    FoundNote,
    Hidden,
    Spend,
    balancing_blindings,
    make_lock,
    make_note,
    scan,
    spends_to_bytes,
)
from privacy.ring import image
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress, spending_secret
from tests.contracts import registered
from tests.contracts.registered import keys_of
from tests.contracts.street import CHAIN_ID, SHARED, Refused, Sent, Street, account, key
from tests.contracts.test_sealed_meters import JOINT_KEY, attest, blinding
from tests.privacy.keys import random_bytes

G = SECP256K1
MARKET = system.PRIVATE_MARKET
HOUSES = ("ann", "bob", "cat", "dan", "eva", "fred", "gil", "hal")
WINDOW = 2  # who registers in window 0 acts from here on
BUDGET = 50_000_000
PENALTY, MARGIN = 20_000, 10_000
TARIFF = replace(SHARED, local_charges_microeur_per_kwh=30_000)
TICK = 200


@dataclass
class Trader:
    """A household's session in a window, and what it knows of its own."""

    house: str
    window: int = WINDOW
    balance: Opening = NOTHING
    sales: list[Sale] = field(default_factory=list)
    bonds: list[Opening] = field(default_factory=list)
    purchases: dict[bytes, Purchase] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its session key."""
        return f"{self.house} {self.window}"

    @property
    def session(self) -> bytes:
        """Its session's account."""
        return account(self.name)

    @property
    def scope(self) -> bytes:
        """The window's."""
        return scope_of(CHAIN_ID, system.PRIVACY_REGISTRY, MARKET, self.window)

    @property
    def nullifier(self) -> bytes:
        """D."""
        found = image(G, keys_of(self.house).ring, self.scope)
        return G.point_to_bytes(found)

    @property
    def caller(self) -> bytes:
        """Who its anonymous call comes from."""
        return anonymous_sender(self.scope, self.nullifier)

    @property
    def place(self) -> Place:
        """Where its proofs hold."""
        return Place(CHAIN_ID, self.window, self.session, JOINT_KEY)

    @property
    def payee(self) -> MetaAddress[Point]:
        """Its stealth address."""
        _, _, spending, viewing = keys_of(self.house).points
        return MetaAddress(spending, viewing)

    def randomness(self, what: str) -> bytes:
        """Bytes of its own for something."""
        return random_bytes(f"{self.name} {what}")

    def locked(self, amount: int = BUDGET) -> tuple[Hidden[Point], Opening]:
        """Its budget as it is locked, and what opens it."""
        message = shielded_pool.lock_message(CHAIN_ID, self.session, self.window)
        hidden, opening = make_lock(G, amount, JOINT_KEY, message, self.randomness("budget"))
        return hidden, budget(opening)

    def lock(self, amount: int = BUDGET) -> bytes:
        """C ‖ R ‖ M of its budget."""
        return self.locked(amount)[0].to_bytes(G)[: private_market.AMOUNT_BYTES]

    def consent(self, session: str = "") -> bytes:
        """A session's signature, its own if no other is named, that it is this offer's."""
        return consent(key(session or self.name), CHAIN_ID, self.window, self.nullifier)

    def twin(self) -> Trader:
        """A copy that goes its own way."""
        return replace(self, sales=list(self.sales), bonds=list(self.bonds), purchases=dict(self.purchases))


def send(street: Street, sender: str | bytes, data: bytes) -> Sent:
    """Send a transaction to the private market."""
    return street.send(sender, MARKET, data)


def offer_data(trader: Trader, side: Side, amount: int = BUDGET, **other: Any) -> bytes:
    """A member's call; `other` replaces what it says."""
    values = {
        "window": trader.window,
        "nullifier": trader.nullifier,
        "session": trader.session,
        "contact_key": trader.randomness("contact")[:32],
        "side": side,
        "tick": TICK if side is not Side.NONE else 0,
        "budget": private_market.budget_of(trader.lock(amount)),
        "consent": trader.consent(),
    }
    return private_market.offer(**{**values, **other})


def offer(street: Street, trader: Trader, side: Side, *, amount: int = BUDGET) -> Sent:
    """Offer in the window before."""
    street.at(trader.window - 1)
    return send(street, trader.caller, offer_data(trader, side, amount))


def fund(street: Street, trader: Trader, amount: int = BUDGET) -> Sent:
    """Bring a budget as the pool does."""
    sent = send(street, system.SHIELDED_POOL, private_market.fund(trader.session, trader.window, trader.lock(amount)))
    _, trader.balance = trader.locked(amount)
    return sent


def quantity(seller: Trader, buyer: Trader, energy_wh: int) -> Opening:
    """What two agreed on: both know how it opens."""
    return drawn("quantity", energy_wh, random_bytes(f"{seller.name} to {buyer.name}"))


def shared_key(seller: Trader, buyer: Trader) -> bytes:
    """The key under which the seller tells the buyer."""
    return random_bytes(f"{seller.name} tells {buyer.name}")[:32]


def allocate(
    street: Street, seller: Trader, buyer: Trader, energy_wh: int, *, tick: int = TICK, penalty: int = PENALTY
) -> bytes:
    """Record the seller's part of a trade; returns its number."""
    agreed = quantity(seller, buyer, energy_wh)
    randomness = seller.randomness("allocate")
    made = allocation(seller.place, buyer.session, tick, agreed, seller.balance, penalty // 1000, randomness)
    assert send(street, seller.name, made.data).output == made.trade_id
    seller.balance = made.balance
    seller.bonds.append(agreed)
    return made.trade_id


def trade(
    street: Street, seller: Trader, buyer: Trader, energy_wh: int, *, tick: int = TICK, penalty: int = PENALTY
) -> bytes:
    """Record both parts of a trade; returns its number."""
    trade_id = allocate(street, seller, buyer, energy_wh, tick=tick, penalty=penalty)
    agreed = seller.bonds.pop()
    made = allowance(buyer.place, trade_id, tick, agreed, buyer.balance, buyer.randomness("allow"))
    send(street, buyer.name, made.data)
    buyer.balance = made.balance
    seller.sales.append(Sale(trade_id, tick, agreed, shared_key(seller, buyer)))
    buyer.purchases[trade_id] = Purchase(tick, agreed, NOTHING)
    return trade_id


def deliver(street: Street, readings: Mapping[str, tuple[int, int]], window: int = WINDOW) -> None:
    """Let all meters attest a window, (import, export) in its first quarter; close and prepare it."""
    street.at(window + 1)
    for house in HOUSES:
        imported, exported = readings.get(house, (0, 0))
        for quarter in range(4 * window, 4 * window + 4):
            first = quarter == 4 * window
            attest(street, house, quarter, imported if first else 0, exported if first else 0)
    street.send("anyone", system.SEALED_METERS, sealed_meters.close_window(window))
    send(street, "anyone", private_market.prepare(window))


def rows_of(street: Street, window: int = WINDOW) -> tuple[Row, ...]:
    """The rows of a prepared window."""
    raw = street.view(private_market.rows_of(window))
    points = [raw[at : at + 33] for at in range(0, len(raw), 33)]
    read = [G.point_from_bytes_checked(each) if any(each) else G.identity for each in points]
    assert len(raw) % ROW_BYTES == 0
    return tuple((read[at], read[at + 1], read[at + 2]) for at in range(0, len(read), 3))


def member_of(street: Street, trader: Trader, reading: tuple[int, int]) -> Member:
    """Who a session is, and what its meter read."""
    keys = keys_of(trader.house)
    quarters = range(4 * trader.window, 4 * trader.window + 4)
    blindings = [
        G.scalar(sum(blinding(trader.house, quarter, is_export=is_export) for quarter in quarters))
        for is_export in (False, True)
    ]
    rows = rows_of(street, trader.window)
    index = [ring_key for ring_key, _, _ in rows].index(keys.points[0])
    return Member((keys.ring, keys.trace), index, rows, *reading, blindings[0], blindings[1])


def settle_data(
    street: Street, trader: Trader, reading: tuple[int, int], *, tariff: Tariff = TARIFF, penalty: int = PENALTY
) -> Settled:
    """The call that settles a session by what its meter read."""
    return settlement(
        trader.place,
        member_of(street, trader, reading),
        trader.balance,
        trader.sales,
        list(trader.purchases.values()),
        trader.bonds,
        tariff,
        penalty // 1000,
        trader.payee,
        trader.randomness("settle"),
    )


def settle(street: Street, trader: Trader, reading: tuple[int, int], **terms: Any) -> tuple[Settled, Sent]:
    """Settle a session."""
    made = settle_data(street, trader, reading, **terms)
    return made, send(street, trader.name, made.data)


def hear(sent: Sent, seller: Trader, buyer: Trader) -> None:
    """Let a buyer read what a seller's settlement told it."""
    for event in sent.all(TradeDelivered):
        if event.trade_id in buyer.purchases:
            found = heard(shared_key(seller, buyer), event.trade_id, event.told, event.delivered, JOINT_KEY)
            buyer.purchases[event.trade_id] = replace(buyer.purchases[event.trade_id], delivered=found)


def genesis(houses: tuple[str, ...] = HOUSES) -> dict[str, Any]:
    """The genesis file of this street."""
    content = registered.genesis(houses)
    tariffs = [{name: getattr(TARIFF, name) for name in Tariff.__dataclass_fields__}]
    terms = {
        "penalty_microeur_per_kwh": PENALTY,
        "operator_margin_microeur_per_kwh": MARGIN,
        "minimum_lot_wh": 10,
    }
    return {**content, "tariffs": tariffs, "market": terms}


# -- attacks


def arguments(name: str, data: bytes) -> tuple[Any, ...]:
    """The arguments of a call."""
    (entry,) = (each for each in load_artifact("PrivateMarket").abi if each.get("name") == name)
    return tuple(decode([canonical_type(each) for each in entry["inputs"]], data[4:]))


def mutations(raw: bytes) -> list[bytes]:
    """What is not these bytes, nor as good."""
    flipped = [raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :] for at in (0, len(raw) // 2, len(raw) - 1)]
    return [b"", raw[:-1], raw + b"\0", bytes(len(raw)), *flipped]


def refused_somehow(street: Street, sender: str | bytes, data: bytes) -> None:
    """Expect a refusal by an error of the contract's own, which is no fault of it."""
    with pytest.raises(Refused) as refusal:
        send(street, sender, data)
    assert refusal.value.error not in ("", "Panic", "Error"), refusal.value


# -- money


def note_message(key: bytes) -> bytes:
    """What a note's proof is bound to."""
    return shielded_pool.note_message(CHAIN_ID, key)


def deposit(street: Street, house: str, amounts: Sequence[int]) -> Sent:
    """Turn money of a house into notes of its own."""
    blindings = balancing_blindings(G, Scalar(0), len(amounts), Scalar(1), random_bytes(f"{house} deposits"))
    made = [
        make_note(
            G,
            Trader(house).payee,
            amount,
            JOINT_KEY,
            note_message,
            random_bytes(f"{house} note {at}"),
            blinding=each,
        )
        for at, (amount, each) in enumerate(zip(amounts, blindings, strict=True))
    ]
    notes = b"".join(note.to_bytes(G) for note, _ in made)
    message = shielded_pool.deposit_message(CHAIN_ID, account(house), notes)
    secrets = [(opening.amount, opening.blinding) for _, opening in made]
    statement = range_proof.Statement(tuple(commit(G, *each) for each in secrets), 64, message)
    proof = range_proof.prove(G, statement, secrets, random_bytes(house)).to_bytes(G)
    return street.send(house, system.SHIELDED_POOL, shielded_pool.deposit(sum(amounts), notes, proof))


def found_notes(house: str, sent: Sent) -> list[FoundNote[Point]]:
    """Which of the notes that were made are a house's."""
    keys = keys_of(house)
    scanned = (scan(G, keys.viewing, G.multiply_generator(keys.spending), event.note) for event in sent.all(NoteMade))
    return [found for found in scanned if found is not None]


def fund_from(street: Street, trader: Trader, spent: Sequence[FoundNote[Point]]) -> Sent:
    """Spend two notes of bin 0: a budget for the session, and the rest back in two notes."""
    keys = keys_of(trader.house)
    hidden, trader.balance = trader.locked()
    rest = sum(each.opening.amount for each in spent) - BUDGET
    made = [
        make_note(G, trader.payee, amount, JOINT_KEY, note_message, trader.randomness(f"change {at}"))
        for at, amount in enumerate((rest, 0))
    ]
    total = G.scalar(trader.balance.blinding + sum(opening.blinding for _, opening in made))
    blindings = balancing_blindings(G, total, 2, spent[0].opening.blinding, trader.randomness("spends"))
    spends = [
        Spend(
            0,
            key_image(G, spending_secret(G, keys.viewing, keys.spending, each.output.ephemeral)),
            commit(G, each.opening.amount, own),
        )
        for each, own in zip(spent, blindings, strict=True)
    ]
    notes = b"".join(note.to_bytes(G) for note, _ in made)
    data = shielded_pool.spend(spends_to_bytes(G, spends), notes, hidden.to_bytes(G), trader.session, trader.window)
    return street.send(shielded_sender(data), system.SHIELDED_POOL, data)


# -- the street


@cache
def founded(houses: tuple[str, ...] = HOUSES) -> Street:
    """All households registered, from `WINDOW` on."""
    street = Street(genesis(houses))
    for house in houses:
        registered.register(street, house)
    return street.keep()


SIDES = {"ann": Side.SELL, "bob": Side.BUY, "cat": Side.BUY, "dan": Side.SELL, "eva": Side.BUY, "fred": Side.NONE}
READINGS = {
    "ann": (50, 1300),
    "bob": (1200, 0),
    "cat": (500, 20),
    "dan": (0, 600),
    "eva": (420, 0),
    "fred": (250, 30),
    "gil": (99, 7),
}
"""What the meters read, import and export; gil has no session, hal's meter reads nothing."""


@dataclass
class Window:
    """A street in a window, its sessions by house, and its trades by name of seller and buyer."""

    street: Street
    traders: dict[str, Trader]
    trades: dict[tuple[str, str], bytes]

    def fresh(self, window: int) -> Window:
        """A copy as it was kept, at the beginning of a window."""
        traders = {house: trader.twin() for house, trader in self.traders.items()}
        return Window(self.street.fresh().at(window), traders, self.trades)

    def settle(self, *houses: str) -> list[Settled]:
        """Settle sessions in this order; buyers hear what sellers tell them."""
        made = []
        for house in houses:
            settled, sent = settle(self.street, self.traders[house], READINGS[house])
            made.append(settled)
            for buyer in self.traders.values():
                hear(sent, self.traders[house], buyer)
        return made


@cache
def offered() -> Window:
    """All sides have offered and are funded."""
    street = founded().fresh()
    traders = {house: Trader(house) for house in SIDES}
    for house, trader in traders.items():
        offer(street, trader, SIDES[house])
        fund(street, trader)
    return Window(street.keep(), traders, {})


@cache
def traded() -> Window:
    """Three trades, and one that nobody allowed."""
    window = offered().fresh(WINDOW - 1)
    street, traders = window.street, window.traders
    for seller, buyer, energy_wh, tick in (
        ("ann", "bob", 1000, 200),
        ("ann", "cat", 400, 180),
        ("dan", "eva", 500, 190),
    ):
        window.trades[seller, buyer] = trade(street, traders[seller], traders[buyer], energy_wh, tick=tick)
    window.trades["dan", "bob"] = allocate(street, traders["dan"], traders["bob"], 300)
    street.keep()
    return window


@cache
def delivered() -> Window:
    """The window is over, its readings are closed and prepared."""
    window = traded().fresh(WINDOW + 1)
    deliver(window.street, READINGS)
    window.street.keep()
    return window
