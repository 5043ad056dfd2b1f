"""A small audited street: a chain in a node's data directory, certified by the four sample validators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consensus.certificates import Certificate, assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from contracts.bindings import fiat_token, meter_registry
from contracts.system import FIAT_TOKEN, MARKET, METER_REGISTRY
from node.application import Prepared
from node.audit import AuditReport
from node.audit.verify import Auditor
from node.chain.transaction import Transaction
from node.config import DATABASE_NAME
from node.storage import Store
from tests.node.chains import OneChain
from tests.node.samples import account_key, address_of, node_key, sample_genesis
from tests.storage.raw import entries, overwrite

TARGET = b"\x11" * 20
RUNTIME = bytes.fromhex("60003560005500")  # stores the first word of its input in slot 0
INIT = bytes.fromhex("66") + RUNTIME + bytes.fromhex("600052600760" + "19f3")
HEAD = 8  # what `fill` mines


def certify(
    domain: Domain,
    height: int,
    block_hash: bytes,
    *,
    signers: tuple[int, ...] = (0, 1, 2),
    epoch: int = 0,
    phase: Phase = Phase.COMMIT,
) -> Certificate:
    """Return a certificate by some of the sample validators (an index above 3 is a stranger's)."""
    vote = Vote(Epoch(epoch), Height(height), View(0), phase, block_hash)
    message = vote_bytes(domain, vote)
    keys = [node_key(index) for index in signers]
    return assemble(SignedVote(vote, bytes(key.verify_key), key.sign(message).signature) for key in keys)


class Street(OneChain):
    """A `OneChain` in `directory/chain`, with `directory/genesis.json` beside it and real certificates.

    `transactions` are the hashes of what was mined, in order.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        super().__init__(directory / DATABASE_NAME)
        self.directory = directory
        self.domain = Domain(self.genesis.chain_id, self.genesis_hash)
        self.transactions: list[bytes] = []
        (directory / "genesis.json").write_text(json.dumps(sample_genesis()), encoding="utf-8")

    def mine(self, *transactions: Transaction) -> Prepared:
        """Build, certify and commit a block; every transaction must get into it."""
        built = self.application.build(self.height + 1, transactions)
        if len(built.transactions) != len(transactions):
            raise ValueError(f"{len(transactions) - len(built.transactions)} transactions were left out")
        self.transactions += [tx.hash for tx in transactions]
        header = built.sealed.header
        return self.application.commit(built.body, encode_certificate(certify(self.domain, header.number, header.hash)))

    def audit(self) -> AuditReport:
        """Audit the database in this process."""
        store = Store.open(self.path, chain_id=self.genesis.chain_id, genesis_hash=self.genesis_hash, readonly=True)
        try:
            with store.read() as view:
                return Auditor(self.genesis).audit(view)
        finally:
            store.close()

    @contextmanager
    def altered(self, table: str, key: bytes, value: bytes, *, repaired: bool = True) -> Iterator[None]:
        """Have another payload under a key for a while (the node must be closed); `repaired`: its checksum fits."""
        before = dict(entries(self.path, table))[key]
        overwrite(self.path, table, key, value + before[-4:], repair_checksum=repaired)
        try:
            yield
        finally:
            overwrite(self.path, table, key, before)

    def stored(self, table: str) -> dict[bytes, bytes]:
        """Return the payloads of a table by key."""
        return {key: value[:-4] for key, value in entries(self.path, table)}


def fill(street: Street) -> Street:
    """Mine eight blocks: transfers, a creation, money in and out, attested quarters, a call, an empty block."""
    household = address_of(account_key("household 0"))
    created = street.mine(
        *(street.transaction("household 0", TARGET, value=5, kind=kind) for kind in (0, 1, 2)),
        street.transaction("household 1", None, INIT),
    )
    contract = next(address for address in created.delta.accounts if _code_of(created, address))
    street.mine(street.transaction("operator", FIAT_TOKEN, fiat_token.mint(household, 50_000_000, b"\1" * 32)))
    street.mine()
    street.wall_ms += 1_800_000  # two quarters
    for index in range(4):
        attested = meter_registry.attest_batch(0, [100 + index, 200], [0, 50 * index])
        street.mine(
            street.transaction(f"meter {index}", METER_REGISTRY, attested),
            street.transaction("household 2", contract, (7 + index).to_bytes(32, "big")),
        )
    street.mine(
        street.transaction("household 0", FIAT_TOKEN, fiat_token.approve(MARKET)),
        street.transaction("household 0", FIAT_TOKEN, fiat_token.request_withdrawal(7_000_000)),
        street.transaction("operator", FIAT_TOKEN, fiat_token.burn(1, b"\2" * 32)),
    )
    return street


def _code_of(prepared: Prepared, address: bytes) -> bytes | None:
    account = prepared.delta.accounts[address]
    return None if account is None else prepared.delta.codes.get(account.code_hash)
