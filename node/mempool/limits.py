"""How much may wait: every member has a room of its own, and so has each session of the private market.

Nothing that others send ever takes the place of what waits there.
"""

from __future__ import annotations

from node.admission import Kind
from node.pool_config import MIB, PoolLimits

MAX_PER_SESSION = 64  # a session sends some ten transactions in all
MAX_BYTES_PER_SESSION = MIB
MAX_SESSIONS = 16_384  # transactions of all sessions together: 256 of them with full rooms
MAX_BYTES_OF_SESSIONS = 64 * MIB
MAX_ANONYMOUS = 256  # a ring's 64 members have one call each in two windows
MAX_SHIELDED = 1_024  # several transfers a member
MAX_PRIVATE_BYTES = 16 * 1024  # of one without an account: a large ring's offer has 3 kB, a transfer 4 kB
WITHOUT_ACCOUNT = (Kind.ANONYMOUS, Kind.SHIELDED)

Bound = tuple[int, int]
"""Transactions, and their bytes."""

BOUNDS: dict[Kind, Bound] = {
    Kind.SESSION: (MAX_PER_SESSION, MAX_BYTES_PER_SESSION),
    Kind.ANONYMOUS: (MAX_ANONYMOUS, MAX_ANONYMOUS * MAX_PRIVATE_BYTES),
    Kind.SHIELDED: (MAX_SHIELDED, MAX_SHIELDED * MAX_PRIVATE_BYTES),
}
"""The rooms of those who are no member and no open account."""


def room_bound(limits: PoolLimits, kind: Kind, members: int) -> Bound:
    """Return the bound of one sponsor's room in a consortium of so many members."""
    if kind in BOUNDS:
        return BOUNDS[kind]
    parts = max(members, 1)
    return min(limits.member_slots, limits.global_slots // parts), min(
        limits.member_bytes, limits.global_bytes // parts
    )
