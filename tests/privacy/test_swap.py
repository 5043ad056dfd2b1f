"""The swap test: two members with equal inputs exchange their keys, and the ledger of the window looks the same.

What a window puts on the chain is made twice from the same seed, as bytes, once with each of two eligible members' keys
in the other's place. Sizes, order, slots, destinations, gas, and the lengths of all parts are identical; and what
differs between the two runs differs as between two runs with other randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

import pytest
from eth_hash.auto import keccak
from nacl.public import PrivateKey as BoxKey

from agents.private.packets import Kind, Relay, draw_relays, seal_packet
from node.admission import intrinsic_gas
from node.chain.private import SignedCall, SignedTransfer
from node.chain.transaction import decode_transaction
from privacy import claims, notes, ring, stealth
from privacy.commitment import commit
from privacy.envelopes import AnonymousCall, RingRow, call_images, ring_to_code, sign_call, sign_transfer
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1
from tests.privacy.envelopes import (
    CHAIN_ID,
    MARKET,
    REGISTRY,
    WINDOW,
    own_spend,
    spend_data,
    spent_row,
    transfer_of,
)
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
MEMBERS, FIRST, SECOND = 8, 2, 5
SLOTS = 64
JOINT = G.multiply_generator(secret("swap joint"))


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of a window on the ledger, or on a wire.

    Args:
        slot: when it was sent.
        kind: what it is.
        raw: its bytes.
        gas: the limit that it names and what is due before it runs, without its data's zeros; (0, 0) off the chain.
        to: whom it calls.
    """

    slot: int
    kind: str
    raw: bytes
    gas: tuple[int, int] = (0, 0)
    to: bytes = b""

    @property
    def shape(self) -> tuple[object, ...]:
        """What an observer can compare: everything but the bytes that are random."""
        return self.slot, self.kind, len(self.raw), self.gas, self.to


def member(index: int) -> tuple[Scalar, Scalar]:
    return secret(f"swap x {index}"), secret(f"swap k {index}")


@cache
def window(people: tuple[int, ...], run: str) -> tuple[Thing, ...]:
    """Return what a window shows if the members' accounts hold the keys of `people`; all inputs are equal.

    Every member calls with an offer in a slot that is drawn, pays from two notes, reports a delivery, and sends its
    packet through two relays. Slots and relays are drawn from one seed; `run` is all other randomness.
    """
    chance = Random(2016)
    keys = [member(person) for person in people]
    rows = tuple(RingRow(bytes((at + 1,)) * 20, *map(G.multiply_generator, each)) for at, each in enumerate(keys))
    readings = [secret(f"reading {person}") for person in people]
    relays = {
        row.account: Relay(row.account, bytes(BoxKey(row.account + bytes(12)).public_key), "tcp://h:1") for row in rows
    }
    delivered = commit(G, 500, secret("posted"))
    meters = [(row.key, row.trace, commit(G, 500, each)) for row, each in zip(rows, readings, strict=True)]
    found = []
    for at, own in enumerate(keys):
        raw = _call(rows, own, at, f"{run} {at}")
        call = decode_transaction(raw, CHAIN_ID)
        assert isinstance(call.private, SignedCall)
        found.append(Thing(chance.randrange(SLOTS), "call", raw, (call.gas_limit, _due(raw)), call.to or b""))
        raw = _transfer(people[at], f"{run} {at}")
        transfer = decode_transaction(raw, CHAIN_ID)
        assert isinstance(transfer.private, SignedTransfer)
        found.append(
            Thing(chance.randrange(SLOTS), "transfer", raw, (transfer.gas_limit, _due(raw)), transfer.to or b"")
        )
        said = claims.delivery_statement(meters, delivered, keccak(b"scope"), keccak(b"settle"))
        secrets = (*own, G.scalar(readings[at] - secret("posted")))
        proof = ring.sign(G, said, secrets, at, random_bytes(f"{run} {at}"))
        settled = claims.delivery_claim(meters, delivered, said.scope, said.message, proof)
        assert claims.ring_holds(settled)
        found.append(Thing(chance.randrange(SLOTS), "settlement", settled))
        packet = seal_packet(Kind.SUBMIT, raw, *draw_relays(relays, rows[at].account, chance))
        found.append(Thing(chance.randrange(SLOTS), "packet", packet))
    return tuple(sorted(found, key=lambda thing: (thing.slot, thing.kind)))


def _call(rows: tuple[RingRow, ...], own: tuple[Scalar, Scalar], at: int, run: str) -> bytes:
    offer = keccak(run.encode()) * 6  # session, contact key, side, tick: a fixed size
    bare = AnonymousCall(CHAIN_ID, WINDOW, keccak(ring_to_code(rows)), b"", b"", 40, 400_000, MARKET, offer)
    images = call_images(bare.scope(REGISTRY), own)
    call = AnonymousCall(CHAIN_ID, WINDOW, bare.ring_root, *images, 40, 400_000, MARKET, offer)
    return sign_call(call, REGISTRY, rows, own, at, random_bytes(run))


def _transfer(person: int, run: str) -> bytes:
    spends = [own_spend(bin_, person, run) for bin_ in (0, 1)]
    meta = stealth.MetaAddress(*(G.multiply_generator(secret(f"{key} {person}")) for key in ("spend", "view")))
    made = [
        notes.make_note(G, meta, 1_000, JOINT, lambda key: keccak(key), random_bytes(f"{run} {at}")) for at in (0, 1)
    ]
    rows = b"".join(spent_row(bin_, spend) for bin_, spend in enumerate(spends))
    transfer = transfer_of(data=spend_data(rows, b"".join(note.to_bytes(G) for note, _ in made)))
    openings = [(opening.amount, opening.blinding) for _, opening in made]
    return sign_transfer(transfer, spends, openings, random_bytes(run))


def _due(raw: bytes) -> int:
    """Return the gas due before a transaction runs, as if no byte of its data were zero: zeros come by chance."""
    tx = decode_transaction(raw, CHAIN_ID)
    return intrinsic_gas(tx) + 12 * tx.data.count(0)


def swapped() -> tuple[int, ...]:
    exchanged = {FIRST: SECOND, SECOND: FIRST}
    return tuple(exchanged.get(person, person) for person in range(MEMBERS))


def test_with_two_members_keys_exchanged_the_window_has_the_same_shape() -> None:
    straight, other = window(tuple(range(MEMBERS)), "one"), window(swapped(), "one")
    assert [thing.shape for thing in straight] == [thing.shape for thing in other]
    assert {thing.kind for thing in straight} == {"call", "transfer", "settlement", "packet"}
    again = window(tuple(range(MEMBERS)), "another")
    assert [thing.shape for thing in straight] == [thing.shape for thing in again]


def test_all_members_things_of_a_kind_have_one_shape() -> None:
    for kind in ("call", "transfer", "settlement", "packet"):
        shapes = {thing.shape[1:] for thing in window(swapped(), "one") if thing.kind == kind}
        assert len(shapes) == 1


def test_no_thing_is_the_same_in_both_runs_but_by_the_seed() -> None:
    """The same seed and keys give the same bytes on the chain; the swap changes every one of them."""
    people = tuple(range(MEMBERS))
    chain = [thing.raw for thing in window(people, "one") if thing.kind != "packet"]
    assert chain == [thing.raw for thing in window.__wrapped__(people, "one") if thing.kind != "packet"]
    exchanged = {thing.raw for thing in window(swapped(), "one") if thing.kind in ("call", "settlement")}
    assert not exchanged & set(chain)


@pytest.mark.parametrize("where", [FIRST, SECOND])
def test_a_shape_that_depends_on_the_member_would_show(where: int) -> None:
    """A member that says one byte more than others is seen: the comparison can fail."""
    straight = window(tuple(range(MEMBERS)), "one")
    longer = [Thing(t.slot, t.kind, t.raw + b"\0" * (at == where), t.gas, t.to) for at, t in enumerate(straight)]
    assert [thing.shape for thing in straight] != [thing.shape for thing in longer]
