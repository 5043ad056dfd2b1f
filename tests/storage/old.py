"""Databases as earlier software left them: today's, taken back step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lmdb

from node.chain.rlp import encode_int
from node.storage import tables


def _without_jumps(transaction: lmdb.Transaction, database: Callable[[str], Any]) -> None:
    transaction.drop(database("jumps"), delete=True)


BACK: Mapping[int, Callable[[lmdb.Transaction, Callable[[str], Any]], None]] = {2: _without_jumps}
"""By version: what takes a database of the next version back to it."""


def take_back(path: Path, version: int) -> None:
    """Make a closed database one of an earlier schema version."""
    environment = lmdb.open(str(path), max_dbs=len(tables.TABLES), map_size=1 << 36)
    try:
        databases = {name: environment.open_db(name.encode(), create=False) for name in tables.TABLES}
        with environment.begin(write=True) as transaction:
            for earlier in sorted((number for number in BACK if number >= version), reverse=True):
                BACK[earlier](transaction, databases.__getitem__)
            schema = tables.wrap("meta", b"schema", encode_int(version))
            transaction.put(b"schema", schema, db=databases["meta"])
    finally:
        environment.close()
