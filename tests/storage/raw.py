"""Raw access to the tables, past every check: for the tests that tamper with a chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb

from node.storage import tables


def entries(path: Path, table: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, stored value with its checksum) of a table."""
    environment = lmdb.open(str(path), max_dbs=len(tables.TABLES), readonly=True)
    try:
        database = environment.open_db(table.encode(), create=False)
        with environment.begin() as transaction, transaction.cursor(db=database) as cursor:
            yield from ((bytes(key), bytes(value)) for key, value in cursor)
    finally:
        environment.close()


def overwrite(path: Path, table: str, key: bytes, value: bytes, *, repair_checksum: bool = False) -> None:
    """Put a stored value in place of another; `repair_checksum` makes the checksum fit, as a thorough forger would."""
    environment = lmdb.open(str(path), max_dbs=len(tables.TABLES), map_size=1 << 36)
    try:
        database = environment.open_db(table.encode(), create=False)
        if repair_checksum:
            value = tables.wrap(table, key, value[: -tables.CHECKSUM_BYTES])
        with environment.begin(write=True) as transaction:
            transaction.put(key, value, db=database)
    finally:
        environment.close()
