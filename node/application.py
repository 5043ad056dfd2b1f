"""The application that consensus decides for: it builds, executes and commits round blocks over the committed head.

Everything here is synchronous and runs in one thread, the chain's; there is one writer. Executing a block leaves a
prepared result in memory, keyed by block hash; dropping it leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from consensus.certificates import InvalidCertificate, verify
from consensus.codec import encode_certificate
from consensus.messages import CertifiedBlock
from consensus.types import Domain, Epoch, ValidatorSet
from contracts import layout
from contracts.bindings.reverts import explain_revert
from contracts.system import SYSTEM_CONTRACTS, GenesisContractError, genesis_deployments
from node.admission import check_admissible, check_load
from node.anonymity import check_ranges
from node.chain.assembly import (
    Executed,
    InvalidBody,
    Parent,
    SealedBlock,
    Validators,
    decode_body,
    encode_body,
    genesis_block,
    hash_of_body,
    seal,
)
from node.chain.header import FIELDS, Header
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.chain.transitions import Transition, validators_hash
from node.clock import ChainClock
from node.errors import GridpactError
from node.execution import (
    VOID,
    BlockEnvironment,
    BlockResult,
    Executor,
    GenesisError,
    InvalidBlock,
    Loop,
    genesis_changes,
)
from node.genesis import Genesis
from node.parsing import ConfigError
from node.rules import RuleBook, Rules
from node.state import EMPTY_ROOT, StateDelta, StateReader, TrieReader, make_delta
from node.state.trie import NO_NODES
from node.storage import Batch, Store, View

MAX_PREPARED = 3  # at most the proposals of three views of one height are worth keeping
BUILD_BUDGET_S = 0.5  # a leader stops filling a block after this much time


class BlockRefused(GridpactError):
    """A proposed or received block is not valid over our head."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"block at height {height} refused: {reason}")
        self.height = height
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Prepared:
    """A block that was executed over the committed head and can be committed without executing again."""

    sealed: SealedBlock
    body: bytes
    delta: StateDelta
    transactions: tuple[Transaction, ...]
    left_out: tuple[Transaction, ...] = ()  # candidates that no block can contain


def validator_keys(state: StateReader) -> list[bytes]:
    """Return the node keys of the members that `state` names."""
    return [member.node_key for member in layout.members(state.storage)]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A block that was committed with others, and the validators of the height after it."""

    prepared: Prepared
    validators: ValidatorSet


class Application:
    """Builds, executes and commits round blocks.

    Args:
        store: the open database; its head is the committed head.
        rule_book: the rules by height.
        clock: the chain clock, used for new timestamps and when voting, never when replaying.
        known: finds a transaction by hash that was decoded before, its sender recovered: the pool's.
        loop: which opcode loop runs.
    """

    def __init__(
        self,
        store: Store,
        rule_book: RuleBook,
        clock: ChainClock,
        known: Callable[[bytes], Transaction | None] = lambda _: None,
        loop: Loop = Loop.INLINED,
    ) -> None:
        self._known = known
        self._store = store
        self._rule_book = rule_book
        self._clock = clock
        self._executor = Executor(rule_book, loop)
        self._prepared: dict[bytes, Prepared] = {}
        with store.read() as view:
            rule_book.learn(layout.rule_changes(view.state.storage))

    @property
    def executor(self) -> Executor:
        """The executor over this chain's rules, for calls and estimates."""
        return self._executor

    def build(self, height: int, candidates: Iterable[Transaction]) -> Prepared:
        """Make the block of the next height from `candidates`, in their order, as far as gas, bytes and time allow.

        A candidate that cannot be applied is left out. With no candidate the block is empty, and valid.

        Raises:
            BlockRefused: `height` is not the next.
        """
        with self._store.read() as view:
            parent = view.parent()
            if height != parent.header.number + 1:
                raise BlockRefused(height, f"the next height is {parent.header.number + 1}")
            rules = self._rule_book.rules_at(height)
            timestamp = max(parent.header.timestamp, self._clock.now_s())
            environment = block_environment(lambda number: view.header(number).hash, parent.header, rules, timestamp)
            state = view.state
            allowed = (tx for tx in candidates if _refusal(tx, state, rules, parent.header) is None)
            result = self._executor.build(state, environment, allowed, time_budget_s=BUILD_BUDGET_S)
            return self._prepare(view, parent, rules, timestamp, result.included, result)

    def execute(self, body: bytes, *, voting: bool) -> Prepared:
        """Execute a proposed or certified block over the committed head and compare it with its header.

        Args:
            body: RLP of [header, transactions].
            voting: whether this block is being voted on now: only then the timestamp is held against our clock.

        Raises:
            BlockRefused: it is not the next block, or not valid.
        """
        known = next((prepared for prepared in self._prepared.values() if prepared.body == body), None)
        if known is not None and not voting:
            return known
        with self._store.read() as view:
            return self._execute(view, body, voting=voting)

    def _execute(self, view: View, body: bytes, *, voting: bool) -> Prepared:
        parent = view.parent()
        height = parent.header.number + 1
        rules = self._rule_book.rules_at(height)
        header, transactions = self._decode(body, height, rules)
        self._check_header(header, parent, rules, height, voting=voting)
        state = view.state
        try:
            check_load(transactions, rules)
        except InvalidTransaction as error:
            raise BlockRefused(height, error.reason) from None
        check_ranges(transactions)
        for index, tx in enumerate(transactions):
            reason = _refusal(tx, state, rules, parent.header)
            if reason is not None:
                raise BlockRefused(height, f"transaction {index}: {reason}")
        environment = block_environment(lambda number: view.header(number).hash, parent.header, rules, header.timestamp)
        try:
            result = self._executor.execute(state, environment, transactions)
        except InvalidBlock as error:
            raise BlockRefused(height, str(error)) from error
        prepared = self._prepare(view, parent, rules, header.timestamp, transactions, result)
        _compare(prepared.sealed.header, header)
        return prepared

    def commit(self, body: bytes, certificate: bytes) -> Prepared:
        """Store a certified block, its receipts, state, round record and certificate in one write transaction.

        Raises:
            BlockRefused: the block is not valid over our head: more than f validators lie, or we are wrong.
        """
        with self._store.batch() as batch:
            prepared = self._commit(batch, body, certificate)
        self._prepared.clear()
        return prepared

    def replay(self, blocks: Sequence[CertifiedBlock], domain: Domain) -> list[Replayed]:
        """Store certified blocks that follow each other in one write transaction, as far as they hold.

        All of them become durable together, so a node that catches up waits for the disk once, not at every height.

        Args:
            blocks: from the next height on. The first one's certificate has been verified; the others' are here.
            domain: the chain.

        Returns:
            What became of them; shorter than `blocks` if one of them does not hold.

        Raises:
            BlockRefused: the first block is not valid over our head.
        """
        done: list[Replayed] = []
        with self._store.batch() as batch:
            for block in blocks:
                if done and not _certified(block, done[-1].validators, domain):
                    break
                try:
                    prepared = self._commit(batch, block.body, encode_certificate(block.certificate))
                except BlockRefused:
                    if not done:
                        raise
                    break  # it is found out, and said, when its turn has come
                record = prepared.sealed.record
                same = done and record.next_validators_hash == record.validators_hash
                done.append(Replayed(prepared, done[-1].validators if same else next_validators(batch.view())))
                self._prepared.clear()
        return done

    def _commit(self, batch: Batch, body: bytes, certificate: bytes) -> Prepared:
        prepared = next((prepared for prepared in self._prepared.values() if prepared.body == body), None)
        if prepared is None:
            prepared = self._execute(batch.view(), body, voting=False)
        senders = [tx.sender for tx in prepared.transactions]
        batch.commit(prepared.sealed, prepared.delta, certificate, senders)
        record = prepared.sealed.record
        if self._store.bounded and record.next_validators_hash != record.validators_hash:
            keys = tuple(sorted(following_keys(batch.view(), prepared.sealed.header.number)))
            step = Transition(prepared.sealed.header, record, certificate, keys)
            batch.keep_transition(record.epoch + 1, step.encode())
        self._rule_book.learn(layout.rule_changes(batch.view().state.storage))
        return prepared

    def validators(self) -> ValidatorSet:
        """Return the validator set of the height after the committed head."""
        with self._store.read() as view:
            return next_validators(view)

    def _prepare(
        self,
        view: View,
        parent: Parent,
        rules: Rules,
        timestamp: int,
        transactions: Sequence[Transaction],
        result: BlockResult,
    ) -> Prepared:
        sealed, delta = assemble(parent, view.state, view, rules, timestamp, transactions, result)
        body = encode_body(sealed.header, sealed.transactions)
        left_out = tuple(tx for tx, _ in result.left_out)
        prepared = Prepared(sealed, body, delta, tuple(transactions), left_out)
        while len(self._prepared) >= MAX_PREPARED:
            del self._prepared[next(iter(self._prepared))]
        self._prepared[sealed.header.hash] = prepared
        return prepared

    def _decode(self, body: bytes, height: int, rules: Rules) -> tuple[Header, list[Transaction]]:
        try:
            header, raws = decode_body(body)
        except InvalidBody as error:
            raise BlockRefused(height, str(error)) from None
        transactions = []
        for index, raw in enumerate(raws):
            try:
                transactions.append(self._known(keccak(raw)) or decode_transaction(raw, rules.chain_id))
            except InvalidTransaction as error:
                raise BlockRefused(height, f"transaction {index}: {error.reason}") from None
        return header, transactions

    def _check_header(self, header: Header, parent: Parent, rules: Rules, height: int, *, voting: bool) -> None:
        if header.number != height or header.parent_hash != parent.header.hash:
            raise BlockRefused(height, f"not a child of our head: number {header.number}")
        if header.timestamp < parent.header.timestamp:
            raise BlockRefused(height, f"timestamp {header.timestamp} is below its parent's {parent.header.timestamp}")
        if voting:
            latest = self._clock.latest_acceptable_s(rules.future_tolerance_ms)
            if header.timestamp > latest:
                raise BlockRefused(height, f"timestamp {header.timestamp} is in the future: at most {latest}")


def assemble(
    parent: Parent,
    state: StateReader,
    trie: TrieReader,
    rules: Rules,
    timestamp: int,
    transactions: Sequence[Transaction],
    result: BlockResult,
) -> tuple[SealedBlock, StateDelta]:
    """Return the child of `parent`, and its state delta, from what executing its transactions gave.

    Args:
        parent: everything of the parent.
        state, trie: the parent's state, flat and as trie nodes.
        rules: of the child's height.
        timestamp: of the child, in chain seconds.
        transactions: of the child, in order.
        result: of executing them over `state`.
    """
    delta = make_delta(state, trie, result.changes, parent.header.state_root)
    acting = parent.record.next_validators_hash
    epoch = parent.record.epoch + (acting != parent.record.validators_hash)
    sealed = seal(
        parent,
        timestamp=timestamp,
        transactions=transactions,
        executed=Executed(result.receipts, result.gas_used, delta.state_root),
        rules=rules,
        validators=Validators(epoch, acting, validators_hash(validator_keys(state))),
    )
    return sealed, delta


def block_environment(
    hash_of: Callable[[int], bytes], parent: Header, rules: Rules, timestamp: int
) -> BlockEnvironment:
    """Return what the EVM sees of the block after `parent`; `hash_of` gives the hash of an earlier height's block."""
    return BlockEnvironment(
        number=parent.number + 1,
        timestamp=timestamp,
        gas_limit=rules.block_gas_limit,
        parent_hash=parent.hash,
        chain_id=rules.chain_id,
        ancestor_hash=hash_of,
    )


def next_validators(view: View) -> ValidatorSet:
    """Return the validator set of the height after the head: the members of the state one height before the head."""
    head = view.header(view.head_height)
    record = view.record(head.number)
    keys = following_keys(view, head.number)
    epoch = record.epoch + (record.next_validators_hash != record.validators_hash)
    return ValidatorSet(Epoch(epoch), tuple(sorted(keys)))


def following_keys(view: View, height: int) -> list[bytes]:
    """Return the node keys of the validators of `height` + 1: the members of the state one height before `height`.

    A database that was made from a snapshot does not hold that state for its first height, but was told the keys.
    """
    if height == view.first_height > 0:
        return view.first_validators()
    return validator_keys(view.state_at(max(0, height - 1)))


def _certified(block: CertifiedBlock, validators: ValidatorSet, domain: Domain) -> bool:
    try:
        verify(block.certificate, validators, domain)
    except InvalidCertificate:
        return False
    return hash_of_body(block.body) == block.certificate.block_hash


def _refusal(tx: Transaction, state: StateReader, rules: Rules, parent: Header) -> str | None:
    try:
        check_admissible(tx, state, rules, parent)
    except InvalidTransaction as error:
        return error.reason
    return None


def _compare(ours: Header, theirs: Header) -> None:
    """Refuse a header that is not the one that our own execution gives, naming the first field that differs."""
    if ours.hash == theirs.hash:
        return
    for name in FIELDS:
        mine, found = getattr(ours, name), getattr(theirs, name)
        if mine != found:
            show = [value.hex() if isinstance(value, bytes) else str(value) for value in (mine, found)]
            raise BlockRefused(theirs.number, f"{name}: expected {show[0]}, found {show[1]}")


def make_block_0(genesis: Genesis, rules: Rules) -> SealedBlock:
    """Return block 0, which the genesis file alone determines: that of a continuation names its state's root.

    Raises:
        ConfigError: the genesis file lacks what a contract needs, or a constructor refuses it.
    """
    if genesis.continues is None:
        return make_genesis(genesis, rules)[0]
    return _block_0(genesis, rules, genesis.continues.carried_state_root)


def make_genesis(genesis: Genesis, rules: Rules) -> tuple[SealedBlock, StateDelta]:
    """Return block 0 and the state it comes with: balances, and the system contracts as their constructors leave them.

    Raises:
        ConfigError: the genesis file lacks what a contract needs, a constructor refuses it, or it is a continuation's,
            whose state only the chain has that it continues (node.continuation).
    """
    if genesis.continues is not None:
        raise ConfigError("genesis", "continues", f"the data of chain {genesis.continues.chain_id}, which it continues")
    try:
        deployments = genesis_deployments(genesis.content)
        changes = genesis_changes(
            rules, timestamp=genesis.genesis_time_s, balances=dict(genesis.balances), deployments=deployments
        )
    except GenesisContractError as error:
        raise ConfigError("genesis", error.key, error.expected) from None
    except GenesisError as error:
        reason = explain_revert(error.output) if error.output else error.error
        raise ConfigError(
            "genesis", SYSTEM_CONTRACTS[error.address], f"what its constructor accepts ({reason})"
        ) from None
    delta = make_delta(VOID, NO_NODES, changes, EMPTY_ROOT)
    return _block_0(genesis, rules, delta.state_root), delta


def _block_0(genesis: Genesis, rules: Rules, state_root: bytes) -> SealedBlock:
    keys = [member.node_key for member in genesis.members]
    return genesis_block(
        file_hash=genesis.file_hash,
        timestamp=genesis.first_timestamp_s,
        state_root=state_root,
        rules=rules,
        validators_hash=validators_hash(keys),
    )
