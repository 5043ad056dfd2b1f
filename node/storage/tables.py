"""The tables and their keys. Integers in keys are big-endian, so that LMDB keeps them in order.

| table | key | value |
|---|---|---|
| meta | name | schema version, chain id, genesis hash, head height, size of the history, first state that is kept |
| meta | migrating | while a migration is under way: the version that it began with ‖ how far it has come |
| meta | epoch ‖ number | the height whose round record names that epoch's validators |
| meta | first, validators | of a database made from a snapshot: where it begins, what it was told |
| meta | transition ‖ epoch | what proves an epoch, where no state is kept that tells it |
| headers | height | header RLP |
| bodies | height | RLP list of raw transactions |
| senders | height | senders' addresses, one after the other |
| receipts | height | RLP list of receipts without blooms |
| records | height | round record |
| certificates | height | certificate (none for height 0) |
| heights | block hash | height |
| transactions | transaction hash | height ‖ index |
| chains | chain ‖ number | RLP [chain block, indices of its transactions, leaf index in the history] |
| history | subtree height ‖ index | node of the Merkle Mountain Range |
| accounts | address | account RLP: the live state |
| storage | address ‖ slot | value without leading zeros: the live state |
| codes | code hash | code |
| jumps | code hash | where instructions begin in it (`node.state.code`) |
| trie | path key | trie node RLP |
| accounts_before | address ‖ height | the account before that height (empty: none) |
| storage_before | address ‖ slot ‖ height | the value before that height |
| trie_before | height | RLP list of [path key, node before that height]: of the last `PROVED_HEIGHTS` |
"""

from __future__ import annotations

import zlib

from node.storage.errors import CorruptValue

SCHEMA_VERSION = 3
VERSION_BYTES = 4
UNFINISHED = b"migrating"
PROVED_HEIGHTS = 128  # how far behind the head a state value can still be proved
TABLES = (
    "meta",
    "headers",
    "bodies",
    "senders",
    "receipts",
    "records",
    "certificates",
    "heights",
    "transactions",
    "chains",
    "history",
    "accounts",
    "storage",
    "codes",
    "jumps",
    "trie",
    "accounts_before",
    "storage_before",
    "trie_before",
)
_SEEDS = {name: zlib.crc32(name.encode()) for name in TABLES}
CHECKSUM_BYTES = 4


def height_key(height: int) -> bytes:
    """Return the key of a height."""
    return height.to_bytes(8, "big")


def epoch_key(epoch: int) -> bytes:
    """Return the key, in the table meta, of where an epoch's validators are named."""
    return b"epoch" + epoch.to_bytes(8, "big")


def transition_key(epoch: int) -> bytes:
    """Return the key, in the table meta, of the transition into an epoch."""
    return b"transition" + epoch.to_bytes(8, "big")


def chain_key(chain: int, number: int) -> bytes:
    """Return the key of a chain's block."""
    return bytes((chain,)) + number.to_bytes(8, "big")


def position_key(position: tuple[int, int]) -> bytes:
    """Return the key of a node of the history range."""
    return bytes((position[0],)) + position[1].to_bytes(8, "big")


def wrap(table: str, key: bytes, payload: bytes) -> bytes:
    """Return a value as it is stored: the payload, and a checksum over table, key and payload."""
    return payload + zlib.crc32(payload, zlib.crc32(key, _SEEDS[table])).to_bytes(CHECKSUM_BYTES, "big")


def unwrap(table: str, key: bytes, value: bytes) -> bytes:
    """Return the payload of a stored value.

    Raises:
        CorruptValue: the checksum does not match.
    """
    payload = value[:-CHECKSUM_BYTES]
    if wrap(table, key, payload) != value:
        raise CorruptValue(table, key)
    return payload
