"""The audit of a database that was made from a snapshot: what it can check it does, what it cannot it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.audit.launch import audit_in_child
from node.state.account import decode_account
from node.storage import tables
from tests.audit.certified import CertifiedChain
from tests.snapshot.chain import application_over, assemble, long_chain, open_store, origin, snapshot_of
from tests.storage.raw import entries, overwrite


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[tuple[CertifiedChain, Path]]:
    """A chain of twelve heights, and a database of it that begins with height 9."""
    certified = long_chain(tmp_path / "node")
    chain, path = certified.chain, tmp_path / "joined" / "chain"
    path.parent.mkdir()
    assemble(snapshot_of(chain, tmp_path / "shelf"), origin(chain), path)
    store = open_store(chain, path)
    follower = application_over(chain, store)
    for _ in range(3):
        certified.mine(chain.transaction("household 1", b"\x28" * 20, value=3))
        with chain.store.read() as view:
            follower.commit(view.body(view.head_height), view.certificate(view.head_height) or b"")
    store.close()
    yield certified, path
    certified.close()


def change(path: Path, table: str, key: bytes, by: Callable[[bytes], bytes]) -> None:
    """Change a stored value, its checksum made to fit."""
    raw = dict(entries(path, table))[key][: -tables.CHECKSUM_BYTES]
    overwrite(path, table, key, tables.wrap(table, key, by(raw)))


def test_it_says_what_was_not_audited(joined: tuple[CertifiedChain, Path]) -> None:
    certified, path = joined
    report = audit_in_child(path, certified.genesis)
    lines = report.lines()
    assert report.offence is None, report.offence
    assert lines[0].startswith("begins with the snapshot of height 9: heights below are not in this database")
    assert lines[1].startswith("heights 3: ")
    assert "not checked" in lines[-2]
    assert lines[-1].startswith("audit: ok head 12 0x")


def test_what_is_changed_in_it_is_found(joined: tuple[CertifiedChain, Path]) -> None:
    certified, path = joined
    address = b"\x30" * 20

    def richer(raw: bytes) -> bytes:
        account = decode_account(raw)
        return replace(account, balance=account.balance + 1).encode()

    change(path, "accounts", address, richer)
    offence = audit_in_child(path, certified.genesis).offence
    assert offence is not None
    assert (offence.height, offence.kind) == (9, "state root")


@pytest.mark.parametrize(("key", "kind"), [(b"validators", "certificate"), (b"history", "history")])
def test_what_it_was_told_is_held_against_the_certificate(
    joined: tuple[CertifiedChain, Path], key: bytes, kind: str
) -> None:
    certified, path = joined
    change(path, "meta", key, lambda raw: bytes((raw[0] ^ 1,)) + raw[1:])
    offence = audit_in_child(path, certified.genesis).offence
    assert offence is not None
    assert offence.kind == kind
