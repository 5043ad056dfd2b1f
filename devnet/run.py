"""A devnet from start to end: written, launched, watched, reported, audited, ended."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from agents.auditing.configuration import AUDITOR_CONFIG
from agents.configuration import HOUSEHOLD_CONFIG, OPERATOR_CONFIG
from agents.errors import AgentError
from agents.journal import JOURNAL_NAME, Started, lines_of
from devnet.auditors import devnet_auditors
from devnet.layout import Place, allow_origins, init_command, set_heartbeat, unlock_accounts, write_devnet
from devnet.processes import DevnetError, Processes, check_ports, gridpact, running, stop_all
from devnet.report import Report, make_report, print_report
from devnet.street import MarketDay, read_household, read_market, recorded
from devnet.table import live_table, plain_line
from node.clock import ChainClock
from node.config import CONFIG_NAME
from node.genesis import Genesis, load_genesis

START_PATIENCE_S = 60.0
REFRESH_S = 0.5
REQUEST_TIMEOUT_S = 5.0
HEADS_PATIENCE_S = 20.0
MARKER = "devnet.json"


def rpc_call(endpoint: str, method: str, *params: Any) -> Any:
    """Call one JSON-RPC method of a node at HOST:PORT; None if it does not answer."""
    content = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(f"http://{endpoint}", content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
            return json.load(answer).get("result")
    except (OSError, ValueError):
        return None


def height_of(endpoint: str) -> int | None:
    """Return a node's height, None if it does not answer."""
    found = rpc_call(endpoint, "eth_blockNumber")
    return None if found is None else int(found, 16)


def reset(root: Path) -> None:
    """Remove a devnet's folder; only one that a devnet made, and nothing of which runs.

    Raises:
        DevnetError: it runs, or the folder is not a devnet's.
    """
    if not root.exists():
        return
    alive = running(root)
    if alive:
        raise DevnetError(f"a devnet runs in {root}: {', '.join(alive)}; end it with `gridpact devnet down`")
    if any(root.iterdir()) and not (root / MARKER).exists():
        raise DevnetError(f"{root} is not a devnet's folder; expected an empty one or one that a devnet made")
    shutil.rmtree(root)


class Devnet:
    """One devnet.

    Args:
        place: where and what.
        console: where to print.
        attached: whether its processes end with this one.
    """

    def __init__(self, place: Place, console: Console, *, attached: bool = True) -> None:
        self.place = place
        self.processes = Processes(place.root, attached=attached)
        self._console = console
        self._launching = False

    # -- start

    def start(self) -> None:
        """Write everything, launch everything, and return when the chain is live.

        Raises:
            DevnetError: a port is in use, a process ended, or the chain does not come up.
        """
        place = self.place
        reset(place.root)
        check_ports(self._ports())
        self._launching = True  # from here on what runs in this folder is ours to end
        place.root.mkdir(parents=True, exist_ok=True)
        (place.root / MARKER).write_text(
            json.dumps({"rpc": [place.rpc(i) for i in range(place.validators)]}) + "\n", encoding="ascii"
        )
        write_devnet(place)
        self.processes.run_together({f"init-{i}": init_command(place, i) for i in range(place.validators)})
        if place.options.unlock:
            unlock_accounts(place)
        if place.options.heartbeat_s:
            set_heartbeat(place)
        if place.options.cors_origins:
            allow_origins(place)
        for index in range(place.validators):
            self.start_node(index)
        self._wait("the nodes' RPC", lambda: all(height_of(place.rpc(i)) is not None for i in range(place.validators)))
        if place.options.market:
            for index in range(place.count):
                self.start_household(index)
            self.start_operator()
        if place.private:
            self.start_auditors()

    def start_node(self, index: int) -> None:
        """Start a validator, by the command that a household uses."""
        self._start(f"node-{index}")

    def start_household(self, index: int) -> None:
        """Start a household's agents, by the command that a household uses."""
        self._start(f"household-{index}")

    def start_operator(self) -> None:
        """Start the operator."""
        self._start("operator")

    def start_auditors(self) -> None:
        """Start all auditors in one process: a Python for each costs more than what they do."""
        self._start("auditors")

    def _start(self, name: str) -> None:
        self.processes.start(name, self._words(name))

    def _words(self, name: str) -> list[str]:
        """Return the words of the command that a process is."""
        place = self.place
        if name == "auditors":
            configs = [
                place.auditor(keys.number) / AUDITOR_CONFIG for keys in devnet_auditors(place.options.chain_id).keys
            ]
            return ["auditor", "run", *(word for config in configs for word in ("--config", str(config)))]
        if name == "operator":
            return ["household", "operator", "--config", str(place.operator / OPERATOR_CONFIG)]
        kind = name.partition("-")[0]
        config = CONFIG_NAME if kind == "node" else HOUSEHOLD_CONFIG
        return [kind, "run", "--config", str(place.root / name / config)]

    def _ports(self) -> list[tuple[str, int]]:
        place = self.place
        listening = [
            (f"{what} of node {i}", at(i))
            for i in range(place.validators)
            for what, at in (("RPC", place.rpc), ("p2p", place.p2p))
        ]
        if place.options.market:
            listening += [(f"agents of household {i}", place.agents(i)) for i in range(place.count)]
        return [(what, int(endpoint.rpartition(":")[2])) for what, endpoint in listening]

    def _wait(self, what: str, ready: Any) -> None:
        deadline = time.monotonic() + START_PATIENCE_S
        while not ready():
            self.processes.check()
            if time.monotonic() > deadline:
                raise DevnetError(f"{what} did not come up within {START_PATIENCE_S:.0f} s; see {self.place.root}/logs")
            time.sleep(0.1)

    # -- the day

    def watch_day(self) -> MarketDay:
        """Show the day until its last window is settled, or the scenario's patience is over; return the market's."""
        clock = ChainClock(self.genesis())
        place = self.place
        end_s = place.scenario.window_zero_s + place.scenario.windows * place.scenario.schedule["window_length_s"]
        printed = -1
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while clock.now_s() < end_s:
                self.note_killed()
                printed = self._show(live, clock, printed)
                time.sleep(REFRESH_S)
        return self._settled(end_s, printed)

    def _show(self, live: Live, clock: ChainClock, printed: int) -> int:
        place = self.place
        days = [read_household(place, index) for index in range(place.count)]
        trades = list(recorded(place).values())
        height = self.height()
        now = (clock.now_s() - place.scenario.window_zero_s) // place.scenario.schedule["window_length_s"]
        if self._console.is_terminal:
            live.update(live_table(place, now, height, days, trades), refresh=True)
        done = min((max(day.windows, default=-1) for day in days), default=-1)
        for window in range(printed + 1, done + 1):
            self._console.print(plain_line(window, height, days, trades), highlight=False)
        return max(printed, done)

    def note_killed(self) -> None:
        """Say which processes were killed from outside, once: the others go on, and each can be started again.

        Raises:
            DevnetError: a process gave up by itself, with the end of its log.
        """
        for name in self.processes.take_killed():
            again = f"gridpact {' '.join(self._words(name))}"
            self._console.print(f"{name} was killed, the others go on; start it again: {again}", soft_wrap=True)
        self.processes.check()

    def height(self) -> int:
        """Return the height of the first node that answers; 0 if none does."""
        heights = (height_of(self.place.rpc(index)) for index in range(self.place.validators))
        return next((height for height in heights if height is not None), 0)

    def _settled(self, end_s: int, printed: int) -> MarketDay:
        place = self.place
        deadline = time.monotonic() + place.scenario.settle_patience_s
        while True:
            self.note_killed()
            market = self._market()
            days = [read_household(place, index) for index in range(place.count)]
            whole = all(len(day.windows) >= place.scenario.windows for day in days)
            settled = all(market.settled.get(w, 0) >= place.count for w in range(place.scenario.windows))
            if (whole and settled) or time.monotonic() > deadline:
                height = self.height()
                trades = list(recorded(place).values())
                for window in range(printed + 1, place.scenario.windows):
                    self._console.print(plain_line(window, height, days, trades), highlight=False)
                return market
            time.sleep(REFRESH_S)

    def _market(self) -> MarketDay:
        errors: list[str] = []
        for index in range(self.place.validators):
            try:
                return asyncio.run(read_market(f"http://{self.place.rpc(index)}"))
            except AgentError as error:
                errors.append(str(error))
        raise DevnetError(f"no node answers: {errors[-1]}")

    def report(self, market: MarketDay) -> Report:
        """Print the day's report and return it."""
        report = make_report(self.place, market)
        print_report(self._console, report, self.place)
        return report

    # -- the end

    def stop_agents(self) -> None:
        """End the agents, so that no new block comes while the ledger is audited."""
        self.processes.stop_some("household-")
        self.processes.stop_some("operator")
        self.processes.stop_some("auditors")

    def equal_heads(self) -> tuple[int, str] | None:
        """Wait until all nodes have the same head; return (height, hash), or None if they do not within patience."""
        deadline = time.monotonic() + HEADS_PATIENCE_S
        while time.monotonic() < deadline:
            heads = [
                rpc_call(self.place.rpc(i), "eth_getBlockByNumber", "latest", False)
                for i in range(self.place.validators)
            ]
            if all(heads) and len({head["hash"] for head in heads}) == 1:
                return int(heads[0]["number"], 16), heads[0]["hash"]
            time.sleep(REFRESH_S)
        return None

    def audit(self) -> list[str]:
        """Audit every data directory from the genesis file; return the last line of each verdict."""
        verdicts = []
        for index in range(self.place.validators):
            words = [gridpact(), "audit", "verify", str(self.place.node(index)), "--genesis", str(self.place.genesis)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            lines = (done.stdout + done.stderr).strip().splitlines()
            verdicts.append(lines[-1] if lines else f"audit: no verdict (status {done.returncode})")
        return verdicts

    def genesis(self) -> Genesis:
        """Return the devnet's genesis."""
        return load_genesis(self.place.genesis)

    def agents_started(self) -> bool:
        """Return whether every household's agents have written that they run."""
        return all(lines_of(self.place.household(index) / JOURNAL_NAME, Started) for index in range(self.place.count))

    def stop(self) -> None:
        """End everything that `start` launched; a devnet that already ran in the folder is left alone."""
        if self._launching:
            self.processes.stop()


def end(root: Path) -> list[str]:
    """End a devnet that may have been started by another process; return what ended."""
    return stop_all(root)
