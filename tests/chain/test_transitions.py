"""Epoch changes followed from the founders: each is certified by those before it, or the first false one is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from consensus.certificates import assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from node.chain import mmr
from node.chain.assembly import genesis_block
from node.chain.header import Header
from node.chain.record import NO_HEAD, RoundRecord
from node.chain.transitions import (
    InvalidTransition,
    Transition,
    check_round,
    decode_transition,
    follow,
    validators_hash,
)
from node.rules import Rules

DOMAIN = Domain(7, b"\x07" * 32)
KEYS = {bytes(key.verify_key): key for key in (SigningKey(bytes([n + 1]) * 32) for n in range(6))}
ALL = sorted(KEYS)
TEMPLATE = genesis_block(
    file_hash=bytes(32), timestamp=0, state_root=bytes(32), rules=Rules(1, 7), validators_hash=bytes(32)
).header


def certified(header: Header, epoch: int, keys: list[bytes]) -> bytes:
    """Return the certificate of a header by these validators."""
    vote = Vote(Epoch(epoch), Height(header.number), View(0), Phase.COMMIT, header.hash)
    message = vote_bytes(DOMAIN, vote)
    return encode_certificate(assemble([SignedVote(vote, key, KEYS[key].sign(message).signature) for key in keys]))


def change(
    height: int, epoch: int, before: list[bytes], after: list[bytes], by: list[bytes] | None = None
) -> Transition:
    """Return the last round of an epoch, signed by all of its validators (or by others)."""
    hashes = validators_hash(before), validators_hash(after)
    record = RoundRecord(1, epoch, *hashes, NO_HEAD, NO_HEAD, mmr.EMPTY.root)
    header = replace(TEMPLATE, number=height, extra_data=record.digest)
    return Transition(header, record, certified(header, epoch, by or before), tuple(sorted(after)))


STEPS = [
    change(5, 0, ALL[:4], ALL[:5]),
    change(6, 1, ALL[:5], ALL[1:5]),  # one height later already
    change(90, 2, ALL[1:5], ALL[2:5]),
]


def test_the_founders_lead_to_the_validators_of_today() -> None:
    assert follow(ALL[:4], [], DOMAIN).keys == tuple(ALL[:4])
    found = follow(ALL[:4], STEPS, DOMAIN)
    assert (found.epoch, found.keys) == (3, tuple(ALL[2:5]))
    assert [decode_transition(step.encode()) for step in STEPS] == STEPS
    last = change(91, 3, ALL[2:5], ALL[2:5])
    check_round(last.header, last.record, last.certificate, found, DOMAIN)


@pytest.mark.parametrize(
    ("place", "false", "reason"),
    [
        (0, change(5, 0, ALL[:4], ALL[:5], by=ALL[2:6]), "is no validator of epoch 0"),
        (0, change(5, 0, ALL[:4], ALL[:5], by=ALL[:2]), "expected a quorum of 3"),
        (0, change(5, 0, ALL[1:5], ALL[:5]), "the validators followed so far"),
        (0, change(5, 1, ALL[:4], ALL[:5]), "epoch 1, expected epoch 0"),
        (0, change(5, 0, ALL[:4], ALL[:4]), "the validators stay the same"),
        (0, replace(STEPS[0], keys=tuple(ALL[1:6])), "not those that the round record names"),
        (1, replace(STEPS[1], record=STEPS[0].record), "the round record is not the one"),
        (1, replace(STEPS[1], certificate=STEPS[0].certificate), "epoch 0, expected 1"),
        (1, replace(STEPS[1], certificate=STEPS[1].certificate[:-1]), "certificate: "),
        (1, STEPS[2], "epoch 2, expected epoch 1"),
    ],
)
def test_a_false_one_is_named(place: int, false: Transition, reason: str) -> None:
    with pytest.raises(InvalidTransition, match=reason) as caught:
        follow(ALL[:4], [*STEPS[:place], false, *STEPS[place + 1 :]], DOMAIN)
    assert caught.value.height == false.header.number


def test_one_left_out_is_found() -> None:
    with pytest.raises(InvalidTransition, match="height 6: epoch 1, expected epoch 0"):
        follow(ALL[:4], STEPS[1:], DOMAIN)


def test_a_certificate_of_another_block_is_refused() -> None:
    validators = follow(ALL[:4], [], DOMAIN)
    one, other = change(5, 0, ALL[:4], ALL[:4]), change(6, 0, ALL[:4], ALL[:4])
    with pytest.raises(InvalidTransition, match="for another block, of height 6"):
        check_round(one.header, one.record, other.certificate, validators, DOMAIN)
