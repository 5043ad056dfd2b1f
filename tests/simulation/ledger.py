"""A toy application for the simulated cluster: blocks are lists of transactions, and nothing is executed.

A body holds a number that no other body holds, so that a block that is built anew differs from one proposed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_hash.auto import keccak

from consensus.types import Epoch, ValidatorSet

MAGIC = b"toy1"
FORBIDDEN = b"forbidden"
NO_PARENT = bytes(32)


def hash_of_body(body: bytes) -> bytes | None:
    """Return the hash of a whole body; None if it is no toy block."""
    return keccak(body) if body.startswith(MAGIC) else None


@dataclass
class Database:
    """What survives a crash: committed blocks with their certificates."""

    blocks: list[tuple[bytes, bytes]] = field(default_factory=list)
    built: int = 0


class Ledger:
    """Builds, checks and commits toy blocks; the height of the first is 1."""

    def __init__(self, database: Database, keys: tuple[bytes, ...], maker: int) -> None:
        self._database = database
        self._keys = keys
        self._maker = maker
        self._pool: dict[bytes, None] = {}
        self.executions: list[tuple[int, bytes]] = []

    @property
    def head_height(self) -> int:
        """The committed height."""
        return len(self._database.blocks)

    @property
    def committed(self) -> list[bytes]:
        """All committed transactions in order."""
        return [tx for body, _ in self._database.blocks for tx in _transactions(body)]

    def validators(self) -> ValidatorSet:
        """The validators of the next height."""
        return ValidatorSet(Epoch(0), self._keys)

    def submit(self, transaction: bytes) -> None:
        """Take a transaction into the pool unless it is committed."""
        if transaction not in self.committed:
            self._pool[transaction] = None

    def pending(self) -> list[bytes]:
        """Transactions that wait."""
        done = set(self.committed)
        return [tx for tx in self._pool if tx not in done]

    def build(self) -> tuple[bytes, bytes]:
        """Return (hash, body) of a new block over the head."""
        self._database.built += 1
        parent = self._parent()
        head = MAGIC + self._maker.to_bytes(2, "big") + self._database.built.to_bytes(4, "big") + parent
        body = head + b"".join(len(tx).to_bytes(2, "big") + tx for tx in self.pending())
        return keccak(body), body

    def execute(self, body: bytes) -> str | None:
        """Return why a block is invalid over the head; None if it is valid."""
        self.executions.append((self.head_height + 1, keccak(body)))
        if body[10:42] != self._parent():
            return "not a child of the head"
        if FORBIDDEN in _transactions(body):
            return "a forbidden transaction"
        return None

    def commit(self, body: bytes, certificate: bytes) -> None:
        """Add a block; durable on return."""
        if body[10:42] != self._parent():
            raise AssertionError("a certified block that does not follow the head")
        self._database.blocks.append((body, certificate))

    def holds(self, transaction: bytes) -> bool:
        """Whether a transaction is committed."""
        return any(transaction in body for body, _ in self._database.blocks)

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, certificate) of a committed height."""
        return self._database.blocks[height - 1] if 1 <= height <= self.head_height else None

    def _parent(self) -> bytes:
        return keccak(self._database.blocks[-1][0]) if self._database.blocks else NO_PARENT


def _transactions(body: bytes) -> list[bytes]:
    found, at = [], 42
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        found.append(body[at + 2 : at + 2 + size])
        at += 2 + size
    return found
