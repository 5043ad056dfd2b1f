"""What the pool holds, found by hash, by account and by sponsor, and the bounds within which it is kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping

from node.admission import Kind, Sponsor
from node.anonymity import key_images
from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool.account import AccountQueue, Waiting
from node.mempool.dropped import Departures, Dropped, Reason
from node.mempool.limits import Bound, room_bound
from node.mempool.room import Room
from node.pool_config import PoolLimits
from node.state import Account

_WHO = {
    Kind.OPEN: "accounts without a member",
    Kind.MEMBER: "member",
    Kind.SESSION: "session",
    Kind.ANONYMOUS: "anonymous calls",
    Kind.SHIELDED: "transfers of notes",
}


class PoolRejected(InvalidTransaction):
    """The pool does not take a transaction, in the words that Ethereum clients use."""


class PoolIndex:
    """The transactions of a pool: every change keeps all its indices together.

    Args:
        limits: the operator's.
        now: seconds of any steady clock.
    """

    def __init__(self, limits: PoolLimits | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or PoolLimits()
        self.departures = Departures()
        self._now = now
        self._rooms: dict[Sponsor, Room] = {}
        self._accounts: dict[bytes, AccountQueue] = {}
        self._by_hash: dict[bytes, Transaction] = {}
        self._spends: dict[bytes, bytes] = {}  # key image -> hash of the transfer that shows it
        self._sessions = Room()  # only its numbers: of all sessions together
        self._members = 0  # as of the last commit; 0: not read yet
        self._turn: OrderedDict[bytes, None] = OrderedDict()  # senders in the order in which they are looked at

    # -- what is there

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return len(self._by_hash)

    @property
    def pending(self) -> int:
        """How many are executable."""
        return sum(room.ready for room in self._rooms.values())

    @property
    def queued(self) -> int:
        """How many wait for an earlier nonce, or for a balance."""
        return len(self) - self.pending

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return sum(room.size for room in self._rooms.values())

    @property
    def fullest(self) -> float:
        """How full the fullest room is, 1 taking nothing more; the small ones of sessions do not count."""
        parts = [0.0]
        for sponsor, room in self._rooms.items():
            if sponsor.kind is not Kind.SESSION:
                count, size = self._bound(sponsor)
                parts += (room.count / count, room.size / size)
        return max(parts)

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """Return a waiting transaction by its hash."""
        return self._by_hash.get(transaction_hash)

    def account(self, sender: bytes) -> AccountQueue | None:
        """Return what waits of a sender, not to be changed; None if nothing does."""
        return self._accounts.get(sender)

    def accounts(self) -> Mapping[bytes, AccountQueue]:
        """Return what waits by sender, not to be changed."""
        return self._accounts

    def usage(self, sponsor: Sponsor) -> tuple[int, int, Bound]:
        """Return how many transactions and bytes wait in a sponsor's room, and its bound."""
        room = self._rooms.get(sponsor, Room())
        return room.count, room.size, self._bound(sponsor)

    def local(self) -> Iterator[Transaction]:
        """Yield what waits of this node's own clients, each account's by nonce."""
        for account in self._accounts.values():
            if account.local:
                yield from (entry.tx for _, entry in sorted(account.entries.items()))

    def pending_nonce(self, sender: bytes, nonce: int) -> int:
        """Return the nonce after the sender's executable transactions, `nonce` being that of the committed head."""
        account = self._accounts.get(sender)
        return nonce if account is None else max(nonce, account.next_nonce)

    def content(self) -> dict[bytes, dict[int, Transaction]]:
        """Return what waits by sender and nonce, sorted."""
        return {
            sender: {nonce: entry.tx for nonce, entry in sorted(self._accounts[sender].entries.items())}
            for sender in sorted(self._accounts)
        }

    # -- bounds

    def _bound(self, sponsor: Sponsor) -> Bound:
        return room_bound(self.limits, sponsor.kind, self._members)

    def _full(self, sponsor: Sponsor) -> PoolRejected:
        room = self._rooms.get(sponsor, Room())
        who = _WHO[sponsor.kind] + (f" 0x{sponsor.account.hex()}" if sponsor.account else "")
        return PoolRejected(f"txpool is full: {room.count} transactions, {room.size} bytes of {who} wait")

    def _trim(self) -> None:
        """Bring rooms within their bounds again: members who join make everybody's part smaller."""
        for sponsor, room in list(self._rooms.items()):
            bound = self._bound(sponsor)
            if not room.has_room(bound, 0, count=0):
                accounts = sorted(room.accounts.values(), key=lambda each: (each.local, each.active_s))
                queued = [(each.sender, nonce) for each in accounts for nonce in each.behind()]
                ready = [
                    (each.sender, nonce)
                    for each in accounts
                    for nonce in range(each.next_nonce - 1, each.nonce - 1, -1)
                ]
                for sender, nonce in [*queued, *ready]:
                    if room.has_room(bound, 0, count=0):
                        break
                    self._evict(sender, nonce, None)

    # -- indices

    def _follow(self, account: AccountQueue, nonce: int, balance: int) -> None:
        before = account.ready
        account.follow(nonce, balance)
        if account.entries:
            self._rooms[account.sponsor].note(account, before)
            self._cap(account)

    def _cap(self, account: AccountQueue) -> None:
        """Keep an account's queue within its bound when executable transactions have fallen back into it."""
        while account.queued > self.limits.account_queue:
            self._evict(account.sender, max(account.entries), None)

    def _evict(self, sender: bytes, nonce: int, newcomer: Transaction | None) -> None:
        tx = self._accounts[sender].entries[nonce].tx
        self._remove(tx)
        detail = "to keep the bound of its account or member"
        if newcomer is not None:
            detail = f"the room was full, and it made place for 0x{newcomer.hash.hex()}"
        self._note(tx, Reason.EVICTED, detail)

    def _note(self, tx: Transaction, reason: Reason, detail: str, by: bytes | None = None) -> None:
        self.departures.note(tx.hash, Dropped(tx.sender, tx.nonce, reason, detail, self._now(), by))

    def _move(self, sender: bytes, sponsor: Sponsor) -> None:
        """Put what waits of a sender into the room of who answers for it now."""
        account = self._accounts.get(sender)
        if account is None or account.sponsor == sponsor:
            return
        held = Account(account.nonce, account.balance)
        waiting = [entry for _, entry in sorted(account.entries.items())]
        for entry in waiting:
            self._remove(entry.tx)
        for entry in waiting:
            room = self._rooms.get(sponsor, Room())
            if room.has_room(self._bound(sponsor), len(entry.tx.raw)):
                self._put(entry.tx, sponsor, held, account.local, entry.since_s)
            else:
                self._note(entry.tx, Reason.EVICTED, "another member vouches for its sender, whose room is full")
        moved = self._accounts.get(sender)
        if moved is not None:
            self._cap(moved)

    def _put(self, tx: Transaction, sponsor: Sponsor, held: Account, local: bool, since_s: float | None = None) -> bool:
        """Keep a transaction; return whether it is executable."""
        now_s = self._now()
        room = self._rooms.setdefault(sponsor, Room())
        account = self._accounts.get(tx.sender)
        if account is None:
            account = AccountQueue(tx.sender, sponsor, held.nonce, held.balance, local, now_s)
            self._accounts[tx.sender] = room.accounts[tx.sender] = account
            self._turn[tx.sender] = None
        before = account.ready
        account.local |= local
        account.active_s = now_s
        account.put(Waiting(tx, now_s if since_s is None else since_s))
        self._count(sponsor, room, 1, len(tx.raw))
        room.note(account, before)
        room.touch(account)
        self._by_hash[tx.hash] = tx
        self._spends.update(dict.fromkeys(key_images(tx), tx.hash))
        self.departures.forget(tx.hash)
        return tx.nonce < account.next_nonce

    def _remove(self, tx: Transaction) -> None:
        account = self._accounts[tx.sender]
        room = self._rooms[account.sponsor]
        before = account.ready
        account.take(tx.nonce)
        del self._by_hash[tx.hash]
        for image in key_images(tx):
            self._spends.pop(image, None)
        self._count(account.sponsor, room, -1, -len(tx.raw))
        room.note(account, before)
        if not account.entries:
            del room.accounts[tx.sender]
            del self._accounts[tx.sender]
            del self._turn[tx.sender]
        if not room.count:
            del self._rooms[account.sponsor]

    def _count(self, sponsor: Sponsor, room: Room, count: int, size: int) -> None:
        for each in (room, self._sessions) if sponsor.kind is Kind.SESSION else (room,):
            each.count += count
            each.size += size
