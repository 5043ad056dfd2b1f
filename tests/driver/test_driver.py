"""The driver by itself: what is durable before what leaves, and what peers may throw at it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from consensus.codec import decode_message, encode_certificate, encode_message
from consensus.inputs import Timer, TimerKind
from consensus.messages import BlocksRequest, CertifiedBlock, Proposal, Recalled, Status
from consensus.types import Epoch, Height, Phase, SignedVote, View, Vote
from node.driver import (
    BuildProposal,
    Driver,
    DriverConfig,
    ForwardWork,
    LocalSigner,
    MessageReceived,
    ProposalReady,
    Reject,
    WorkAvailable,
    WriteAheadLog,
)
from node.driver import driver as driver_module
from node.driver.wal import WriteAheadLogError
from tests.consensus.machine import BLOCK, BODY, DOMAIN, MAX_BODY_BYTES, Machine, hash_of_body
from tests.simulation.cluster import Cluster, NetworkModel

H, V0 = Height(5), View(0)


class World:
    """All ports, written down in the order in which they are called."""

    def __init__(self, me: int, size: int = 4, log: WriteAheadLog | None = None) -> None:
        self.calls: list[tuple[str, object]] = []
        self.blocks: dict[int, tuple[bytes, bytes]] = {}
        self.broken = False
        self.machine = Machine(size=size, me=me)
        self.key = self.machine.validators.keys[me]
        config = DriverConfig(DOMAIN, hash_of_body, MAX_BODY_BYTES)
        self.driver = Driver(
            config,
            height=5,
            validators=self.machine.validators,
            clock=self,
            transport=self,
            log=log or self,
            signer=LocalSigner(bytes(self.machine.keys[me]), DOMAIN),
            archive=self,
        )

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        self.calls.append(("schedule", timer.kind))

    def cancel(self, kind: TimerKind) -> None:
        self.calls.append(("cancel", kind))

    def send(self, node_key: bytes, payload: bytes) -> None:
        self.calls.append(("send", decode_message(payload, max_body_bytes=MAX_BODY_BYTES)))

    def broadcast(self, payload: bytes) -> None:
        self.calls.append(("broadcast", decode_message(payload, max_body_bytes=MAX_BODY_BYTES)))

    def records(self) -> Sequence[bytes]:
        return ()

    def append(self, batch: Iterable[bytes]) -> None:
        if self.broken:
            raise WriteAheadLogError(Path("wal"), "No space left on device", "room to write")
        self.calls.append(("append", len(list(batch))))

    def clear(self) -> None:
        self.calls.append(("clear", None))

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        return self.blocks.get(height)

    def begin(self) -> None:
        """Start, and let a quorum say that it holds no forgotten votes of ours."""
        self.driver.start()
        self.answer()

    def answer(self) -> None:
        """Let a quorum answer the question after a restart."""
        for who in (each for each in range(3) if self.machine.validators.keys[each] != self.key):
            answer = encode_message(Recalled(H, ()))
            self.driver.handle(MessageReceived(self.machine.validators.keys[who], answer))

    def names(self) -> list[str]:
        """Return the calls' names since the last time."""
        names = [name for name, _ in self.calls]
        self.calls.clear()
        return names


def test_one_write_for_all_records_of_an_event_before_anything_leaves() -> None:
    world = World(me=1)
    world.begin()
    assert world.driver.handle(WorkAvailable()) == [BuildProposal(H, V0)]
    world.names()
    assert world.driver.handle(ProposalReady(H, V0, BLOCK, BODY)) == []
    assert world.calls[0] == ("append", 3)  # body, PROPOSE and PREPARE
    assert world.names() == ["append", "broadcast", "broadcast"]


def test_nothing_leaves_when_the_log_cannot_be_written() -> None:
    world = World(me=1)
    world.begin()
    world.driver.handle(WorkAvailable())
    world.broken = True
    world.names()
    with pytest.raises(WriteAheadLogError, match="No space left"):
        world.driver.handle(ProposalReady(H, V0, BLOCK, BODY))
    assert world.names() == []


def test_a_backup_forwards_its_work_to_the_leader() -> None:
    world = World(me=0)
    world.begin()
    assert world.driver.handle(WorkAvailable()) == [ForwardWork(world.driver.leader)]
    assert world.driver.leader == world.machine.validators.keys[1]
    assert (world.driver.height, world.driver.view, world.driver.warning) == (5, 0, None)


def test_few_validators_come_with_a_warning() -> None:
    assert "tolerate no fault" in (World(me=0, size=3).driver.warning or "")


def test_a_peer_is_as_far_as_its_status_and_its_votes_say() -> None:
    world = World(me=0)
    peer = world.machine.validators.keys[1]

    def status(height: int) -> Status:
        return Status(Height(height), V0, True, False, 0, 0, 0)

    def vote(height: int) -> SignedVote:
        return world.machine.sign(1, Vote(Epoch(0), Height(height), V0, Phase.COMMIT, BLOCK))

    assert world.driver.height_of_peer(peer) is None
    for sent, height in ((status(5), 5), (vote(7), 7), (vote(6), 7), (status(4), 4), (vote(5), 5)):
        world.driver.handle(MessageReceived(peer, encode_message(sent)))
        assert world.driver.height_of_peer(peer) == height


def test_malformed_bytes_are_rejected_with_the_sender() -> None:
    world = World(me=0)
    sender = world.machine.validators.keys[2]
    assert world.driver.handle(MessageReceived(sender, b"\xff")) == [Reject(sender, "tag 255 is no message's")]


def test_serving_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(me=0)
    certificate = encode_certificate(world.machine.certificate(Phase.COMMIT))
    world.blocks = dict.fromkeys(range(1, 40), (b"x" * 100, certificate))

    def served(height: int, count: int) -> int:
        world.calls.clear()
        request = encode_message(BlocksRequest(Height(height), count))
        world.driver.handle(MessageReceived(world.machine.validators.keys[2], request))
        return len([call for _, call in world.calls if isinstance(call, CertifiedBlock)])

    assert (served(1, 3), served(1, 16), served(38, 16), served(50, 16)) == (3, 16, 2, 0)
    monkeypatch.setattr(driver_module, "SERVED_BYTES", 250)
    assert served(1, 16) == 3


def test_the_log_of_a_restart_is_read_back(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "wal", b"me")
    world = World(me=1, log=log)
    world.begin()
    world.driver.handle(WorkAvailable())
    world.driver.handle(ProposalReady(H, V0, BLOCK, BODY))
    log.close()
    again = World(me=1, log=WriteAheadLog(tmp_path / "wal", b"me"))
    again.driver.start()
    assert again.driver.abstaining
    assert not [message for name, message in again.calls if isinstance(message, Proposal)]
    again.answer()
    assert not again.driver.abstaining
    assert world.machine.proposal() in [message for name, message in again.calls if name == "broadcast"]


def test_altered_messages_neither_raise_nor_stop_anything() -> None:
    cluster = Cluster(seed=3, network=NetworkModel(delay_ms=(1, 100), loss=0.1))
    rng = random.Random(3)
    carry, payloads = cluster.transmit, []

    def altered(sender, receiver, payload):  # type: ignore[no-untyped-def]
        carry(sender, receiver, payload)
        payloads.append(payload)
        if rng.random() < 0.5:
            damaged = bytearray(rng.choice(payloads[-50:]))
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            receiver.handle(MessageReceived(rng.choice(cluster.nodes).key, bytes(damaged)))

    cluster.transmit = altered  # type: ignore[method-assign]
    cluster.start(0, 1, 2)
    for number in range(12):
        cluster.submit(b"tx %d" % number, 0, 1, 2)
        cluster.run_until(cluster.all_committed)
    cluster.check_ends()
    assert sum(len(node.rejections) for node in cluster.nodes) > 100


def test_absurd_statuses_are_harmless() -> None:
    cluster = Cluster()
    cluster.start()
    everything = 2**128 - 1
    for height in (0, 1, 2, 3, 2**48 - 1):
        for view in (0, 1, 2**32 - 1):
            absurd = Status(Height(height), View(view), True, True, everything, everything, everything)
            for node in cluster.nodes:
                node.handle(MessageReceived(cluster.nodes[3].key, encode_message(absurd)))
    for number in range(3):
        cluster.submit(b"tx %d" % number)
        cluster.run_until(cluster.all_committed)
    assert cluster.watch.views == {}
