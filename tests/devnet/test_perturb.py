"""Perturbed devnets: manifests that make no sense, lines that are slow or dead, liars, and what the run judges."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from rich.console import Console

from consensus.codec import decode_message, encode_message
from consensus.messages import Proposal, ViewChange
from consensus.types import NO_BLOCK, Domain, Phase, SignedVote
from devnet.byzantine import BEHAVIOURS, Alternatives, UnscrupulousSigner, transport_class
from devnet.manifest import MANIFESTS, load_manifest
from devnet.perturb import GAP_BOUND_S, Perturbed
from devnet.proxy import Link, Proxies
from devnet.scenario import find_scenario, load_scenario
from node.p2p import Channel
from node.parsing import ConfigError
from tests.consensus.machine import BLOCK, DOMAIN, OTHER, OTHER_BODY, Machine
from tests.devnet.running import free_port

GOOD = """
validators = 4
duration_s = 60
seed = 1
transactions_per_s = 5
[[byzantine]]
node = 3
behaviour = "equivocate"
[[clock]]
node = 1
offset_ms = -700
[[perturb]]
at_s = 10
for_s = 20
kind = "kill"
nodes = [1, 2]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "manifest.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_says_who_is_faulty_when(tmp_path: Path) -> None:
    manifest = load_manifest(written(tmp_path, GOOD))
    assert manifest.faults == 1
    assert manifest.faulty_at(0) == {3}
    assert manifest.faulty_at(10) == {1, 2, 3}
    assert manifest.faulty_at(30) == {3}


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
def test_what_ships_makes_sense(path: Path) -> None:
    manifest = load_manifest(path)
    assert manifest.duration_s == 300
    assert {each.kind for each in manifest.perturbations} == {"kill", "pause", "cut", "one-way", "slow", "disk-full"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("validators = 4", "validators = 0", "validators"),
        ("validators = 4", "validators = 4\nvalidtors = 3", "validtors"),
        ('kind = "kill"', 'kind = "kil"', r"perturb\[0\].*one of kill, pause"),
        ("nodes = [1, 2]", "nodes = [4]", r"perturb\[0\].*a list of validators from 0 to 3"),
        ("nodes = [1, 2]", "nodes = []", "a list of validators"),
        ("at_s = 10", "at_s = 60", "at_s"),
        ("for_s = 20", "for_s = 51", "for_s"),
        ('"equivocate"', '"tease"', "one of equivocate"),
        ("node = 3", "node = 9", "node"),
        ("seed = 1", "seed = = 1", "TOML"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_manifest(written(tmp_path, GOOD.replace(old, new)))


def test_a_missing_manifest_names_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="soak-4, soak-7"):
        load_manifest(tmp_path / "none.toml")


class Echo:
    """A server that sends back what it gets, in a thread."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._server.accept()
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def test_a_proxy_carries_both_ways_and_a_cut_line_carries_nothing_until_it_is_mended(echo: Echo) -> None:
    port = free_port(90)
    with (
        Proxies([Link(0, 1, port)], {1: echo.port}, seed=1) as proxies,
        socket.create_connection(("127.0.0.1", port), timeout=5) as line,
    ):
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"
        proxies.line(1, 0).delay_ms = 5
        proxies.line(1, 0).loss = 1.0
        line.sendall(b"late")
        assert line.recv(4) == b"late"
        proxies.line(1, 0).loss = 0.0
        proxies.cut(1, 0, cut=True)  # one way: the answer does not come
        line.sendall(b"lost?")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(5)
        proxies.cut(1, 0, cut=False)
        line.settimeout(5)
        assert line.recv(5) == b"lost?"


def test_a_proxy_to_nobody_hangs_up() -> None:
    port, nobody = free_port(91), free_port(92)
    with (
        Proxies([Link(0, 1, port)], {1: nobody}, seed=1),
        socket.create_connection(("127.0.0.1", port), timeout=5) as line,
    ):
        assert line.recv(1) == b""


class Peers:
    """A network that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        self.sent.append(payload)
        return True

    def waiting_bytes(self, node_key: bytes, channel: Channel) -> int:
        return 0


def lies(behaviour: str, message: object) -> list[object]:
    """Return what a liar sends in place of its own message (those that are none as None)."""
    m = Machine(me=1)
    signer = UnscrupulousSigner(bytes(m.keys[1]), DOMAIN)
    peers = Peers()
    transport = transport_class(behaviour, lambda: signer, Alternatives())(peers)  # type: ignore[arg-type]
    transport.send(m.validators.keys[0], encode_message(message))  # type: ignore[arg-type]
    found: list[object] = []
    for payload in peers.sent:
        try:
            found.append(decode_message(payload, max_body_bytes=1 << 20))
        except Exception:  # garbage
            found.append(None)
    return found


def test_liars_lie() -> None:
    m = Machine(me=1)
    vote = m.vote(1, Phase.COMMIT)
    first, second = lies("equivocate", vote)
    assert first == vote
    assert isinstance(second, SignedVote)
    assert second.vote.block_hash != vote.vote.block_hash
    assert (second.vote.height, second.vote.view, second.vote.phase) == (5, 0, Phase.COMMIT)
    assert lies("silent", vote) == []
    claim = m.view_change(1, 2, m.certificate(Phase.PREPARE))
    (told,) = lies("lie", claim)
    assert isinstance(told, ViewChange)
    assert (told.prepared, told.vote.vote.block_hash) == (None, NO_BLOCK)
    assert None in lies("garbage", vote)
    assert len(lies("flood", vote)) > 20
    other = m.vote(2, Phase.COMMIT)
    assert lies("equivocate", other) == [other]  # it can speak for itself alone
    with pytest.raises(ValueError, match="expected one of equivocate"):
        transport_class(
            "tease", lambda: UnscrupulousSigner(bytes(SigningKey.generate()), Domain(1, bytes(32))), Alternatives()
        )
    assert len(BEHAVIOURS) == 7


class Mailboxes(Peers):
    """A network that keeps what is sent by who gets it."""

    def __init__(self) -> None:
        super().__init__()
        self.by_peer: dict[bytes, list[object]] = {}

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        self.by_peer.setdefault(node_key, []).append(decode_message(payload, max_body_bytes=1 << 20))
        return True


def test_who_splits_tells_each_half_another_valid_block_and_votes_for_both() -> None:
    m = Machine(me=1)
    signer, boxes, alternatives = UnscrupulousSigner(bytes(m.keys[1]), DOMAIN), Mailboxes(), Alternatives()
    transport = transport_class("split", lambda: signer, alternatives)(boxes)  # type: ignore[arg-type]
    alternatives.keep(BLOCK, OTHER, OTHER_BODY)
    first, second = m.validators.keys[0], m.validators.keys[2]
    proposal = m.proposal()
    for message in (proposal, m.vote(1, Phase.PREPARE), m.vote(2, Phase.PREPARE)):
        for peer in (first, second):
            transport.send(peer, encode_message(message))
    assert boxes.by_peer[first] == [proposal, m.vote(1, Phase.PREPARE), m.vote(2, Phase.PREPARE)]
    other = signer.sign(replace(proposal.vote.vote, block_hash=OTHER))
    prepared = signer.sign(replace(m.vote(1, Phase.PREPARE).vote, block_hash=OTHER))
    assert boxes.by_peer[second] == [Proposal(other, OTHER_BODY), prepared, m.vote(2, Phase.PREPARE)]


def test_without_a_second_block_a_split_vote_names_one_that_nobody_has() -> None:
    m = Machine(me=1)
    signer, boxes = UnscrupulousSigner(bytes(m.keys[1]), DOMAIN), Mailboxes()
    transport = transport_class("split", lambda: signer, Alternatives())(boxes)  # type: ignore[arg-type]
    for peer in (m.validators.keys[0], m.validators.keys[2]):
        for message in (m.proposal(), m.vote(1, Phase.COMMIT)):
            transport.send(peer, encode_message(message))
    (_, honest), (proposal, lie) = boxes.by_peer.values()
    assert (proposal, honest) == (m.proposal(), m.vote(1, Phase.COMMIT))
    assert isinstance(lie, SignedVote)
    assert lie.vote.block_hash not in (BLOCK, OTHER)


def judged(tmp_path: Path, advances: list[tuple[float, int]], text: str = GOOD) -> list[str]:
    """Return what a run finds wrong with these heights at these times."""
    manifest = replace(load_manifest(written(tmp_path, text)), byzantine={})
    run = Perturbed(manifest, load_scenario(find_scenario("street")), tmp_path, 8745, Console(file=io.StringIO()))
    run._seen.advances = advances
    run._check_gaps()
    return run._seen.offences


def test_a_chain_that_stands_with_at_most_f_faulty_or_grows_with_more_is_an_offence(tmp_path: Path) -> None:
    steady = [(float(second), second) for second in range(60) if not 12 <= second < 30]
    assert judged(tmp_path, steady) == []  # two of four are down from 10 s to 30 s
    grown = judged(tmp_path, [(float(second), second) for second in range(60)])
    assert len(grown) == 1
    assert "grew at" in grown[0]
    longer = GOOD.replace("duration_s = 60", "duration_s = 200")
    (gap,) = judged(tmp_path, [(1.0, 1)], longer)
    assert f"no height for {200 - 30:.1f} s" in gap
    assert GAP_BOUND_S < 170


def test_two_blocks_of_one_height_are_a_fork(tmp_path: Path) -> None:
    run = Perturbed(
        load_manifest(written(tmp_path, GOOD)),
        load_scenario(find_scenario("street")),
        tmp_path,
        8745,
        Console(file=io.StringIO()),
    )
    run._compare(0, 7, "0xaa")
    run._compare(1, 7, "0xaa")
    assert run._seen.offences == []
    run._compare(2, 7, "0xbb")
    assert run._seen.offences == ["fork: node 2 has 0xbb at height 7, another 0xaa"]
