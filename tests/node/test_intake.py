"""What comes into the pool, and what wrong proofs cost a node: little, and not its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import rlp

from node import anonymity
from node.anonymity import InvalidProof
from node.chain.transaction import Transaction
from node.intake import CLIENTS_A_SECOND, CLIENTS_BURST_S, PEER_A_SECOND, Intake, TooManyWrongProofs
from node.mempool import Mempool
from node.rules import Rules
from privacy import envelopes
from tests.execution.signing import signed
from tests.node.private_street import HEAD, Street
from tests.node.samples import account_key, address_of
from tests.privacy import envelopes as made

RULES = Rules(version=1, chain_id=made.CHAIN_ID)
KEY = account_key("session")
NAMED = signed(KEY, 2, gas=60_000)
TRANSFER = made.signed_transfer()
GOOD = [made.signed_transfer(((0, at), (1, at)), name="intake") for at in (10, 11)]
MOST = int(CLIENTS_A_SECOND * CLIENTS_BURST_S)
PEER, OTHER = b"\1" * 32, b"\2" * 32


def wrong(number: int) -> bytes:
    """Return a transfer of which all is right but its first proof; each number gives another."""
    fields = list(rlp.decode(TRANSFER[1:]))
    proofs = list(fields[-1])
    proofs[0] = proofs[0][:-31] + number.to_bytes(31, "big")
    return TRANSFER[:1] + bytes(rlp.encode([*fields[:-1], proofs]))


class Door:
    """An intake over a private street, at a second that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.mempool = Mempool()
        self.told: list[Transaction] = []
        state = Street(sessions={address_of(KEY): HEAD.timestamp + 1}).state()

        @contextmanager
        def read() -> Iterator[Any]:
            yield SimpleNamespace(state=state, head=HEAD, head_height=HEAD.number)

        store: Any = SimpleNamespace(read=read)
        self.intake = Intake(self.mempool, store, lambda _: RULES, lambda: self.now_s, self.told.append)

    def submit(self, raw: bytes) -> Transaction:
        return asyncio.run(self.intake.submit(raw))[0]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setattr(anonymity, "_proved", anonymity._Proved(anonymity.PROOFS_KEPT))
    return Door()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The key images of which proofs were checked."""
    found: list[bytes] = []
    real = envelopes.spend_holds

    def counted(members: Any, image: bytes, *rest: Any) -> bool:
        found.append(image)
        return real(members, image, *rest)

    monkeypatch.setattr(envelopes, "spend_holds", counted)
    return found


def test_a_client_has_an_allowance_of_wrong_proofs(door: Door, checks: list[bytes]) -> None:
    for number in range(MOST):
        with pytest.raises(InvalidProof, match="invalid CLSAG"):
            door.submit(wrong(number))
    assert len(checks) == MOST
    for raw in (wrong(MOST), GOOD[0], made.signed_call()):
        with pytest.raises(TooManyWrongProofs, match="too many wrong proofs: try again later"):
            door.submit(raw)
    assert len(checks) == MOST
    door.submit(NAMED)
    door.now_s += 1 / CLIENTS_A_SECOND
    door.submit(GOOD[0])
    door.submit(GOOD[1])  # right ones take nothing
    with pytest.raises(InvalidProof):
        door.submit(wrong(MOST))
    with pytest.raises(TooManyWrongProofs):
        door.submit(wrong(MOST + 1))
    assert [tx.raw for tx in door.told] == [NAMED, *GOOD]


def test_what_needs_no_proof_to_be_refused_costs_no_allowance(door: Door) -> None:
    twice = made.signed_transfer(((0, 3), (0, 3)))
    for _ in range(2 * MOST):
        with pytest.raises(Exception, match="one note spent twice"):
            door.submit(twice)
    door.submit(GOOD[0])


def test_between_two_proofs_of_clients_the_loop_has_its_turn(door: Door) -> None:
    """However many connections ask at once."""

    async def scenario() -> list[int]:
        turns, seen, done = 0, [], asyncio.Event()

        async def count() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        async def ask(number: int) -> None:
            with pytest.raises(InvalidProof):
                await door.intake.submit(wrong(number))
            seen.append(turns)

        counting = asyncio.create_task(count())
        await asyncio.gather(*(ask(number) for number in range(MOST)))
        done.set()
        await counting
        return seen

    seen = asyncio.run(scenario())
    assert len(set(seen)) == MOST


def test_a_peers_parcel_ends_at_its_first_wrong_proof(door: Door, checks: list[bytes]) -> None:
    taken = door.intake.receive(PEER, [GOOD[0], b"no transaction", wrong(0), wrong(1), GOOD[1]])
    assert (taken.raws, taken.work) == ([GOOD[0]], True)
    assert taken.offence == "invalid CLSAG: spend 0 is of no note of its bin"
    assert len(checks) == 3
    assert len(door.mempool) == 1


def test_a_peer_that_comes_back_after_a_wrong_proof_waits_with_the_next(door: Door, checks: list[bytes]) -> None:
    assert door.intake.receive(PEER, [wrong(0)]).offence
    again = door.intake.receive(PEER, [wrong(1), GOOD[0], NAMED])
    assert (again.raws, again.offence) == ([NAMED], "")
    assert len(checks) == 1
    assert door.intake.receive(OTHER, [GOOD[0]]).raws == [GOOD[0]]
    door.submit(GOOD[1])
    door.now_s += 1 / PEER_A_SECOND
    assert door.intake.receive(PEER, [wrong(2)]).offence


def test_what_is_known_or_stale_is_no_offence(door: Door) -> None:
    assert door.intake.receive(PEER, [GOOD[0]]).raws == [GOOD[0]]
    taken = door.intake.receive(PEER, [GOOD[0], made.signed_call(window=9), made.signed_transfer(amounts=(1, 2))])
    assert (taken.raws, taken.work, taken.offence) == ([], False, "")
