"""Whatever arrives: bounds hold, no member's transactions leave for another's, and every index says the same."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.admission import highest_cost
from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool import Mempool, PoolLimits
from node.mempool.journal import HEADER, decode_journal, encode_records
from tests.mempool.street import HEAD, RULES, Street, member, sender, transaction

MEMBERS, SENDERS = 2, 4
LIMITS = PoolLimits(
    account_slots=7,
    account_queue=2,
    member_slots=8,
    member_bytes=1_200,
    global_slots=16,
    lifetime_s=300,
    replace_free_s=10,
)
WHO = st.integers(0, SENDERS - 1)


class PoolMachine(RuleBasedStateMachine):
    """A pool of a street where accounts send, blocks come, and members change their minds."""

    @initialize()
    def start(self) -> None:
        """Everybody has a little; two accounts a member."""
        self.now_s = 0.0
        self.seats = MEMBERS
        self.street = Street(MEMBERS)
        self.pool = Mempool(LIMITS, lambda: self.now_s)
        self.known: dict[bytes, Transaction] = {}
        for number in range(SENDERS):
            self.street.vouch(sender(number), member(number % MEMBERS))
            self.street.hold(sender(number), nonce=0, balance=100_000)

    def by_member(self) -> dict[bytes | None, set[bytes]]:
        """Return the hashes that wait, by who vouches for their sender."""
        found: dict[bytes | None, set[bytes]] = defaultdict(set)
        for of, queue in self.pool.content().items():
            found[self.street.voucher(of)] |= {tx.hash for tx in queue.values()}
        return found

    @rule(
        who=WHO,
        ahead=st.none() | st.integers(-1, 8),
        size=st.sampled_from((80, 80, 150, 400)),
        price=st.integers(0, 2),
        value=st.sampled_from((0, 0, 0, 0, 30_000)),
        salt=st.integers(0, 1),
        local=st.booleans(),
    )
    def arrive(self, who: int, ahead: int | None, size: int, price: int, value: int, salt: int, local: bool) -> None:
        """A transaction comes."""
        self.send(who, ahead, size, price, value, salt, local)

    def send(self, who: int, ahead: int | None, size: int, price: int, value: int, salt: int, local: bool) -> None:
        """Send one; what waits of other members does not leave for it, and a refusal changes nothing."""
        of = sender(who)
        held = self.street.accounts[of].nonce
        nonce = self.pool.pending_nonce(of, held) if ahead is None else max(0, held + ahead)
        tx = transaction(of, nonce, size=size, price=price, value=value, salt=salt)
        self.known[tx.raw] = tx
        before = self.by_member()
        try:
            ready = self.pool.add(tx, self.street, RULES, HEAD, local=local)
        except InvalidTransaction:
            settled = self.street.voucher(of)
            account = self.pool.account(of)
            if account is not None and account.sponsor.account == settled:
                assert self.by_member() == before
            return
        after = self.by_member()
        mine = self.street.voucher(of)
        for each in {*before, *after} - {mine}:
            assert after[each] == before[each]
        assert tx.hash in after[mine]
        account = self.pool.account(of)
        assert account is not None
        assert ready == (nonce < account.next_nonce)

    @rule(who=WHO, local=st.booleans())
    def burst(self, who: int, local: bool) -> None:
        """An account sends several in a row."""
        for _ in range(5):
            self.send(who, None, 80, 0, 0, 0, local)

    @rule(most=st.integers(0, 6))
    def block(self, most: int) -> None:
        """The first executable ones are committed."""
        done = [tx for _, tx in zip(range(most), self.pool.executable(self.street, HEAD), strict=False)]
        for tx in done:
            self.street.execute(tx)
        self.pool.commit(done, self.street, HEAD)
        assert not any(self.pool.get(tx.hash) for tx in done)

    @rule(who=WHO)
    def block_with_another(self, who: int) -> None:
        """Another transaction of an account is committed than the one that waits."""
        of = sender(who)
        tx = transaction(of, self.street.accounts[of].nonce, salt=7)
        self.street.execute(tx)
        self.pool.commit([tx], self.street, HEAD)

    @rule(who=WHO, number=st.integers(-1, MEMBERS - 1))
    def change_mind(self, who: int, number: int) -> None:
        """Another member vouches for an account; or nobody."""
        self.street.vouch(sender(who), None if number < 0 else member(number))
        self.pool.commit([], self.street, HEAD)

    @rule(seats=st.integers(1, 5))
    def join(self, seats: int) -> None:
        """The consortium has another number of members."""
        self.street.seats(seats)
        self.pool.commit([], self.street, HEAD)
        self.seats = seats

    @rule(who=WHO, balance=st.sampled_from((0, 25_000, 100_000)))
    def give(self, who: int, balance: int) -> None:
        """An account's balance changes with a block that has nothing of it."""
        of = sender(who)
        self.street.hold(of, nonce=self.street.accounts[of].nonce, balance=balance)
        self.pool.commit([transaction(of, 0, salt=8)], self.street, HEAD)

    @precondition(lambda self: bool(len(self.pool)))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """A transaction turns out to be in no block."""
        waiting = [tx for queue in self.pool.content().values() for tx in queue.values()]
        self.pool.drop(data.draw(st.sampled_from(waiting)))

    @rule(seconds=st.sampled_from((1, 11, 400)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now_s += seconds
        self.pool.expire()

    @invariant()
    def bounds_hold(self) -> None:
        """No account and no member has more than it may."""
        for account in self.pool.accounts().values():
            assert account.queued <= LIMITS.account_queue
            assert len(account.entries) <= LIMITS.account_slots
        for room in self.pool._rooms.values():
            assert room.count <= min(LIMITS.member_slots, LIMITS.global_slots // self.seats)
            assert room.size <= LIMITS.member_bytes

    @invariant()
    def indices_agree(self) -> None:
        """What is counted is what is there."""
        pool = self.pool
        content = pool.content()
        waiting = [tx for queue in content.values() for tx in queue.values()]
        assert {tx.hash for tx in waiting} == set(pool._by_hash)
        assert len(pool) == len(waiting) == pool.pending + pool.queued
        assert pool.size == sum(len(tx.raw) for tx in waiting)
        assert set(pool._turn) == set(content)
        assert {of for room in pool._rooms.values() for of in room.accounts} == set(content)
        for sponsor, room in pool._rooms.items():
            assert room.count == sum(len(account.entries) for account in room.accounts.values())
            assert room.size == sum(
                len(entry.tx.raw) for account in room.accounts.values() for entry in account.entries.values()
            )
            assert room.ready == sum(account.ready for account in room.accounts.values())
            for account in room.accounts.values():
                assert account.sponsor == sponsor
                assert (account.sender in room.behind[account.local]) == bool(account.queued)
                assert account.sender not in room.behind[not account.local]
                assert (account.sender in room.poor) == account.poor
                self._agrees(account.sender, account.ready)

    def _agrees(self, of: bytes, ready: int) -> None:
        held, queue = self.street.accounts[of], self.pool.content()[of]
        nonce, balance = held.nonce, held.balance
        assert min(queue) >= nonce
        while nonce in queue and highest_cost(queue[nonce]) <= balance:
            balance -= highest_cost(queue[nonce])
            nonce += 1
        assert ready == nonce - held.nonce

    @invariant()
    def executable_is_in_order(self) -> None:
        """Each account's transactions come by nonce, from the next one on, and those that count as executable do."""
        following: dict[bytes, int] = {}
        for tx in self.pool.executable(self.street, HEAD):
            assert tx.nonce == following.get(tx.sender, self.street.accounts[tx.sender].nonce)
            following[tx.sender] = tx.nonce + 1
        for of, account in self.pool.accounts().items():
            if self.street.voucher(of) is not None:
                assert following.get(of, account.nonce) == account.next_nonce

    @rule()
    def a_restart_loses_nothing_of_its_own(self) -> None:
        """What this node's clients sent and can be executed is put back from the journal, and nothing else."""
        local = list(self.pool.local())
        found = decode_journal(HEADER + encode_records(tx.raw for tx in local))
        again = Mempool(LIMITS, lambda: self.now_s)
        for raw in found.raws:
            try:
                again.add(self.known[raw], self.street, RULES, HEAD, local=True)
            except InvalidTransaction:
                continue
        assert {tx.hash for tx in again.local()} <= {tx.hash for tx in local}
        for of, account in self.pool.accounts().items():
            if account.local and self.street.voucher(of) is not None:
                expected = [entry.tx for nonce, entry in sorted(account.entries.items()) if nonce < account.next_nonce]
                assert list(again.content().get(of, {}).values())[: account.ready] == expected


PoolMachine.TestCase.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestPool = PoolMachine.TestCase
