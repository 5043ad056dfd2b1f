"""A toy application for the simulated cluster: blocks are lists of transactions, and nothing is executed.

Some transactions change the members, as the contract `Consortium` does: one change a block, later ones queue, and what
block h enacts acts at height h + 2. A body holds a number that no other body of its maker holds, so that a block that
is built anew differs from one proposed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from eth_hash.auto import keccak

from consensus.types import KEY_BYTES, Epoch, ValidatorSet
from node.driver.compact import BodyFormat

MAGIC = b"toy1"
HEAD_BYTES = 50  # magic 4, maker 2, number 4, parent 32, time in ms 8
FORBIDDEN = b"forbidden"
NO_PARENT = bytes(32)
TOLERANCE_MS = 1_500  # a voter refuses a block that is further ahead of its clock
ADMIT, REMOVE, ROTATE = b"+", b"-", b">"


def encode_body(maker: int, number: int, parent: bytes, time_ms: int, transactions: list[bytes]) -> bytes:
    """Return the body of a block."""
    head = MAGIC + maker.to_bytes(2, "big") + number.to_bytes(4, "big") + parent + time_ms.to_bytes(8, "big")
    return join(head, transactions)


@lru_cache(maxsize=4096)
def hash_of_body(body: bytes) -> bytes | None:
    """Return the hash of a whole body; None if it is no toy block."""
    return None if transactions_of(body) is None else keccak(body)


@lru_cache(maxsize=4096)
def transactions_of(body: bytes) -> tuple[bytes, ...] | None:
    """Return a block's transactions; None if the bytes are not exactly a block."""
    if len(body) < HEAD_BYTES or not body.startswith(MAGIC):
        return None
    found, at = [], HEAD_BYTES
    while at < len(body):
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        if end > len(body) or end - at < 3:
            return None
        found.append(body[at + 2 : end])
        at = end
    return tuple(found)


def split(body: bytes) -> tuple[bytes, tuple[bytes, ...]] | None:
    """Return (head, transactions) of a body; None if it is no block."""
    transactions = transactions_of(body)
    return None if transactions is None else (body[:HEAD_BYTES], transactions)


def join(head: bytes, transactions: Sequence[bytes]) -> bytes:
    """Return the body of which `split` gives these."""
    return head + b"".join(len(tx).to_bytes(2, "big") + tx for tx in transactions)


BODY_FORMAT = BodyFormat(split, join, keccak)


def admit(key: bytes) -> bytes:
    """Return the transaction that admits a member."""
    return ADMIT + key


def remove(key: bytes) -> bytes:
    """Return the transaction that removes a member."""
    return REMOVE + key


def rotate(old: bytes, new: bytes) -> bytes:
    """Return the transaction that gives a member another key."""
    return ROTATE + old + new


@dataclass(frozen=True)
class Street:
    """The members after a block, how often they have changed, and the changes that wait.

    Args:
        members: sorted keys.
        used: every key that is or was a member's; none comes back.
        smallest: removals below this number of members do nothing.
    """

    members: tuple[bytes, ...]
    used: frozenset[bytes]
    smallest: int
    changes: int = 0
    queue: tuple[bytes, ...] = ()

    def after(self, transactions: tuple[bytes, ...]) -> Street:
        """Return the street after a block: one change is enacted, the others wait."""
        waiting = [*self.queue, *(tx for tx in transactions if tx[:1] in (ADMIT, REMOVE, ROTATE))]
        for place, change in enumerate(waiting):
            members = self._changed(change)
            if members is not None:
                used = self.used | set(members)
                rest = tuple(waiting[place + 1 :])
                return replace(self, members=members, used=used, changes=self.changes + 1, queue=rest)
        return replace(self, queue=())

    def _changed(self, change: bytes) -> tuple[bytes, ...] | None:
        """Return the members after a change; None if it changes nothing."""
        kind, old, new = change[:1], change[1 : 1 + KEY_BYTES], change[1 + KEY_BYTES :]
        members = set(self.members)
        match kind:
            case b"+" if old not in self.used:
                members.add(old)
            case b"-" if old in members and len(members) > self.smallest:
                members.remove(old)
            case b">" if old in members and new not in self.used:
                members = members - {old} | {new}
            case _:
                return None
        return tuple(sorted(members))


@dataclass
class Database:
    """What survives a crash: committed blocks with their certificates, and what follows from them."""

    blocks: list[tuple[bytes, bytes]] = field(default_factory=list)
    streets: list[Street] = field(default_factory=list)  # after each height, from 0 on
    committed: dict[bytes, int] = field(default_factory=dict)  # the height of each transaction
    built: int = 0

    def cut(self, height: int) -> None:
        """Go back to what was there when `height` was the head."""
        del self.blocks[height:], self.streets[height + 1 :]
        self.committed = {tx: where for tx, where in self.committed.items() if where <= height}


class Ledger:
    """Builds, checks and commits toy blocks; the height of the first is 1.

    Args:
        database: of this node.
        genesis: the members at first.
        maker: a number that no other node has.
        clock_ms: this node's wall clock.
        smallest: there are never fewer members.
    """

    def __init__(
        self,
        database: Database,
        genesis: tuple[bytes, ...],
        maker: int,
        clock_ms: Callable[[], int] = lambda: 0,
        smallest: int = 1,
    ) -> None:
        self._database = database
        if not database.streets:
            database.streets.append(Street(tuple(sorted(genesis)), frozenset(genesis), smallest))
        self._maker = maker
        self._clock_ms = clock_ms
        self._pool: dict[bytes, None] = {}
        self.executions: list[tuple[int, bytes]] = []

    @property
    def head_height(self) -> int:
        """The committed height."""
        return len(self._database.blocks)

    @property
    def street(self) -> Street:
        """The members after the head, and the changes that wait."""
        return self._database.streets[-1]

    @property
    def unsettled(self) -> bool:
        """Whether an epoch change is pending, which is work for consensus."""
        return bool(self.street.queue) or self.street.members != self._acting().members

    def validators(self) -> ValidatorSet:
        """The validators of the next height."""
        acting = self._acting()
        return ValidatorSet(Epoch(acting.changes), acting.members)

    def trusted(self) -> frozenset[bytes]:
        """The keys whose connections are accepted: members, and those who vote on the next height."""
        return frozenset(self.street.members) | frozenset(self._acting().members)

    def _acting(self) -> Street:
        return self._database.streets[max(0, self.head_height - 1)]

    def submit(self, transaction: bytes) -> None:
        """Take a transaction into the pool unless it is committed."""
        if transaction not in self._database.committed:
            self._pool[transaction] = None

    def pending(self) -> list[bytes]:
        """Transactions that wait."""
        return list(self._pool)

    def transaction(self, transaction_hash: bytes) -> bytes | None:
        """Return a waiting transaction by its hash."""
        return next((tx for tx in self._pool if keccak(tx) == transaction_hash), None)

    def waiting(self) -> bool:
        """Whether there is anything to be decided."""
        return bool(self._pool) or self.unsettled

    def build(self) -> tuple[bytes, bytes]:
        """Return (hash, body) of a new block over the head."""
        self._database.built += 1
        time_ms = max(self._clock_ms(), self._parent_time_ms())
        body = encode_body(self._maker, self._database.built, self._parent(), time_ms, self.pending())
        return keccak(body), body

    def execute(self, body: bytes) -> str | None:
        """Return why a block is invalid over the head; None if it is valid. Only for voting: the clock has a say."""
        self.executions.append((self.head_height + 1, keccak(body)))
        time_ms = int.from_bytes(body[42:50], "big")
        if time_ms > self._clock_ms() + TOLERANCE_MS:
            return f"of {time_ms} ms, more than {TOLERANCE_MS} ms ahead of our clock"
        return self._refusal(body)

    def _refusal(self, body: bytes) -> str | None:
        """Return why no clock could make a block valid over the head."""
        transactions = transactions_of(body)
        if transactions is None:
            return "not a block"
        if body[10:42] != self._parent():
            return "not a child of the head"
        if int.from_bytes(body[42:50], "big") < self._parent_time_ms():
            return "older than its parent"
        if FORBIDDEN in transactions:
            return "a forbidden transaction"
        if len(set(transactions)) < len(transactions) or any(tx in self._database.committed for tx in transactions):
            return "a transaction twice"
        return None

    def commit(self, body: bytes, certificate: bytes) -> None:
        """Add a block; durable on return."""
        reason = self._refusal(body)
        if reason is not None:
            raise AssertionError(f"a certified block that is {reason}")
        transactions = transactions_of(body) or ()
        database = self._database
        database.blocks.append((body, certificate))
        database.streets.append(self.street.after(transactions))
        for tx in transactions:
            database.committed[tx] = self.head_height
            self._pool.pop(tx, None)

    def holds(self, transaction: bytes) -> bool:
        """Whether a transaction is committed."""
        return transaction in self._database.committed

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, certificate) of a committed height."""
        return self._database.blocks[height - 1] if 1 <= height <= self.head_height else None

    def _parent(self) -> bytes:
        return keccak(self._database.blocks[-1][0]) if self._database.blocks else NO_PARENT

    def _parent_time_ms(self) -> int:
        return int.from_bytes(self._database.blocks[-1][0][42:50], "big") if self._database.blocks else 0
