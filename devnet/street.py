"""What a devnet's street did: read from the households' journals and from the chain, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents import bill
from agents.chain import Chain
from agents.configuration import HOUSEHOLD_CONFIG, HouseholdConfig, load_household
from agents.devices.meter import Reading
from agents.journal import JOURNAL_NAME, Quarter, Recorded, Refusal, Window, read_journal
from agents.profiles import DataDirectory, row_at
from contracts.bindings.market_types import (
    Cash,
    CashKind,
    EnergyAllocated,
    TransactionAllowed,
    TransactionMade,
    WindowSettled,
)
from contracts.system import MARKET
from devnet.layout import Place


@dataclass(frozen=True, slots=True)
class HouseholdDay:
    """One household's day so far, from its journal."""

    name: str
    windows: Mapping[int, Window]
    quarters: tuple[Quarter, ...]
    refusals: int


def read_household(place: Place, index: int) -> HouseholdDay:
    """Return what a household's journal says."""
    windows: dict[int, Window] = {}
    quarters: dict[int, Quarter] = {}
    refusals = 0
    for line in read_journal(place.household(index) / JOURNAL_NAME):
        match line:
            case Window():
                windows[line.window] = line
            case Quarter():
                quarters[line.quarter] = line
            case Refusal(role="buyer"):
                refusals += 1
    name = place.scenario.households[index].connection
    return HouseholdDay(name, windows, tuple(quarters[key] for key in sorted(quarters)), refusals)


def recorded(place: Place) -> dict[str, Recorded]:
    """Return the contracts that the households' journals hold as recorded on chain, by trade."""
    return {
        line.trade: line
        for index in range(place.count)
        for line in read_journal(place.household(index) / JOURNAL_NAME)
        if isinstance(line, Recorded)
    }


@dataclass(frozen=True, slots=True)
class Contracted:
    """A contract on chain: its window, parties, energy, price, and what was delivered once it is settled."""

    window: int
    parties: tuple[bytes, bytes]
    energy_wh: int
    price_microeur_per_kwh: int
    delivered_wh: int


@dataclass(frozen=True, slots=True)
class MarketDay:
    """What the market contract logged.

    Args:
        contracts: in the order recorded.
        cash: lines of all settlements: (window, party, kind, micro-euro).
        settled: how many households of each window are settled.
    """

    contracts: tuple[Contracted, ...]
    cash: tuple[Cash, ...]
    settled: Mapping[int, int]

    def received(self, party: bytes) -> int:
        """Return what a party received (negative: paid) in all settlements, in micro-euro."""
        return sum(line.amount_microeur for line in self.cash if line.party == party)

    def margin(self) -> int:
        """Return the operator's balancing margin in micro-euro."""
        return sum(
            line.amount_microeur for line in self.cash if line.kind is CashKind.MARGIN and line.amount_microeur > 0
        )

    @property
    def cash_sum(self) -> int:
        """Σ cash over all parties: zero, exactly."""
        return sum(line.amount_microeur for line in self.cash)


async def read_market(rpc: str) -> MarketDay:
    """Read the market's events from a node."""
    chain = Chain(rpc)
    try:
        head = await chain.height()
        logged = [entry.event for entry in await chain.events([MARKET], 0, head)]
    finally:
        await chain.close()
    allocated: dict[bytes, EnergyAllocated] = {}
    delivered: dict[bytes, int] = {}
    allowed: list[bytes] = []
    settled: dict[int, int] = {}
    cash = []
    for event in logged:
        match event:
            case EnergyAllocated(trade_id=trade):
                allocated[trade] = event
            case TransactionMade(trade_id=trade, delivered_wh=energy):
                delivered[trade] = energy
            case WindowSettled(window=window):
                settled[window] = settled.get(window, 0) + 1
            case TransactionAllowed(trade_id=trade):
                allowed.append(trade)
            case Cash():
                cash.append(event)
    contracts = tuple(
        Contracted(
            allocated[trade].window,
            (allocated[trade].seller, allocated[trade].buyer),
            allocated[trade].energy_wh,
            allocated[trade].price_microeur_per_kwh,
            delivered.get(trade, 0),
        )
        for trade in allowed
    )
    return MarketDay(contracts, tuple(cash), settled)


def household_config(place: Place, index: int) -> HouseholdConfig:
    """Return the configuration of a household's agents."""
    return load_household(place.household(index) / HOUSEHOLD_CONFIG)


def readings(day: HouseholdDay) -> tuple[Reading, ...]:
    """Return a household's quarters as its meter saw them."""
    return tuple(
        Reading(
            load_wh=line.load_wh,
            pv_wh=line.pv_wh,
            charged_wh=line.charged_wh,
            discharged_wh=line.discharged_wh,
            import_wh=line.import_wh,
            export_wh=line.export_wh,
            soc_wh=line.soc_wh,
        )
        for line in day.quarters
    )


def without_market(place: Place, index: int, quarters: int, data: Path) -> tuple[Reading, ...]:
    """Return the same quarters of a household that trades nothing, its battery in own-use mode."""
    config = household_config(place, index)
    profile = DataDirectory(data).profile(config.connection, grid=config.grid, shift_weeks=config.load_shift_weeks)
    length_s = place.scenario.schedule["quarter_length_s"]
    first = row_at(place.scenario.window_zero_s)
    return bill.without_market(profile, range(first, first + quarters), config.battery, config.start_soc_wh, length_s)


def street_balance(households: Sequence[Sequence[Reading]]) -> bill.Balance:
    """Return the street's balance, netted between households in each quarter."""
    rows = {str(index): quarters for index, quarters in enumerate(households)}
    return bill.total(bill.street_quarters(rows))
