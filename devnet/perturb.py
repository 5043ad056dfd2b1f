"""A devnet of real processes that are killed, frozen, cut off and lied to while load runs: `gridpact devnet perturb`.

What must hold: no fork, nothing committed lost, every transaction that a node took committed in the end, the chain live
whenever at most f are faulty; with more it stops, and goes on by itself when enough are back.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.bindings import consortium_events
from contracts.bindings.consortium import INTERFACE
from contracts.system import CONSORTIUM
from devnet.accounts import derived_key
from devnet.layout import P2P_ABOVE, Options, Place
from devnet.load import Load
from devnet.manifest import Manifest, Perturbation
from devnet.processes import gridpact, log_path, running
from devnet.proxy import Link, Proxies
from devnet.run import Devnet, height_of, rpc_call
from devnet.scenario import HouseholdPlan, Scenario
from node.config import CONFIG_NAME
from node.keys import node_key_of

POLL_S = 0.25
GAP_BOUND_S = 60.0  # between two heights while at most f are faulty: view timeouts of 3, 6, 12 and 24 s, and work
STOP_GRACE_S = 5.0  # what is under way may still commit when one too many falls
SETTLE_S = 120.0
LINKS_ABOVE = 12_000  # ports of the proxies, above the RPC port
EVIDENCE_HEIGHTS = 10
LOG_ROOM_BYTES = 64 * 1024  # for a process to say why it ends


@dataclass
class Observation:
    """What was seen.

    Args:
        started_s: when the clock of the manifest began.
        advances: (seconds since then, height) whenever the highest height rose.
        hashes: of every height that was looked at.
        offences: what did not hold, in the order in which it was found.
    """

    started_s: float = 0.0
    advances: list[tuple[float, int]] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    offences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Perturbed:
    """One run of a manifest.

    Args:
        manifest: what happens.
        root: the devnet's folder.
        rpc_port: of the first node.
        console: where to print.
    """

    def __init__(self, manifest: Manifest, base: Scenario, root: Path, rpc_port: int, console: Console) -> None:
        plans = tuple(HouseholdPlan(f"house-{i}", 0, {}) for i in range(manifest.validators))
        scenario = replace(base, name=manifest.name, households=plans, validators=len(plans))
        self._manifest = manifest
        self._place = Place(root, scenario, Options(rpc_port=rpc_port, market=False))
        self._console = console
        self._devnet = _PerturbedDevnet(self._place, console, manifest)
        self._keys = [node_key_of(derived_key(f"node {i}")) for i in range(manifest.validators)]
        self._honest = [i for i in range(manifest.validators) if i not in manifest.byzantine]
        self._seen = Observation()
        self._struck: set[int] = set()

    def run(self) -> list[str]:
        """Play the manifest; return what did not hold."""
        manifest, place = self._manifest, self._place
        dialled = {
            (a, b): place.options.rpc_port + LINKS_ABOVE + a * manifest.validators + b
            for a in range(manifest.validators)
            for b in range(manifest.validators)
            if self._keys[a] < self._keys[b]
        }
        links = [Link(a, b, port) for (a, b), port in dialled.items()]
        targets = {i: place.options.rpc_port + P2P_ABOVE + i for i in range(manifest.validators)}
        self._devnet.dial = {
            a: {self._keys[b]: port for (source, b), port in dialled.items() if source == a}
            for a in range(manifest.validators)
        }
        with Proxies(links, targets, manifest.seed) as proxies:
            try:
                self._devnet.start()
                load = Load([place.rpc(i) for i in self._honest], manifest.transactions_per_s)
                load.start()
                try:
                    self._play(proxies)
                finally:
                    load.stop()
                self._finish(load)
            finally:
                self._devnet.stop()
        self._audit()
        return self._seen.offences

    # -- while it runs

    def _play(self, proxies: Proxies) -> None:
        seen, manifest = self._seen, self._manifest
        seen.started_s = time.monotonic()
        due = sorted(
            [(each.at_s, True, each) for each in manifest.perturbations]
            + [(each.at_s + each.for_s, False, each) for each in manifest.perturbations],
            key=lambda row: (row[0], row[1]),
        )
        while (now := self._now()) < manifest.duration_s:
            while due and due[0][0] <= now:
                _, begins, each = due.pop(0)
                what = f"{each.kind} {list(each.nodes)} {'begins' if begins else 'ends'}"
                self._say(f"{now:6.1f} s  {what}, height {self._height()}")
                (self._strike if begins else self._mend)(each, proxies)
            self._look()
            time.sleep(POLL_S)
        for _, begins, each in due:
            if not begins:
                self._mend(each, proxies)

    def _now(self) -> float:
        return time.monotonic() - self._seen.started_s

    def _height(self) -> int:
        return self._seen.advances[-1][1] if self._seen.advances else 0

    def _look(self) -> None:
        """See how high the chain is, and whether any node has another block than the others."""
        for index in set(self._honest) - self._struck:
            found = rpc_call(self._place.rpc(index), "eth_getBlockByNumber", "latest", False)
            if found is not None:
                self._compare(index, int(found["number"], 16), found["hash"])
                if int(found["number"], 16) > self._height():
                    self._seen.advances.append((self._now(), int(found["number"], 16)))

    def _compare(self, index: int, height: int, block_hash: str) -> None:
        if self._seen.hashes.setdefault(height, block_hash) != block_hash:
            self._offend(f"fork: node {index} has {block_hash} at height {height}, another {self._seen.hashes[height]}")

    def _offend(self, what: str) -> None:
        if what not in self._seen.offences:
            self._seen.offences.append(what)
            self._say(f"OFFENCE: {what}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    # -- perturbations

    def _strike(self, each: Perturbation, proxies: Proxies) -> None:
        for node in each.nodes:
            match each.kind:
                case "kill":
                    self._struck.add(node)
                    self._devnet.processes.kill(f"node-{node}")
                case "pause":
                    self._struck.add(node)
                    self._signal(node, signal.SIGSTOP)
                case "disk-full":
                    self._struck.add(node)
                    self._fill_disk(node)
                case "slow":
                    self._lines(
                        node, proxies, lambda line: _set(line, each.delay_ms, each.rate_kbit, each.loss_percent)
                    )
                case "cut" | "one-way":
                    self._cut(node, proxies, cut=True, both=each.kind == "cut")

    def _mend(self, each: Perturbation, proxies: Proxies) -> None:
        for node in each.nodes:
            match each.kind:
                case "kill":
                    self._devnet.start_node(node)
                case "pause":
                    self._signal(node, signal.SIGCONT)
                case "disk-full":
                    self._end_of_full_disk(node)
                case "slow":
                    self._lines(node, proxies, lambda line: _set(line, 0, 0, 0))
                case "cut" | "one-way":
                    self._cut(node, proxies, cut=False, both=True)
            self._struck.discard(node)

    def _pid(self, node: int) -> int:
        return running(self._place.root)[f"node-{node}"]

    def _signal(self, node: int, number: int) -> None:
        os.kill(self._pid(node), number)

    def _fill_disk(self, node: int) -> None:
        """From now on writes to database and write-ahead log fail (EFBIG), as on a full disk; its text log has room."""
        room = log_path(self._place.root, f"node-{node}").stat().st_size + LOG_ROOM_BYTES
        resource.prlimit(self._pid(node), resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    def _end_of_full_disk(self, node: int) -> None:
        """The node has stopped by itself, saying why; with room it starts again."""
        name = f"node-{node}"
        ended = self._devnet.processes.wait_ended(name, SETTLE_S)
        log = log_path(self._place.root, name).read_text(encoding="utf-8", errors="replace")
        if not ended:
            self._offend(f"{name} goes on with a full disk")
            self._devnet.processes.kill(name)
        elif "too large" not in log and "No space" not in log:
            self._offend(f"{name} ended on a full disk without saying why")
        self._devnet.start_node(node)

    def _lines(self, node: int, proxies: Proxies, act: Callable[[Any], None]) -> None:
        for other in range(self._manifest.validators):
            if other != node:
                act(proxies.line(node, other))
                act(proxies.line(other, node))

    def _cut(self, node: int, proxies: Proxies, *, cut: bool, both: bool) -> None:
        for other in range(self._manifest.validators):
            if other != node:
                proxies.cut(other, node, cut=cut)
                if both:
                    proxies.cut(node, other, cut=cut)

    # -- the end

    def _finish(self, load: Load) -> None:
        endpoints = [self._place.rpc(index) for index in self._honest]
        lost = load.settle(endpoints, SETTLE_S)
        if lost:
            self._offend(f"{len(lost)} of {len(load.sent)} transactions that a node took have no receipt: {lost[0]} …")
        heads = [height_of(endpoint) for endpoint in endpoints]
        deadline = time.monotonic() + SETTLE_S
        while len(set(heads)) != 1 and time.monotonic() < deadline:
            time.sleep(POLL_S)
            heads = [height_of(endpoint) for endpoint in endpoints]
        if len(set(heads)) != 1 or heads[0] is None:
            self._offend(f"heads differ: {heads}")
        top = min(head or 0 for head in heads)
        views = self._check_chain(endpoints, top)
        self._check_gaps()
        self._check_evidence(endpoints[0])
        gap_s, at_s = self._longest_gap()
        self._say(
            f"heights: {top}; heads equal on {len(endpoints)} honest nodes; transactions committed: {len(load.sent)}"
        )
        self._say(f"view changes: {views}; longest gap with at most f faulty: {gap_s:.1f} s, from {at_s:.1f} s on")

    def _check_chain(self, endpoints: list[str], top: int) -> int:
        """Hold every height of every node against the others'; return how many view changes the certificates show."""
        views = 0
        for height in range(1, top + 1):
            for index, endpoint in zip(self._honest, endpoints, strict=True):
                found = rpc_call(endpoint, "eth_getBlockByNumber", hex(height), False)
                if found is None:
                    self._offend(f"node {index} has lost height {height}")
                else:
                    self._compare(index, height, found["hash"])
            certificate = rpc_call(endpoints[0], "grid_getCertificate", hex(height))
            views += 0 if certificate is None else int(certificate["view"], 16)
        return views

    def _longest_gap(self) -> tuple[float, float]:
        """Return the longest time without a new height while at most f were faulty, and when it began."""
        manifest = self._manifest
        longest, began = 0.0, 0.0
        times = [0.0, *(at for at, _ in self._seen.advances), float(manifest.duration_s)]
        for earlier, later in pairwise(times):
            halted = [
                second
                for second in range(int(earlier), int(later) + 1)
                if len(manifest.faulty_at(second)) > manifest.faults
            ]
            start = max(earlier, max(halted) + 1) if halted else earlier
            if later - start > longest:
                longest, began = later - start, start
        return longest, began

    def _check_gaps(self) -> None:
        """The chain is live with at most f faulty, and stands with more."""
        gap_s, at_s = self._longest_gap()
        if gap_s > GAP_BOUND_S and self._manifest.transactions_per_s:
            self._offend(f"no height for {gap_s:.1f} s from {at_s:.1f} s on, with at most f faulty")
        for each in self._too_many():
            grace_s, end_s = each[0] + STOP_GRACE_S, each[1]
            grown = [at for at, _ in self._seen.advances if grace_s < at < end_s]
            if grown:
                self._offend(f"the chain grew at {grown[0]:.1f} s with more than f faulty")
            else:
                self._seen.notes.append(f"stood from {each[0]} s to {each[1]} s with more than f faulty, then went on")
                self._say(self._seen.notes[-1])

    def _too_many(self) -> list[tuple[int, int]]:
        """Return the times (from, to, in seconds) at which no quorum ran."""
        manifest = self._manifest
        quorum = (manifest.validators + manifest.faults + 2) // 2
        stood = [
            second for second in range(manifest.duration_s) if manifest.validators - len(self._down_at(second)) < quorum
        ]
        spans: list[tuple[int, int]] = []
        for second in stood:
            if spans and spans[-1][1] == second:
                spans[-1] = (spans[-1][0], second + 1)
            else:
                spans.append((second, second + 1))
        return [span for span in spans if span[1] - span[0] > STOP_GRACE_S]

    def _down_at(self, second: int) -> set[int]:
        """Return who surely does not vote: down, or silent; a lying validator still may."""
        silent = {node for node, behaviour in self._manifest.byzantine.items() if behaviour == "silent"}
        return (self._manifest.faulty_at(second) - set(self._manifest.byzantine)) | silent

    def _check_evidence(self, endpoint: str) -> None:
        """An equivocating validator is on record within ten heights, and the motion to remove it is open."""
        for node, behaviour in self._manifest.byzantine.items():
            if behaviour not in ("equivocate", "split", "flood"):
                continue
            topic = "0x" + INTERFACE.topic(consortium_events.EquivocationProved).hex()
            query = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x" + CONSORTIUM.hex(), "topics": [topic]}
            logs = rpc_call(endpoint, "eth_getLogs", query) or []
            proved = [self._event(each) for each in logs]
            against = [each for each in proved if each[1].node_key == self._keys[node]]
            if not against:
                self._offend(f"node {node} contradicts itself, and nothing is on record")
                continue
            late = [(block, event.height) for block, event in against if block > event.height + EVIDENCE_HEIGHTS]
            first = min(block - event.height for block, event in against)
            if first > EVIDENCE_HEIGHTS:
                self._offend(f"evidence against node {node} came {first} heights late")
            self._say(
                f"evidence against node {node}: {len(against)} on record, the quickest {first} heights after, "
                f"{len(late)} later than {EVIDENCE_HEIGHTS}; removal proposal {against[0][1].proposal}"
            )

    def _event(self, log: Any) -> tuple[int, consortium_events.EquivocationProved]:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        event = INTERFACE.decode_event(topics, bytes.fromhex(log["data"][2:]))
        if not isinstance(event, consortium_events.EquivocationProved):
            raise TypeError(f"expected EquivocationProved, found {event}")
        return int(log["blockNumber"], 16), event

    def _audit(self) -> None:
        """Audit every honest node's database, from the genesis file alone."""
        for index in self._honest:
            words = [gridpact(), "audit", "verify", str(self._place.node(index)), "--genesis", str(self._place.genesis)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
            self._say(f"node-{index}: {last}")
            if done.returncode != 0:
                self._offend(f"audit of node {index}: {last}")


class _PerturbedDevnet(Devnet):
    """A devnet whose nodes dial through proxies, whose clocks may be wrong, and of whom some lie."""

    def __init__(self, place: Place, console: Console, manifest: Manifest) -> None:
        super().__init__(place, console)
        self._manifest = manifest
        self.dial: dict[int, dict[bytes, int]] = {}

    def start_node(self, index: int) -> None:
        """Start a validator, honest or not."""
        path = self.place.node(index) / CONFIG_NAME
        text = path.read_text(encoding="utf-8")
        if "[p2p.dial]" not in text:
            offset_ms = self._manifest.clock_offset_ms.get(index, 0)
            rows = "\n".join(f'0x{key.hex()} = "127.0.0.1:{port}"' for key, port in sorted(self.dial[index].items()))
            text = text.replace("[node]\n", f"[node]\nclock_offset_ms = {offset_ms}\n", 1)
            path.write_text(f"{text}\n[p2p.dial]\n{rows}\n", encoding="utf-8")
        behaviour = self._manifest.byzantine.get(index)
        if behaviour is None:
            super().start_node(index)
        else:
            words = ["devnet", "byzantine", "--config", str(path), "--behaviour", behaviour]
            self.processes.start(f"node-{index}", words)


def _set(line: Any, delay_ms: int, rate_kbit: int, loss_percent: int) -> None:
    line.delay_ms, line.rate_kbit, line.loss = delay_ms, rate_kbit, loss_percent / 100
