"""The transaction pool: queues by sender and nonce, rooms by sponsor.

Gas is free, so room is what has to be shared: the pool is bounded for each member, however many accounts it vouches
for, and the leader takes one transaction a room in turn. Accounts without a member (open devnets) share one room, and
so do anonymous calls, and transfers of notes, whoever made them; each session of the private market has a small one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from contracts.layout import member_count
from node.admission import Kind, Sponsor, check_admissible, highest_cost, sponsor_of
from node.anonymity import check_current, key_images
from node.chain.header import Header
from node.chain.private import SignedCall
from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool.account import AccountQueue, Waiting
from node.mempool.dropped import Reason
from node.mempool.index import PoolIndex, PoolRejected
from node.mempool.limits import MAX_BYTES_OF_SESSIONS, MAX_PRIVATE_BYTES, MAX_SESSIONS, WITHOUT_ACCOUNT
from node.mempool.order import in_turn
from node.mempool.room import Rank, Room
from node.pool_config import PoolLimits
from node.rules import Rules
from node.state import Account, StateReader

LIFETIMES_EVERY_S = 60.0  # how often all accounts are looked through for what has waited too long
LOOKED_AT = 32  # accounts at a commit, in turn: whether somebody answers for them yet takes some 30 µs each


class Mempool(PoolIndex):
    """Admitted transactions, executable or waiting for an earlier nonce. Not thread-safe: one thread owns it.

    Args:
        limits: the operator's.
        now: seconds of any steady clock.
    """

    def __init__(self, limits: PoolLimits | None = None, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limits, now)
        self._swept_s = now()

    # -- what comes

    def add(self, tx: Transaction, state: StateReader, rules: Rules, parent: Header, *, local: bool = False) -> bool:
        """Take a transaction; return whether it can be executed over `state` as things are.

        Args:
            tx: decoded, its sender recovered.
            state: the committed head.
            rules: of the next height.
            parent: the committed head's header.
            local: whether one of this node's own clients sent it.

        Raises:
            InvalidTransaction: no valid block could contain it.
            PoolRejected: known, stale, underpriced as a replacement, or beyond a bound.
        """
        if tx.hash in self._by_hash:
            raise PoolRejected("already known")
        self._members = self._members or member_count(state.storage)
        if tx.private is not None:
            self._check_private(tx)
        sponsor = check_admissible(tx, state, rules, parent)
        held = state.account(tx.sender) or Account()
        self._check_nonce(tx, held.nonce)
        self._move(tx.sender, sponsor)
        self._catch_up(tx.sender, held)
        local = (local and not self.limits.no_locals) or tx.sender in self.limits.locals
        account = self._accounts.get(tx.sender)
        if account is None:
            account = AccountQueue(tx.sender, sponsor, held.nonce, held.balance, local, self._now())
        replaced = account.entries.get(tx.nonce)
        if replaced is not None:
            self._check_replacement(replaced, tx, local)
        _check_payable(tx, account, replaced)
        local = local or account.local
        victims = self._places(tx, account, replaced, local)
        for sender, nonce in victims:
            self._evict(sender, nonce, tx)
        if replaced is not None:
            self._remove(replaced.tx)
            self._note(replaced.tx, Reason.REPLACED, f"replaced by 0x{tx.hash.hex()}, of the same nonce", by=tx.hash)
        return self._put(tx, sponsor, held, local)

    def refuse(self, tx: Transaction, reason: str) -> None:
        """Remember why a transaction of this node's own clients was not taken; not if it waits already."""
        if tx.hash not in self._by_hash:
            self._note(tx, Reason.REFUSED, reason)

    def executable(self, state: StateReader, parent: Header, *, open_accounts: bool = False) -> Iterator[Transaction]:
        """Iterate over what can be executed over `state`, one transaction a room in turn, each sender's by nonce.

        A sender for whom nobody answers any more is passed over, unless the rules admit every account: what waits of it
        is no work.

        Args:
            state: the committed head.
            parent: its header.
            open_accounts: whether the rules admit every account.
        """
        return in_turn(self._rooms, state, parent, open_accounts=open_accounts)

    def has_executable(self, state: StateReader, parent: Header, *, open_accounts: bool = False) -> bool:
        """Return whether anything can be executed over `state`."""
        return next(self.executable(state, parent, open_accounts=open_accounts), None) is not None

    # -- what leaves

    def commit(
        self, committed: Iterable[Transaction], state: StateReader, parent: Header, *, open_accounts: bool = False
    ) -> None:
        """Drop what was committed, what has become stale with it, what expired, and what nobody answers for.

        Args:
            committed: the transactions of the new head, and of the heights before it that were committed with it.
            state: of the new head.
            parent: its header.
            open_accounts: whether the rules admit every account.
        """
        self._members = member_count(state.storage)
        used: dict[tuple[bytes, int], bytes] = {}
        for tx in committed:
            self.departures.forget(tx.hash)
            if tx.sender in self._accounts:
                used[tx.sender, tx.nonce] = tx.hash
                if tx.hash in self._by_hash:
                    self._remove(tx)
        poor = [sender for room in self._rooms.values() for sender in room.poor]
        for sender in sorted({*(sender for sender, _ in used), *poor}):
            account = self._accounts.get(sender)
            if account is not None:
                self._refresh(account, state.account(sender) or Account(), used)
        for tx in self._passing():
            if _is_over(tx, state, parent):
                self._remove(tx)
                self._note(tx, Reason.OVER, "no block can contain it any more: its window, session or expiry is past")
        for account in self._next_in_turn():
            sponsor = sponsor_of(account.sender, state, parent, open_accounts=open_accounts)
            if sponsor is not None:
                self._move(account.sender, sponsor)
                continue
            for tx in [entry.tx for entry in account.entries.values()]:
                self._remove(tx)
                self._note(tx, Reason.UNVOUCHED, "no member of the consortium vouches for its sender any more")
        self._trim()
        self.expire()

    def drop(self, tx: Transaction) -> None:
        """Drop a transaction that no block can contain."""
        if tx.hash in self._by_hash:
            account = self._accounts[tx.sender]
            self._remove(tx)
            self._note(tx, Reason.INVALID, "no block can contain it: it failed when a block was built")
            self._cap(account)

    def expire(self) -> None:
        """Drop what others sent, cannot be executed, and whose account nothing came of for the lifetime."""
        now_s = self._now()
        if now_s - self._swept_s < LIFETIMES_EVERY_S:
            return
        self._swept_s = now_s
        for account in list(self._accounts.values()):
            if not account.local and now_s - account.active_s >= self.limits.lifetime_s:
                for nonce in account.behind():
                    tx = account.entries[nonce].tx
                    self._remove(tx)
                    self._note(tx, Reason.EXPIRED, f"not executable for {self.limits.lifetime_s} s")

    # -- checks

    def _check_private(self, tx: Transaction) -> None:
        """Refuse, before its proofs are looked at, what has no place beside what waits: nothing of it is replaced."""
        if len(tx.raw) > MAX_PRIVATE_BYTES:
            raise PoolRejected(f"oversized data: {len(tx.raw)} bytes without an account, at most {MAX_PRIVATE_BYTES}")
        if tx.sender in self._accounts:
            raise PoolRejected(f"nullifier already used by a transaction that waits: sender 0x{tx.sender.hex()}")
        for image in key_images(tx):
            if image in self._spends:
                raise PoolRejected(f"note already spent by a transaction that waits: key image 0x{image.hex()}")
        sponsor = Sponsor(Kind.ANONYMOUS if isinstance(tx.private, SignedCall) else Kind.SHIELDED)
        if not self._rooms.get(sponsor, Room()).has_room(self._bound(sponsor), len(tx.raw)):
            raise self._full(sponsor)

    def _check_nonce(self, tx: Transaction, nonce: int) -> None:
        if tx.nonce < nonce:
            raise PoolRejected(f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        if tx.nonce >= nonce + self.limits.account_slots:
            bound = self.limits.account_slots
            raise PoolRejected(f"nonce too high: next nonce {nonce}, tx nonce {tx.nonce}, at most {bound} wait")

    def _check_replacement(self, old: Waiting, new: Transaction, local: bool) -> None:
        if not (old.tx.max_fee_per_gas or new.max_fee_per_gas):
            # At price zero nothing can be raised. A peer took it from a client that had waited: clocks differ a little.
            needed_s = self.limits.replace_free_s if local else self.limits.replace_free_s / 2
            waited_s = self._now() - old.since_s
            if waited_s < needed_s:
                raise PoolRejected(
                    f"replacement transaction underpriced: the waiting one has price zero too; raise the price, "
                    f"or try again in {max(1, round(needed_s - waited_s))} s"
                )
            return
        for name in ("max_fee_per_gas", "max_priority_fee_per_gas"):
            before, after = getattr(old.tx, name), getattr(new, name)
            if after <= before or after < before * (100 + self.limits.price_bump) // 100:
                raise PoolRejected(f"replacement transaction underpriced: {name} {after}, the waiting one has {before}")

    def _places(
        self, tx: Transaction, account: AccountQueue, replaced: Waiting | None, local: bool
    ) -> list[tuple[bytes, int]]:
        """Return (sender, nonce) of what makes place for a newcomer.

        Raises:
            PoolRejected: nothing may.
        """
        ready = tx.nonce <= account.next_nonce
        sponsor, size, count = account.sponsor, len(tx.raw), 1
        own: list[tuple[bytes, int]] = []
        if replaced is not None:
            size, count = size - len(replaced.tx.raw), 0
        elif not ready and account.queued >= self.limits.account_queue:
            furthest = max(account.entries)
            if tx.nonce > furthest:
                raise PoolRejected(
                    f"account limit exceeded: pooled {len(account.entries)} txs, {account.queued} queued"
                )
            size, count = size - len(account.entries[furthest].tx.raw), 0
            own = [(tx.sender, furthest)]
        room, bound = self._rooms.get(sponsor, Room()), self._bound(sponsor)
        if sponsor.kind is Kind.SESSION and not self._sessions.has_room(
            (MAX_SESSIONS, MAX_BYTES_OF_SESSIONS), size, count=count
        ):
            raise self._full(sponsor)
        if room.has_room(bound, size, count=count):
            return own
        if own or sponsor.kind in WITHOUT_ACCOUNT:
            raise self._full(sponsor)
        victims = room.victims(bound, size, count, Rank(2 * ready + local), tx)
        if not victims:
            raise self._full(sponsor)
        return victims

    # -- commits

    def _catch_up(self, sender: bytes, held: Account) -> None:
        """Follow a head whose commit the pool has not heard of yet: what it has below the nonce is committed there."""
        account = self._accounts.get(sender)
        if account is not None:
            for nonce in [nonce for nonce in account.entries if nonce < held.nonce]:
                self._remove(account.entries[nonce].tx)
            self._follow(account, held.nonce, held.balance)

    def _refresh(self, account: AccountQueue, held: Account, used: Mapping[tuple[bytes, int], bytes]) -> None:
        for nonce in sorted(nonce for nonce in account.entries if nonce < held.nonce):
            tx = account.entries[nonce].tx
            self._remove(tx)
            by = used.get((tx.sender, nonce))
            what = f"0x{by.hex()}, which was committed" if by is not None else "a committed transaction"
            self._note(tx, Reason.STALE, f"its nonce {nonce} was used by {what}", by=by)
        self._follow(account, held.nonce, held.balance)

    def _passing(self) -> list[Transaction]:
        """Return what may be over with any block: it is of a session, or without an account."""
        rooms = [room for sponsor, room in self._rooms.items() if sponsor.kind in (Kind.SESSION, *WITHOUT_ACCOUNT)]
        return [entry.tx for room in rooms for queue in room.accounts.values() for entry in queue.entries.values()]

    def _next_in_turn(self) -> list[AccountQueue]:
        """Return the accounts that are looked at now: a few, in turn."""
        found: list[AccountQueue] = []
        for _ in range(min(LOOKED_AT, len(self._turn))):
            sender, _ = self._turn.popitem(last=False)
            self._turn[sender] = None
            account = self._accounts[sender]
            if account.sponsor.kind is Kind.MEMBER:
                found.append(account)
        return found


def _is_over(tx: Transaction, state: StateReader, parent: Header) -> bool:
    """Return whether what needs no account, or comes from a session, cannot be in any block any more."""
    if tx.private is None:
        return sponsor_of(tx.sender, state, parent, open_accounts=False) is None
    try:
        check_current(tx, state, parent)
    except InvalidTransaction:
        return True
    return False


def _check_payable(tx: Transaction, account: AccountQueue, replaced: Waiting | None) -> None:
    """Check that the sender can pay for a transaction, and for it together with what is executable of it already.

    Raises:
        PoolRejected: it cannot, in go-ethereum's words.
    """
    cost, balance, spent = highest_cost(tx), account.balance, account.spent
    short = "insufficient funds for gas * price + value"
    if balance < cost:
        raise PoolRejected(f"{short}: balance {balance}, tx cost {cost}, overshot {cost - balance}")
    if replaced is not None and replaced.tx.nonce < account.next_nonce:
        bump = cost - highest_cost(replaced.tx)
        if balance < spent + bump:
            over = spent + bump - balance
            raise PoolRejected(f"{short}: balance {balance}, queued cost {spent}, tx bumped {bump}, overshot {over}")
    elif balance < spent + cost:
        over = spent + cost - balance
        raise PoolRejected(f"{short}: balance {balance}, queued cost {spent}, tx cost {cost}, overshot {over}")
