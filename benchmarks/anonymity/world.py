"""Streets of the real data that trade in private, and what their ledgers show: the model, without cryptography.

Households plan, forecast and negotiate as the agents do (`agents.simulation`), each under a fresh session a window. All
have the same limits of price, for every purpose: who asks or pays another price than others, as a battery would that
has to earn its losses, names itself by it. The view of a window is what docs/private-window.md puts on the chain, as
far as it differs between members: an offer of every member in a slot drawn at random (side and tick), who traded with
whom (sessions) at which price, and which sessions settle when. Quantities, notes and proofs are commitments of one
size, and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from agents.devices.battery import BatterySpec
from agents.forecast import DayBefore
from agents.market.mechanism import SOLD_OUT, SellerBook, SellerRules
from agents.market.tariff import PRESETS
from agents.profiles import ConnectionProfile, DataDirectory
from agents.simulation import SimulatedHousehold, Street
from agents.trading.buyer import Errand, Shopping
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Hours, StorageTrading, Trading
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Parameters

DATA = Path(__file__).parents[2] / "devnet" / "data"
FIRST_DAY_S = 1_451_602_800 + 7 * 86_400  # the data's second week: forecasts need a past
DAY_S, WINDOWS_A_DAY = 86_400, 24
CONNECTIONS = 41
MAX_SALES, MAX_PURCHASES = 6, 8  # of a session, in the private market
SLOTS = 64  # of a window, in which calls are drawn
TERMS = Parameters(0, 10_000, 10)
BUY, SELL = Limits(135_000, 250_000, 5), Limits(230_000, 150_000, 6)
STORAGE = StorageTrading(Hours(7, 16), Hours(17, 23), BUY, SELL)
STREET_8 = {"L16": 0, "L31": 0, "L6": 1, "L7": 0, "L10": 2, "L20": 0, "L25": 3, "L15": 4}  # weeks of shift
BATTERY_8 = BatterySpec(capacity_wh=13_700, power_w=6_800, reserve_wh=1_370)


Trade = tuple[str, str, int, int]  # seller, buyer, Wh, micro-euro per kWh


@dataclass(frozen=True, slots=True)
class Member:
    """A household: what it is called, and the data that it lives by.

    Args:
        limits: of its prices; the same for all members, but where the harm of one's own is shown.
    """

    name: str
    profile: ConnectionProfile
    pv_w: int
    battery: BatterySpec | None
    limits: tuple[Limits, Limits] = (BUY, SELL)


@dataclass(frozen=True, slots=True)
class Session:
    """What everyone sees of one member in one window.

    Args:
        side: "sell", "buy" or "none".
        tick: the offer's price in micro-euro per kWh; 0 without.
        slot: of its call.
        trades: (session of the other, price) in the order of the ledger.
        settled: its place among the settlements, or -1.
    """

    side: str
    tick: int
    slot: int
    trades: tuple[tuple[int, int], ...]
    settled: int


@dataclass(frozen=True, slots=True)
class View:
    """A window as the ledger shows it, sessions in the order of their calls, and the truth beside it.

    Args:
        hour: of the day.
        sessions: everyone's.
        names: whose each session is: no attacker sees it, but in training.
        sold_wh: what each session sold; hidden, and given to one attacker to show why.
        sun_wh: what a square metre would say: each member's sun in that window, which roofs and weather tell.
    """

    hour: int
    sessions: tuple[Session, ...]
    names: tuple[str, ...]
    sold_wh: tuple[int, ...]
    sun_wh: Mapping[str, int]

    @property
    def sellers(self) -> tuple[int, ...]:
        """Return the sessions that offer energy: as many members are eligible as the seller of a trade."""
        return tuple(at for at, session in enumerate(self.sessions) if session.side == "sell")

    @property
    def sold(self) -> tuple[int, ...]:
        """Return the selling session of each trade."""
        return tuple(at for at in self.sellers for _ in self.sessions[at].trades)


@cache
def _data() -> DataDirectory:
    return DataDirectory(DATA)


def street_8() -> tuple[Member, ...]:
    """Return the eight households of the scenario `street-8`: three with sun, one with a battery."""
    return tuple(
        _member(f"LV4.101-{name}", shift, BATTERY_8 if name == "L7" else None) for name, shift in STREET_8.items()
    )


def street_41() -> tuple[Member, ...]:
    """Return all 41 connections of semiurb4, each shifted by its own weeks, with the grid's batteries and sun."""
    return tuple(_member(f"LV4.101-L{number}", number, None) for number in range(1, CONNECTIONS + 1))


def _member(name: str, shift: int, battery: BatterySpec | None) -> Member:
    profile = _data().profile(name, shift_weeks=shift)
    own = profile.connection
    if battery is None and own.battery_capacity_wh:
        capacity_wh = own.battery_capacity_wh
        battery = BatterySpec(capacity_wh=capacity_wh, power_w=own.battery_power_w, reserve_wh=capacity_wh // 10)
    return Member(name, profile, sum(each.power_w for each in own.pv), battery)


def windows(members: Sequence[Member], days: Sequence[int], seed: int, *, cover: bool = False) -> Iterator[View]:
    """Yield the windows of some days in which somebody sells.

    Args:
        members: of the street.
        days: of 2016, counted from its second week.
        seed: of all chance.
        cover: whether every selling session also makes trades of nothing, so that it has as many as it may (their
            commitments hide that they are to zero). The agents make none yet.
    """
    chance = Random(seed)
    for day in days:
        start = FIRST_DAY_S + day * DAY_S
        street = _Street(
            [_simulated(member) for member in members],
            tariff=PRESETS["shared-connection"],
            terms=TERMS,
            strategy=ConcessionStrategy(),
            window_zero_s=start,
            sessions=chance,
        )
        result = street.run(WINDOWS_A_DAY)
        first = (start - 1_451_602_800) // 900
        for window in range(1, WINDOWS_A_DAY):
            plans = {name: of[window - 1] for name, of in result.plans.items()}
            sides = {
                name: "sell" if plan.supply else "buy" if plan.one_side().demands else "none"
                for name, plan in plans.items()
            }
            traded = [(c.seller, c.buyer, c.energy_wh, c.price_microeur_per_kwh) for c in result.contracts[window]]
            if traded and cover:
                traded = _covered(traded, sides, chance)
            if traded:
                rows = range(first + 4 * window, first + 4 * window + 4)
                sun = {member.name: sum(member.profile.at(row).pv_wh for row in rows) for member in members}
                yield _view(window, sides, traded, sun, {m.name: m.limits[1] for m in members}, chance)


def _covered(traded: Sequence[Trade], sides: Mapping[str, str], chance: Random) -> list[Trade]:
    """Return the trades, and of every selling session so many of nothing that it has all that it may have.

    They are with buying sessions that have room, drawn at random, at the price of most.
    """
    price = Counter(each[3] for each in traded).most_common(1)[0][0]
    sellers, buyers = ([name for name in sorted(sides) if sides[name] == side] for side in ("sell", "buy"))
    found, most = list(traded), min(MAX_SALES, len(buyers))
    chance.shuffle(sellers)
    for seller in sellers:
        has = {buyer for each, buyer, *_ in found if each == seller}
        room = [name for name in buyers if name not in has and sum(each[1] == name for each in found) < MAX_PURCHASES]
        found += [(seller, buyer, 0, price) for buyer in chance.sample(room, min(most - len(has), len(room)))]
    return found


class _Street(Street):
    """A street whose sessions trade as often as the private market lets them."""

    def _negotiate(
        self,
        household: SimulatedHousehold,
        account: bytes,
        shopping: Shopping,
        errand: Errand,
        books: dict[int, tuple[SellerRules, SellerBook, str]],
    ) -> None:
        traded = self.result.contracts[errand.offer.window]
        seller = books[errand.offer.offer_id][2]
        if sum(each.seller == seller for each in traded) >= MAX_SALES:
            shopping.failed(errand, SOLD_OUT)
        elif sum(each.buyer == household.name for each in traded) >= MAX_PURCHASES or any(
            each.seller == seller and each.buyer == household.name for each in traded
        ):
            shopping.failed(errand, "no more trades")
        else:
            super()._negotiate(household, account, shopping, errand, books)


def _simulated(member: Member) -> SimulatedHousehold:
    sells = member.limits[1] if member.pv_w else None
    trading = Trading(member.limits[0], sells, STORAGE if member.battery else None)
    soc_wh = member.battery.reserve_wh if member.battery else 0
    return SimulatedHousehold(member.name, member.profile, trading, DayBefore(), member.battery, soc_wh)


def _view(
    hour: int,
    sides: Mapping[str, str],
    traded: Sequence[Trade],
    sun_wh: Mapping[str, int],
    sells: Mapping[str, Limits],
    chance: Random,
) -> View:
    """Return what the chain shows of a window: who is who follows from nothing but chance."""
    slots = {name: chance.randrange(SLOTS) for name in sorted(sides)}
    names = tuple(sorted(sides, key=lambda name: (slots[name], chance.random())))
    place = {name: at for at, name in enumerate(names)}
    ordered = list(traded)
    chance.shuffle(ordered)  # allocations come in random slots too
    settling = [name for name in names if any(name in trade[:2] for trade in traded)]
    chance.shuffle(settling)
    sessions = tuple(
        Session(
            sides[name],
            sells[name].opening_microeur_per_kwh if sides[name] == "sell" else 0,
            slots[name],
            tuple(
                (place[buyer if seller == name else seller], price)
                for seller, buyer, _, price in ordered
                if name in (seller, buyer)
            ),
            settling.index(name) if name in settling else -1,
        )
        for name in names
    )
    sold = tuple(sum(energy for seller, _, energy, _ in traded if seller == name) for name in names)
    return View(hour, sessions, names, sold, sun_wh)
