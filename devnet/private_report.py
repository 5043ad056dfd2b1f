"""The report at the end of a private day: what it came to, and whether the pool holds what everyone has in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_keys.datatypes import PrivateKey
from rich.console import Console
from rich.table import Table

from agents import bill
from agents.journal import JOURNAL_NAME, PrivateIntent, lines_of
from agents.private.session import open_session
from agents.private.trading import WALLET_NAME
from agents.wallet.store import open_wallet_file
from agents.wallet.wallet import Wallet
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH
from contracts.bindings.private_market import OperatorPaid
from contracts.bindings.shielded_pool import Collected, Deposited, Released, Withdrawn
from contracts.tariffs import PRESETS
from devnet.accounts import derived_key
from devnet.layout import Place
from devnet.private_street import (
    Opener,
    PrivateChain,
    SessionDay,
    Trade,
    locked_microeur,
    owed_microeur,
    sessions_of,
    trades_of,
)
from devnet.scenario import DATA
from devnet.street import HouseholdDay, household_config, read_household, readings, without_market
from node.keys import account_address

EURO = 1_000_000


@dataclass(frozen=True, slots=True)
class PrivateHousehold:
    """One household's day: bills (micro-euro, positive: to pay) of the windows that it settled, and all its money, what
    its open sessions hold (`locked`) included."""

    name: str
    settled: int
    with_market: int
    without: int
    contracted_wh: int
    delivered_wh: int
    start_microeur: int
    account_microeur: int
    notes_microeur: int
    locked_microeur: int

    @property
    def now_microeur(self) -> int:
        """All its money."""
        return self.account_microeur + self.notes_microeur + self.locked_microeur


@dataclass(frozen=True, slots=True)
class PrivateDay:
    """Everything that is printed of a private day; money in micro-euro.

    Args:
        windows: of the day; what the street does after it is in the money alone.
        households: in the scenario's order.
        trades: that bind, of the day.
        offered, funded, settled, forfeited: sessions of the day.
        totals: what the operator got (negative: paid), by window.
        deposited, withdrawn, released, collected, pool: what went into the pool and out, and what it holds.
        notes: in all wallets.
        locked: in open sessions and their trades.
        owed: totals that are not paid yet, by window.
        late: windows that are not settled though their time is over.
    """

    windows: int
    households: tuple[PrivateHousehold, ...]
    trades: tuple[Trade, ...]
    offered: int
    funded: int
    settled: int
    forfeited: int
    totals: Mapping[int, int]
    deposited: int
    withdrawn: int
    released: int
    collected: int
    pool: int
    notes: int
    locked: int
    owed: Mapping[int, int]
    late: tuple[int, ...]

    @property
    def flow_difference(self) -> int:
        """What the pool holds beyond what went in and out: zero."""
        return self.pool - (self.deposited - self.withdrawn - self.released + self.collected)

    @property
    def holding_difference(self) -> int:
        """What the pool holds beyond what everyone holds of it: zero."""
        return self.pool - self.notes - self.locked - sum(self.owed.values())

    def problems(self) -> list[str]:
        """Return what is not as it should be."""
        found = []
        if self.flow_difference:
            found.append(f"the pool's balance is {self.flow_difference} micro-euro beyond what went in and out")
        if self.holding_difference:
            found.append(f"the pool's balance is {self.holding_difference} micro-euro beyond what everyone holds")
        if self.late:
            found.append(f"windows not settled in time: {', '.join(map(str, self.late))}")
        return found


@dataclass(frozen=True, slots=True)
class Books:
    """What a household of a devnet has in its folder, and the key of its account."""

    key: PrivateKey
    day: HouseholdDay
    budgets: Mapping[int, int]
    wallet: Wallet

    @property
    def account(self) -> bytes:
        """Its account, 20 bytes."""
        return account_address(self.key.to_bytes())


def read_books(place: Place) -> list[Books]:
    """Return the journals and wallets of all households.

    Raises:
        WalletFileError: a wallet cannot be opened.
    """
    passphrase = place.passphrase.read_text(encoding="ascii").strip().encode()
    return [
        Books(
            PrivateKey(derived_key(f"household {index}")),
            read_household(place, index),
            {
                line.window: line.budget_microeur
                for line in lines_of(place.household(index) / JOURNAL_NAME, PrivateIntent)
            },
            open_wallet_file(place.household(index) / WALLET_NAME, passphrase).wallet,
        )
        for index in range(place.count)
    ]


def make_private_day(
    place: Place, chain: PrivateChain, books: Sequence[Books], opened: Opener, current: int
) -> PrivateDay:
    """Put a private day together.

    Args:
        place: the devnet.
        chain: what a node shows; the wallets are brought up to its height.
        books: of all households, in the scenario's order.
        opened: opens amounts.
        current: the window of now.
    """
    for logged in chain.events:
        for each in books:
            if logged.height > each.wallet.height:
                each.wallet.learn(logged.height, logged.event)
    sessions, trades = sessions_of(chain.events), trades_of(chain.events, opened)
    windows = place.scenario.windows
    day = [each for each in sessions.values() if each.window < windows]
    binding = tuple(trade for trade in trades if trade.allowed and trade.window < windows)
    households = tuple(
        _household(place, index, chain, each, sessions, binding, opened) for index, each in enumerate(books)
    )
    events = [logged.event for logged in chain.events]
    penalty_ticks = place.scenario.market["penalty_microeur_per_kwh"] // PRICE_TICK_MICROEUR_PER_KWH
    owed = owed_microeur(chain.states, opened)
    last = current - 2 * place.scenario.schedule["settlement_deadline_windows"] - 4  # the end of step 6, and a window
    unsettled = {each.window for each in sessions.values() if each.is_open} | set(owed)
    return PrivateDay(
        windows,
        households,
        binding,
        len(day),
        sum(each.funded for each in day),
        sum(each.settled_with is not None for each in day),
        sum(each.forfeited for each in day),
        {event.window: event.total_microeur for event in events if isinstance(event, OperatorPaid)},
        sum(event.amount for event in events if isinstance(event, Deposited)),
        sum(event.amount for event in events if isinstance(event, Withdrawn)),
        sum(event.amount for event in events if isinstance(event, Released)),
        sum(event.amount for event in events if isinstance(event, Collected)),
        chain.pool_microeur,
        sum(each.wallet.balance for each in books),
        locked_microeur(chain, trades, penalty_ticks, opened),
        owed,
        tuple(sorted(window for window in unsettled if window <= last)),
    )


def _household(
    place: Place,
    index: int,
    chain: PrivateChain,
    books: Books,
    sessions: Mapping[bytes, SessionDay],
    trades: Sequence[Trade],
    opened: Opener,
) -> PrivateHousehold:
    windows = range(max(max((each.window for each in sessions.values()), default=0) + 1, place.scenario.windows))
    own = {window: open_session(books.key, place.options.chain_id, window).address for window in windows}
    amounts = {note.key: note.amount for note in books.wallet.notes.values()}
    paid = {}  # by settled window: what was locked, less what came back
    for window, account in own.items():
        session = sessions.get(account)
        if session is not None and session.settled_with is not None and window in books.budgets:
            paid[window] = books.budgets[window] - amounts.get(session.settled_with.hex(), 0)
    of_day = {window for window in paid if window < place.scenario.windows}
    with_market, without = _bills(place, index, books.day, of_day, sum(paid[window] for window in of_day))
    accounts = set(own.values())
    mine = [trade for trade in trades if {trade.seller, trade.buyer} & accounts]
    return PrivateHousehold(
        books.day.name,
        len(of_day),
        with_market,
        without,
        sum(trade.energy_wh for trade in mine),
        sum(trade.delivered_wh or 0 for trade in mine),
        place.scenario.first_money_microeur,
        chain.accounts[books.account],
        books.wallet.balance,
        sum(opened(hidden) for account, hidden in chain.balances.items() if account in accounts),
    )


def _bills(place: Place, index: int, day: HouseholdDay, settled: set[int], paid: int) -> tuple[int, int]:
    """Return the bills of the settled windows with and without the market, in micro-euro."""
    start_wh = household_config(place, index).start_soc_wh
    kept = readings(day)
    alone = without_market(place, index, len(kept), DATA)
    per_window = place.scenario.schedule["window_length_s"] // place.scenario.schedule["quarter_length_s"]
    with_market, without = (
        bill.bill_of_windows(
            dict(enumerate(rows)), sorted(settled), per_window, lambda _: PRESETS[place.tariff], start_wh
        )
        for rows in (kept, alone)
    )
    return paid - with_market.stored_microeur, without.total_microeur


def print_private_day(console: Console, day: PrivateDay) -> None:
    """Print the report."""
    console.print()
    console.print(_households(day))
    for line in lines(day):
        console.print(line, highlight=False, soft_wrap=True)


def _households(day: PrivateDay) -> Table:
    table = Table(title="The households, as only they know it (bills of settled windows; positive: to pay)")
    table.title_justify = "left"
    for heading in (
        "household",
        "windows",
        "with the market",
        "without",
        "difference",
        "contracted",
        "delivered",
        "money at the start",
        "now",
        "of it locked",
    ):
        table.add_column(heading, justify="left" if heading == "household" else "right", no_wrap=True)
    for row in day.households:
        table.add_row(
            row.name,
            str(row.settled),
            _euro(row.with_market),
            _euro(row.without),
            _euro(row.with_market - row.without),
            _kwh(row.contracted_wh),
            _kwh(row.delivered_wh),
            f"{row.start_microeur / EURO:.3f} €",
            f"{row.now_microeur / EURO:.3f} €",
            f"{row.locked_microeur / EURO:.3f} €",
        )
    total = sum(row.with_market - row.without for row in day.households)
    table.add_row("the street", "", "", "", _euro(total), "", "", "", "", "")
    return table


def lines(day: PrivateDay) -> list[str]:
    """Return what is said below the tables."""
    real = [trade for trade in day.trades if trade.energy_wh]
    by_hour = [sum(trade.window == window for trade in real) for window in range(day.windows)]
    prices = sorted({trade.tick * PRICE_TICK_MICROEUR_PER_KWH for trade in real})
    spread = f" ({prices[0] / 10_000:.1f} to {prices[-1] / 10_000:.1f} ct/kWh)" if prices else ""
    contracted = sum(trade.energy_wh for trade in day.trades)
    delivered = sum(trade.delivered_wh or 0 for trade in day.trades)
    defaults = sum(trade.defaulted for trade in day.trades)
    totals = " ".join(f"{window:02d}:{total / EURO:+.3f}" for window, total in sorted(day.totals.items()))
    owed = sum(day.owed.values())
    return [
        f"contracts: {len(real)} ({' '.join(f'{w:02d}:{count}' for w, count in enumerate(by_hour))}), "
        f"{len(day.trades) - len(real)} trades of nothing beside them, which nobody else can tell apart",
        f"distinct prices: {len(prices)}{spread}",
        f"contracted {contracted / 1000:.2f} kWh, delivered {delivered / 1000:.2f} kWh",
        f"sessions: {day.settled} of {day.funded} funded ones settled, {day.offered} offered, {day.windows} hours of "
        f"{len(day.households)} households; {defaults} trades in default, {day.forfeited} sessions forfeited",
        f"operator, by window: {totals} = {sum(day.totals.values()) / EURO:+.3f} €",
        f"pool {day.pool} = deposits {day.deposited} - withdrawals {day.withdrawn} - released {day.released} "
        f"+ collected {day.collected} micro-euro, difference {day.flow_difference}",
        f"pool {day.pool} = notes {day.notes} + locked in open sessions {day.locked} + operator's totals not paid yet "
        f"{owed} micro-euro, difference {day.holding_difference}",
    ]


def _euro(microeur: int) -> str:
    return f"{microeur / EURO:+.3f} €"


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.2f} kWh"
