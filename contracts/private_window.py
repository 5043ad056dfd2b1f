"""What the validity of transactions without an account rests on, read from storage and calldata.

Where the private window's contracts keep it is fixed by docs/private-window.md, so that no call is executed for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.layout import ReadStorage, array_slot, mapping_slot
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL

VERSIONS_SLOT, SCHEDULE_SLOT = 0, 1  # of PrivacyRegistry
BINS_SLOT, SPENT_SLOT = 0, 1  # of ShieldedPool
SESSIONS_SLOT: Final = 0  # of PrivateMarket
SPEND_TYPES: Final = ("bytes", "bytes", "bytes", "address", "uint64", "uint64", "address")
SPEND_SELECTOR: Final = keccak(f"spend({','.join(SPEND_TYPES)})".encode())[:4]
ZEROS: Final = (bytes(20), 0, 0, bytes(20))
SPENDS: Final = 2
POINT_BYTES, BIN_INDEX_BYTES = 33, 4
SPENT_BYTES: Final = BIN_INDEX_BYTES + 2 * POINT_BYTES  # bin ‖ key image ‖ pseudo-output
NOTE_BYTES, LOCK_BYTES = 334, 227
SPEND_CALL_BYTES: Final = tuple(
    4 + len(encode(SPEND_TYPES, (bytes(SPENDS * SPENT_BYTES), bytes(2 * NOTE_BYTES), bytes(lock), *ZEROS)))
    for lock in (0, LOCK_BYTES)
)
"""Of the calldata, without a lock and with one."""
_UINT64: Final = (1 << 64) - 1
_UINT32: Final = (1 << 32) - 1


def window_of(read_storage: ReadStorage, chain_second: int) -> int | None:
    """Return the window of a chain second, −1 for all time before window 0; None on a street that is not private."""
    packed = read_storage(PRIVACY_REGISTRY, SCHEDULE_SLOT)
    zero, length = packed & _UINT64, packed >> 64 & _UINT32
    return max(-1, (chain_second - zero) // length) if length else None


def ring_address(read_storage: ReadStorage, window: int) -> bytes | None:
    """Return the data contract (20 bytes) that holds the ring of a window; None if nobody is registered for it."""
    first = array_slot(VERSIONS_SLOT)
    for at in reversed(range(read_storage(PRIVACY_REGISTRY, VERSIONS_SLOT))):
        packed = read_storage(PRIVACY_REGISTRY, first + at)
        if packed & _UINT64 <= window:
            return (packed >> 64).to_bytes(24, "big")[-20:]
    return None


def session_until(read_storage: ReadStorage, account: bytes) -> int:
    """Return until which chain second an account sends as a session of the market; 0 if it is none."""
    return read_storage(PRIVATE_MARKET, mapping_slot(SESSIONS_SLOT, account)) & _UINT64


def bin_address(read_storage: ReadStorage, index: int) -> bytes | None:
    """Return the data contract (20 bytes) that holds a closed bin; None if it is not closed yet."""
    if index >= read_storage(SHIELDED_POOL, BINS_SLOT):
        return None
    return read_storage(SHIELDED_POOL, array_slot(BINS_SLOT) + index).to_bytes(32, "big")[-20:]


def is_spent(read_storage: ReadStorage, key_image: bytes) -> bool:
    """Return whether a note with this key image (33 bytes) was spent."""
    return bool(read_storage(SHIELDED_POOL, mapping_slot(SPENT_SLOT, keccak(key_image))))


@dataclass(frozen=True, slots=True)
class Spent:
    """What a transfer says of a note that it spends: the number of its bin; key image and pseudo-output, 33 bytes."""

    bin: int
    key_image: bytes
    pseudo_output: bytes


@dataclass(frozen=True, slots=True)
class SpendCall:
    """A `spend`, as far as its proofs are about it.

    Args:
        spends: two.
        commitments: of the new notes, and then of the lock if there is one, 33 bytes each.
        withdrawal: micro-euro that leave the pool.
    """

    spends: tuple[Spent, ...]
    commitments: tuple[bytes, ...]
    withdrawal: int


def decode_spend(data: bytes) -> SpendCall | None:
    """Return what calldata says, None unless it is the one encoding of a `spend` of two spends and two notes."""
    if len(data) not in SPEND_CALL_BYTES:
        return None
    try:
        values = decode(SPEND_TYPES, data[4:])
    except (DecodingError, OverflowError):
        return None
    if SPEND_SELECTOR + encode(SPEND_TYPES, values) != data:
        return None
    spends, notes, lock, withdrawal = *values[:3], values[5]
    if len(spends) != SPENDS * SPENT_BYTES or len(notes) != 2 * NOTE_BYTES or len(lock) not in (0, LOCK_BYTES):
        return None
    rows = [spends[at : at + SPENT_BYTES] for at in (0, SPENT_BYTES)]
    commitments = [note[POINT_BYTES : 2 * POINT_BYTES] for note in (notes, notes[NOTE_BYTES:])]
    return SpendCall(
        tuple(Spent(int.from_bytes(row[:4], "big"), row[4 : 4 + POINT_BYTES], row[-POINT_BYTES:]) for row in rows),
        (*commitments, lock[:POINT_BYTES]) if lock else tuple(commitments),
        withdrawal,
    )
