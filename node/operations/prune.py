"""Pruning a data directory: which states go, and what is written down before they do."""

from __future__ import annotations

from pathlib import Path

from node.config import CONFIG_NAME, DATABASE_NAME, MIN_HISTORY_HEIGHTS, load_config
from node.epochs import keep_transitions
from node.genesis import load_genesis
from node.operations.database import domain_of
from node.operations.progress import Advance, unheard
from node.parsing import ConfigError
from node.storage.prune import Pruned, Pruner

GIB = 1 << 30


def prune_directory(data: Path, keep: int, *, advance: Advance = unheard) -> Pruned:
    """Let go of states further back than `keep` heights, and compact the database file.

    Args:
        data: a data directory whose node does not run.
        keep: heights behind the head whose states stay; at least `MIN_HISTORY_HEIGHTS`.
        advance: told how much was looked at.

    Raises:
        ConfigError: too few heights.
        StorageError: the database is in use, or there is too little room.
    """
    if keep < MIN_HISTORY_HEIGHTS:
        raise ConfigError("command line", "--keep", f"at least {MIN_HISTORY_HEIGHTS} heights, found {keep}")
    config = load_config(data / CONFIG_NAME)
    genesis = load_genesis(config.genesis)
    store = Pruner.open(
        data / DATABASE_NAME,
        chain_id=genesis.chain_id,
        genesis_hash=domain_of(genesis).genesis_hash,
        map_bytes=config.map_size_gib * GIB,
    )
    try:
        with store.read() as view:
            first = max(view.head_height - keep, view.first_state_height, view.first_height)
        keep_transitions(store, first + 1)
        return store.prune(first, advance)
    finally:
        store.close()
