"""Makes what a household's sessions send: its member's keys, its wallet and its meter's secrets meet here.

Everything that has to be known again follows from the session, so the same step made twice says the same of what was
said before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from secrets import token_bytes

from eth_hash.auto import keccak

from agents.chain import Call, Chain
from agents.devices.sealing import MeterSeal
from agents.errors import AgentError
from agents.home import Home, hexed
from agents.private.member import MemberKeys
from agents.private.openings import (
    NOTHING,
    Member,
    Opening,
    Place,
    Purchase,
    Sale,
    allocation,
    allowance,
    budget,
    consent,
    heard,
    settlement,
)
from agents.private.session import Session
from agents.private.street import Deal, Intent, NotEnoughNotes, TradeShown, WindowShown
from agents.wallet.wallet import Lock, NotEnough, Wallet
from contracts.bindings import privacy_registry, private_market, sealed_meters, shielded_pool
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH
from contracts.bindings.private_market import TradeDelivered, TradeState
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SEALED_METERS
from privacy.claims import DELIVERED
from privacy.commitment import commit
from privacy.envelopes import (
    MAX_RING,
    AnonymousCall,
    RingRow,
    call_images,
    ring_from_code,
    ring_to_code,
    scope_of,
    sign_call,
)
from privacy.gas import GAS_CLAIM, GAS_MEMBER, call_gas
from privacy.secp256k1 import SECP256K1, Point

EXPIRY_HEIGHTS = 900  # below the most that a node takes: a slot may be half a window away
# Most that calls cost: what tests/contracts/private_gas.txt has of their execution, and their bytes.
OFFER_GAS = 400_000
ALLOCATE_GAS = 800_000
ALLOW_GAS = 500_000
PREPARE_GAS, PREPARE_MEMBER_GAS = 300_000, 50_000
CLOSE_GAS = 150_000
DEFAULT_GAS = 150_000
SETTLE_GAS, SETTLE_SALE_GAS, SETTLE_PURCHASE_GAS = 1_500_000, 500_000, 150_000
MAX_QUARTERS = 12  # of a window, of which any may be missing on chain
_G = SECP256K1


class NotInTheRing(AgentError):
    """The household is not among the members of a window."""

    def __init__(self, window: int) -> None:
        super().__init__(
            f"window {window}: expected a key of this household in its ring; who registers acts two windows later"
        )
        self.window = window


class AnotherReading(AgentError):
    """What the chain has of the household's meter is not what its journal says."""

    def __init__(self, window: int) -> None:
        super().__init__(f"window {window}: expected on chain the quarters that the journal has, or some of them")
        self.window = window


class HouseholdScribe:
    """Makes a household's calls.

    Args:
        home: the household's.
        chain: its node.
        keys: its member's for a window, by the ring key that stands in its ring.
        seal: its meter's secrets.
        wallet: whose notes are locked, and to which what remains comes back.
        readings: of a window, by quarter: import and export in watt-hours.
        on_reserved: called when notes of the wallet are about to be spent, before they are.
    """

    def __init__(
        self,
        home: Home,
        chain: Chain,
        keys: Callable[[int, bytes], MemberKeys | None],
        seal: MeterSeal,
        wallet: Wallet,
        readings: Callable[[int], Mapping[int, tuple[int, int]]],
        on_reserved: Callable[[], None],
    ) -> None:
        self._home = home
        self._chain = chain
        self._keys = keys
        self._seal = seal
        self._wallet = wallet
        self._readings = readings
        self._on_reserved = on_reserved

    async def spendable_microeur(self) -> int:
        """Return the most that two notes hold which can be spent now."""
        amounts = sorted((note.amount for note in self._wallet.spendable()), reverse=True)
        return sum(amounts[:2]) if len(amounts) > 1 else 0

    async def offer(self, session: Session, intent: Intent) -> bytes:
        """Return the anonymous call that offers, and names the budget that will be locked."""
        hidden, _ = self._wallet.hide(await self._lock(session, intent), session.randomness("fund"))
        rows = await self._ring(session.window)
        keys, own = self._own(session.window, rows)
        scope = scope_of(self._home.chain_id, PRIVACY_REGISTRY, PRIVATE_MARKET, session.window)
        nullifier, trace_tag = call_images(scope, keys.secrets)
        data = private_market.offer(
            session.window,
            nullifier,
            session.address,
            session.contact_key,
            intent.side,
            intent.price_microeur_per_kwh // PRICE_TICK_MICROEUR_PER_KWH,
            private_market.budget_of(hidden.to_bytes(_G)),
            consent(session.key, self._home.chain_id, session.window, nullifier),
        )
        call = AnonymousCall(
            self._home.chain_id,
            session.window,
            keccak(ring_to_code(rows)),
            nullifier,
            trace_tag,
            await self._chain.height() + EXPIRY_HEIGHTS,
            call_gas(len(rows)) + OFFER_GAS,
            PRIVATE_MARKET,
            data,
        )
        return sign_call(call, PRIVACY_REGISTRY, rows, keys.secrets, own, token_bytes(32))

    async def fund(self, session: Session, intent: Intent) -> bytes:
        """Return the transfer that locks the budget; its notes are in no other until it has come or expired."""
        try:
            notes = self._wallet.choose(intent.budget_microeur)
        except NotEnough:
            raise NotEnoughNotes(intent.budget_microeur, await self.spendable_microeur()) from None
        numbers = sorted({note.bin_number for note in notes})
        bins = await self._chain.read_all([shielded_pool.bin(number) for number in numbers])
        current = max(self._home.windows.window_at(self._home.clock.now_s()), 0)
        (joint_key,) = await self._chain.read(sealed_meters.joint_key_of(current))
        transfer = self._wallet.build_spend(
            notes,
            (),
            dict(zip(numbers, bins, strict=True)),
            joint_key=joint_key,
            randomness=token_bytes(32),
            lock=await self._lock(session, intent),
            lock_randomness=session.randomness("fund"),
            expiry_heights=EXPIRY_HEIGHTS,
        )
        self._wallet.reserve(transfer, f"session of window {session.window}")
        self._on_reserved()
        return transfer.raw

    async def allocate(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        """Return the call that allocates a deal; the bonds of `deals` have left the balance."""
        place, penalty = await self._place(session), self._penalty
        balance = await self._budget(session, intent)
        for each in deals:
            balance = balance.plus(-penalty, each.quantity)
        made = allocation(place, deal.buyer, deal.tick, deal.quantity, balance, penalty, token_bytes(32))
        return Call(PRIVATE_MARKET, made.data, ALLOCATE_GAS, "allocate energy of a session")

    async def allow(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        """Return the call that allows a deal; the prices of `deals` have left the balance."""
        balance = await self._budget(session, intent)
        for each in deals:
            balance = balance.plus(-each.tick, each.quantity)
        place = await self._place(session)
        made = allowance(place, deal.trade_id, deal.tick, deal.quantity, balance, token_bytes(32))
        return Call(PRIVATE_MARKET, made.data, ALLOW_GAS, "allow a session's trade")

    def close(self, window: int) -> Call:
        """Return the call that closes a window's readings."""
        return Call(SEALED_METERS, sealed_meters.close_window(window), CLOSE_GAS, f"close window {window}")

    def prepare(self, window: int) -> Call:
        """Return the call that prepares a window."""
        gas = PREPARE_GAS + PREPARE_MEMBER_GAS * MAX_RING
        return Call(PRIVATE_MARKET, private_market.prepare(window), gas, f"prepare window {window}")

    def default(self, trade: TradeShown) -> Call:
        """Return the call that puts a seller's default on record."""
        return Call(PRIVATE_MARKET, private_market.default(trade.trade_id), DEFAULT_GAS, "a seller is in default")

    async def settle(self, session: Session, intent: Intent, deals: Sequence[Deal], shown: WindowShown) -> Call:
        """Return the call that settles a session by what its meter attested."""
        (own,) = await self._chain.read(private_market.session_of(session.address))
        by_number, states = {deal.trade_id: deal for deal in deals}, {t.trade_id: t.state for t in shown.trades}
        place, penalty = await self._place(session), self._penalty
        balance = await self._budget(session, intent)
        sales, bonds, purchases = [], [], []
        for number in own.sales:
            deal = by_number[number]
            balance = balance.plus(-penalty, deal.quantity)
            if states[number] is TradeState.ALLOCATED:
                bonds.append(deal.quantity)
            elif states[number] is TradeState.ALLOWED:
                sales.append(Sale(number, deal.tick, deal.quantity, deal.key))
        for number in own.purchases:
            deal = by_number[number]
            balance = balance.plus(-deal.tick, deal.quantity)
            delivered = (
                NOTHING
                if states[number] is TradeState.DEFAULTED
                else await self._delivered(deal, intent, place.joint_key)
            )
            purchases.append(Purchase(deal.tick, deal.quantity, delivered))
        made = settlement(
            place,
            await self._member(session.window),
            balance,
            sales,
            purchases,
            bonds,
            self._home.tariff(session.window),
            penalty,
            self._wallet.keys.address,
            token_bytes(32),
        )
        gas = SETTLE_GAS + SETTLE_SALE_GAS * len(own.sales) + SETTLE_PURCHASE_GAS * len(own.purchases)
        gas += GAS_CLAIM + GAS_MEMBER[DELIVERED] * len(await self._ring(session.window))
        return Call(PRIVATE_MARKET, made.data, gas, f"settle a session of window {session.window}")

    # -- what it takes

    @property
    def _penalty(self) -> int:
        return self._home.terms.penalty_microeur_per_kwh // PRICE_TICK_MICROEUR_PER_KWH

    async def _lock(self, session: Session, intent: Intent) -> Lock:
        (joint_key,) = await self._chain.read(sealed_meters.joint_key_of(session.window))
        return Lock(intent.budget_microeur, session.address, session.window, joint_key)

    async def _budget(self, session: Session, intent: Intent) -> Opening:
        """Return what opens a session's budget, as it was locked."""
        _, opening = self._wallet.hide(await self._lock(session, intent), session.randomness("fund"))
        return budget(opening)

    async def _place(self, session: Session) -> Place:
        (joint_key,) = await self._chain.read(sealed_meters.joint_key_of(session.window))
        point = _G.point_from_bytes_checked(joint_key)
        return Place(self._home.chain_id, session.window, session.address, point)

    async def _ring(self, window: int) -> tuple[RingRow, ...]:
        (rows,) = await self._chain.read(privacy_registry.rows_of(window))
        found = [RingRow(row.account, *map(_G.point_from_bytes_checked, (row.ring_key, row.trace_key))) for row in rows]
        return ring_from_code(ring_to_code(found))

    def _own(self, window: int, rows: Sequence[RingRow]) -> tuple[MemberKeys, int]:
        """Return the household's keys in a ring, and its place."""
        for place, row in enumerate(rows):
            if row.account == self._home.account:
                keys = self._keys(window, _G.point_to_bytes(row.key))
                if keys is not None:
                    return keys, place
        raise NotInTheRing(window)

    async def _member(self, window: int) -> Member:
        (raw,) = await self._chain.read(private_market.rows_of(window))
        size = private_market.POINT_BYTES
        points = [_point(raw[at : at + size]) for at in range(0, len(raw), size)]
        rows = tuple((points[at], points[at + 1], points[at + 2]) for at in range(0, len(points), 3))
        keys, own = self._own(window, await self._ring(window))
        quarters = await self._attested(window)
        readings = self._readings(window)
        return Member(
            keys.secrets,
            own,
            rows,
            sum(readings[quarter][0] for quarter in quarters),
            sum(readings[quarter][1] for quarter in quarters),
            self._seal.sum_of_blindings(quarters, is_export=False),
            self._seal.sum_of_blindings(quarters, is_export=True),
        )

    async def _attested(self, window: int) -> tuple[int, ...]:
        """Return the quarters of a window that are in the sum on chain: those that open it.

        Raises:
            AnotherReading: no quarters of the journal do.
        """
        (sealed,) = await self._chain.read(sealed_meters.sealed_reading(self._home.account, window))
        readings = self._readings(window)
        for quarters in combinations(sorted(readings)[-MAX_QUARTERS:], min(sealed.quarters, len(readings))):
            total = sum(readings[quarter][0] for quarter in quarters)
            found = commit(_G, total, self._seal.sum_of_blindings(quarters, is_export=False))
            if _G.point_to_bytes(found) == sealed.import_wh:
                return quarters
        raise AnotherReading(window)

    async def _delivered(self, deal: Deal, intent: Intent, joint_key: Point) -> Opening | None:
        """Return what a seller told of a delivery; None if it does not open what is on record."""
        topics = [hexed(private_market.INTERFACE.topic(TradeDelivered)), hexed(deal.trade_id)]
        height = await self._chain.height()
        for logged in await self._chain.events([PRIVATE_MARKET], intent.height, height, topics):
            event = logged.event
            if isinstance(event, TradeDelivered) and event.trade_id == deal.trade_id:
                return heard(deal.key, deal.trade_id, event.told, event.delivered, joint_key)
        return None


def _point(raw: bytes) -> Point:
    return _G.point_from_bytes_checked(raw) if any(raw) else _G.identity
