"""Certified blocks that are committed together: the same bytes as one by one, and no further than they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.codec import decode_certificate
from consensus.messages import CertifiedBlock
from consensus.types import Domain
from node.application import Application, BlockRefused, make_genesis
from node.storage import Store
from node.storage.tables import TABLES
from tests.audit.certified import CertifiedChain
from tests.node.chains import OneChain


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[CertifiedChain]:
    """A chain of six heights."""
    made = CertifiedChain(tmp_path / "node")
    made.live_a_little()
    yield made
    made.close()


def blocks_of(chain: OneChain) -> list[CertifiedBlock]:
    """Return its certified blocks from height 1 on."""
    with chain.store.read() as view:
        return [
            CertifiedBlock(view.body(height), decode_certificate(view.certificate(height) or b""))
            for height in range(1, view.head_height + 1)
        ]


def fresh(chain: OneChain, path: Path) -> tuple[Store, Application]:
    """Return a database of the same chain that holds block 0, and its application."""
    sealed, delta = make_genesis(chain.genesis, chain.rule_book.rules_at(0))
    store = Store.create(
        path, chain_id=chain.genesis.chain_id, genesis_hash=chain.genesis_hash, sealed=sealed, delta=delta
    )
    return store, Application(store, chain.rule_book, chain.clock)


def domain(chain: OneChain) -> Domain:
    """Return what its votes are for."""
    return Domain(chain.genesis.chain_id, chain.genesis_hash)


def head(store: Store) -> int:
    """Return the committed height."""
    with store.read() as view:
        return view.head_height


@pytest.mark.parametrize("together", [1, 2, 4, 6])
def test_the_database_is_the_same(certified: CertifiedChain, tmp_path: Path, together: int) -> None:
    chain = certified.chain
    store, application = fresh(chain, tmp_path / "fresh")
    blocks = blocks_of(chain)
    for at in range(0, len(blocks), together):
        done = application.replay(blocks[at : at + together], domain(chain))
        assert [each.prepared.sealed.header.number for each in done] == [
            block.height for block in blocks[at : at + together]
        ]
        assert done[-1].validators == application.validators()
    with store.read() as ours, chain.store.read() as theirs:
        for table in TABLES:
            assert list(ours.items(table)) == list(theirs.items(table)), table
    store.close()


def test_it_ends_before_the_first_block_that_does_not_hold(certified: CertifiedChain, tmp_path: Path) -> None:
    chain = certified.chain
    blocks = blocks_of(chain)
    certificate = blocks[3].certificate
    false = {
        "no quorum": replace(certificate, signers=certificate.signers[:2], signatures=certificate.signatures[:2]),
        "another block": replace(certificate, block_hash=bytes(32)),
        "another body": blocks[4].certificate,
    }
    for name, wrong in false.items():
        store, application = fresh(chain, tmp_path / name)
        run = [*blocks[:3], CertifiedBlock(blocks[3].body, wrong), *blocks[4:]]
        assert len(application.replay(run, domain(chain))) == 3
        assert head(store) == 3
        assert len(application.replay(blocks[3:], domain(chain))) == 3
        store.close()


def test_a_first_block_that_does_not_follow_is_refused_and_nothing_is_stored(
    certified: CertifiedChain, tmp_path: Path
) -> None:
    store, application = fresh(certified.chain, tmp_path / "fresh")
    with pytest.raises(BlockRefused):
        application.replay(blocks_of(certified.chain)[1:], domain(certified.chain))
    assert head(store) == 0
    store.close()
