"""A private street's day while it lasts, as everyone may see it: the balance of each window, opened by auditors
together, until all that was traded in it is settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from agents.chain import Chain, NodeError, NodeUnreachable
from contracts.bindings import private_market, sealed_meters
from contracts.bindings.private_market import WindowState
from contracts.bindings.sealed_meters import Balance
from devnet.auditors import devnet_auditors
from devnet.private_report import PrivateDay, make_private_day, print_private_day, read_books
from devnet.private_street import PrivateChain, opener_of, read_private_chain
from devnet.processes import DevnetError
from devnet.run import REFRESH_S, Devnet
from node.audit.balance import check_balance
from node.audit.balance_sources import from_directory
from node.clock import ChainClock

LOOK_S = 5.0  # a node that does not answer within is passed over


def watch(devnet: Devnet, console: Console) -> dict[int, Balance]:
    """Print the balance of every window as it is opened; return those of all windows once the day is settled and the
    operator paid, or the scenario's patience is over.

    Raises:
        DevnetError: a process gave up, or no node answers.
    """
    scenario = devnet.place.scenario
    end_s = scenario.window_zero_s + scenario.windows * scenario.schedule["window_length_s"]
    clock = ChainClock(devnet.genesis())
    deadline: float | None = None
    printed = 0
    while True:
        devnet.note_killed()
        over = int(clock.now_s() - scenario.window_zero_s) // scenario.schedule["window_length_s"]
        balances, settled = asyncio.run(_seen(devnet, min(max(over, 0), scenario.windows)))
        while printed in balances and balances[printed].opened and balances[printed].fed:
            console.print(line(printed, devnet.height(), balances[printed]), highlight=False)
            printed += 1
        if clock.now_s() >= end_s and deadline is None:
            deadline = time.monotonic() + scenario.settle_patience_s
        done = printed == scenario.windows and settled
        if done or (deadline is not None and time.monotonic() > deadline):
            return balances
        time.sleep(REFRESH_S)


def line(window: int, height: int, balance: Balance) -> str:
    """Return what there is to say of a window that was opened."""
    return (
        f"hour {window:02d}  height {height:4d}  {balance.quarters:3d} sealed quarters  "
        f"import {balance.import_wh:6d} Wh  export {balance.export_wh:6d} Wh  "
        f"feeder {balance.feeder_import_wh:6d} in, {balance.feeder_export_wh:6d} out  losses {balance.losses_wh:4d} Wh"
    )


def table(balances: Mapping[int, Balance]) -> Table:
    """Return the day's sums."""
    shown = Table(title="The street, as its meters and the feeder say together", title_justify="left")
    for heading in ("", "all meters", "feeder", "difference"):
        shown.add_column(heading, justify="left" if not heading else "right")
    rows = [balance for balance in balances.values() if balance.opened and balance.fed]
    for what, meters, feeder in (
        ("from the grid", sum(b.import_wh for b in rows), sum(b.feeder_import_wh for b in rows)),
        ("to the grid", sum(b.export_wh for b in rows), sum(b.feeder_export_wh for b in rows)),
    ):
        shown.add_row(what, _kwh(meters), _kwh(feeder), _kwh(feeder - meters))
    net = [sum(b.import_wh - b.export_wh for b in rows), sum(b.feeder_import_wh - b.feeder_export_wh for b in rows)]
    shown.add_row("net, and losses", *map(_kwh, net), _kwh(sum(b.losses_wh for b in rows)))
    return shown


def checked(devnet: Devnet, windows: int) -> tuple[str, list[str]]:
    """Check the balances of all windows in the first node's data directory, as `gridpact audit balance` does.

    Returns:
        a line that says what was checked, and the verdicts of the windows that are not as they should be.
    """
    street, logs = from_directory(devnet.place.node(0), devnet.place.genesis)
    reports = [check_balance(street, window, logs) for window in range(windows)]
    bad = [report.verdict for report in reports if not report.ok]
    readings, parts = sum(2 * report.readings for report in reports), sum(2 * len(report.parts) for report in reports)
    line = f"balances: {windows - len(bad)} of {windows} windows ok, {readings} sealed readings, {parts} parts checked"
    return line, bad


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.2f} kWh"


async def _seen(devnet: Devnet, windows: int) -> tuple[dict[int, Balance], bool]:
    """Return the balances of the first windows, and whether all that was locked for them is settled and paid."""
    errors: list[str] = []
    for index in range(devnet.place.validators):
        chain = Chain(f"http://{devnet.place.rpc(index)}", LOOK_S)
        try:
            balances = await chain.read_all([sealed_meters.balance_of(window) for window in range(windows)])
            states = await chain.read_all([private_market.window_state(window) for window in range(windows)])
            return dict(enumerate(balances)), all(map(is_settled, states))
        except (NodeError, NodeUnreachable) as error:
            errors.append(str(error))
        finally:
            await chain.close()
    raise DevnetError(f"no node answers: {errors[-1]}")


def is_settled(state: WindowState) -> bool:
    """Return whether no session of a window holds money any more, and the operator has what it is owed."""
    return not state.open and (state.paid or not any(state.sealed_total))


def report(devnet: Devnet, console: Console) -> PrivateDay:
    """Print what the day came to, and return it.

    Raises:
        DevnetError: no node answers, or what the auditors' keys open is no amount.
        AgentError: a wallet cannot be opened.
    """
    place = devnet.place
    books = read_books(place)
    chain = asyncio.run(_read(devnet, [each.account for each in books]))
    schedule = place.scenario.schedule
    current = int(ChainClock(devnet.genesis()).now_s() - place.scenario.window_zero_s) // schedule["window_length_s"]
    day = make_private_day(place, chain, books, opener_of(devnet_auditors(place.options.chain_id)), current)
    print_private_day(console, day)
    return day


async def _read(devnet: Devnet, accounts: Sequence[bytes]) -> PrivateChain:
    errors: list[str] = []
    for index in range(devnet.place.validators):
        try:
            return await read_private_chain(f"http://{devnet.place.rpc(index)}", accounts)
        except (NodeError, NodeUnreachable) as error:
            errors.append(str(error))
    raise DevnetError(f"no node answers: {errors[-1]}")
