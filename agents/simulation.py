"""A street's day in one process, without chain or sockets: the same devices, forecasts, plans and negotiations as the
agents'.

It answers what a day should give (contracts, prices, bills, self-sufficiency) in a second, and what perfect foresight
would have given. Negotiations run one after another, so that a day is the same every time. Who comes first is a matter
of energy and prices alone: buyers in the order of what they want, the least first, and of their reserves; so a day is
the same under other names too, also where households are sessions without a name, and offers do not show their energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from eth_hash.auto import keccak

from agents import bill
from agents.devices.battery import BatterySpec
from agents.devices.load import Load
from agents.devices.meter import Contracted, Meter, Reading
from agents.devices.pv import Pv
from agents.forecast import Forecaster, History, deficit_wh
from agents.market.mechanism import (
    Action,
    Agreed,
    BuyerRules,
    CounterRefused,
    Ended,
    SellerBook,
    SellerRules,
    Send,
    SignAndSend,
    buyer_hears,
    open_talk,
    seller_hears,
)
from agents.market.ontology import AcceptProposal, Body, Inform
from agents.market.settlement import Contract, Registers, WindowBooks, settle_window
from agents.profiles import QUARTER_S, ConnectionProfile, row_at
from agents.trading.buyer import Errand, Shopping
from agents.trading.plan import Outlook, Trading, WindowPlan, expected_soc_wh, make_plan, windows_until_charging
from agents.trading.seller import asking_for
from agents.trading.strategy import Strategy
from contracts.bindings.market_types import Offer, Parameters, Tariff

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class SimulatedHousehold:
    """One household: where its energy comes from, its battery, how it trades and forecasts."""

    name: str
    profile: ConnectionProfile
    trading: Trading
    forecaster: Forecaster
    battery: BatterySpec | None = None
    start_soc_wh: int = 0

    @property
    def account(self) -> bytes:
        """A stand-in for its account: 20 bytes of its name's hash."""
        return keccak(self.name.encode())[:20]


@dataclass(slots=True)
class DayResult:
    """What a simulated day gave; `refused_counter_offers` and `failed` are counts by window."""

    plans: dict[str, list[WindowPlan]] = field(default_factory=dict)
    contracts: dict[int, list[Contract]] = field(default_factory=dict)
    refused_counter_offers: dict[int, int] = field(default_factory=dict)
    failed: dict[int, list[str]] = field(default_factory=dict)
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    books: dict[int, WindowBooks] = field(default_factory=dict)

    def received_microeur(self, party: str) -> int:
        """Return what a party received in all settlements."""
        return sum(books.balance_microeur(party) for books in self.books.values())

    def street(self) -> bill.Balance:
        """Return the street's balance."""
        return bill.total(bill.street_quarters(self.readings))

    def prices_microeur_per_kwh(self) -> tuple[int, ...]:
        """Return the distinct prices, rising."""
        return tuple(sorted({c.price_microeur_per_kwh for row in self.contracts.values() for c in row}))


class Street:
    """A street whose households trade for some windows.

    Args:
        households: at least two, in any order.
        tariff: of all windows.
        terms: the market's genesis parameters.
        strategy: what both sides of every negotiation use.
        window_zero_s: UTC instant of window 0.
        window_length_s: a multiple of a quarter-hour.
        sessions: draws an account for each household and window, as in private trade: there an offer shows its price
            alone, and a household takes one side a window. None for trade in the open.
    """

    def __init__(
        self,
        households: Sequence[SimulatedHousehold],
        *,
        tariff: Tariff,
        terms: Parameters,
        strategy: Strategy,
        window_zero_s: int,
        window_length_s: int = 3600,
        sessions: Random | None = None,
    ) -> None:
        self._sessions = sessions
        self._households = sorted(households, key=lambda household: household.name)
        self._tariff = tariff
        self._terms = terms
        self._strategy = strategy
        self._first_row = row_at(window_zero_s)
        self._window_length_s = window_length_s
        self._quarters = window_length_s // QUARTER_S
        self._meters = {
            h.name: Meter(Load(h.profile), Pv(h.profile), h.battery, h.start_soc_wh, QUARTER_S)
            for h in self._households
        }
        self._contracted: dict[int, dict[str, Contracted]] = {}
        self.result = DayResult(
            plans={h.name: [] for h in self._households}, readings={h.name: [] for h in self._households}
        )

    def run(self, windows: int) -> DayResult:
        """Let windows 0 … windows − 1 pass; the first is not traded (nothing was before it)."""
        for window in range(windows):
            if window + 1 < windows:
                self._trade(window + 1)
            self._deliver(window)
        return self.result

    def plan(self, household: SimulatedHousehold, window: int) -> WindowPlan:
        """Return what a household plans for `window` at the beginning of the window before."""
        trading_window = window - 1
        first_unknown = self._row(trading_window)
        history = History(household.profile, first_unknown)
        now = household.forecaster.forecast(history, self._rows(trading_window))
        contracted = self._contracted.get(trading_window, {}).get(household.name, Contracted())
        start_soc = expected_soc_wh(
            household.battery, self._meters[household.name].soc_wh, now, contracted, 0, QUARTER_S
        )
        outlook = Outlook(
            window=window,
            hour=self._hour(window),
            coming=household.forecaster.forecast(history, self._rows(window)),
            own_need_wh=self._own_need_wh(household, history, window),
            start_soc_wh=start_soc,
            window_length_s=self._window_length_s,
        )
        return make_plan(outlook, household.trading, household.battery, self._tariff.rails, self._terms.minimum_lot_wh)

    def _own_need_wh(self, household: SimulatedHousehold, history: History, window: int) -> int:
        hours = windows_until_charging(household.trading, self._hour(window), 86_400 // self._window_length_s)
        later = range(self._row(window + 1), self._row(window + 1 + hours))
        return deficit_wh(household.forecaster.forecast(history, later))

    def _trade(self, window: int) -> None:
        plans = {h.name: self._wanted(h, window) for h in self._households}
        accounts = {h.name: self._account(h) for h in self._households}
        rails = self._tariff.rails
        offers: list[Offer] = []
        books: dict[int, tuple[SellerRules, SellerBook, str]] = {}
        for household in self._households:
            plan = plans[household.name]
            self.result.plans[household.name].append(plan)
            if plan.supply is None:
                continue
            asking = asking_for(plan.supply, self._strategy, rails, self._tariff, self._terms)
            number = len(offers) + 1
            price = asking.price_microeur_per_kwh
            shown_wh = asking.energy_wh if self._sessions is None else 0
            offers.append(Offer(number, accounts[household.name], window, shown_wh, 0, price, price, 0, 0))
            rules = SellerRules(
                self._strategy, plan.supply.limits, rails, self._terms.minimum_lot_wh, _PATIENCE_S, _PATIENCE_S, price
            )
            books[number] = (rules, SellerBook(window, number, asking.energy_wh, {}), household.name)
        self.result.contracts[window] = []
        self.result.failed[window] = []
        self.result.refused_counter_offers[window] = 0
        for household in sorted(self._households, key=lambda each: _first_served(plans[each.name])):
            shopping = Shopping(plans[household.name].demands, self._terms.minimum_lot_wh)
            account = accounts[household.name]
            while (errand := shopping.next_errand(offers, account)) is not None:
                self._negotiate(household, account, shopping, errand, books)
        self._contracted[window] = {
            h.name: Contracted(
                bought_wh=sum(c.energy_wh for c in self.result.contracts[window] if c.buyer == h.name),
                sold_wh=sum(c.energy_wh for c in self.result.contracts[window] if c.seller == h.name),
            )
            for h in self._households
        }

    def _wanted(self, household: SimulatedHousehold, window: int) -> WindowPlan:
        plan = self.plan(household, window)
        return plan if self._sessions is None else plan.one_side()

    def _account(self, household: SimulatedHousehold) -> bytes:
        return household.account if self._sessions is None else self._sessions.randbytes(20)

    def _negotiate(
        self,
        household: SimulatedHousehold,
        account: bytes,
        shopping: Shopping,
        errand: Errand,
        books: dict[int, tuple[SellerRules, SellerBook, str]],
    ) -> None:
        window, offer_id = errand.offer.window, errand.offer.offer_id
        limits = shopping.demands[errand.demand].limits
        rails, lot = self._tariff.rails, self._terms.minimum_lot_wh
        rules = BuyerRules(self._strategy, limits, rails, lot, _PATIENCE_S, _PATIENCE_S)
        seller_rules, book, seller = books[offer_id]
        conversation = keccak(f"{household.name}/{errand.demand}/{offer_id}/{window}".encode())
        shopping.began(errand)
        talk, actions = open_talk(rules, window=window, offer_id=offer_id, wanted_wh=errand.wanted_wh, now_s=0)
        while not talk.over:
            body = self._said(actions)
            book, actions = seller_hears(
                seller_rules,
                book,
                conversation_id=conversation,
                buyer=account,
                body=body,
                now_s=0,
                signature_holds=True,
            )
            self._note(window, actions)
            talk, actions = buyer_hears(rules, talk, self._said(actions), 0)
            for action in actions:
                if isinstance(action, Agreed):
                    shopping.agreed(errand, action.terms)
                    contract = Contract(
                        seller, household.name, action.terms.energy_wh, action.terms.price_microeur_per_kwh
                    )
                    self.result.contracts[window].append(contract)
                elif isinstance(action, Ended):
                    shopping.failed(errand, action.reason)
                    self.result.failed[window].append(f"{household.name} and {seller}: {action.reason}")
        books[offer_id] = (seller_rules, book, seller)

    def _said(self, actions: Sequence[Action]) -> Body:
        for action in actions:
            if isinstance(action, Send):
                return action.body
            if isinstance(action, SignAndSend):
                return AcceptProposal(action.terms.energy_wh, action.terms.price_microeur_per_kwh, b"")
            if isinstance(action, Agreed):
                return Inform(bytes(32))
        raise RuntimeError(f"nothing was said in {actions}")

    def _note(self, window: int, actions: Sequence[Action]) -> None:
        self.result.refused_counter_offers[window] += sum(isinstance(action, CounterRefused) for action in actions)

    def _deliver(self, window: int) -> None:
        contracted = self._contracted.get(window, {})
        registers: dict[str, Registers] = {}
        for household in self._households:
            mine = contracted.get(household.name, Contracted())
            rows = enumerate(self._rows(window))
            readings = [
                self._meters[household.name].read(row, mine.net_import_wh(quarter, self._quarters))
                for quarter, row in rows
            ]
            self.result.readings[household.name] += readings
            registers[household.name] = Registers(
                sum(reading.import_wh for reading in readings), sum(reading.export_wh for reading in readings)
            )
        contracts = self.result.contracts.get(window, [])
        self.result.books[window] = settle_window(contracts, registers, self._tariff, self._terms)

    def _hour(self, window: int) -> int:
        return window * self._window_length_s // 3600 % 24

    def _row(self, window: int) -> int:
        return self._first_row + window * self._quarters

    def _rows(self, window: int) -> range:
        return range(self._row(window), self._row(window + 1))


def _first_served(plan: WindowPlan) -> tuple[int, tuple[int, ...]]:
    """Return by what buyers are ordered: who wants least comes first, then who would pay most."""
    return plan.demand_wh, tuple(-demand.limits.reserve_microeur_per_kwh for demand in plan.demands)
