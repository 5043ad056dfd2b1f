"""`gridpact devnet`: launch a local devnet, watch its day, end it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.errors import AgentError
from devnet import private_day
from devnet.accounts import MNEMONIC
from devnet.layout import CHAIN_ID, MAX_CHAIN_ID, MAX_RPC_PORT, Options, Place
from devnet.processes import LOG_FOLDER, DevnetError, log_path, running
from devnet.report import Report
from devnet.run import MARKER, Devnet, end, height_of, reset
from devnet.scenario import DEFAULT, DEFAULT_PRIVATE, SCENARIOS, find_scenario, load_scenario
from node.output import Status, as_json, emit

DATA = Path(".gridpact/devnet")
TARIFFS = ("shared-connection", "public-grid")
DataOption = Annotated[Path, typer.Option(help="The devnet's folder.")]
SHOWN_LINES = 100
WIDTH = 150  # of plain output: tables must not wrap in a log

app = typer.Typer(help="A local devnet: validators and households on one machine.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """A local devnet: validators and households on one machine. Its keys are known to everyone."""


@app.command()
def up(
    scenario: Annotated[
        str | None,
        typer.Option(
            help="A scenario that ships with gridpact, or a TOML file; else street, or street-8.",
            autocompletion=lambda: sorted(file.stem for file in SCENARIOS.glob("*.toml")),
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Readings that nobody can read; scenario street-8.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the chain is live.")] = False,
    exit_: Annotated[bool, typer.Option("--exit", help="End after the report instead of serving on.")] = False,
    no_market: Annotated[bool, typer.Option("--no-market", help="The bare chain, without agents.")] = False,
    open_accounts: Annotated[bool, typer.Option("--open-accounts", help="Let every account send.")] = False,
    unlock: Annotated[
        bool, typer.Option("--unlock", help="Let the nodes sign for ten known accounts; implies --open-accounts.")
    ] = False,
    heartbeat_s: Annotated[
        int, typer.Option(help="Seconds after which an idle chain makes an empty block; 0: never.", min=0, max=3600)
    ] = 0,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of web pages that may call the nodes, '*' for all; repeat it for each."),
    ] = None,
    chain_id: Annotated[int, typer.Option(help="Chain id.", min=1, max=MAX_CHAIN_ID)] = CHAIN_ID,
    tariff: Annotated[
        str | None, typer.Option(help="shared-connection or public-grid.", autocompletion=lambda: TARIFFS)
    ] = None,
    rpc_port: Annotated[int, typer.Option(help="RPC port of the first node.", min=1024, max=MAX_RPC_PORT)] = 8545,
    data: DataOption = DATA,
) -> None:
    """Launch four households of a real street and let them trade for a day.

    Example: gridpact devnet up --exit
    """
    options = Options(
        rpc_port=rpc_port,
        market=not no_market,
        open_accounts=open_accounts,
        tariff=tariff,
        private=private,
        unlock=unlock,
        heartbeat_s=heartbeat_s,
        chain_id=chain_id,
        cors_origins=tuple(cors_origin or ()),
    )
    for origin in options.cors_origins:
        if origin.count("*") > 1 or (origin != "*" and "://" not in origin):
            raise DevnetError(f"--cors-origin {origin}: expected '*', or an origin such as http://localhost:3000")
    plan = load_scenario(find_scenario(scenario or (DEFAULT_PRIVATE if private else DEFAULT)))
    if private and plan.why_open:
        raise DevnetError(f"--private, scenario {plan.name}: {plan.why_open}")
    if private and no_market:
        raise DevnetError("--private --no-market: a bare chain has no meters; expected one of both")
    if tariff not in (None, *TARIFFS):
        raise DevnetError(f"--tariff {tariff}: expected shared-connection or public-grid")
    console = _console()
    devnet = Devnet(Place(data.resolve(), plan, options), console, attached=not detach)
    kept = False
    try:
        console.print(f"devnet in {data}: {_size(devnet.place)}, scenario {plan.name}", highlight=False)
        devnet.start()
        for index in range(devnet.place.validators):
            console.print(
                f"  node {index}  RPC http://{devnet.place.rpc(index)}  {data / devnet.place.node(index).name}",
                soft_wrap=True,
            )
        if no_market or unlock:
            console.print(f"  ten accounts with 10,000 ether each: {MNEMONIC}", highlight=False, soft_wrap=True)
        nodes = [
            {"rpc": f"http://{devnet.place.rpc(i)}", "data": data / devnet.place.node(i).name}
            for i in range(devnet.place.validators)
        ]
        if detach:
            kept = True
        problems = [] if no_market or detach else _day(devnet, console)
        emit({"data": data, "scenario": plan.name, "nodes": nodes, "problems": problems})
        if detach:
            return
        if exit_:
            if problems:
                raise typer.Exit(1)
            return
        console.print("serving until Ctrl-C")
        while True:
            devnet.note_killed()
            time.sleep(0.5)
    except AgentError as error:
        raise DevnetError(str(error)) from None
    except KeyboardInterrupt:
        console.print("ending the devnet")
        if exit_:
            raise typer.Exit(Status.INTERRUPTED) from None  # there was no verdict
    finally:
        if not kept:
            devnet.stop()


def _size(place: Place) -> str:
    """Return how many validators there are, and households if these are more."""
    validators = f"{place.validators} validators"
    return validators if place.count == place.validators else f"{validators}, {place.count} households"


def _console() -> Console:
    """Return what people look at: standard output, but not if a machine reads that."""
    stderr = as_json()
    return Console(stderr=stderr, width=None if Console(stderr=stderr).is_terminal else WIDTH)


def _day(devnet: Devnet, console: Console) -> list[str]:
    """Watch the day, print the report and the audit's verdict; return what is not as it should be."""
    if devnet.place.private:
        return _private_day(devnet, console)
    market = devnet.watch_day()
    devnet.stop_agents()
    report = devnet.report(market)
    head = devnet.equal_heads()
    verdicts = devnet.audit()
    for index, verdict in enumerate(verdicts):
        console.print(f"{devnet.place.node(index).name}: {verdict}", highlight=False, soft_wrap=True)
    problems = _problems(devnet.place, report, head is not None, verdicts)
    for problem in problems:
        console.print(f"not as it should be: {problem}", highlight=False)
    return problems


def _private_day(devnet: Devnet, console: Console) -> list[str]:
    """Watch a private day, print its balances, report and audit; return what is not as it should be."""
    balances = private_day.watch(devnet, console)
    devnet.stop_agents()
    console.print()
    console.print(private_day.table(balances))
    problems = [] if devnet.equal_heads() else ["the nodes' heads differ"]
    problems += private_day.report(devnet, console).problems()
    checked, bad = private_day.checked(devnet, devnet.place.scenario.windows)
    console.print(checked, highlight=False)
    problems += bad
    problems += [f"window {w}: without the feeder's reading" for w, balance in balances.items() if not balance.fed]
    for index, verdict in enumerate(devnet.audit()):
        console.print(f"{devnet.place.node(index).name}: {verdict}", highlight=False, soft_wrap=True)
        if not verdict.startswith("audit: ok"):
            problems.append(f"node {index}: {verdict}")
    for problem in problems:
        console.print(f"not as it should be: {problem}", highlight=False)
    return problems


def _problems(place: Place, report: Report, equal_heads: bool, verdicts: list[str]) -> list[str]:
    problems = []
    if not equal_heads:
        problems.append("the nodes' heads differ")
    problems += [f"node {i}: {verdict}" for i, verdict in enumerate(verdicts) if not verdict.startswith("audit: ok")]
    if place.tariff == "shared-connection" and not report.market.contracts:
        problems.append("no contract in the whole day")
    if report.market.cash_sum:
        problems.append(f"the settlements' cash sums to {report.market.cash_sum}, expected 0")
    if report.missing_windows:
        problems.append(f"windows not settled: {', '.join(map(str, report.missing_windows))}")
    return problems


@app.command()
def down(data: DataOption = DATA) -> None:
    """End every process of a devnet.

    Example: gridpact devnet down
    """
    ended = end(data.resolve())
    shown = f"ended {len(ended)} processes: {', '.join(ended)}" if ended else f"nothing runs in {data}"
    emit({"data": data, "ended": list(ended)}, shown)


@app.command()
def status(data: DataOption = DATA) -> None:
    """Print what runs, and the height of every node.

    Example: gridpact devnet status
    """
    alive = running(data.resolve())
    if not alive:
        emit({"data": data, "processes": {}, "nodes": []}, f"nothing runs in {data}")
        raise typer.Exit(Status.NO)
    endpoints = json.loads((data / MARKER).read_text(encoding="ascii"))["rpc"]
    lines = [f"{name:<12} pid {pid}" for name, pid in alive.items()]
    heights = [height_of(endpoint) for endpoint in endpoints]
    for index, (endpoint, height) in enumerate(zip(endpoints, heights, strict=True)):
        lines.append(f"node {index}  http://{endpoint}  " + ("no answer" if height is None else f"height {height}"))
    nodes = [{"rpc": f"http://{rpc}", "height": height} for rpc, height in zip(endpoints, heights, strict=True)]
    emit({"data": data, "processes": dict(alive), "nodes": nodes}, *lines)


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="node-0 … household-3, operator, auditors; all if left out.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing.")] = False,
    data: DataOption = DATA,
) -> None:
    """Print the logs of a devnet's processes; with --json an object a line.

    Example: gridpact devnet logs node-0 -f
    """
    files = [log_path(data, name)] if name else sorted((data / LOG_FOLDER).glob("*.log"))
    if not files or not all(file.exists() for file in files):
        known = ", ".join(sorted(file.stem for file in (data / LOG_FOLDER).glob("*.log"))) or "none yet"
        raise DevnetError(f"no log of {name or 'any process'} in {data}; known: {known}")
    if as_json():
        if follow:
            raise DevnetError("--json --follow: expected one of both")
        for file in files:
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]:
                emit({"process": file.stem, "line": line})
        return
    tail = shutil.which("tail")
    if tail is None:
        raise DevnetError("`tail` is not on this machine; the logs are in " + str(data / LOG_FOLDER))
    subprocess.run([tail, "-n", str(SHOWN_LINES), *(["-F"] if follow else []), *map(str, files)], check=False)


@app.command()
def perturb(
    manifest: Annotated[Path, typer.Argument(help="A manifest that ships with gridpact, or a TOML file.")],
    data: DataOption = Path(".gridpact/perturbed"),
    rpc_port: Annotated[int, typer.Option(help="RPC port of the first node.", min=1024, max=MAX_RPC_PORT)] = 8745,
    duration_s: Annotated[int | None, typer.Option(help="In place of the manifest's duration.", min=10)] = None,
) -> None:
    """Kill, freeze, cut off and deceive the validators of a devnet under load, and see what holds.

    Example: gridpact devnet perturb soak-4
    """
    from devnet.manifest import MANIFESTS, load_manifest
    from devnet.perturb import Perturbed

    shipped = MANIFESTS / f"{manifest}.toml"
    plan = load_manifest(shipped if shipped.exists() else manifest)
    if duration_s is not None:
        kept = tuple(each for each in plan.perturbations if each.at_s + each.for_s <= duration_s)
        plan = replace(plan, duration_s=duration_s, perturbations=kept)
    console = _console()
    base = load_scenario(find_scenario(DEFAULT))
    offences = Perturbed(plan, base, data.resolve(), rpc_port, console).run()
    for offence in offences:
        console.print(f"soak: {offence}", highlight=False, soft_wrap=True, markup=False)
    emit({"offences": offences})
    if offences:
        raise typer.Exit(1)
    console.print("soak: ok")


def _behaviours() -> tuple[str, ...]:
    from devnet.byzantine import BEHAVIOURS

    return BEHAVIOURS


@app.command()
def byzantine(
    config: Annotated[Path, typer.Option(help="The node.toml of a devnet's node.")],
    behaviour: Annotated[
        str,
        typer.Option(help="equivocate, split, silent, withhold, garbage, lie or flood.", autocompletion=_behaviours),
    ],
) -> None:
    """Run a validator that breaks the protocol, for devnets that are to be perturbed.

    Example: gridpact devnet byzantine --config node-3/node.toml --behaviour equivocate
    """
    from devnet.byzantine import run
    from node.config import load_config
    from node.log import configure

    settings = load_config(config)
    configure(level=settings.log_level, form=settings.log_format, levels=settings.log_levels)
    try:
        run(settings, behaviour)
    except ValueError as error:
        raise DevnetError(str(error)) from None


@app.command("reset")
def reset_command(data: DataOption = DATA) -> None:
    """Remove a devnet's folder, when nothing of it runs.

    Example: gridpact devnet reset
    """
    reset(data.resolve())
    emit({"data": data}, f"{data} is empty")
