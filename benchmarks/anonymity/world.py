"""Streets of the real data that trade in private, and what their ledgers show: the model, without cryptography.

Households plan, forecast and negotiate as the agents do (`agents.simulation`), each under a fresh session a window, and
every seller makes trades of nothing until it has as many as all others (`agents.private.cover`). Limits of price, terms
and the battery's hours are those of the scenario `street-8`. The view of a window is what docs/private-window.md puts
on the chain, as far as it differs between members: an offer of every member in a slot drawn at random (side and tick),
who traded with whom (sessions) at which price, and which sessions settle when. Quantities, notes and proofs are
commitments of one size, and are left out.
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
from agents.private.cover import quota_of, settled_price
from agents.profiles import ConnectionProfile, DataDirectory
from agents.simulation import SimulatedHousehold, Street
from agents.trading.buyer import Errand, Shopping
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Hours, StorageTrading, Trading
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Parameters
from contracts.bindings.private_market import MAX_PURCHASES
from contracts.tariffs import PRESETS
from devnet.scenario import MARKET_KEYS, HouseholdPlan, find_scenario, load_scenario

DATA = Path(__file__).parents[2] / "devnet" / "data"
FIRST_DAY_S = 1_451_602_800 + 7 * 86_400  # the data's second week: forecasts need a past
DAY_S, WINDOWS_A_DAY = 86_400, 24
CONNECTIONS = 41
SLOTS = 64  # of a window, in which calls are drawn
SCENARIO = load_scenario(find_scenario("street-8"))
TERMS = Parameters(*(SCENARIO.market[key] for key in MARKET_KEYS))


def _limits(table: Mapping[str, int]) -> Limits:
    return Limits(table["opening"], table["reserve"], table["rounds"])


def _policy() -> tuple[Limits, Limits]:
    """Return the limits of the scenario: of buying, of selling."""
    strategy = SCENARIO.strategy
    if strategy is None:
        raise ValueError(f"{SCENARIO.name}: expected a [strategy]")
    return _limits(strategy["buy"]), _limits(strategy["sell"])


BUY, SELL = _policy()


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
    return tuple(_of_scenario(plan) for plan in SCENARIO.households)


def _of_scenario(plan: HouseholdPlan) -> Member:
    battery = None
    if "battery" in plan.tables:
        table = plan.tables["battery"]
        battery = BatterySpec(
            capacity_wh=table["capacity_wh"], power_w=table["power_w"], reserve_wh=table["reserve_wh"]
        )
    return _member(plan.connection, plan.load_shift_weeks, battery)


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


def windows(members: Sequence[Member], days: Sequence[int], seed: int) -> Iterator[View]:
    """Yield the windows of some days in which somebody sells.

    Args:
        members: of the street.
        days: of 2016, counted from its second week.
        seed: of all chance.
    """
    chance = Random(seed)
    price = settled_price(ConcessionStrategy(), PRESETS[SCENARIO.tariff].rails, SELL, BUY)
    if price is None:
        raise ValueError(f"{SCENARIO.name}: expected limits that meet")
    for day in days:
        start = FIRST_DAY_S + day * DAY_S
        street = _Street(
            [_simulated(member) for member in members],
            tariff=PRESETS[SCENARIO.tariff],
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
            traded = _covered(traded, sides, price, chance)
            if traded:
                rows = range(first + 4 * window, first + 4 * window + 4)
                sun = {member.name: sum(member.profile.at(row).pv_wh for row in rows) for member in members}
                yield _view(window, sides, traded, sun, {m.name: m.limits[1] for m in members}, chance)


def _covered(traded: Sequence[Trade], sides: Mapping[str, str], price: int, chance: Random) -> list[Trade]:
    """Return the trades, and of every selling session so many of nothing that it has as many as all others.

    They are with buying sessions drawn at random, within the quota of a pair, at the price where the policy ends.
    """
    sellers, buyers = ([name for name in sorted(sides) if sides[name] == side] for side in ("sell", "buy"))
    quota, found = quota_of(len(buyers), len(sellers)), list(traded)
    for seller in sellers:
        has = Counter(buyer for each, buyer, *_ in traded if each == seller)
        room = [name for name in buyers for _ in range(quota.of_pair - has[name])]
        found += [(seller, buyer, 0, price) for buyer in chance.sample(room, quota.of_seller - has.total())]
    return found


class _Street(Street):
    """A street whose sessions trade as often as private households let them."""

    def _negotiate(
        self,
        household: SimulatedHousehold,
        account: bytes,
        shopping: Shopping,
        errand: Errand,
        books: dict[int, tuple[SellerRules, SellerBook, str]],
    ) -> None:
        window = errand.offer.window
        traded = self.result.contracts[window]
        quota = quota_of(sum(bool(of[window - 1].demands) for of in self.result.plans.values()), len(books))
        seller = books[errand.offer.offer_id][2]
        if sum(each.seller == seller for each in traded) >= quota.of_seller:
            shopping.failed(errand, SOLD_OUT)
        elif sum(each.buyer == household.name for each in traded) >= MAX_PURCHASES or (
            sum(each.seller == seller and each.buyer == household.name for each in traded) >= quota.of_pair
        ):
            shopping.failed(errand, "no more trades")
        else:
            super()._negotiate(household, account, shopping, errand, books)


def _storage() -> StorageTrading:
    """Return how batteries trade: the hours of the scenario's, the prices of all."""
    (table,) = (plan.tables["storage"] for plan in SCENARIO.households if "storage" in plan.tables)
    return StorageTrading(Hours(*table["charge_hours"]), Hours(*table["sell_hours"]), BUY, SELL)


def _simulated(member: Member) -> SimulatedHousehold:
    sells = member.limits[1] if member.pv_w else None
    trading = Trading(member.limits[0], sells, _storage() if member.battery else None)
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
