"""The core while it is far behind: ranges to come are asked for while one is applied, within bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak

from consensus import sync
from consensus.actions import Action, Send
from consensus.certificates import assemble
from consensus.codec import MAX_BLOCKS
from consensus.inputs import Committed
from consensus.messages import BlocksRequest, CertifiedBlock, Status
from consensus.sync import AHEAD_RANGES
from consensus.types import Height, Phase, View
from tests.consensus.machine import Machine

PEER = 1
FIRST = 5


def block(machine: Machine, height: int, size: int = 0) -> CertifiedBlock:
    """Return a block that a quorum certified."""
    body = b"block of height %d" % height + bytes(size)
    votes = [machine.vote(who, Phase.COMMIT, block=keccak(body), height=height) for who in (1, 2, 3)]
    return CertifiedBlock(body, assemble(votes))


def behind(machine: Machine, peer_height: int = 1_000) -> list[BlocksRequest]:
    """Let a peer be far ahead; return what is asked."""
    return asked(machine.hear(PEER, Status(Height(peer_height), View(0), True, False, 0, 0, 0)))


def asked(actions: list[Action]) -> list[BlocksRequest]:
    """Return the requests for blocks among actions."""
    return [each.message for each in actions if isinstance(each, Send) and isinstance(each.message, BlocksRequest)]


def commit(machine: Machine) -> list[BlocksRequest]:
    """Commit the block at hand; return what is asked then."""
    certificate = machine.state.certificate
    assert certificate is not None
    event = Committed(machine.state.height, certificate.block_hash, machine.validators, False)
    return asked(machine.feed(event))


def test_ranges_to_come_are_asked_for_one_after_the_other() -> None:
    machine = Machine()
    assert behind(machine) == [BlocksRequest(Height(FIRST), MAX_BLOCKS)]
    delivered = FIRST
    requests = {}
    for height in range(FIRST, FIRST + 3 * MAX_BLOCKS):
        while delivered < FIRST + (AHEAD_RANGES + 1) * MAX_BLOCKS:
            machine.hear(PEER, block(machine, delivered))
            delivered += 1
        found = commit(machine)
        if found:
            requests[height + 1] = [int(each.height) for each in found]
    base = FIRST + MAX_BLOCKS
    assert requests[FIRST + 1] == [base, base + MAX_BLOCKS]
    assert requests[FIRST + MAX_BLOCKS + 1] == [FIRST + 3 * MAX_BLOCKS]
    assert requests[FIRST + 2 * MAX_BLOCKS + 1] == [FIRST + 4 * MAX_BLOCKS]
    assert machine.state.height == FIRST + 3 * MAX_BLOCKS
    assert requests.pop(FIRST + 3 * MAX_BLOCKS) == [FIRST + 3 * MAX_BLOCKS]  # nothing is at hand any more
    assert len(requests) == 3


def test_large_blocks_are_asked_for_a_range_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "ASKED_ON_BYTES", 10_000)
    machine = Machine()
    behind(machine)
    size = 2_000
    for height in range(FIRST, FIRST + 8):
        machine.hear(PEER, block(machine, height, size if height > FIRST else 0))
    assert commit(machine) == []


def test_no_more_is_kept_than_was_asked_for_and_from_nobody_else() -> None:
    machine = Machine()
    behind(machine)
    far = FIRST + (AHEAD_RANGES + 1) * MAX_BLOCKS
    machine.hear(PEER, block(machine, far))
    machine.hear(2, block(machine, FIRST + 1))
    assert not machine.state.fetched
    machine.hear(PEER, block(machine, far - 1))
    assert set(machine.state.fetched) == {far - 1}


def test_blocks_that_the_node_fetched_itself_come_under_its_own_key() -> None:
    machine = Machine()
    own = machine.me
    machine.hear(own, block(machine, FIRST + 1))
    machine.hear(own, block(machine, FIRST))
    commit(machine)
    assert machine.state.certificate is not None
    false = replace(block(machine, FIRST + 2), body=b"another")
    machine.hear(own, false)
    commit(machine)
    assert machine.state.certificate is None  # its turn has come, and it does not hold
    assert machine.state.height == FIRST + 2
