"""The database: LMDB, one write transaction a height, every value with a checksum."""

from node.storage.errors import CorruptValue, NotKept, StateNotKept, StorageError
from node.storage.store import Batch, Store
from node.storage.view import StateView, View

__all__ = ["Batch", "CorruptValue", "NotKept", "StateNotKept", "StateView", "StorageError", "Store", "View"]
