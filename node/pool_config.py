"""What an operator may set of the transaction pool. Names are go-ethereum's where it has the thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.parsing import Table, parse_hex

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What an operator may set, in `[pool]` of node.toml.

    Args:
        account_slots: how far a nonce may be ahead of the account's next, so also an account's executable transactions:
            what a busy account sends in a few blocks.
        account_queue: transactions of an account that cannot be executed yet.
        member_slots: transactions of all accounts that one member vouches for: several full blocks of transfers.
        member_bytes: the same in bytes.
        global_slots: transactions of all members together; each has an equal part, if that is less than `member_slots`.
        global_bytes: the same in bytes.
        price_bump: percent by which the prices of a replacement are higher.
        replace_free_s: seconds after which a transaction at price zero may be replaced by another at price zero.
        lifetime_s: seconds after which what cannot be executed is dropped; not what this node's own clients sent.
        journal: the file of what this node's own clients sent, in the data directory; empty: none.
        locals: accounts (20 bytes) that are this node's own wherever a transaction comes from.
        no_locals: what this node's own clients send is treated as what others send, and not journalled.
    """

    account_slots: int = 512
    account_queue: int = 256
    member_slots: int = 4_096
    member_bytes: int = 16 * MIB
    global_slots: int = 65_536
    global_bytes: int = 256 * MIB
    price_bump: int = 10
    replace_free_s: int = 10
    lifetime_s: int = 3 * 3_600
    journal: str = "pool.journal"
    locals: frozenset[bytes] = frozenset()
    no_locals: bool = False


def read_pool(pool: Table) -> PoolLimits:
    """Return what the table `[pool]` says.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    usual = PoolLimits()
    journal = pool.text("journal", usual.journal)
    if Path(journal).name != journal:
        raise pool.error("journal", f"a file name in the data directory, or nothing, found {journal!r}")
    return PoolLimits(
        account_slots=pool.integer("account_slots", 1, 1 << 16, usual.account_slots),
        account_queue=pool.integer("account_queue", 0, 1 << 16, usual.account_queue),
        member_slots=pool.integer("member_slots", 1, 1 << 20, usual.member_slots),
        member_bytes=pool.integer("member_mib", 1, 1 << 10, usual.member_bytes // MIB) * MIB,
        global_slots=pool.integer("global_slots", 1, 1 << 20, usual.global_slots),
        global_bytes=pool.integer("global_mib", 1, 1 << 14, usual.global_bytes // MIB) * MIB,
        price_bump=pool.integer("price_bump", 1, 1_000, usual.price_bump),
        replace_free_s=pool.integer("replace_free_s", 0, 86_400, usual.replace_free_s),
        lifetime_s=pool.integer("lifetime_s", 60, 1 << 31, usual.lifetime_s),
        journal=journal,
        locals=frozenset(
            parse_hex(each, 20, lambda: pool.error("locals", "a list of accounts, each 0x and 40 hexadecimal digits"))
            for each in pool.strings("locals", [])
        ),
        no_locals=pool.flag("no_locals", usual.no_locals),
    )
