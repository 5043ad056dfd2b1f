"""A small chain whose every height has a real certificate: what an auditor expects to find."""

from __future__ import annotations

import json
from pathlib import Path

from consensus.certificates import assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Epoch, Height, Phase, View, Vote
from contracts.bindings import fiat_token, meter_registry
from contracts.system import FIAT_TOKEN, METER_REGISTRY
from node.chain.transaction import Transaction
from node.driver.signer import LocalSigner
from tests.node.chains import OneChain
from tests.node.samples import node_key, sample_genesis

RUNTIME = bytes.fromhex("60003560005500")  # stores the first word of its input in slot 0
INIT = bytes.fromhex("66") + RUNTIME + bytes.fromhex("60005260076019f3")


class CertifiedChain:
    """A data directory as a validator leaves it: `genesis.json` and `chain/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.genesis = folder / "genesis.json"
        self.genesis.write_text(json.dumps(sample_genesis()))
        self.chain = OneChain(folder / "chain")

    def mine(self, *transactions: Transaction) -> None:
        """Commit a block that three of four validators certify."""
        built = self.chain.application.build(self.chain.height + 1, transactions)
        assert len(built.transactions) == len(transactions)
        assert all(receipt.status for receipt in built.sealed.receipts)
        vote = Vote(Epoch(0), Height(built.sealed.header.number), View(0), Phase.COMMIT, built.sealed.header.hash)
        domain = Domain(self.chain.genesis.chain_id, self.chain.genesis_hash)
        votes = [LocalSigner(bytes(node_key(index)), domain).sign(vote) for index in range(3)]
        self.chain.application.commit(built.body, encode_certificate(assemble(votes)))

    def live_a_little(self) -> list[Transaction]:
        """Commit six heights: money issued, a quarter attested, a contract created and called, an empty block."""
        chain = self.chain
        household = bytes.fromhex(sample_genesis()["members"][0]["account"][2:])
        sent = []
        mint = chain.transaction("operator", FIAT_TOKEN, fiat_token.mint(household, 5_000_000, bytes(31) + b"\1"))
        create = chain.transaction("household 0", None, INIT)
        sent += [mint, create]
        self.mine(mint, create)
        chain.wall_ms += 3_600_000
        attest = chain.transaction("meter 0", METER_REGISTRY, meter_registry.attest(0, 120, 0))
        pay = chain.transaction("household 1", b"\x11" * 20, value=7)
        sent += [attest, pay]
        self.mine(attest, pay)
        self.mine()
        with chain.store.read() as view:
            contract = next(
                key for key, _ in view.items("accounts") if view.state.code(_code_hash(view.state, key)) == RUNTIME
            )
        for word in (9, 0, 4):
            call = chain.transaction("household 2", contract, word.to_bytes(32, "big"))
            sent.append(call)
            self.mine(call)
        return sent

    def close(self) -> None:
        """Close the database, as a node that stops."""
        self.chain.close()


def _code_hash(state: object, address: bytes) -> bytes:
    account = state.account(address)  # type: ignore[attr-defined]
    return bytes(account.code_hash)
