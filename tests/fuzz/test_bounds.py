"""What one validator may make another keep: a flood of well-signed messages of every kind meets a bound."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from consensus.actions import Broadcast, Send
from consensus.codec import encode_message
from consensus.inputs import Timer, TimerFired, TimerKind
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Message,
    Recall,
    Recalled,
    Status,
)
from consensus.state import MAX_AHEAD_MESSAGES, MAX_BODIES, VIEW_HORIZON, State
from consensus.types import Epoch, Height, Phase, View, Vote
from tests.consensus.machine import MAX_BODY_BYTES, Machine

FLOOD = 600
LIAR = 3
VIEWS = 2 * VIEW_HORIZON + 1


def _hash(rng: random.Random) -> bytes:
    return rng.randbytes(32)


def proposals(m: Machine, rng: random.Random) -> Iterator[Message]:
    """Proposals by the liar, in every view that it leads and others, each with another body."""
    while True:
        yield m.proposal(view=rng.randrange(40), body=rng.randbytes(1_000), who=LIAR)


def votes(m: Machine, rng: random.Random) -> Iterator[Message]:
    """Votes for anything, anywhere."""
    while True:
        phase = rng.choice((Phase.PROPOSE, Phase.PREPARE, Phase.COMMIT))
        at, view = Height(rng.choice((4, 5, 6, 7, 2**40))), View(rng.choice((0, 1, rng.randrange(2**32))))
        yield m.sign(LIAR, Vote(Epoch(rng.choice((0, 1))), at, view, phase, _hash(rng)))


def view_changes(m: Machine, rng: random.Random) -> Iterator[Message]:
    """View changes to ever higher views, with and without claims."""
    view = 1
    while True:
        view += rng.randrange(1, 2**20)
        claim = m.certificate(Phase.PREPARE, view=rng.randrange(3), block=_hash(rng)) if rng.random() < 0.3 else None
        yield m.view_change(LIAR, view, claim)


def new_views(m: Machine, rng: random.Random) -> Iterator[Message]:
    """New views of the liar's own view changes, and of too few."""
    while True:
        made = m.new_view(rng.randrange(1, 50), *[])
        yield replace(made, departures=made.departures[: rng.randrange(3)], view=View(rng.randrange(2**32)))


def statuses(m: Machine, rng: random.Random) -> Iterator[Message]:
    """Statuses that lack everything or claim the moon."""
    while True:
        masks = [rng.choice((0, 2**128 - 1, rng.getrandbits(128))) for _ in range(3)]
        height, view = Height(rng.choice((1, 5, 2**47))), View(rng.choice((0, 1, 2**31)))
        yield Status(height, view, rng.random() < 0.5, rng.random() < 0.5, *masks)


def requests(m: Machine, rng: random.Random) -> Iterator[Message]:
    """Requests for blocks and bodies, and answers that nobody asked for."""
    certificate = m.certificate(Phase.COMMIT)
    while True:
        height = Height(rng.choice((0, 4, 5, 6, 2**47)))
        yield rng.choice(
            (
                BlocksRequest(height, 16),
                BodyRequest(height, _hash(rng)),
                Body(height, rng.randbytes(1_000)),
                CertifiedBlock(rng.randbytes(1_000), replace(certificate, height=height, block_hash=_hash(rng))),
                Recall(),
                Recalled(height, tuple(m.vote(0, Phase.PREPARE, block=_hash(rng)) for _ in range(3))),
            )
        )


KINDS: dict[str, Callable[[Machine, random.Random], Iterator[Message]]] = {
    kind.__name__: kind for kind in (proposals, votes, view_changes, new_views, statuses, requests)
}


def check_bounds(state: State) -> None:
    """Hold every collection of the state against its bound."""
    n = state.validators.size
    assert len(state.votes) <= 3 * VIEWS
    assert all(len(held) <= n for held in state.votes.values())
    assert len(state.view_changes) <= n
    assert len(state.bodies) <= MAX_BODIES + 3
    assert len(state.valid) <= len(state.bodies) + MAX_BODIES
    assert len(state.accused) <= 4 * VIEWS * n
    assert len(state.heights) <= n
    assert len(state.lacking) <= n
    assert len(state.recalled) <= n
    assert sum(len(block.body) for _, block in state.fetched.values()) <= 3 * MAX_BODY_BYTES
    kept = [len(messages) for messages in state.ahead._messages.values()]
    assert all(each <= MAX_AHEAD_MESSAGES for each in kept)
    assert len(kept) <= n


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("me", [0, 1], ids=["backup", "leader"])
def test_a_flood_by_one_validator_is_kept_within_bounds(kind: str, me: int) -> None:
    m, rng = Machine(me=me), random.Random(7)
    messages = KINDS[kind](m, rng)
    sent = heard = 0
    for number, message in zip(range(FLOOD), messages, strict=False):
        heard += len(encode_message(message))
        for action in m.hear(LIAR, message):
            if isinstance(action, Send | Broadcast):
                sent += len(encode_message(action.message))
        if number % 100 == 99:
            m.feed(TimerFired(Timer(TimerKind.STATUS, m.state.height, m.state.view)))
        check_bounds(m.state)
    assert m.state.height == 5
    assert sent < 40 * heard  # one's flood is not made into a far larger one


def test_after_all_floods_together_a_block_is_still_decided() -> None:
    m, rng = Machine(), random.Random(11)
    for kind in KINDS.values():
        for _, message in zip(range(100), kind(m, rng), strict=False):
            m.hear(LIAR, message)
    certificate = m.certificate(Phase.COMMIT)
    actions = m.hear(1, CertifiedBlock(b"block of height 5", certificate))
    assert any(type(action).__name__ == "CommitBlock" for action in actions)
