"""What a snapshot is made of: a manifest, and chunks that each prove themselves against a certified state root.

The manifest holds everything of one height but its state: the header, certified, with the 255 before it, the round
record, the body, the receipts, the Merkle Mountain Range's peaks, the validators to come, every epoch change since the
founders; and of the state the *spine*: the hashes of all subtries of one depth, for the account trie and for every
storage trie that is too large for one chunk. A chunk is the state below one such path, or several small storages, or
code. Nothing is believed: whoever joins checks the header by the genesis file, the spine by the header's state root,
every chunk by the spine.

    manifest ‖ chunk 0 ‖ chunk 1 ‖ …        accounts first, then storage, then code
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from node.chain import rlp
from node.errors import GridpactError

MAGIC = b"gridpact-snapshot/1"
KEPT_HEADERS = 256  # as far back as BLOCKHASH reaches
TARGET_ENTRIES = 4_096  # accounts or slots of a chunk: about half a megabyte, rebuilt in a fraction of a second
TARGET_CODE_BYTES = 512 * 1024
MAX_DEPTH = 4  # of the spine: 65,536 chunks of one trie
MAX_CHUNK_BYTES = 4 * 1024 * 1024  # several times the target: subtries of hashed keys are never so uneven
MAX_MANIFEST_BYTES = 32 * 1024 * 1024  # a thousand epochs of a hundred validators take ten, the spine of a GB one
MAX_CHUNKS = 1 << 20
MAX_KEYS = 128  # validators of a height


class InvalidSnapshot(GridpactError):
    """A snapshot is not what it says: which part, and what was wrong with it."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"snapshot: {part}: {reason}")
        self.part = part
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Where the chunks are told apart in transit: length in bytes and keccak. It proves nothing about the content."""

    length: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a snapshot but the state itself; byte strings are encodings as they are stored elsewhere.

    Args:
        chain_id, genesis_hash: the chain.
        height: whose state it is.
        headers: of the heights up to and with `height`, at most `KEPT_HEADERS`, in rising order.
        record, certificate: of `height`.
        transactions, receipts: of `height`; receipts without blooms.
        chain_blocks: those that `height` added.
        history_size, peaks: the Merkle Mountain Range before `height`.
        next_keys: node keys of the validators of `height` + 1.
        transitions: every epoch change below `height`.
        accounts: the spine of the account trie, as `node.state.trie.join_subtries` takes it.
        storages: the spine of each storage trie that has several chunks, by address.
        chunks: in order.
    """

    chain_id: int
    genesis_hash: bytes
    height: int
    headers: tuple[bytes, ...]
    record: bytes
    certificate: bytes
    transactions: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    chain_blocks: tuple[bytes, ...]
    history_size: int
    peaks: tuple[bytes, ...]
    next_keys: tuple[bytes, ...]
    transitions: tuple[bytes, ...]
    accounts: tuple[bytes, ...]
    storages: Mapping[bytes, tuple[bytes, ...]]
    chunks: tuple[ChunkRef, ...]

    def encode(self) -> bytes:
        """Return the canonical RLP."""
        return rlp.encode(
            (
                MAGIC,
                self.chain_id,
                self.genesis_hash,
                self.height,
                self.headers,
                self.record,
                self.certificate,
                self.transactions,
                self.receipts,
                self.chain_blocks,
                self.history_size,
                self.peaks,
                self.next_keys,
                self.transitions,
                self.accounts,
                sorted(self.storages.items()),
                [(chunk.length, chunk.hash) for chunk in self.chunks],
            )
        )


def decode_manifest(raw: bytes) -> Manifest:
    """Return the manifest that `raw` encodes; its shape and bounds are checked, nothing else.

    Raises:
        InvalidSnapshot: naming what is not as expected.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise InvalidSnapshot("manifest", f"{len(raw)} bytes, expected at most {MAX_MANIFEST_BYTES}")
    try:
        item = rlp.decode_list(rlp.decode(raw, MAX_CHUNKS))
        if not item or item[0] != MAGIC:
            raise InvalidSnapshot("manifest", f"expected one of format {MAGIC.decode()}")
        rlp.decode_list(item, 17)
        return _manifest(item)
    except rlp.InvalidRlp as error:
        raise InvalidSnapshot("manifest", str(error)) from None


def _manifest(item: list[rlp.Item]) -> Manifest:
    headers, keys = _datas(item[4]), _datas(item[12], 32)
    if not 1 <= len(headers) <= KEPT_HEADERS or not 1 <= len(keys) <= MAX_KEYS:
        raise rlp.InvalidRlp(f"{len(headers)} headers and {len(keys)} next keys, expected 1 to {KEPT_HEADERS} and some")
    storages = {}
    for row in rlp.decode_list(item[15]):
        address, hashes = rlp.decode_list(row, 2)
        storages[rlp.decode_data(address, 20)] = _spine(hashes)
    chunks = [rlp.decode_list(row, 2) for row in rlp.decode_list(item[16])]
    refs = tuple(ChunkRef(rlp.decode_int(length, 32), rlp.decode_data(digest, 32)) for length, digest in chunks)
    for index, ref in enumerate(refs):
        if ref.length > MAX_CHUNK_BYTES:
            raise rlp.InvalidRlp(f"chunk {index} of {ref.length} bytes, expected at most {MAX_CHUNK_BYTES}")
    return Manifest(
        chain_id=rlp.decode_int(item[1], 64),
        genesis_hash=rlp.decode_data(item[2], 32),
        height=rlp.decode_int(item[3], 48),
        headers=headers,
        record=rlp.decode_data(item[5]),
        certificate=rlp.decode_data(item[6]),
        transactions=_datas(item[7]),
        receipts=_datas(item[8]),
        chain_blocks=_datas(item[9]),
        history_size=rlp.decode_int(item[10], 48),
        peaks=_datas(item[11], 32),
        next_keys=keys,
        transitions=_datas(item[13]),
        accounts=_spine(item[14]),
        storages=storages,
        chunks=refs,
    )


def _datas(item: rlp.Item, *lengths: int) -> tuple[bytes, ...]:
    return tuple(rlp.decode_data(part, *lengths) for part in rlp.decode_list(item))


def _spine(item: rlp.Item) -> tuple[bytes, ...]:
    hashes = _datas(item, 0, 32)
    if len(hashes) not in {16**depth for depth in range(MAX_DEPTH + 1)}:
        raise rlp.InvalidRlp(f"a spine of {len(hashes)} hashes, expected a power of 16 up to {16**MAX_DEPTH}")
    return hashes


# -- chunks


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as a chunk carries it: address, and the RLP that enters the account trie."""

    address: bytes
    account: bytes


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts whose hashed address begins with `path` (nibbles), by rising address."""

    path: bytes
    rows: tuple[AccountRow, ...]

    def encode(self) -> bytes:
        """Return the chunk."""
        return rlp.encode((0, self.path, [(row.address, row.account) for row in self.rows]))


@dataclass(frozen=True, slots=True)
class StoragePart:
    """All slots of an account whose hashed number begins with `path` (nibbles), by rising slot; no value is 0."""

    address: bytes
    path: bytes
    slots: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Storage of one account or of several."""

    parts: tuple[StoragePart, ...]

    def encode(self) -> bytes:
        """Return the chunk."""
        return rlp.encode((1, [(part.address, part.path, part.slots) for part in self.parts]))


@dataclass(frozen=True, slots=True)
class Codes:
    """Contract codes."""

    codes: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the chunk."""
        return rlp.encode((2, self.codes))


Chunk = Accounts | Storage | Codes


def decode_chunk(raw: bytes, name: str) -> Chunk:
    """Return the chunk that `raw` encodes; nothing in it is verified but its shape.

    Args:
        raw: the bytes.
        name: of the chunk, for errors.

    Raises:
        InvalidSnapshot: it is not a chunk, or not in order.
    """
    if len(raw) > MAX_CHUNK_BYTES:
        raise InvalidSnapshot(name, f"{len(raw)} bytes, expected at most {MAX_CHUNK_BYTES}")
    try:
        kind, *rest = rlp.decode_list(rlp.decode(raw), 2, 3)
        match rlp.decode_int(kind, 8), rest:
            case 0, [path, rows]:
                return Accounts(_path(path), tuple(_account_row(row) for row in rlp.decode_list(rows)))
            case 1, [parts]:
                return Storage(tuple(_storage_part(part) for part in rlp.decode_list(parts)))
            case 2, [codes]:
                return Codes(_datas(codes))
    except rlp.InvalidRlp as error:
        raise InvalidSnapshot(name, str(error)) from None
    raise InvalidSnapshot(name, "neither accounts, storage nor code")


def _path(item: rlp.Item) -> bytes:
    path = rlp.decode_data(item, *range(MAX_DEPTH + 1))
    if any(nibble > 15 for nibble in path):
        raise rlp.InvalidRlp(f"path {path.hex()}: expected one nibble a byte")
    return path


def _account_row(item: rlp.Item) -> AccountRow:
    address, account = rlp.decode_list(item, 2)
    return AccountRow(rlp.decode_data(address, 20), rlp.decode_data(account))


def _storage_part(item: rlp.Item) -> StoragePart:
    address, path, rows = rlp.decode_list(item, 3)
    slots = []
    for row in rlp.decode_list(rows):
        slot, value = rlp.decode_list(row, 2)
        slots.append((rlp.decode_int(slot), rlp.decode_int(value)))
    return StoragePart(rlp.decode_data(address, 20), _path(path), tuple(slots))


def require_rising(values: Sequence[bytes] | Sequence[int], name: str) -> None:
    """Refuse values that do not rise strictly, so that none is there twice.

    Raises:
        InvalidSnapshot: they do not.
    """
    for before, after in pairwise(values):
        if not before < after:  # type: ignore[operator]  # both of one type
            raise InvalidSnapshot(name, f"an entry twice or out of order, after {before!r}")
