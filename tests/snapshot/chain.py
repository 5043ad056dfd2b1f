"""A certified chain with a contract of many slots, its snapshot, and databases made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.application import Application
from node.snapshot import write
from node.snapshot.assembly import Assembly
from node.snapshot.format import decode_manifest
from node.snapshot.shelf import Extent, Shelf, SnapshotFile
from node.snapshot.verify import Origin, origin_of
from node.storage import Store
from node.storage.draft import Draft
from tests.audit.certified import CertifiedChain
from tests.node.chains import OneChain

FILLER = bytes.fromhex("6000355b80805560019003806003" + "5700")  # for i from the first word down to 1: slot i = i
FILLER_INIT = bytes.fromhex("6f") + FILLER + bytes.fromhex("60005260106010f3")
MAP_BYTES = 1 << 28
STATE_TABLES = ("accounts", "storage", "codes", "jumps", "trie")


def long_chain(folder: Path, slots: int = 150) -> CertifiedChain:
    """Return a chain of nine heights whose state has a large storage trie."""
    certified = CertifiedChain(folder)
    certified.live_a_little()
    chain = certified.chain
    created = chain.transaction("household 3", None, FILLER_INIT)
    certified.mine(created)
    with chain.store.read() as view:
        contract = next(
            key
            for key, _ in view.items("accounts")
            if (account := view.state.account(key)) and view.state.code(account.code_hash) == FILLER
        )
    certified.mine(chain.transaction("household 3", contract, slots.to_bytes(32, "big"), gas=9_000_000))
    certified.mine(*(chain.transaction("household 1", bytes([n]) * 20, value=n) for n in range(40, 90)))
    return certified


def small_chunks(monkeypatch: pytest.MonkeyPatch, entries: int = 8) -> None:
    """Let snapshots be made of chunks of a few entries, so that small tries have spines."""
    monkeypatch.setattr(write, "TARGET_ENTRIES", entries)
    monkeypatch.setattr(write, "TARGET_CODE_BYTES", 8_000)


def snapshot_of(chain: OneChain, folder: Path) -> SnapshotFile:
    """Write the snapshot of a chain's head."""
    return Shelf(folder).add(chain.store)


def content(extent: Extent) -> bytes:
    """Return the bytes of a part of a file."""
    with extent.path.open("rb") as file:
        file.seek(extent.start)
        return file.read(extent.length)


def assemble(
    file: SnapshotFile, origin: Origin, path: Path, change: Callable[[int, bytes], bytes] = lambda _, raw: raw
) -> None:
    """Make a database at `path` of a snapshot; `change(index, raw)` may falsify chunks."""
    draft = Draft(path, bytes(32), map_bytes=MAP_BYTES)
    try:
        assembly = Assembly(decode_manifest(content(file.manifest)), origin, draft)
        for index in assembly.missing:
            assembly.take(index, change(index, content(file.chunks[index])))
        assembly.finish()
    finally:
        draft.close()


def open_store(chain: OneChain, path: Path) -> Store:
    """Open a database of the same chain."""
    return Store.open(path, chain_id=chain.genesis.chain_id, genesis_hash=chain.genesis_hash, map_bytes=MAP_BYTES)


def origin(chain: OneChain) -> Origin:
    """Return what the chain's genesis file makes."""
    return origin_of(chain.genesis)


def application_over(chain: OneChain, store: Store) -> Application:
    """Return the application of the same chain over another database."""
    return Application(store, chain.rule_book, chain.clock)
