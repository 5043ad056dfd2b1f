"""The transaction pool: queues by sender and slot, shares by vouching member.

Gas is free, so room is what has to be shared: the pool is bounded for each member, however many accounts it vouches
for, and the leader takes one transaction a member in turn. Accounts without a member (open devnets) share one slot.
A transaction's *slot* is its nonce; later types without a nonce bring slots of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contracts.layout import vouching_member
from node.admission import check_admissible, check_payable, highest_cost
from node.chain.transaction import InvalidTransaction, Transaction
from node.rules import Rules
from node.state import Account, StateReader

MAX_PER_SENDER = 512  # also how far a nonce may be ahead: what a busy account sends in a few blocks
MAX_PER_MEMBER = 4_096  # several full blocks of transfers
MAX_BYTES_PER_MEMBER = 16 * 1024 * 1024
PRICE_BUMP_PERCENT = 10  # as Ethereum clients ask for a replacement
OPEN = b""  # the slot that all accounts share for whom no member vouches


class PoolRejected(InvalidTransaction):
    """The pool does not take a transaction, in the words that Ethereum clients use."""


@dataclass(slots=True)
class _Share:
    """One member's part of the pool."""

    senders: dict[bytes, dict[int, Transaction]] = field(default_factory=dict)
    count: int = 0
    size: int = 0


class Mempool:
    """Admitted transactions, executable or waiting for an earlier nonce. Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._shares: dict[bytes, _Share] = {}
        self._by_hash: dict[bytes, Transaction] = {}
        self._member_of: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return len(self._by_hash)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """Return a waiting transaction by its hash."""
        return self._by_hash.get(transaction_hash)

    def add(self, tx: Transaction, state: StateReader, rules: Rules) -> bool:
        """Take a transaction; return whether it can be executed over `state` as things are.

        Args:
            tx: decoded, its sender recovered.
            state: the committed head.
            rules: of the next height.

        Raises:
            InvalidTransaction: no valid block could contain it.
            PoolRejected: known, stale, underpriced as a replacement, or beyond a bound.
        """
        if tx.hash in self._by_hash:
            raise PoolRejected("already known")
        member = check_admissible(tx, state, rules) or OPEN
        account = state.account(tx.sender)
        nonce, balance = (0, 0) if account is None else (account.nonce, account.balance)
        check_payable(tx, balance)
        if tx.nonce < nonce:
            raise PoolRejected(f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        if tx.nonce >= nonce + MAX_PER_SENDER:
            raise PoolRejected(f"nonce too far ahead: next nonce {nonce}, tx nonce {tx.nonce}, bound {MAX_PER_SENDER}")
        self._move(tx.sender, member)
        share = self._shares.get(member, _Share())
        replaced = share.senders.get(tx.sender, {}).get(tx.nonce)
        if replaced is not None:
            _check_replacement(replaced, tx)
        _check_room(share, member, tx, replaced)
        if replaced is not None:
            self._remove(replaced)
        share = self._shares.setdefault(member, _Share())
        share.senders.setdefault(tx.sender, {})[tx.nonce] = tx
        share.count += 1
        share.size += len(tx.raw)
        self._by_hash[tx.hash] = tx
        self._member_of[tx.sender] = member
        return self.pending_nonce(tx.sender, nonce) > tx.nonce

    def executable(self, state: StateReader, *, open_accounts: bool = False) -> Iterator[Transaction]:
        """Yield what can be executed over `state`, one transaction a member in turn, each sender's by nonce.

        A sender whom nobody vouches for any more is passed over, unless the rules admit every account: what waits of it
        is no work.
        """
        turns = deque(_in_order(share.senders, state, open_accounts) for _, share in sorted(self._shares.items()))
        while turns:
            turn = turns.popleft()
            tx = next(turn, None)
            if tx is not None:
                yield tx
                turns.append(turn)

    def has_executable(self, state: StateReader, *, open_accounts: bool = False) -> bool:
        """Return whether anything can be executed over `state`."""
        return next(self.executable(state, open_accounts=open_accounts), None) is not None

    def pending_nonce(self, sender: bytes, nonce: int) -> int:
        """Return the nonce after the sender's waiting transactions, `nonce` being that of the committed head."""
        waiting = self._queue(sender)
        while nonce in waiting:
            nonce += 1
        return nonce

    def content(self) -> dict[bytes, dict[int, Transaction]]:
        """Return what waits by sender and nonce, sorted."""
        found = {sender: queue for share in self._shares.values() for sender, queue in share.senders.items()}
        return {sender: dict(sorted(found[sender].items())) for sender in sorted(found)}

    def commit(self, committed: Iterable[Transaction], state: StateReader) -> None:
        """Drop what was committed and, for the same senders, what has become stale."""
        senders = set()
        for tx in committed:
            senders.add(tx.sender)
            known = self._by_hash.get(tx.hash)
            if known is not None:
                self._remove(known)
        for sender in sorted(senders):
            account = state.account(sender)
            nonce = 0 if account is None else account.nonce
            for tx in [tx for slot, tx in self._queue(sender).items() if slot < nonce]:
                self._remove(tx)

    def drop(self, tx: Transaction) -> None:
        """Drop a transaction that no block can contain."""
        if tx.hash in self._by_hash:
            self._remove(tx)

    def _move(self, sender: bytes, member: bytes) -> None:
        """Put what waits of a sender into the share of the member that vouches for it now."""
        before = self._member_of.get(sender, member)
        if before == member:
            return
        waiting = list(self._queue(sender).values())
        for tx in waiting:
            self._remove(tx)
        share = self._shares.setdefault(member, _Share())
        for tx in waiting:
            if share.count < MAX_PER_MEMBER and share.size + len(tx.raw) <= MAX_BYTES_PER_MEMBER:
                share.senders.setdefault(sender, {})[tx.nonce] = tx
                share.count += 1
                share.size += len(tx.raw)
                self._by_hash[tx.hash] = tx
                self._member_of[sender] = member

    def _queue(self, sender: bytes) -> dict[int, Transaction]:
        share = self._shares.get(self._member_of.get(sender, OPEN))
        return {} if share is None else share.senders.get(sender, {})

    def _remove(self, tx: Transaction) -> None:
        member = self._member_of[tx.sender]
        share = self._shares[member]
        queue = share.senders[tx.sender]
        del queue[tx.nonce]
        del self._by_hash[tx.hash]
        share.count -= 1
        share.size -= len(tx.raw)
        if not queue:
            del share.senders[tx.sender]
            del self._member_of[tx.sender]
        if not share.count:
            del self._shares[member]


def _check_room(share: _Share, member: bytes, tx: Transaction, replaced: Transaction | None) -> None:
    count, size = (0, 0) if replaced is None else (1, len(replaced.raw))
    if share.count - count >= MAX_PER_MEMBER or share.size - size + len(tx.raw) > MAX_BYTES_PER_MEMBER:
        who = f"member 0x{member.hex()}" if member else "accounts without a member"
        raise PoolRejected(f"txpool is full: {share.count} transactions, {share.size} bytes of {who} wait")


def _check_replacement(old: Transaction, new: Transaction) -> None:
    for name in ("max_fee_per_gas", "max_priority_fee_per_gas"):
        before, after = getattr(old, name), getattr(new, name)
        if after * 100 < before * (100 + PRICE_BUMP_PERCENT) or after == before:
            raise PoolRejected(f"replacement transaction underpriced: {name} {after}, the waiting one has {before}")


def _in_order(
    senders: dict[bytes, dict[int, Transaction]], state: StateReader, open_accounts: bool
) -> Iterator[Transaction]:
    """Yield one member's executable transactions, one a sender in turn."""
    turns: deque[tuple[bytes, int, int]] = deque()
    for sender in sorted(senders):
        if not open_accounts and vouching_member(state.storage, sender) is None:
            continue
        account = state.account(sender) or Account()
        turns.append((sender, account.nonce, account.balance))
    while turns:
        sender, nonce, balance = turns.popleft()
        tx = senders[sender].get(nonce)
        if tx is None:
            continue
        balance -= highest_cost(tx)
        if balance >= 0:
            yield tx
            turns.append((sender, nonce + 1, balance))
