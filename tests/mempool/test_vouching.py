"""The pool when members change their minds about accounts that have transactions waiting."""

from __future__ import annotations

from contracts.layout import vouching_member
from node.chain.transaction import Transaction, decode_transaction
from node.mempool import Mempool
from node.rules import Rules
from tests.execution.signing import signed
from tests.execution.states import DictState, Holding, header_at
from tests.node.samples import account_key, address_of

CLOSED = Rules(version=1, chain_id=2016)
KEY = account_key("account")
SENDER = address_of(KEY)
HEAD = header_at(0, 0)
FIRST, SECOND = b"\xa1" * 20, b"\xa2" * 20


class Vouched(DictState):
    """A state whose consortium is told who vouches for the one account."""

    def __init__(self, member: bytes | None, nonce: int = 0) -> None:
        super().__init__({SENDER: Holding(balance=10**18, nonce=nonce)})
        self._member = member

    def storage(self, address: bytes, slot: int) -> int:
        """Return the voucher in the slots that are asked for: who vouches, and whether it is a member."""
        asked: list[int] = []
        member = int.from_bytes(self._member or b"", "big")

        def note(_: bytes, place: int) -> int:
            asked.append(place)
            return member

        vouching_member(note, SENDER)
        return member if slot in asked else 0


def transaction(nonce: int) -> Transaction:
    return decode_transaction(signed(KEY, 2, nonce=nonce), 2016)


def test_the_state_says_who_vouches() -> None:
    assert vouching_member(Vouched(FIRST).storage, SENDER) == FIRST
    assert vouching_member(Vouched(None).storage, SENDER) is None


ORPHANED = "the sender is noted under the new member alone, and what waits under the old one is looked for there"


def test_what_waits_commits_after_another_member_vouches() -> None:
    pool = Mempool()
    waiting, later = transaction(0), transaction(1)
    pool.add(waiting, Vouched(FIRST), CLOSED, HEAD)
    pool.add(later, Vouched(SECOND), CLOSED, HEAD)
    pool.commit([waiting], Vouched(SECOND, nonce=1), HEAD)
    assert list(pool.executable(Vouched(SECOND, nonce=1), HEAD)) == [later]


def test_what_waits_is_executable_after_another_member_vouches() -> None:
    pool = Mempool()
    waiting, later = transaction(0), transaction(1)
    pool.add(waiting, Vouched(FIRST), CLOSED, HEAD)
    pool.add(later, Vouched(SECOND), CLOSED, HEAD)
    assert list(pool.executable(Vouched(SECOND), HEAD)) == [waiting, later]


def test_nobody_vouches_any_more() -> None:
    pool = Mempool()
    pool.add(transaction(0), Vouched(FIRST), CLOSED, HEAD)
    pool.commit([], Vouched(None), HEAD)
    assert not pool.has_executable(Vouched(None), HEAD)
