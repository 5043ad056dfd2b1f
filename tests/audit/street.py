"""A small audited street: a chain in a node's data directory, certified by the four sample validators."""

from __future__ import annotations

import json
from pathlib import Path

from consensus.certificates import Certificate, assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from contracts.bindings import fiat_token, meter_registry
from contracts.system import FIAT_TOKEN, MARKET, METER_REGISTRY
from node.application import Prepared
from node.chain.transaction import Transaction
from node.config import DATABASE_NAME
from tests.node.chains import OneChain
from tests.node.samples import account_key, address_of, node_key, sample_genesis

TARGET = b"\x11" * 20
RUNTIME = bytes.fromhex("60003560005500")  # stores the first word of its input in slot 0
INIT = bytes.fromhex("66") + RUNTIME + bytes.fromhex("600052600760" + "19f3")


def certify(
    domain: Domain, height: int, block_hash: bytes, *, signers: tuple[int, ...] = (0, 1, 2), epoch: int = 0
) -> Certificate:
    """Return a COMMIT certificate by some of the sample validators."""
    vote = Vote(Epoch(epoch), Height(height), View(0), Phase.COMMIT, block_hash)
    message = vote_bytes(domain, vote)
    keys = [node_key(index) for index in signers]
    return assemble(SignedVote(vote, bytes(key.verify_key), key.sign(message).signature) for key in keys)


class Street(OneChain):
    """A `OneChain` in `directory/chain`, with `directory/genesis.json` beside it and real certificates."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        super().__init__(directory / DATABASE_NAME)
        self.directory = directory
        self.domain = Domain(self.genesis.chain_id, self.genesis_hash)
        (directory / "genesis.json").write_text(json.dumps(sample_genesis()), encoding="utf-8")

    def mine(self, *transactions: Transaction) -> Prepared:
        """Build, certify and commit a block; every transaction must get into it."""
        built = self.application.build(self.height + 1, transactions)
        if len(built.transactions) != len(transactions):
            raise ValueError(f"{len(transactions) - len(built.transactions)} transactions were left out")
        header = built.sealed.header
        return self.application.commit(built.body, encode_certificate(certify(self.domain, header.number, header.hash)))


def fill(street: Street) -> list[bytes]:
    """Mine eight blocks of every sort; return the hashes of the transactions in their order."""
    household = address_of(account_key("household 0"))
    operator_money = fiat_token.mint(household, 50_000_000, b"\x01" * 32)
    mined = [
        street.mine(
            *(street.transaction("household 0", TARGET, value=5, kind=kind) for kind in (0, 1, 2)),
            street.transaction("household 1", None, INIT),
        ),
        street.mine(street.transaction("operator", FIAT_TOKEN, operator_money)),
        street.mine(),
    ]
    street.wall_ms += 1_800_000  # two quarters
    for index in range(4):
        data = meter_registry.attest_batch(0, [100 + index, 200], [0, 50 * index])
        mined.append(street.mine(street.transaction(f"meter {index}", METER_REGISTRY, data)))
    withdrawal = fiat_token.request_withdrawal(7_000_000)
    mined.append(
        street.mine(
            street.transaction("household 0", FIAT_TOKEN, fiat_token.approve(MARKET)),
            street.transaction("household 0", FIAT_TOKEN, withdrawal),
            street.transaction("operator", FIAT_TOKEN, fiat_token.burn(1, b"\x02" * 32)),
        )
    )
    return [tx.hash for prepared in mined for tx in prepared.transactions]
