"""A data directory whose node may have forgotten votes: the marker that keeps it from voting.

A validator must never contradict a vote that it sent. Its write-ahead log remembers them; a backup put back, or a log
that is lost or damaged, forgets some. The marker is a file in the data directory. While it is there the driver abstains
(consensus/recall.py): it asks its peers what they hold under its key and how far they are, and votes above that alone.
Then the node removes the marker itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from node.application import validator_keys
from node.config import DATABASE_NAME, RESTORED_NAME, WAL_NAME, NodeConfig
from node.driver.wal import DamagedLog, OtherLog, WriteAheadLog
from node.genesis import Genesis, load_genesis
from node.operations.database import open_database
from node.storage import Store

HASH_BYTES = KEY_BYTES = 32  # a log's identity: the genesis hash, and the node key

MEANING = (
    "Older data were put back here, or the write-ahead log was lost: this validator may have forgotten votes it sent.\n"
    "It abstains until it knows from its peers that it cannot contradict them; then it removes this file itself.\n"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was found in a data directory whose node abstains from now on.

    Args:
        head: the height of its database.
        set_aside: where its damaged log is now; None if the log was whole or missing.
        reason: why it was set aside.
    """

    head: int
    set_aside: Path | None
    reason: str


def is_marked(directory: Path) -> bool:
    """Return whether the node of a data directory has to abstain."""
    return (directory / RESTORED_NAME).exists()


def mark(directory: Path) -> None:
    """Set the marker; it is on the disk when this returns."""
    draft = directory / f"{RESTORED_NAME}.new"
    with draft.open("w", encoding="utf-8") as file:
        file.write(MEANING)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / RESTORED_NAME)
    sync_folder(directory)


def mark_if_seated(directory: Path, genesis: Genesis, node_key: bytes) -> bool:
    """Set the marker in a directory that was made from a snapshot if its node key has a seat there; return whether.

    Who comes to its seat with a new disk has voted with a log that is gone; a newcomer's key has never voted.
    """
    store, _ = open_database(directory / DATABASE_NAME, genesis, readonly=True)
    try:
        with store.read() as view:
            seated = node_key in validator_keys(view.state)
    finally:
        store.close()
    if seated:
        mark(directory)
    return seated


def unmark(directory: Path) -> None:
    """Remove the marker: the driver has said that it abstains no more."""
    (directory / RESTORED_NAME).unlink(missing_ok=True)
    sync_folder(directory)


def open_log(directory: Path, genesis_hash: bytes, node_key: bytes, store: Store) -> WriteAheadLog:
    """Open the write-ahead log of a data directory; make one where nothing was decided yet, or the marker is set.

    Raises:
        WriteAheadLogError: damaged, of another chain, or missing though this node has taken part.
    """
    path = directory / WAL_NAME
    if not path.exists() and not is_marked(directory):
        with store.read() as view:
            if view.head_height > view.first_height:
                raise DamagedLog(
                    path, 0, "the log is missing", f"the log of a node that is at height {view.head_height}"
                )
    return _open_own(path, genesis_hash, node_key)


def _open_own(path: Path, genesis_hash: bytes, node_key: bytes) -> WriteAheadLog:
    """Open the log of this node key; one of the key that the node had before is kept under that key's name."""
    try:
        return WriteAheadLog(path, genesis_hash + node_key)
    except OtherLog as error:
        chain, key = error.identity[:HASH_BYTES], error.identity[HASH_BYTES:]
        if chain != genesis_hash or len(key) != KEY_BYTES:
            raise
    path.replace(_of_key(path, key))
    if _of_key(path, node_key).exists():
        _of_key(path, node_key).replace(path)
    return WriteAheadLog(path, genesis_hash + node_key)


def _of_key(path: Path, node_key: bytes) -> Path:
    return path.with_name(f"{path.name}.of-{node_key.hex()[:16]}")


def restore(config: NodeConfig) -> Restored:
    """Make the node of a data directory abstain until that is safe, and set a damaged log aside; nothing is deleted.

    Raises:
        GridpactError: the node runs, or its database or key file cannot be used.
    """
    genesis = load_genesis(config.genesis)
    store, domain = open_database(config.directory / DATABASE_NAME, genesis, readonly=False)  # a running node has it
    try:
        with store.read() as view:
            head = view.head_height
        mark(config.directory)
        path = config.directory / WAL_NAME
        node_key = config.node_key()
        set_aside, reason = None, ""
        try:
            _open_own(path, domain.genesis_hash, node_key).close()
        except DamagedLog as error:
            set_aside, reason = _free_name(path), error.what
            path.replace(set_aside)
            _open_own(path, domain.genesis_hash, node_key).close()
    finally:
        store.close()
    return Restored(head, set_aside, reason)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def sync_folder(directory: Path) -> None:
    """Return when a folder's entries are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
