"""What can be wrong with a database."""

from __future__ import annotations

from pathlib import Path

from node.errors import GridpactError


class StorageError(GridpactError):
    """The database cannot be used: where, what was wrong, what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path
        self.what = what
        self.expected = expected


class CorruptValue(GridpactError):
    """A stored value does not match its checksum, is missing, or does not decode."""

    def __init__(self, table: str, key: bytes, what: str = "the checksum does not match") -> None:
        super().__init__(f"corrupt value in table {table} under key 0x{key.hex()}: {what}")
        self.table = table
        self.key = key


class NotKept(GridpactError):
    """A height lies below the one that this database begins with, that of the snapshot it was made from."""

    def __init__(self, height: int, first: int) -> None:
        super().__init__(f"height {height} is not kept here: this database begins with the snapshot of height {first}")
        self.height = height
        self.first = first


class StateNotKept(GridpactError):
    """The state after a height, or its trie, is not kept so far back; blocks and receipts still are."""

    def __init__(self, height: int, first: int) -> None:
        super().__init__(f"the state after height {height} is not kept here: expected height {first} or a later one")
        self.height = height
        self.first = first
