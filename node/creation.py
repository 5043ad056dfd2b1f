"""Makes a database that holds block 0. Nothing that only a running validator needs is imported for it."""

from __future__ import annotations

from pathlib import Path

from node.application import make_block_0, make_genesis
from node.continuation import inherit, read_legacy
from node.genesis import Genesis
from node.rules import RuleBook
from node.storage import Store


def create_database(path: Path, genesis: Genesis, parent: Path | None = None) -> bytes:
    """Make a new database that holds block 0; return its hash.

    Args:
        path: a new folder.
        genesis: the checked genesis file.
        parent: a data directory of the chain that it continues, if it does.

    Raises:
        GridpactError: the parent is missing, or not the one that the genesis file names.
    """
    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    if genesis.continues is None or parent is None:
        sealed, delta = make_genesis(genesis, rules)
    else:
        delta = inherit(read_legacy(parent, genesis.continues.height), genesis)
        sealed = make_block_0(genesis, rules)
    Store.create(path, chain_id=genesis.chain_id, genesis_hash=sealed.header.hash, sealed=sealed, delta=delta).close()
    return sealed.header.hash
