"""From a snapshot file to a database that goes on with the chain; what is falsified on the way is refused by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.application import BlockRefused
from node.chain.dual import Chain
from node.snapshot.assembly import Assembly
from node.snapshot.format import (
    Accounts,
    Codes,
    InvalidSnapshot,
    Manifest,
    Storage,
    StoragePart,
    decode_chunk,
    decode_manifest,
)
from node.snapshot.shelf import Shelf, SnapshotFile
from node.storage import CorruptValue, NotKept, StorageError
from node.storage.draft import Draft
from tests.audit.certified import CertifiedChain
from tests.long import short_or_long
from tests.snapshot.chain import (
    MAP_BYTES,
    STATE_TABLES,
    application_over,
    assemble,
    content,
    long_chain,
    open_store,
    origin,
    small_chunks,
    snapshot_of,
)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedChain]:
    """A chain, not to be changed."""
    made = long_chain(tmp_path_factory.mktemp("snapshot") / "node")
    yield made
    made.close()


@pytest.fixture(scope="module")
def file(certified: CertifiedChain, tmp_path_factory: pytest.TempPathFactory) -> SnapshotFile:
    """Its snapshot, of small chunks."""
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch)
        return snapshot_of(certified.chain, tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def manifest(file: SnapshotFile) -> Manifest:
    """The manifest of that snapshot."""
    return decode_manifest(content(file.manifest))


def refuse(certified: CertifiedChain, manifest: Manifest, path: Path) -> str:
    """Return why a falsified manifest is refused."""
    draft = Draft(path, bytes(32), map_bytes=MAP_BYTES)
    try:
        with pytest.raises(InvalidSnapshot) as caught:
            Assembly(manifest, origin(certified.chain), draft)
    finally:
        draft.close()
    return caught.value.part


def in_place_of(victim: int, false: bytes) -> Callable[[int, bytes], bytes]:
    """Return what puts `false` in the place of one chunk."""
    return lambda index, raw: false if index == victim else raw


@pytest.mark.parametrize("entries", [4, 16, 64, 100_000])
def test_a_database_from_a_snapshot_holds_the_same_state_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    small_chunks(monkeypatch, entries)
    certified = long_chain(tmp_path / "node")
    chain = certified.chain
    assemble(snapshot_of(chain, tmp_path / "shelf"), origin(chain), tmp_path / "joined")
    store = open_store(chain, tmp_path / "joined")
    joined = application_over(chain, store)
    first = chain.height
    for height in range(first + 1, first + 4):
        assert joined.validators() == chain.application.validators()
        certified.mine(chain.transaction("household 2", b"\x22" * 20, value=height))
        with chain.store.read() as view:
            joined.commit(view.body(height), view.certificate(height) or b"")
    with store.read() as ours, chain.store.read() as theirs:
        for table in STATE_TABLES:
            assert list(ours.items(table)) == list(theirs.items(table)), table
        for height in (0, *range(first, first + 4)):
            assert ours.body(height) == theirs.body(height)
            assert ours.receipts(height) == theirs.receipts(height)
            assert ours.record(height) == theirs.record(height)
            assert ours.senders(height) == theirs.senders(height)
            assert ours.certificate(height) == theirs.certificate(height)
        assert ours.parent() == theirs.parent()
        head = theirs.record(first).ledger_head.number
        for number in range(head, head + 4):
            assert ours.history_proof(Chain.LEDGER, number, first + 3) == theirs.history_proof(
                Chain.LEDGER, number, first + 3
            )
    again = Shelf(tmp_path / "second").add(store)
    same = Shelf(tmp_path / "third").add(chain.store)
    assert content(again.manifest) == content(same.manifest)
    store.close()
    certified.close()


def test_older_heights_are_refused_by_name(certified: CertifiedChain, file: SnapshotFile, tmp_path: Path) -> None:
    assemble(file, origin(certified.chain), tmp_path / "joined")
    store = open_store(certified.chain, tmp_path / "joined")
    with store.read() as view:
        assert view.first_height == view.head_height == 9
        assert view.header(3).number == 3  # BLOCKHASH needs it
        for read in (view.body, view.transactions, view.receipts, view.record, view.senders, view.certificate):
            with pytest.raises(NotKept, match=r"height 3 is not kept here: .* height 9"):
                read(3)
        with pytest.raises(NotKept):
            view.state_at(8)
        with pytest.raises(NotKept):
            view.chain_block(Chain.LEDGER, 1)
        assert view.state_at(9).account(b"\x28" * 20) is not None
    store.close()


def test_no_chunk_can_be_changed_left_out_or_put_in_another_place(
    certified: CertifiedChain, file: SnapshotFile, tmp_path: Path
) -> None:
    assert len(file.chunks) > 20
    rng = random.Random(7)
    source = origin(certified.chain)
    for trial in range(short_or_long(12, 60)):
        victim = rng.randrange(len(file.chunks))

        def falsify(index: int, raw: bytes, victim: int = victim) -> bytes:
            if index != victim:
                return raw
            at = rng.randrange(len(raw))
            return raw[:at] + bytes((raw[at] ^ 1 << rng.randrange(8),)) + raw[at + 1 :]

        path = tmp_path / str(trial)
        with pytest.raises(InvalidSnapshot) as caught:
            assemble(file, source, path, falsify)
        assert caught.value.part.startswith((f"chunk {victim}", "account", "chunk"))
        with pytest.raises((CorruptValue, StorageError)):
            open_store(certified.chain, path)
    for victim in (*range(0, len(file.chunks), short_or_long(8, 1)), len(file.chunks) - 1):
        with pytest.raises(InvalidSnapshot):
            assemble(file, source, tmp_path / f"twice-{victim}", in_place_of(victim, content(file.chunks[victim - 1])))


def test_what_a_chunk_must_not_hold(certified: CertifiedChain, file: SnapshotFile, tmp_path: Path) -> None:
    source = origin(certified.chain)
    chunks = [decode_chunk(content(extent), "chunk") for extent in file.chunks]
    accounts = next(i for i, chunk in enumerate(chunks) if isinstance(chunk, Accounts) and len(chunk.rows) > 1)
    storage = next(i for i, chunk in enumerate(chunks) if isinstance(chunk, Storage))
    codes = next(i for i, chunk in enumerate(chunks) if isinstance(chunk, Codes))
    listed, slots = chunks[accounts], chunks[storage]
    assert isinstance(listed, Accounts)
    assert isinstance(slots, Storage)
    part = slots.parts[0]
    nobody = StoragePart(b"\x99" * 20, b"", ((1, 1),))
    false = {
        "out of order": (accounts, Accounts(listed.path, listed.rows[::-1]).encode()),
        "its root is": (accounts, Accounts(listed.path, listed.rows[1:]).encode()),
        "nibbles, the spine": (accounts, Accounts(listed.path + b"\1", listed.rows).encode()),
        "there is no such account": (storage, Storage((nobody,)).encode()),
        "a slot of value 0": (storage, Storage((replace(part, slots=((1, 0),)),)).encode()),
        "root is 0x,": (storage, Storage((replace(part, slots=()),)).encode()),
        "no account has the code": (codes, Codes((b"\xfe" * 30,)).encode()),
        "is lacking": (codes, Codes(()).encode()),
        "neither accounts": (codes, b"\xc2\x05\x80"),
        "expected one nibble": (accounts, b"\xc3\x80\x10\xc0"),
        "expected a list": (codes, b"\x80"),
    }
    for number, (reason, (victim, raw)) in enumerate(false.items()):
        with pytest.raises(InvalidSnapshot, match=reason):
            assemble(file, source, tmp_path / str(number), in_place_of(victim, raw))


def test_no_field_of_a_manifest_can_be_changed(certified: CertifiedChain, manifest: Manifest, tmp_path: Path) -> None:
    flipped = bytes((manifest.record[-1] ^ 1,))
    certificate = manifest.certificate[:-1] + bytes((manifest.certificate[-1] ^ 1,))
    false = {
        "chain": [replace(manifest, chain_id=1), replace(manifest, genesis_hash=bytes(32))],
        "headers": [
            replace(manifest, height=manifest.height - 1),
            replace(manifest, headers=manifest.headers[1:]),
            replace(manifest, headers=(*manifest.headers[:3], *manifest.headers[4:])),
        ],
        "certificates": [
            replace(manifest, certificate=certificate),
            replace(manifest, certificate=manifest.certificate[:-20]),
            replace(manifest, record=manifest.record[:-1] + flipped),
            replace(manifest, next_keys=manifest.next_keys[1:]),
            replace(manifest, height=manifest.height - 1, headers=manifest.headers[:-1]),
        ],
        "transactions": [replace(manifest, transactions=manifest.transactions[1:])],
        "receipts": [replace(manifest, receipts=manifest.receipts[1:])],
        "chain blocks": [
            replace(manifest, chain_blocks=()),
            replace(manifest, chain_blocks=manifest.chain_blocks * 2),
        ],
        "history": [
            replace(manifest, history_size=manifest.history_size + 1),
            replace(manifest, peaks=manifest.peaks[1:]),
            replace(manifest, peaks=(bytes(32), *manifest.peaks[1:])),
        ],
        "account spine": [replace(manifest, accounts=(bytes(32), *manifest.accounts[1:]))],
    }
    number = 0
    for part, cases in false.items():
        for case in cases:
            number += 1
            assert refuse(certified, case, tmp_path / str(number)) == part


def test_a_false_storage_spine_is_found_out_with_its_first_chunk(
    certified: CertifiedChain, file: SnapshotFile, manifest: Manifest, tmp_path: Path
) -> None:
    address, spine = next(iter(manifest.storages.items()))
    wrong = replace(manifest, storages={**manifest.storages, address: (bytes(32), *spine[1:])})
    draft = Draft(tmp_path / "draft", bytes(32), map_bytes=MAP_BYTES)
    assembly = Assembly(wrong, origin(certified.chain), draft)

    def take_all() -> None:
        for index in assembly.missing:
            assembly.take(index, content(file.chunks[index]))

    with pytest.raises(InvalidSnapshot, match="its spine does not lead to the account's storage root"):
        take_all()
    draft.close()


def test_bytes_that_are_no_manifest(file: SnapshotFile) -> None:
    raw = content(file.manifest)
    rng = random.Random(3)
    for _ in range(300):
        at = rng.randrange(len(raw))
        with pytest.raises(InvalidSnapshot):
            decode_manifest(raw[:at])
        changed = raw[:at] + bytes((raw[at] ^ 1 << rng.randrange(8),)) + raw[at + 1 :]
        try:
            decode_manifest(changed)
        except InvalidSnapshot:
            continue


def test_the_first_height_is_not_committed_again(certified: CertifiedChain, file: SnapshotFile, tmp_path: Path) -> None:
    assemble(file, origin(certified.chain), tmp_path / "joined")
    store = open_store(certified.chain, tmp_path / "joined")
    joined = application_over(certified.chain, store)
    with certified.chain.store.read() as view:
        body = view.body(view.head_height)
    with pytest.raises(BlockRefused, match="not a child of our head"):
        joined.commit(body, b"")
    store.close()
