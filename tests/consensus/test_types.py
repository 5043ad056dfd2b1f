"""Quorums, leaders and the bytes that are signed."""

from __future__ import annotations

import struct
from itertools import combinations

import pytest

from consensus.types import Epoch, Height, Phase, SignedVote, ValidatorSet, View, Vote, signature_holds, vote_bytes
from tests.consensus.machine import BLOCK, DOMAIN, Machine, validator_set


@pytest.mark.parametrize("size", range(1, 21))
def test_two_quorums_share_an_honest_validator_and_the_honest_form_one(size: int) -> None:
    validators = validator_set(size)
    f, q = validators.faults, validators.quorum
    assert 3 * f < size <= 3 * f + 3
    assert 2 * q - size >= f + 1  # the smallest intersection of two quorums
    assert size - f >= q  # all honest validators together are a quorum: silence does not stop the chain
    assert 2 * (q - 1) - size < f + 1  # no smaller quorum would do


@pytest.mark.parametrize("size", range(1, 9))
def test_quorum_intersection_by_enumeration(size: int) -> None:
    validators = validator_set(size)
    quorums = [set(each) for each in combinations(range(size), validators.quorum)]
    assert all(len(a & b) > validators.faults for a in quorums for b in quorums)


def test_every_validator_leads_in_turn() -> None:
    validators = validator_set(4)
    assert [validators.leader(7, view) for view in range(4)] == [validators.keys[i] for i in (3, 0, 1, 2)]


def test_few_validators_are_warned_about() -> None:
    assert all("tolerate no fault" in (validator_set(size).warning or "") for size in (1, 2, 3))
    assert validator_set(4).warning is None


@pytest.mark.parametrize("keys", [(), (b"\x01" * 31,), (b"\x02" * 32, b"\x01" * 32), (b"\x01" * 32, b"\x01" * 32)])
def test_what_is_no_validator_set_is_refused(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError):
        ValidatorSet(Epoch(0), keys)


def test_vote_bytes_are_packed_as_a_contract_packs_them() -> None:
    vote = Vote(Epoch(1), Height(2), View(3), Phase.COMMIT, BLOCK)
    packed = struct.pack(">16sQ32sQQQB32s", b"gridpact/vote/v1", 2016, b"\x47" * 32, 1, 2, 3, 3, BLOCK)
    assert vote_bytes(DOMAIN, vote) == packed
    assert len(packed) == 113


def test_a_signature_binds_every_field_the_chain_and_the_signer() -> None:
    machine = Machine()
    signed = machine.vote(1, Phase.PREPARE)
    vote = signed.vote
    assert signature_holds(DOMAIN, signed)
    others = [
        Vote(Epoch(1), vote.height, vote.view, vote.phase, vote.block_hash),
        Vote(vote.epoch, Height(6), vote.view, vote.phase, vote.block_hash),
        Vote(vote.epoch, vote.height, View(1), vote.phase, vote.block_hash),
        Vote(vote.epoch, vote.height, vote.view, Phase.COMMIT, vote.block_hash),
        Vote(vote.epoch, vote.height, vote.view, vote.phase, bytes(32)),
    ]
    assert not any(signature_holds(DOMAIN, SignedVote(each, signed.signer, signed.signature)) for each in others)
    assert not signature_holds(type(DOMAIN)(2017, DOMAIN.genesis_hash), signed)
    assert not signature_holds(type(DOMAIN)(2016, bytes(32)), signed)
    assert not signature_holds(DOMAIN, SignedVote(vote, machine.validators.keys[2], signed.signature))
    assert not signature_holds(DOMAIN, SignedVote(vote, signed.signer, b"short"))
