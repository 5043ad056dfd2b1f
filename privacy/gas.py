"""What checking a proof costs, about 30 gas a microsecond, as ecrecover: for contracts, and for transactions that carry
their proofs."""

from __future__ import annotations

from typing import Final

from privacy import claims
from privacy.envelopes import BIN_NOTES, RANGE_BITS, SPENDS

GAS_CLAIM: Final = 6_000
GAS_MEMBER: Final = {1: 4_500, 2: 5_500, 3: 7_000, claims.DELIVERED: 7_500}  # of a ring, by its number
GAS_NOTE_MEMBER: Final = 9_000  # its key is hashed to the curve, if nobody asked for it lately
GAS_EQUALITY: Final = {claims.POSSESSION: 6_000, claims.PART: 6_000, claims.SAME_AMOUNT: 12_000}
GAS_RANGE, GAS_RANGE_BIT = 30_000, 2_200
GAS_SUM, GAS_TERM, GAS_SCALAR = 2_000, 400, 1_000
GAS_HASH_TO_POINT: Final = 5_000


def call_gas(members: int) -> int:
    """Return what the proof of an anonymous call costs, before it runs, in a ring of so many members."""
    return GAS_CLAIM + GAS_MEMBER[2] * members


def transfer_gas(outputs: int) -> int:
    """Return what the proofs of a transfer cost, before it runs: two spends, and the range of notes and lock."""
    padded = 1 << (outputs - 1).bit_length()
    return SPENDS * (GAS_CLAIM + GAS_NOTE_MEMBER * BIN_NOTES) + GAS_RANGE + GAS_RANGE_BIT * RANGE_BITS * padded
