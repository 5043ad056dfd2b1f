"""What the driver needs of the world. Every port is synchronous and must not block for long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from consensus.inputs import Timer, TimerKind
from consensus.types import SignedVote, Vote


class Clock(Protocol):
    """Timers. When one runs out, the shell hands `TimerFired(timer)` to the driver."""

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        """Start a timer, replacing the running one of the same kind."""

    def cancel(self, kind: TimerKind) -> None:
        """Stop the running timer of a kind; nothing happens if there is none."""


class Transport(Protocol):
    """Sends to validators; may lose. Never calls back into the driver."""

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Send to the validator with this node key."""

    def broadcast(self, payload: bytes) -> None:
        """Send to all other validators."""


class Log(Protocol):
    """The write-ahead log: batches of records that are durable when `append` returns."""

    def records(self) -> Sequence[bytes]:
        """Return the records found on opening, in order."""

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch, all of it or nothing, and return when it is durable."""

    def clear(self) -> None:
        """The records so far are no longer needed (their height is committed); they may be dropped now or later."""


class Signer(Protocol):
    """Holds the node key. It is given the fields of a vote, not bytes, so that it can refuse a contradiction."""

    @property
    def node_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""

    def restore(self, votes: Iterable[Vote]) -> None:
        """Remember votes that were signed before a restart."""

    def sign(self, vote: Vote) -> SignedVote:
        """Sign a vote.

        Raises:
            Contradiction: it contradicts a vote that was signed before.
            SignerAway: another process holds the key and does not answer.
        """


class Archive(Protocol):
    """Committed blocks, for peers that lag behind."""

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, encoded certificate) of a committed height; None if there is none."""


class TransactionSource(Protocol):
    """The pool, as compact proposals need it."""

    def __call__(self, transaction_hash: bytes, /) -> bytes | None:
        """Return the bytes of a waiting transaction by its hash; None if it is not there."""
