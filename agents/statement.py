"""A household's bill for the windows that it has lived through: cash from the chain, quarters from its journal."""

from __future__ import annotations

from dataclasses import dataclass

from agents import bill
from agents.chain import Chain
from agents.client import WrongChain
from agents.configuration import HouseholdConfig
from agents.devices.meter import Reading
from agents.home import hexed
from agents.household import tariffs_of
from agents.journal import JOURNAL_NAME, PrivateIntent, Quarter, lines_of, read_journal
from agents.keys import load_key, read_passphrase
from agents.private.bill import WindowBill, window_bills
from agents.private.trading import WALLET_NAME
from agents.profiles import DataDirectory, row_at
from agents.wallet.client import served_chain
from agents.wallet.keys import amount_text
from agents.wallet.store import open_wallet_file
from contracts.bindings import sealed_meters
from contracts.bindings.events import topic_of
from contracts.bindings.market_types import Cash, Tariff, WindowSettled
from contracts.system import MARKET, PRIVATE_MARKET, SHIELDED_POOL
from privacy.secp256k1 import SECP256K1


@dataclass(frozen=True, slots=True)
class Statement:
    """A bill to print: (label, with, without) in micro-euro to pay, and notes; in private also by window."""

    title: str
    rows: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]
    windows: tuple[WindowBill, ...] = ()


async def make_statement(config: HouseholdConfig) -> Statement:
    """Return the bill of all windows whose quarters are in the journal and that are settled on chain.

    Raises:
        AgentError: the node cannot be reached, or key, wallet or data cannot be used.
    """
    return await (_private_statement(config) if config.private else _open_statement(config))


async def _private_statement(config: HouseholdConfig) -> Statement:
    """Return the bill from journal and wallet, which alone can read it."""
    passphrase = read_passphrase(config.passphrase_file)
    key = load_key(config.key, passphrase)
    file = open_wallet_file(config.directory / WALLET_NAME, passphrase)
    lines = list(read_journal(config.directory / JOURNAL_NAME))
    traded = sorted({line.window for line in lines if isinstance(line, PrivateIntent)})
    chain = Chain(config.rpc, patience_s=3.0)
    try:
        served = await served_chain(chain)
        if served.genesis != file.genesis:
            raise WrongChain(
                config.rpc, f"the wallet's chain, with genesis {file.genesis}", f"genesis {served.genesis}"
            )
        (genesis,) = await chain.batch([("grid_genesis", [])])
        events = await chain.events([PRIVATE_MARKET, SHIELDED_POOL], 0, served.height)
        keys = await chain.read_all([sealed_meters.joint_key_of(window) for window in traded])
    finally:
        await chain.close()
    for logged in events:
        if logged.height > file.wallet.height:
            file.wallet.learn(logged.height, logged.event)
    quarters = {line.quarter: _reading(line) for line in lines if isinstance(line, Quarter)}
    per_window = genesis["schedule"]["window_length_s"] // genesis["schedule"]["quarter_length_s"]

    def read_in(window: int) -> tuple[int, int]:
        rows = [quarters[each] for each in range(window * per_window, (window + 1) * per_window) if each in quarters]
        return sum(row.import_wh for row in rows), sum(row.export_wh for row in rows)

    def tariff(window: int) -> Tariff:
        return _tariff(tariffs_of(genesis), window)

    points = {window: SECP256K1.point_from_bytes_checked(raw) for window, raw in zip(traded, keys, strict=True)}
    found = window_bills(lines, events, file.wallet, key, points, read_in, tariff)
    last = max(quarters, default=-1) + 1
    bills = tuple(each for each in found if (each.window + 1) * per_window <= last)
    title = f"{config.name}: {len(bills)} private windows"
    if not bills:
        return Statement(title, (), ("nothing is settled yet",))
    profile = DataDirectory(config.data).profile(
        config.connection, grid=config.grid, shift_weeks=config.load_shift_weeks
    )
    first = row_at(genesis["schedule"]["window_zero_s"])
    length_s = genesis["schedule"]["quarter_length_s"]
    alone = bill.without_market(profile, range(first, first + last), config.battery, config.start_soc_wh, length_s)
    settled = [each.window for each in bills]
    with_, without = (
        bill.bill_of_windows(rows, settled, per_window, tariff, config.start_soc_wh)
        for rows in (quarters, dict(enumerate(alone)))
    )
    paid = sum(each.paid_microeur for each in bills)
    return Statement(
        title,
        (
            ("energy", paid, without.energy_microeur),
            ("in the battery, at feed-in", -with_.stored_microeur, -without.stored_microeur),
            ("to pay", paid - with_.stored_microeur, without.total_microeur),
        ),
        (f"money in notes: {amount_text(file.wallet.balance)} at height {served.height}",),
        bills,
    )


async def _open_statement(config: HouseholdConfig) -> Statement:
    """Return the bill from the market's cash lines."""
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
