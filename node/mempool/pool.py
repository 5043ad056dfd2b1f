"""The transaction pool: queues by sender and nonce, shares by sponsor.

Gas is free, so room is what has to be shared: the pool is bounded for each member, however many accounts it vouches
for, and the leader takes one transaction a share in turn. Accounts without a member (open devnets) share one share, and
so do anonymous calls, and transfers of notes, whoever made them; each session of the private market has a small one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from node.admission import Kind, Sponsor, check_admissible, check_payable, highest_cost, sponsor_of
from node.anonymity import check_current, key_images
from node.chain.header import Header
from node.chain.private import SignedCall
from node.chain.transaction import InvalidTransaction, Transaction
from node.rules import Rules
from node.state import Account, StateReader

MAX_PER_SENDER = 512  # also how far a nonce may be ahead: what a busy account sends in a few blocks
MAX_PER_MEMBER = 4_096  # several full blocks of transfers
MAX_BYTES_PER_MEMBER = 16 * 1024 * 1024
MAX_ANONYMOUS = 256  # a ring's 64 members have one call each in two windows
MAX_SHIELDED = 1_024  # several transfers a member
MAX_PRIVATE_BYTES = 16 * 1024  # of one without an account: a large ring's offer has 3 kB, a transfer 4 kB
MAX_PER_SESSION = 64  # a session sends some ten transactions in all
MAX_BYTES_PER_SESSION = 1024 * 1024
PRICE_BUMP_PERCENT = 10  # as Ethereum clients ask for a replacement
WITHOUT_ACCOUNT = (Kind.ANONYMOUS, Kind.SHIELDED)

BOUNDS = {
    Kind.OPEN: (MAX_PER_MEMBER, MAX_BYTES_PER_MEMBER),
    Kind.MEMBER: (MAX_PER_MEMBER, MAX_BYTES_PER_MEMBER),
    Kind.SESSION: (MAX_PER_SESSION, MAX_BYTES_PER_SESSION),
    Kind.ANONYMOUS: (MAX_ANONYMOUS, MAX_ANONYMOUS * MAX_PRIVATE_BYTES),
    Kind.SHIELDED: (MAX_SHIELDED, MAX_SHIELDED * MAX_PRIVATE_BYTES),
}
"""Transactions and bytes of a share."""
_WHO = {
    Kind.OPEN: "accounts without a member",
    Kind.MEMBER: "member",
    Kind.SESSION: "session",
    Kind.ANONYMOUS: "anonymous calls",
    Kind.SHIELDED: "transfers of notes",
}


class PoolRejected(InvalidTransaction):
    """The pool does not take a transaction, in the words that Ethereum clients use."""


@dataclass(slots=True)
class _Share:
    """One sponsor's part of the pool."""

    senders: dict[bytes, dict[int, Transaction]] = field(default_factory=dict)
    count: int = 0
    size: int = 0


class Mempool:
    """Admitted transactions, executable or waiting for an earlier nonce. Not thread-safe: one thread owns it."""

    def __init__(self) -> None:
        self._shares: dict[Sponsor, _Share] = {}
        self._by_hash: dict[bytes, Transaction] = {}
        self._sponsor_of: dict[bytes, Sponsor] = {}
        self._spends: dict[bytes, bytes] = {}  # key image -> hash of the transfer that shows it

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return len(self._by_hash)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """Return a waiting transaction by its hash."""
        return self._by_hash.get(transaction_hash)

    def add(self, tx: Transaction, state: StateReader, rules: Rules, parent: Header) -> bool:
        """Take a transaction; return whether it can be executed over `state` as things are.

        Args:
            tx: decoded, its sender recovered.
            state: the committed head.
            rules: of the next height.
            parent: the committed head's header.

        Raises:
            InvalidTransaction: no valid block could contain it.
            PoolRejected: known, stale, underpriced as a replacement, or beyond a bound.
        """
        if tx.hash in self._by_hash:
            raise PoolRejected("already known")
        if tx.private is not None:
            self._check_private(tx)
        sponsor = check_admissible(tx, state, rules, parent)
        account = state.account(tx.sender)
        nonce, balance = (0, 0) if account is None else (account.nonce, account.balance)
        check_payable(tx, balance)
        if tx.nonce < nonce:
            raise PoolRejected(f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        if tx.nonce >= nonce + MAX_PER_SENDER:
            raise PoolRejected(f"nonce too far ahead: next nonce {nonce}, tx nonce {tx.nonce}, bound {MAX_PER_SENDER}")
        self._move(tx.sender, sponsor)
        share = self._shares.get(sponsor, _Share())
        replaced = share.senders.get(tx.sender, {}).get(tx.nonce)
        if replaced is not None:
            _check_replacement(replaced, tx)
        _check_room(share, sponsor, tx, replaced)
        if replaced is not None:
            self._remove(replaced)
        self._put(tx, sponsor)
        return self.pending_nonce(tx.sender, nonce) > tx.nonce

    def executable(self, state: StateReader, parent: Header, *, open_accounts: bool = False) -> Iterator[Transaction]:
        """Yield what can be executed over `state`, one transaction a share in turn, each sender's by nonce.

        A sender for whom nobody answers any more is passed over, unless the rules admit every account: what waits of it
        is no work.

        Args:
            state: the committed head.
            parent: its header.
            open_accounts: whether the rules admit every account.
        """
        turns = deque(
            _in_order(sponsor, share.senders, state, parent, open_accounts)
            for sponsor, share in sorted(self._shares.items())
        )
        while turns:
            turn = turns.popleft()
            tx = next(turn, None)
            if tx is not None:
                yield tx
                turns.append(turn)

    def has_executable(self, state: StateReader, parent: Header, *, open_accounts: bool = False) -> bool:
        """Return whether anything can be executed over `state`."""
        return next(self.executable(state, parent, open_accounts=open_accounts), None) is not None

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

    def commit(self, committed: Iterable[Transaction], state: StateReader, parent: Header) -> None:
        """Drop what was committed, what has become stale with it, and what expired.

        Args:
            committed: the transactions of the new head, and of the heights before it that were committed with it.
            state: of the new head.
            parent: its header.
        """
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
        passing = [share for sponsor, share in self._shares.items() if sponsor.kind in (Kind.SESSION, *WITHOUT_ACCOUNT)]
        waiting = [tx for share in passing for queue in share.senders.values() for tx in queue.values()]
        for tx in waiting:
            if _is_over(tx, state, parent):
                self._remove(tx)

    def drop(self, tx: Transaction) -> None:
        """Drop a transaction that no block can contain."""
        if tx.hash in self._by_hash:
            self._remove(tx)

    def _check_private(self, tx: Transaction) -> None:
        """Refuse, before its proofs are looked at, what has no place beside what waits: nothing of it is replaced."""
        if len(tx.raw) > MAX_PRIVATE_BYTES:
            raise PoolRejected(f"oversized data: {len(tx.raw)} bytes without an account, at most {MAX_PRIVATE_BYTES}")
        if tx.sender in self._sponsor_of:
            raise PoolRejected(f"nullifier already used by a transaction that waits: sender 0x{tx.sender.hex()}")
        for image in key_images(tx):
            if image in self._spends:
                raise PoolRejected(f"note already spent by a transaction that waits: key image 0x{image.hex()}")
        sponsor = Sponsor(Kind.ANONYMOUS if isinstance(tx.private, SignedCall) else Kind.SHIELDED)
        _check_room(self._shares.get(sponsor, _Share()), sponsor, tx, None)

    def _move(self, sender: bytes, sponsor: Sponsor) -> None:
        """Put what waits of a sender into the share of who answers for it now."""
        before = self._sponsor_of.get(sender, sponsor)
        if before == sponsor:
            return
        waiting = list(self._queue(sender).values())
        for tx in waiting:
            self._remove(tx)
        for tx in waiting:
            if _has_room(self._shares.get(sponsor, _Share()), sponsor, len(tx.raw)):
                self._put(tx, sponsor)

    def _put(self, tx: Transaction, sponsor: Sponsor) -> None:
        share = self._shares.setdefault(sponsor, _Share())
        share.senders.setdefault(tx.sender, {})[tx.nonce] = tx
        share.count += 1
        share.size += len(tx.raw)
        self._by_hash[tx.hash] = tx
        self._sponsor_of[tx.sender] = sponsor
        self._spends.update(dict.fromkeys(key_images(tx), tx.hash))

    def _queue(self, sender: bytes) -> dict[int, Transaction]:
        sponsor = self._sponsor_of.get(sender)
        return {} if sponsor is None else self._shares[sponsor].senders.get(sender, {})

    def _remove(self, tx: Transaction) -> None:
        sponsor = self._sponsor_of[tx.sender]
        share = self._shares[sponsor]
        queue = share.senders[tx.sender]
        del queue[tx.nonce]
        del self._by_hash[tx.hash]
        for image in key_images(tx):
            self._spends.pop(image, None)
        share.count -= 1
        share.size -= len(tx.raw)
        if not queue:
            del share.senders[tx.sender]
            del self._sponsor_of[tx.sender]
        if not share.count:
            del self._shares[sponsor]


def _is_over(tx: Transaction, state: StateReader, parent: Header) -> bool:
    """Return whether what needs no account, or comes from a session, cannot be in any block any more."""
    if tx.private is None:
        return sponsor_of(tx.sender, state, parent, open_accounts=False) is None
    try:
        check_current(tx, state, parent)
    except InvalidTransaction:
        return True
    return False


def _has_room(share: _Share, sponsor: Sponsor, size: int) -> bool:
    count, total = BOUNDS[sponsor.kind]
    return share.count < count and share.size + size <= total


def _check_room(share: _Share, sponsor: Sponsor, tx: Transaction, replaced: Transaction | None) -> None:
    count, size = (0, 0) if replaced is None else (1, len(replaced.raw))
    after = _Share({}, share.count - count, share.size - size)
    if not _has_room(after, sponsor, len(tx.raw)):
        who = _WHO[sponsor.kind] + (f" 0x{sponsor.account.hex()}" if sponsor.account else "")
        raise PoolRejected(f"txpool is full: {share.count} transactions, {share.size} bytes of {who} wait")


def _check_replacement(old: Transaction, new: Transaction) -> None:
    for name in ("max_fee_per_gas", "max_priority_fee_per_gas"):
        before, after = getattr(old, name), getattr(new, name)
        if after * 100 < before * (100 + PRICE_BUMP_PERCENT) or after == before:
            raise PoolRejected(f"replacement transaction underpriced: {name} {after}, the waiting one has {before}")


def _in_order(
    sponsor: Sponsor, queues: dict[bytes, dict[int, Transaction]], state: StateReader, parent: Header, opened: bool
) -> Iterator[Transaction]:
    """Yield one share's executable transactions, one a sender in turn; those without an account as they came."""
    turns: deque[tuple[bytes, int, int]] = deque()
    for sender in list(queues) if sponsor.kind in WITHOUT_ACCOUNT else sorted(queues):
        if sponsor.kind in WITHOUT_ACCOUNT or sponsor_of(sender, state, parent, open_accounts=opened) is not None:
            account = state.account(sender) or Account()
            turns.append((sender, account.nonce, account.balance))
    while turns:
        sender, nonce, balance = turns.popleft()
        tx = queues[sender].get(nonce)
        if tx is None:
            continue
        balance -= highest_cost(tx)
        if balance >= 0:
            yield tx
            turns.append((sender, nonce + 1, balance))
