"""A household's bill for the windows that it has lived through: cash from the chain, quarters from its journal."""

from __future__ import annotations

from dataclasses import dataclass

from agents import bill
from agents.chain import Chain
from agents.configuration import HouseholdConfig
from agents.devices.meter import Reading
from agents.home import hexed
from agents.household import tariffs_of
from agents.journal import JOURNAL_NAME, Quarter, lines_of
from agents.keys import load_key, read_passphrase
from agents.profiles import DataDirectory, row_at
from contracts.bindings.events import topic_of
from contracts.bindings.market_types import Cash, Tariff, WindowSettled
from contracts.system import MARKET


@dataclass(frozen=True, slots=True)
class Statement:
    """A bill to print: (label, with, without) in micro-euro to pay, and notes."""

    title: str
    rows: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]


async def make_statement(config: HouseholdConfig) -> Statement:
    """Return the bill of all windows whose quarters are in the journal and that are settled on chain.

    Raises:
        AgentError: the node cannot be reached, or key or data cannot be used.
    """
    account = load_key(config.key, read_passphrase(config.passphrase_file)).public_key.to_canonical_address()
    chain = Chain(config.rpc, patience_s=3.0)
    try:
        genesis = await chain.request("grid_genesis")
        kinds = [hexed(topic_of(MARKET, Cash)), hexed(topic_of(MARKET, WindowSettled))]
        topics = [kinds, None, hexed(account.rjust(32, b"\0"))]
        events = await chain.events([MARKET], 0, await chain.height(), topics)
    finally:
        await chain.close()
    lines = sorted({line.quarter: line for line in lines_of(config.directory / JOURNAL_NAME, Quarter)}.items())
    cash: dict[int, int] = {}
    done: set[int] = set()
    for logged in events:
        match logged.event:
            case Cash(window=window, amount_microeur=amount):
                cash[window] = cash.get(window, 0) + amount
            case WindowSettled(window=window):
                done.add(window)
    schedule = genesis["schedule"]
    quarters_per_window = schedule["window_length_s"] // schedule["quarter_length_s"]
    settled = [line for _, line in lines if line.window in done]
    title = f"{config.name}: {len(settled) // quarters_per_window} windows"
    if not settled:
        return Statement(title, (), ("nothing is settled yet",))
    tariffs = [_tariff(tariffs_of(genesis), line.window) for line in settled]
    start_soc = settled[0].soc_wh if config.battery is None else config.start_soc_wh
    traded = [_reading(line) for line in settled]
    first = row_at(schedule["window_zero_s"] + settled[0].quarter * schedule["quarter_length_s"])
    profile = DataDirectory(config.data).profile(
        config.connection, grid=config.grid, shift_weeks=config.load_shift_weeks
    )
    alone = bill.without_market(
        profile, range(first, first + len(settled)), config.battery, config.start_soc_wh, schedule["quarter_length_s"]
    )
    with_ = bill.bill_with_market(
        sum(amount for window, amount in cash.items() if window in done), traded, tariffs, start_soc
    )
    without = bill.bill_without_market(alone, tariffs, start_soc)
    balances = bill.household_balance(traded), bill.household_balance(alone)
    return Statement(
        title,
        (
            ("energy", with_.energy_microeur, without.energy_microeur),
            ("in the battery, at feed-in", -with_.stored_microeur, -without.stored_microeur),
            ("to pay", with_.total_microeur, without.total_microeur),
        ),
        tuple(
            f"{what}: used {b.consumption_wh} Wh, made {b.generation_wh} Wh, "
            f"import {b.import_wh} Wh, export {b.export_wh} Wh"
            for what, b in zip(("with", "without"), balances, strict=True)
        ),
    )


def _tariff(tariffs: tuple[Tariff, ...], window: int) -> Tariff:
    return next(tariff for tariff in reversed(tariffs) if tariff.valid_from_window <= window)


def _reading(line: Quarter) -> Reading:
    return Reading(
        load_wh=line.load_wh,
        pv_wh=line.pv_wh,
        charged_wh=line.charged_wh,
        discharged_wh=line.discharged_wh,
        import_wh=line.import_wh,
        export_wh=line.export_wh,
        soc_wh=line.soc_wh,
    )
