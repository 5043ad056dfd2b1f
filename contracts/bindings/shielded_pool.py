"""ShieldedPool: fiat notes, made by deposits, spent without a name, paid out by the private market."""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Event, Interface, View, one
from contracts.bindings.meter_registry import Schedule, WindowTime
from contracts.system import SHIELDED_POOL


@dataclass(frozen=True, slots=True)
class Deposited(Event):
    """An account put `amount` micro-euro in."""

    account: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class NoteMade(Event):
    """A note was made: all of it but its proof, 206 bytes; it is in bin index // 16, at index % 16."""

    index: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Spent(Event):
    """Two notes were spent: their key images, 33 bytes each."""

    images: bytes


@dataclass(frozen=True, slots=True)
class Withdrawn(Event):
    """`amount` micro-euro went from notes to an account."""

    recipient: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class BinClosed(Event):
    """A bin is full: its notes can be spent; `bin` is the data contract that has them."""

    number: int
    bin: bytes


@dataclass(frozen=True, slots=True)
class Released(Event):
    """The market paid an account `amount` micro-euro out of what was locked."""

    to: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Collected(Event):
    """The market took `amount` micro-euro of an account in."""

    from_: bytes
    amount: int


INTERFACE = Interface(
    "ShieldedPool", SHIELDED_POOL, (Deposited, NoteMade, Spent, Withdrawn, BinClosed, Released, Collected)
)


def deposit(amount: int, notes: bytes, range_proof: bytes) -> bytes:
    """Turn `amount` micro-euro of the sender, which the pool may take, into notes of 334 bytes, at most two in a bin.

    `range_proof` is of 64 bits, over the notes' commitments, for `deposit_message`.
    """
    return INTERFACE.call("deposit", amount, notes, range_proof)


def spend(
    spends: bytes,
    notes: bytes,
    lock: bytes = b"",
    session: bytes = bytes(20),
    window: int = 0,
    withdrawal: int = 0,
    recipient: bytes = bytes(20),
) -> bytes:
    """Spend two notes, make two; the calldata of a transaction without an account (0x6f).

    Args:
        spends: 140 bytes (`privacy.notes.spends_to_bytes`).
        notes: 668 bytes.
        lock: empty or 227 bytes: the budget of `session` in `window`, which are zero without it.
        session: 20 bytes.
        window: which the session is for.
        withdrawal: micro-euro for `recipient`, or both zero.
        recipient: 20 bytes.
    """
    return INTERFACE.call("spend", spends, notes, lock, session, window, withdrawal, recipient)


def pay_out(note: bytes) -> bytes:
    """Make a note (206 bytes) of what was locked; sent by the private market."""
    return INTERFACE.call("payOut", note)


def release(amount: int, to: bytes) -> bytes:
    """Pay an account out of what was locked; sent by the private market."""
    return INTERFACE.call("release", amount, to)


def collect(amount: int, from_: bytes) -> bytes:
    """Take money of an account in; sent by the private market."""
    return INTERFACE.call("collect", amount, from_)


def balance() -> View[int]:
    """The micro-euro that notes and locks add up to."""
    return INTERFACE.view(one, "balance")


def note_count() -> View[int]:
    """How many notes were made."""
    return INTERFACE.view(one, "noteCount")


def bin(number: int) -> View[bytes]:
    """The notes of a closed bin: 16 times key and commitment, 33 bytes each."""
    return INTERFACE.view(one, "bin", number)


def bin_count() -> View[int]:
    """How many bins are closed."""
    return INTERFACE.view(one, "binCount")


def open_bin() -> View[bytes]:
    """The notes that wait for their bin to be full: key and commitment of each."""
    return INTERFACE.view(one, "openBin")


def is_spent(image: bytes) -> View[bool]:
    """Whether the note with this key image is spent."""
    return INTERFACE.view(one, "isSpent", image)


def deposits_left(account: bytes) -> View[int]:
    """How many notes of the open bin an account may still deposit."""
    return INTERFACE.view(one, "depositsLeft", account)


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def note_message(chain_id: int, key: bytes) -> bytes:
    """Return what the proof of the note with this key (33 bytes) is bound to."""
    return _bound("gridpact/note/v1", chain_id, ("bytes", key))


def lock_message(chain_id: int, session: bytes, window: int) -> bytes:
    """Return what the proof of a session's lock is bound to."""
    return _bound("gridpact/lock/v1", chain_id, ("address", session), ("uint64", window))


def deposit_message(chain_id: int, account: bytes, notes: bytes) -> bytes:
    """Return what the range proof of an account's deposit of these notes is bound to."""
    return _bound("gridpact/deposit/v1", chain_id, ("address", account), ("bytes32", keccak(notes)))


def _bound(label: str, chain_id: int, *parts: tuple[str, object]) -> bytes:
    rows = [("string", label), ("uint256", chain_id), ("address", SHIELDED_POOL), *parts]
    return bytes(keccak(encode([kind for kind, _ in rows], [value for _, value in rows])))
