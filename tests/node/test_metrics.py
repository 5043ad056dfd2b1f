"""What a node tells Prometheus and supervisors, by a real scrape of a validator that decides alone."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from node.config import DATABASE_NAME
from node.creation import create_database
from node.genesis import parse_genesis
from node.metrics import Metrics, unready
from node.metrics.health import MIN_FREE_BYTES
from node.metrics.registry import MAX_PIECE, Exposition, Family, Labelled
from node.rpc.server import RpcConfig
from node.service import Validator
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, sample_genesis, seed
from tests.node.test_service import config_in
from tests.rpc.harness import RunningNode

BOUND_S = 20.0
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
OPS = Path(__file__).parents[2] / "docs" / "ops"
RUNBOOK = OPS.parent / "operations.md"
PARTS = ("_bucket", "_sum", "_count")  # of a histogram
SLICE_S = 0.02  # of processor time for which a scrape may hold the event loop; docs/operations.md has what was measured


def make_validator(directory: Path, members: int) -> Validator:
    """Return validator 0 of a new chain, not yet running."""
    genesis = parse_genesis(sample_genesis(members, open_accounts=True))
    create_database(directory / DATABASE_NAME, genesis)
    config = config_in(directory)
    return Validator(config, genesis, seed("node 0"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a validator answered after it had committed a block: (status, content type, text) by path."""

    answers: dict[str, tuple[int, str, str]]
    longest_s: float

    def family(self, name: str) -> dict[str, float]:
        """Return the samples of a name by their labels as written."""
        rows = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", self.answers["/metrics"][2], re.MULTILINE)
        return {labels: float(value) for labels, value in rows}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(_see(make_validator(tmp_path_factory.mktemp("alone"), 1)))


async def _see(validator: Validator) -> Seen:
    running = asyncio.create_task(validator.run())
    raw = sign_transaction(account_key("household 0"), chain_id=2016, nonce=0, to=b"\1" * 20, gas=21_000)
    committed = asyncio.Event()
    validator.backend.on_head(lambda _: committed.set())
    while not validator._rpc.port:
        await asyncio.sleep(0)
    url = f"http://127.0.0.1:{validator._rpc.port}"
    try:
        async with aiohttp.ClientSession() as client, asyncio.timeout(BOUND_S):
            for number, (method, params) in enumerate(
                [
                    ("eth_sendRawTransaction", ["0x" + raw.hex()]),
                    ("eth_sendRawTransaction", ["0x" + raw.hex()]),
                    ("eth_sendRawTransaction", ["0x02"]),
                    ("eth_getBalance", []),
                    *[(f"eth_made_up_{each}", []) for each in range(50)],
                ]
            ):
                call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                async with client.post(url, json=call) as response:
                    answer = await response.json()
                    assert ("result" in answer) == (number == 0), answer
            await committed.wait()
            longest_s = await _longest_step(validator._metrics)
            answers = {path: await _get(client, url, path) for path in ("/metrics", "/health", "/ready", "/liveness")}
            answers["openmetrics"] = await _get(client, url, "/metrics", Accept="application/openmetrics-text")
            answers["stranger"] = await _get(client, url, "/metrics", Host="evil.example")
    finally:
        validator.stop()
        await running
    return Seen(answers, longest_s)


async def _get(client: aiohttp.ClientSession, url: str, path: str, **headers: str) -> tuple[int, str, str]:
    async with client.get(url + path, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def _longest_step(metrics: Metrics) -> float:
    """Return how long a scrape holds the event loop at most, in seconds of processor time."""
    scrape = metrics.expose(modern=False)
    longest_s, waiting = 0.0, True
    while waiting:
        started = time.process_time()
        try:
            scrape.send(None)
        except StopIteration:
            waiting = False
        longest_s = max(longest_s, time.process_time() - started)
    return longest_s


def test_a_scrape_tells_what_happened(seen: Seen) -> None:
    assert seen.answers["/metrics"][:2] == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert seen.family("gridpact_consensus_height") == {"": 2}
    assert seen.family("gridpact_consensus_is_validator") == {"": 1}
    assert seen.family("gridpact_consensus_proposals_built_total") == {"": 1}
    assert abs(seen.family("gridpact_chain_clock_skew_seconds")[""]) <= 1
    assert seen.family("gridpact_consensus_round_duration_seconds_count") == {"": 1}
    assert seen.family("gridpact_execution_gas_used_total") == {"": 21_000}
    assert seen.family("gridpact_execution_transactions_total")['{type="dynamic_fee"}'] == 1
    assert seen.family("gridpact_chain_height") == {
        '{chain="round"}': 1,
        '{chain="contract"}': 0,
        '{chain="ledger"}': 1,
    }
    assert seen.family("gridpact_storage_wal_sync_duration_seconds_count")[""] >= 1
    assert 0 < seen.family("gridpact_storage_used_bytes")[""] < seen.family("gridpact_storage_map_bytes")[""]


def test_what_the_pool_took_and_what_not(seen: Seen) -> None:
    assert seen.family("gridpact_pool_admitted_total") == {'{type="dynamic_fee"}': 1}
    refused = seen.family("gridpact_pool_refused_total")
    assert refused.pop('{reason="invalid"}') == 1
    assert list(refused.values()) == [1]  # already known, or its nonce too low by then
    assert seen.family("gridpact_pool_pending") == {"": 0}
    assert seen.family("gridpact_pool_dropped_total")['{reason="evicted"}'] == 0


def test_methods_that_do_not_exist_share_one_label(seen: Seen) -> None:
    requests = seen.family("gridpact_rpc_requests_total")
    assert requests['{method="unknown",outcome="invalid"}'] == 50
    assert requests['{method="eth_sendRawTransaction",outcome="success"}'] == 1
    assert requests['{method="eth_sendRawTransaction",outcome="error"}'] == 2
    assert requests['{method="eth_getBalance",outcome="invalid"}'] == 1
    assert "made_up" not in seen.answers["/metrics"][2]


def test_every_family_has_help_and_a_conventional_name(seen: Seen) -> None:
    text = seen.answers["/metrics"][2]
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helped = re.findall(r"^# HELP (\S+) \S.*\.$", text, re.MULTILINE)
    assert sorted(helped) == sorted(kinds)
    for name, kind in kinds.items():
        assert name.startswith(("gridpact_", "process_"))
        assert name.endswith("_total") == (kind == "counter"), name


@needs_promtool
def test_promtool_finds_nothing_to_say(seen: Seen) -> None:
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(
        command, input=seen.answers["/metrics"][2], capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("modern", [False, True])
def test_a_large_family_comes_in_pieces_under_one_head(modern: bool) -> None:
    metrics = Metrics()
    family: Labelled = {(str(number),): float(number) for number in range(2 * MAX_PIECE + 1)}
    metrics.read([Family("gridpact_sample", "A sample.", ("number",), lambda: family)])
    text = asyncio.run(metrics.expose(modern=modern)).content.decode()
    found = re.findall(r'^gridpact_sample\{number="(\d+)"\} (\S+)$', text, re.MULTILINE)
    assert {(number,): float(value) for number, value in found} == family
    assert text.count("# HELP gridpact_sample ") == text.count("# TYPE gridpact_sample ") == 1


def test_openmetrics_for_who_accepts_it(seen: Seen) -> None:
    status, kind, text = seen.answers["openmetrics"]
    assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1


def test_a_scrape_holds_the_loop_for_milliseconds(seen: Seen) -> None:
    assert seen.longest_s < SLICE_S


def test_health_and_readiness(seen: Seen) -> None:
    assert seen.answers["/health"][0] == seen.answers["/liveness"][0] == 200
    assert json.loads(seen.answers["/health"][2])["status"] == "UP"
    assert seen.answers["/ready"][0] == 200
    assert json.loads(seen.answers["/ready"][2]) == {"status": "UP", "reasons": []}


def test_a_page_of_another_site_reads_no_metrics(seen: Seen) -> None:
    assert seen.answers["stranger"][0] == 403


def test_a_validator_without_its_peers_is_not_ready(tmp_path: Path) -> None:
    async def reasons() -> list[str]:
        validator = make_validator(tmp_path, 4)
        try:
            return list(validator.backend.unready())
        finally:
            await validator._close()

    assert asyncio.run(reasons()) == [
        "no quorum: 1 of 4 validators are connected, 3 are needed",
        "abstains: it may have forgotten votes of its own, and waits for its peers' answers",
    ]


def families(seen: Seen) -> set[str]:
    """Return every name that a query may use."""
    kinds = re.findall(r"^# TYPE (\S+) (\S+)$", seen.answers["/metrics"][2], re.MULTILINE)
    return {name + part for name, kind in kinds for part in (PARTS if kind == "histogram" else ("",))}


def queried(text: str) -> set[str]:
    """Return the names of metrics in queries."""
    return set(re.findall(r"\b(?:gridpact|process)_[a-z0-9_]+", text))


def test_the_dashboard_asks_for_what_there_is(seen: Seen) -> None:
    board = json.loads((OPS / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    assert len(queries) > 40
    for query in queries:
        assert queried(query), query
        assert queried(query) <= families(seen), query


def test_the_rules_ask_for_what_there_is_and_have_runbooks(seen: Seen) -> None:
    rules = (OPS / "alerts.yml").read_text()
    assert queried(rules) <= families(seen)
    alerts = re.findall(r"alert: (\w+)", rules)
    assert len(alerts) == len(set(alerts)) >= 12
    headings = {line.strip("# ") for line in RUNBOOK.read_text().splitlines() if line.startswith("### ")}
    for alert in alerts:
        assert f"runbook: docs/operations.md#{alert.lower()}\n" in rules
        assert alert in headings


@needs_promtool
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_takes_the_rules(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=OPS, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


READY = {
    "abstaining": False,
    "signer_away": "",
    "height": 8,
    "seated": True,
    "reachable": 3,
    "waited_s": 5.0,
    "target": 9,
    "follows": False,
    "peers": 3,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"target": 10}, "catching up: at height 7 of 10"),
        ({"target": None}, ""),
        ({"reachable": 2}, "no quorum: 2 of 4 validators are connected, 3 are needed"),
        ({"seated": False, "reachable": 0, "peers": 0}, "follows nobody: no peer is connected, and no address"),
        ({"seated": False, "reachable": 0, "peers": 0, "follows": True}, ""),
        ({"waited_s": 61.0}, "no block for 61 s while work waits"),
        ({"free": MIN_FREE_BYTES - 1}, "disk almost full: 268435455 bytes are free"),
        ({"used": 99}, "database almost full: 99 of 100 bytes; raise node.map_size_gib"),
        ({"abstaining": True}, "abstains: "),
        ({"signer_away": "no answer"}, "abstains: the signer is away: no answer"),
    ],
)
def test_reasons_not_to_be_ready(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], reason: str) -> None:
    now: Any = SimpleNamespace(**{**READY, "free": MIN_FREE_BYTES, "used": 1, **change})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=now.free))
    keys = [b"us", b"b", b"c", b"d"] if now.seated else [b"a", b"b", b"c", b"d"]
    validators = type("Validators", (list,), {"size": 4, "quorum": 3})(keys)
    node: Any = SimpleNamespace(
        node_key=b"us",
        wal=Path("wal"),
        driver=SimpleNamespace(height=now.height, validators=validators, abstaining=now.abstaining),
        store=SimpleNamespace(used_bytes=now.used, map_bytes=100),
        network=SimpleNamespace(connected=lambda: [None] * now.peers),
        reachable=lambda: now.reachable,
        work_waiting_s=lambda: now.waited_s,
        target_height=lambda: now.target,
        follows=lambda: now.follows,
        signer_away=lambda: now.signer_away,
    )
    reasons = list(unready(node))
    assert len(reasons) == (1 if reason else 0)
    assert "".join(reasons).startswith(reason)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[RunningNode]:
    """A node whose metrics have an end point of their own."""
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, metrics_listen=("127.0.0.1", 0)))
    yield running
    running.close()


def test_who_asks_again_at_once_gets_the_same_scrape(apart: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.probes.FRESH_S", 1e9)
    made = []
    expose = Metrics.expose

    async def counted(self: Metrics, *, modern: bool) -> Exposition:
        made.append(modern)
        return await expose(self, modern=modern)

    monkeypatch.setattr(Metrics, "expose", counted)

    async def ask() -> None:
        url = f"http://127.0.0.1:{apart.server.metrics_port}"
        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*[_get(client, url, "/metrics") for _ in range(10)])
            await _get(client, url, "/metrics", Accept="application/openmetrics-text")

    asyncio.run(ask())
    assert made == [False, True]


def test_metrics_apart_from_the_rpc(apart: RunningNode) -> None:
    apart.backend.reasons = ["catching up: at height 1 of 9"]
    answers: dict[str, tuple[int, str, str]] = {}

    async def ask() -> None:
        async with aiohttp.ClientSession() as client:
            answers["rpc"] = await _get(client, apart.url, "/metrics")
            url = f"http://127.0.0.1:{apart.server.metrics_port}"
            answers["metrics"] = await _get(client, url, "/metrics")
            answers["ready"] = await _get(client, url, "/ready")

    asyncio.run(ask())
    assert answers["rpc"][0] == 404
    assert answers["metrics"][0] == 200
    assert "gridpact_rpc_websocket_connections 0.0" in answers["metrics"][2]
    assert answers["ready"][0] == 503
    content: Any = json.loads(answers["ready"][2])
    assert content == {"status": "DOWN", "reasons": ["catching up: at height 1 of 9"]}
