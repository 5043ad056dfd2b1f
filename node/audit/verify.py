"""The audit itself: block by block from genesis, over the auditor's own state, then the stored state as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy

from eth_hash.auto import keccak

from consensus.certificates import InvalidCertificate, verify
from consensus.codec import InvalidPeerMessage, decode_certificate
from consensus.types import Domain, Epoch, ValidatorSet
from contracts import layout
from node.admission import check_admissible, check_load
from node.anonymity import check_ranges
from node.application import assemble, block_environment, make_block_0, make_genesis, validator_keys
from node.audit.ahead import Ahead, Decoded, reading_ahead
from node.audit.inheritance import Inheritance, Left
from node.audit.report import AuditReport, Counts, Offence
from node.audit.start import NoStart, load_start
from node.audit.state import OwnState
from node.audit.supply import Books
from node.chain.assembly import Parent, SealedBlock
from node.chain.dual import Chain, route
from node.chain.header import FIELDS, Header
from node.chain.rlp import encode_int
from node.chain.transaction import InvalidTransaction, Transaction
from node.continuation import EVER, Legacy
from node.execution import Executor, InvalidBlock
from node.genesis import Genesis
from node.rules import RuleBook, Rules
from node.state import StateDelta
from node.state.delta import rebuild
from node.state.trie import list_root
from node.storage import CorruptValue, View
from node.storage.flat import FlatState

ROUND, STATE = "round", "state"
NO_SUPPLY = "token supply, attested energy and cash: not checked, that needs every height from 1 on"
KIND_OF_TABLE = {
    "meta": (ROUND, "database"),
    "headers": (ROUND, "header"),
    "bodies": (ROUND, "body"),
    "senders": (ROUND, "index"),
    "receipts": (ROUND, "receipt"),
    "records": (ROUND, "record"),
    "certificates": (ROUND, "certificate"),
    "heights": (ROUND, "index"),
    "transactions": (ROUND, "index"),
    "chains": (ROUND, "chain block"),
    "history": (ROUND, "history"),
    "accounts": (STATE, "account"),
    "storage": (STATE, "storage value"),
    "codes": (STATE, "code"),
    "jumps": (STATE, "code"),
    "trie": (STATE, "trie node"),
    "accounts_before": (STATE, "history value"),
    "storage_before": (STATE, "history value"),
    "trie_before": (STATE, "history value"),
}
KIND_OF_FIELD = {
    "transactions_root": (ROUND, "body"),
    "receipts_root": (ROUND, "receipt"),
    "bloom": (ROUND, "receipt"),
    "state_root": (STATE, "state root"),
    "extra_data": (ROUND, "record"),
}


class Found(Exception):
    """The first offence was found."""

    def __init__(self, offence: Offence) -> None:
        super().__init__(offence.detail)
        self.offence = offence


def _name(chain: Chain) -> str:
    return chain.name.lower()


class Auditor:
    """Audits one database.

    Args:
        genesis: the checked genesis file, the only thing that is believed.
        checkpoints: hashes of blocks by height that are known from elsewhere: this chain must contain them. Keys that
            members had long ago may have been stolen since; what they sign is another chain from some height on.
        reached: told of every height before it is read.
        inheritance: of a chain that continues another one: what that one left, audited.
        leave: the height whose state and books are to be kept for a continuation.
    """

    def __init__(
        self,
        genesis: Genesis,
        *,
        checkpoints: Mapping[int, bytes] | None = None,
        reached: Callable[[int], None] = lambda _: None,
        inheritance: Inheritance | None = None,
        leave: int | None = None,
    ) -> None:
        self._genesis = genesis
        self._checkpoints = dict(checkpoints or {})
        self._reached = reached
        self._inheritance = inheritance
        self._leave = leave
        self.left: Left | None = None
        self._rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
        self._executor = Executor(self._rule_book)
        self._state = OwnState()
        self._counts = Counts()
        self._hashes: dict[int, bytes] = {}
        self._members: dict[int, list[bytes]] = {}  # node keys that the state after each height names
        self._parent: Parent | None = None
        self._leaves = 0
        self._books = Books() if inheritance is None else inheritance.books
        self._height = 0

    def audit(self, view: View) -> AuditReport:
        """Return the report on everything up to the view's head."""
        supply: tuple[str, ...] = ()
        offence, begins = None, ""
        try:
            with self._reading():
                self._check_genesis(view)
                begins = self._begin(view)
                self._check_heights(view)
                self._check_checkpoints(view)
                if not view.first_height:
                    self._check_sizes(view)
                self._check_state(view)
            unknown = view.first_height or (self._inheritance is not None and not self._inheritance.complete)
            supply = (NO_SUPPLY,) if unknown else self._check_supply()
        except Found as found:
            offence = found.offence
        head = max(self._hashes, default=-1)
        return AuditReport(head, self._hashes.get(head, bytes(32)), self._counts, supply, offence, begins)

    def _begin(self, view: View) -> str:
        """Go to the first height of a database that was made from a snapshot; return what is to be said of it."""
        told = "" if self._inheritance is None else self._inheritance.line
        if not view.first_height:
            return told
        self._height = view.first_height
        told += "; " if told else ""
        try:
            start = load_start(view, [member.node_key for member in self._genesis.members], self._domain)
        except NoStart as found:
            raise Found(found.offence) from None
        self._parent, self._state, self._leaves = start.parent, start.state, start.parent.history.size
        self._hashes |= start.hashes
        self._members = start.members
        self._rule_book.learn(layout.rule_changes(self._state.storage))
        self._keep(start.parent.header, complete=False)
        return (
            f"{told}begins with the snapshot of height {view.first_height}: heights below are not in this database and "
            f"were not audited; this one is believed on its certificate, its validators followed from the genesis file "
            f"over {start.epochs} epoch changes, and the state rebuilt under its root"
        )

    def _check_checkpoints(self, view: View) -> None:
        for height, expected in sorted(self._checkpoints.items()):
            found = self._hashes.get(height)
            if found == expected:
                continue
            self._height = min(height, view.head_height)
            known = f"checkpoint {height}: a block 0x{expected.hex()} is expected"
            if found is not None:
                raise self._fail(ROUND, "checkpoint", f"{known}, this chain has 0x{found.hex()} there")
            missing = "this chain ends at" if height > view.head_height else "this database begins with a snapshot of"
            edge = view.head_height if height > view.head_height else view.first_height
            raise self._fail(ROUND, "checkpoint", f"{known}, {missing} height {edge}")

    # -- offences

    def _fail(self, chain: str, kind: str, detail: str) -> Found:
        return Found(Offence(self._height, chain, kind, detail))

    def _expect(self, good: bool, chain: str, kind: str, detail: str) -> None:
        if not good:
            raise self._fail(chain, kind, detail)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except CorruptValue as error:
            chain, kind = KIND_OF_TABLE[error.table]
            if error.table == "chains":
                chain = _name(Chain(error.key[0]))
            raise self._fail(chain, kind, str(error)) from None

    # -- blocks

    def _check_genesis(self, view: View) -> None:
        rules = self._rule_book.rules_at(0)
        if self._inheritance is None:
            sealed, delta = make_genesis(self._genesis, rules)
        else:
            sealed, delta = make_block_0(self._genesis, rules), self._inheritance.delta
        self._compare_headers(sealed.header, view.header(0))
        self._expect(view.record(0) == sealed.record, ROUND, "record", "not the one that the genesis file makes")
        self._expect(view.certificate(0) is None, ROUND, "certificate", "block 0 has one, expected none")
        empty = not (view.transactions(0) or view.senders(0))
        self._expect(empty, ROUND, "body", "block 0 has transactions, expected none")
        self._expect(not view.receipts(0), ROUND, "receipt", "block 0 has receipts, expected none")
        self._check_indexes(view, sealed)
        self._domain = Domain(self._genesis.chain_id, sealed.header.hash)
        self._advance(sealed, delta)

    def _check_heights(self, view: View) -> None:
        heights = range(view.first_height + 1, view.head_height + 1)
        with reading_ahead(view, self._genesis.chain_id, heights, self._reached) as ahead:
            for height in heights:
                self._height = height
                self._reached(height)
                self._check_height(view, height, ahead)

    def _check_height(self, view: View, height: int, ahead: Ahead) -> None:
        parent = self._previous
        rules = self._rule_book.rules_at(height)
        header = view.header(height)
        self._check_certificate(view, header, parent)
        self._check_links(header, parent)
        self._expect(
            view.record(height).digest == header.extra_data, ROUND, "record", "not the one that the header names"
        )
        raws = view.transactions(height)
        self._expect(
            list_root(raws) == header.transactions_root, ROUND, "body", "not the transactions that the header names"
        )
        transactions = self._admitted(ahead.take(height, raws), rules, parent.header)
        senders = view.senders(height)
        self._expect(
            senders == tuple(tx.sender for tx in transactions),
            ROUND,
            "index",
            "stored senders are not those that signed",
        )
        environment = block_environment(self._hashes.__getitem__, parent.header, rules, header.timestamp)
        try:
            result = self._executor.execute(self._state, environment, transactions)
        except InvalidBlock as error:
            raise self._fail(
                _name(route(transactions[error.index].to, rules.contract_domain)), "transaction", str(error)
            ) from None
        sealed, delta = assemble(parent, self._state, self._state, rules, header.timestamp, transactions, result)
        self._compare_receipts(view, sealed, transactions, rules)
        self._expect(view.record(height) == sealed.record, ROUND, "record", "not the one that this height makes")
        self._compare_headers(sealed.header, header)
        self._check_chains(view, sealed)
        self._check_indexes(view, sealed)
        self._books.note(height, sealed.receipts)
        self._count(sealed)
        self._advance(sealed, delta)

    @property
    def _previous(self) -> Parent:
        if self._parent is None:
            raise RuntimeError("genesis is audited first")
        return self._parent

    def _advance(self, sealed: SealedBlock, delta: StateDelta) -> None:
        self._state.apply(delta, sealed.header.number)
        self._hashes[sealed.header.number] = sealed.header.hash
        self._members[sealed.header.number] = validator_keys(self._state)
        self._rule_book.learn(layout.rule_changes(self._state.storage))
        self._leaves = sealed.history.size
        self._parent = Parent(sealed.header, sealed.record, sealed.history)
        self._keep(sealed.header, complete=True)

    def _keep(self, header: Header, *, complete: bool) -> None:
        """Keep what a continuation is made from, if this is the height."""
        if header.number != self._leave:
            return
        own = self._state
        state = FlatState(dict(own.accounts), dict(own.slots), dict(own.codes))
        legacy = Legacy(self._genesis, header, state, self._rule_book.rules_at(EVER))
        self.left = Left(legacy, deepcopy(self._books), complete)

    def _check_links(self, header: Header, parent: Parent) -> None:
        number = parent.header.number + 1
        self._expect(header.number == number, ROUND, "header", f"number {header.number}, expected {number}")
        self._expect(
            header.parent_hash == parent.header.hash, ROUND, "header", "its parent hash is not that of the block before"
        )
        self._expect(
            header.timestamp >= parent.header.timestamp,
            ROUND,
            "header",
            f"time {header.timestamp} is before its parent's",
        )

    def _admitted(self, decoded: Sequence[Decoded], rules: Rules, parent: Header) -> list[Transaction]:
        """Return the transactions of a height, each of which must be one that the rules admit."""
        for index, tx in enumerate(decoded):
            if isinstance(tx, str):
                raise self._fail(ROUND, "transaction", f"transaction {index}: {tx}")
        transactions = [tx for tx in decoded if not isinstance(tx, str)]
        try:
            check_load(transactions, rules)
        except InvalidTransaction as error:
            raise self._fail(ROUND, "transaction", error.reason) from None
        check_ranges(transactions)
        for index, tx in enumerate(transactions):
            try:
                check_admissible(tx, self._state, rules, parent)
            except InvalidTransaction as error:
                chain = _name(route(tx.to, rules.contract_domain))
                raise self._fail(chain, "transaction", f"transaction {index}: {error.reason}") from None
            self._counts.signatures += 1
        return transactions

    def _compare_receipts(self, view: View, sealed: SealedBlock, transactions: list[Transaction], rules: Rules) -> None:
        stored = view.receipts(sealed.header.number)
        for index, (found, made) in enumerate(zip(stored, sealed.receipts, strict=False)):
            if found != made:
                chain = _name(route(transactions[index].to, rules.contract_domain))
                raise self._fail(chain, "receipt", f"receipt {index} is not what executing the transaction gives")
        self._expect(
            len(stored) == len(sealed.receipts),
            ROUND,
            "receipt",
            f"{len(stored)} receipts, expected {len(sealed.receipts)}",
        )

    def _compare_headers(self, made: Header, found: Header) -> None:
        for name in FIELDS:
            ours, theirs = getattr(made, name), getattr(found, name)
            if ours != theirs:
                chain, kind = KIND_OF_FIELD.get(name, (ROUND, "header"))
                shown = [value.hex() if isinstance(value, bytes) else str(value) for value in (theirs, ours)]
                raise self._fail(chain, kind, f"header.{name}: found {shown[0]}, expected {shown[1]}")

    def _check_chains(self, view: View, sealed: SealedBlock) -> None:
        leaf = sealed.history.size - len(sealed.chain_blocks)
        for offset, (block, members) in enumerate(zip(sealed.chain_blocks, sealed.members, strict=True)):
            name = _name(block.chain)
            detail = f"block {block.number} is not the one that this height makes"
            self._expect(view.chain_block(block.chain, block.number) == block, name, "chain block", detail)
            self._expect(view.chain_block_members(block.chain, block.number) == members, name, "chain block", detail)
            self._expect(view.history_index(block.chain, block.number) == leaf + offset, name, "chain block", detail)
        for position, node in sorted(sealed.history_nodes.items()):
            self._expect(
                view.history_node(position) == node, ROUND, "history", f"node {position} is not the one expected"
            )

    def _check_certificate(self, view: View, header: Header, parent: Parent) -> None:
        """Check that a quorum decided this very header: what differs from it afterwards was changed in the store."""
        height = parent.header.number + 1
        raw = view.certificate(height)
        if raw is None:
            raise self._fail(ROUND, "certificate", "missing")
        keys = self._members[max(0, height - 2)]
        epoch = parent.record.epoch + (parent.record.next_validators_hash != parent.record.validators_hash)
        validators = ValidatorSet(Epoch(epoch), tuple(sorted(keys)))
        try:
            certificate = decode_certificate(raw)
            verify(certificate, validators, self._domain)
        except (InvalidPeerMessage, InvalidCertificate) as error:
            raise self._fail(ROUND, "certificate", str(error)) from None
        self._expect(
            certificate.height == height, ROUND, "certificate", f"it is for height {certificate.height}, not {height}"
        )
        self._expect(
            certificate.block_hash == header.hash,
            ROUND,
            "header",
            f"its hash is 0x{header.hash.hex()}, a quorum certified 0x{certificate.block_hash.hex()}",
        )

    def _check_indexes(self, view: View, sealed: SealedBlock) -> None:
        height = sealed.header.number
        self._expect(view.height_of(sealed.header.hash) == height, ROUND, "index", "the block is not found by its hash")
        for index, raw in enumerate(sealed.transactions):
            found = view.locate(keccak(raw))
            self._expect(found == (height, index), ROUND, "index", f"transaction {index} is not found by its hash")

    def _count(self, sealed: SealedBlock) -> None:
        counts = self._counts
        counts.heights += 1
        counts.certificates += 1
        counts.transactions += len(sealed.transactions)
        counts.contract_blocks += sum(block.chain is Chain.CONTRACT for block in sealed.chain_blocks)
        counts.ledger_blocks += sum(block.chain is Chain.LEDGER for block in sealed.chain_blocks)

    def _check_sizes(self, view: View) -> None:
        """Check that the tables hold nothing beside what was compared one by one."""
        counts, rounds = self._counts, len(self._hashes)
        sizes = {
            "headers": rounds,
            "bodies": rounds,
            "senders": rounds,
            "receipts": rounds,
            "records": rounds,
            "heights": rounds,
            "certificates": counts.certificates,
            "transactions": counts.transactions,
            "chains": counts.contract_blocks + counts.ledger_blocks,
            "history": 2 * self._leaves - self._leaves.bit_count(),
        }
        for table, expected in sizes.items():
            chain, kind = KIND_OF_TABLE[table]
            found = sum(1 for _ in view.items(table))
            self._expect(found == expected, chain, kind, f"{found} values in table {table}, expected {expected}")

    # -- the stored state

    def _check_state(self, view: View) -> None:
        own = self._state
        expected: Mapping[str, Mapping[bytes, bytes]] = {
            "accounts": {address: account.encode() for address, account in own.accounts.items()},
            "storage": {slot: encode_int(value) for slot, value in own.slots.items()},
            "codes": own.codes,
            "jumps": own.jumps,
            "trie": own.nodes,
            "accounts_before": own.accounts_before,
            "storage_before": own.slots_before,
            "trie_before": own.nodes_before,
        }
        kept = view.get("meta", b"state") or b""  # a node may let go of what only states before this height need
        for table, values in expected.items():
            chain, kind = KIND_OF_TABLE[table]
            stored = dict(view.items(table))
            for key in sorted(stored.keys() | values.keys()):
                if table in ("accounts_before", "storage_before") and key not in stored and key[-8:] <= kept:
                    continue
                if stored.get(key) != values.get(key):
                    shown = ["none" if v is None else "0x" + v.hex()[:80] for v in (stored.get(key), values.get(key))]
                    raise self._fail(chain, kind, f"under key 0x{key.hex()}: found {shown[0]}, expected {shown[1]}")
        storage = {slot: int.from_bytes(value, "big") for slot, value in view.items("storage")}
        root, nodes = rebuild(own.accounts.items(), storage)
        self._expect(
            root == self._previous.header.state_root, STATE, "state root", "rebuilt from the stored values it differs"
        )
        self._expect(
            view.required("meta", b"history") == encode_int(self._leaves), ROUND, "history", "the stored size differs"
        )
        self._counts.accounts = len(own.accounts)
        self._counts.slots = len(own.slots)
        self._counts.trie_nodes = len(nodes)

    def _check_supply(self) -> tuple[str, ...]:
        parent = self._previous.header
        rules = self._rule_book.rules_at(parent.number + 1)
        environment = block_environment(self._hashes.__getitem__, parent, rules, parent.timestamp)
        problem, lines = self._books.close(self._executor, self._state, environment)
        if problem is not None:
            raise Found(Offence(problem[0], "ledger", "supply", problem[1]))
        return lines
