"""Transactions without an account: a member's anonymous call, and a transfer of shielded notes.

Both are signed by their proofs alone: everything before the proofs is the message m, and a one-time sender follows
from what can happen only once. docs/private-window.md lays down the bytes.

    0x6e ‖ rlp([chain id, w, ring root, D, I, expiry height, gas limit, to, data, proof])
    0x6f ‖ rlp([chain id, expiry height, gas limit, to, data, [CLSAG, CLSAG, range proof]])

Rings and bins are the code of data contracts: a zero byte, then rows of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import rlp
from eth_abi.abi import encode
from eth_hash.auto import keccak

from privacy import clsag, range_proof, ring
from privacy.commitment import commit, value_base
from privacy.group import SCALAR_BYTES, InvalidEncoding, Scalar
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point

ANONYMOUS_TYPE: Final = 0x6E
SHIELDED_TYPE: Final = 0x6F
MIN_RING, MAX_RING = 8, 64  # fewer hide nobody; more are a call too dear
BIN_NOTES: Final = 16
SPENDS: Final = 2  # in a transfer, always
RANGE_BITS: Final = 64
ACCOUNT_BYTES: Final = 20
CLSAG_BYTES: Final = clsag.clsag_bytes(SECP256K1, BIN_NOTES)
RANGE_PROOF_BYTES: Final = {
    count: range_proof.range_proof_bytes(SECP256K1, range_proof.Statement((SECP256K1.generator,) * count, RANGE_BITS))
    for count in (2, 3)
}
"""By commitments: two notes, and a lock where there is one."""
CODES_KEPT: Final = 256  # parsed rings (at most 5.5 kB) and bins (1 kB)
_ROW_BYTES: Final = ACCOUNT_BYTES + 2 * POINT_BYTES
_G = SECP256K1


@dataclass(frozen=True, slots=True)
class RingRow:
    """A member of a window's ring: its account (20 bytes), ring key P and trace key K."""

    account: bytes
    key: Point
    trace: Point

    def to_bytes(self) -> bytes:
        """Return account ‖ P ‖ K, 86 bytes."""
        return self.account + _G.point_to_bytes(self.key) + _G.point_to_bytes(self.trace)


def ring_to_code(rows: Sequence[RingRow]) -> bytes:
    """Return the code of the data contract that holds a ring; its keccak is the ring root."""
    return b"\0" + b"".join(row.to_bytes() for row in rows)


@lru_cache(maxsize=CODES_KEPT)
def ring_from_code(code: bytes) -> tuple[RingRow, ...]:
    """Return the rows of a ring.

    Raises:
        InvalidEncoding: no zero byte first, no whole rows, or a key that is no point.
    """
    if code[:1] != b"\0" or (len(code) - 1) % _ROW_BYTES:
        raise InvalidEncoding("ring", code, f"a zero byte and rows of {_ROW_BYTES} bytes")
    rows = []
    for at in range(1, len(code), _ROW_BYTES):
        account, key = code[at : at + ACCOUNT_BYTES], at + ACCOUNT_BYTES
        points = (_G.point_from_bytes_checked(code[start : start + POINT_BYTES]) for start in (key, key + POINT_BYTES))
        rows.append(RingRow(account, *points))
    return tuple(rows)


def bin_to_code(notes: Sequence[clsag.Member[Point]]) -> bytes:
    """Return the code of the data contract that holds a closed bin of 16 notes."""
    points = (point for note in notes for point in (note.key, note.commitment))
    return b"\0" + b"".join(map(_G.point_to_bytes, points))


@lru_cache(maxsize=CODES_KEPT)
def bin_from_code(code: bytes) -> tuple[clsag.Member[Point], ...]:
    """Return the notes of a closed bin.

    Raises:
        InvalidEncoding: no zero byte first, another number of notes, or what is no point.
    """
    if code[:1] != b"\0" or len(code) != 1 + 2 * BIN_NOTES * POINT_BYTES:
        raise InvalidEncoding("bin", code, f"a zero byte and {BIN_NOTES} notes of {2 * POINT_BYTES} bytes")
    points = [_G.point_from_bytes_checked(code[at : at + POINT_BYTES]) for at in range(1, len(code), POINT_BYTES)]
    return tuple(clsag.Member(*pair) for pair in zip(points[::2], points[1::2], strict=True))


def scope_of(chain_id: int, registry: bytes, market: bytes, window: int) -> bytes:
    """Return the scope of a window (32 bytes): in it a member acts once, whatever becomes of the ring.

    Args:
        chain_id: as in EIP-155.
        registry, market: addresses of 20 bytes.
        window: w, in which is delivered what this scope trades.
    """
    types = ("string", "uint256", "address", "address", "uint64")
    return keccak(encode(types, ("gridpact/scope/v1", chain_id, registry, market, window)))


def anonymous_sender(scope: bytes, nullifier: bytes) -> bytes:
    """Return the one-time address (20 bytes) of the member with nullifier D in a scope."""
    return keccak(b"gridpact/anonymous/v1" + scope + nullifier)[12:]


def shielded_sender(data: bytes) -> bytes:
    """Return the one-time address (20 bytes) of a transfer with this calldata."""
    return keccak(b"gridpact/shielded/v1" + keccak(data))[12:]


def _typed(kind: int, fields: list[object]) -> bytes:
    return bytes((kind,)) + bytes(rlp.encode(fields))


@dataclass(frozen=True, slots=True)
class AnonymousCall:
    """What a member signs as one of its ring.

    Args:
        chain_id: as in EIP-155.
        window: w, whose scope it is.
        ring_root: code hash of the ring of w, 32 bytes.
        nullifier, trace_tag: D and I, compressed, 33 bytes each.
        expiry_height: the last height of a block that may contain it.
        gas_limit: as usual.
        to: the private market, 20 bytes.
        data: calldata.
    """

    chain_id: int
    window: int
    ring_root: bytes
    nullifier: bytes
    trace_tag: bytes
    expiry_height: int
    gas_limit: int
    to: bytes
    data: bytes

    def signing_hash(self) -> bytes:
        """Return m, 32 bytes."""
        return keccak(_typed(ANONYMOUS_TYPE, self._fields()))

    def scope(self, registry: bytes) -> bytes:
        """Return the scope that its images are for, with the registry at this address."""
        return scope_of(self.chain_id, registry, self.to, self.window)

    def sender(self, registry: bytes) -> bytes:
        """Return the one-time address (20 bytes) that calls."""
        return anonymous_sender(self.scope(registry), self.nullifier)

    def to_bytes(self, proof: bytes) -> bytes:
        """Return the raw transaction; the proof is c_0 ‖ responses."""
        return _typed(ANONYMOUS_TYPE, [*self._fields(), proof])

    def _fields(self) -> list[object]:
        scoped = self.chain_id, self.window, self.ring_root, self.nullifier, self.trace_tag
        return [*scoped, self.expiry_height, self.gas_limit, self.to, self.data]


def sign_call(
    call: AnonymousCall,
    registry: bytes,
    rows: Sequence[RingRow],
    secrets: tuple[Scalar, Scalar],
    index: int,
    randomness: bytes,
) -> bytes:
    """Return the raw transaction of a call, signed as the member at `index`.

    Args:
        call: its root is that of `rows`, its images those of the secrets (`call_images`).
        registry: address of the privacy registry.
        rows: the ring of the call's window.
        secrets: x and k.
        index: of the signer among the rows.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: another ring or other images than the call names, or secrets that are not that member's.
    """
    if call.ring_root != keccak(ring_to_code(rows)):
        raise ValueError("a call that names another ring")
    if (call.nullifier, call.trace_tag) != call_images(call.scope(registry), secrets):
        raise ValueError("a call with images that are not those of the secrets")
    signature = ring.sign(_G, _said(call, registry, rows), secrets, index, randomness)
    return call.to_bytes(signature.to_bytes(_G)[len(ring.KEYS) * POINT_BYTES :])


def call_images(scope: bytes, secrets: tuple[Scalar, Scalar]) -> tuple[bytes, bytes]:
    """Return (D, I) of a member with secrets x and k in a scope, 33 bytes each."""
    nullifier, trace_tag = (_G.point_to_bytes(ring.image(_G, secret, scope)) for secret in secrets)
    return nullifier, trace_tag


def ring_of_proof(proof: bytes) -> int:
    """Return for how many members a call's proof is; 0 if for none that there may be."""
    members, rest = divmod(len(proof), SCALAR_BYTES)
    return members - 1 if not rest and MIN_RING <= members - 1 <= MAX_RING else 0


def call_holds(call: AnonymousCall, registry: bytes, rows: Sequence[RingRow], proof: bytes) -> bool:
    """Return whether a member of the ring signed a call; it raises nothing.

    The base of the call's scope is prepared: all members of a window use it, twice.

    Args:
        call: as it was decoded, for a window that is open: a scope costs 10 ms once.
        registry: address of the privacy registry.
        rows: of the ring whose root the call names.
        proof: c_0 ‖ responses.
    """
    try:
        raw = call.nullifier + call.trace_tag + proof
        signature = ring.signature_from_bytes_checked(_G, raw, len(ring.KEYS), len(rows))
    except InvalidEncoding:
        return False
    if not MIN_RING <= len(rows) <= MAX_RING:
        return False
    said = _said(call, registry, rows)
    _G.prepare(ring.scope_base(_G, said.scope))
    return ring.verify(_G, said, signature)


def _said(call: AnonymousCall, registry: bytes, rows: Sequence[RingRow]) -> ring.Statement[Point]:
    members = tuple((row.key, row.trace) for row in rows)
    return ring.Statement(ring.KEYS, members, call.scope(registry), call.signing_hash())


@dataclass(frozen=True, slots=True)
class ShieldedTransfer:
    """What owners of two notes sign.

    Args:
        chain_id: as in EIP-155.
        expiry_height: the last height of a block that may contain it.
        gas_limit: as usual.
        to: the shielded pool, 20 bytes.
        data: calldata, a `spend`.
    """

    chain_id: int
    expiry_height: int
    gas_limit: int
    to: bytes
    data: bytes

    def signing_hash(self) -> bytes:
        """Return m, 32 bytes."""
        return keccak(_typed(SHIELDED_TYPE, self._fields()))

    def sender(self) -> bytes:
        """Return the one-time address (20 bytes) that calls."""
        return shielded_sender(self.data)

    def to_bytes(self, proofs: Sequence[bytes]) -> bytes:
        """Return the raw transaction; the proofs are a CLSAG a spend, and the range proof."""
        return _typed(SHIELDED_TYPE, [*self._fields(), list(proofs)])

    def _fields(self) -> list[object]:
        return [self.chain_id, self.expiry_height, self.gas_limit, self.to, self.data]


@dataclass(frozen=True, slots=True)
class OwnSpend:
    """One of two notes that are spent, as their owner knows it.

    Args:
        members: the notes of its bin.
        index: of the note among them.
        pseudo_output: C', which commits to its amount with another blinding.
        secrets: of the note: its one-time key, and its blinding less that of C'.
    """

    members: tuple[clsag.Member[Point], ...]
    index: int
    pseudo_output: Point
    secrets: clsag.Secrets


def sign_transfer(
    transfer: ShieldedTransfer,
    spends: Sequence[OwnSpend],
    openings: Sequence[tuple[int, Scalar]],
    randomness: bytes,
) -> bytes:
    """Return the raw transaction of a transfer.

    Args:
        transfer: its calldata names these bins, images, pseudo-outputs and commitments.
        spends: two, in the calldata's order.
        openings: (v, γ) of the new notes, and then of the lock if there is one.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: not two spends, secrets that are not those of the notes, or an amount out of range.
    """
    if len(spends) != SPENDS or len(openings) not in RANGE_PROOF_BYTES:
        raise ValueError(f"{len(spends)} spends, {len(openings)} outputs: expected {SPENDS}, and 2 or 3")
    message, proofs = transfer.signing_hash(), []
    for spend in spends:
        said = clsag.Statement(spend.members, spend.pseudo_output, message)
        proofs.append(clsag.sign(_G, said, spend.secrets, spend.index, randomness).to_bytes(_G))
    commitments = tuple(commit(_G, *opening) for opening in openings)
    outputs = range_proof.Statement(commitments, RANGE_BITS, message)
    return transfer.to_bytes([*proofs, range_proof.prove(_G, outputs, openings, randomness).to_bytes(_G)])


def spend_holds(
    members: tuple[clsag.Member[Point], ...], image: bytes, pseudo_output: bytes, message: bytes, proof: bytes
) -> bool:
    """Return whether the note with this key image, one of a bin's, goes on as a pseudo-output; it raises nothing."""
    try:
        signature = clsag.clsag_from_bytes_checked(_G, proof, len(members))
        said = clsag.Statement(members, _G.point_from_bytes_checked(pseudo_output), message)
    except InvalidEncoding:
        return False
    return _G.point_to_bytes(signature.image) == image and clsag.verify(_G, said, signature)


def balances(pseudo_outputs: Sequence[bytes], commitments: Sequence[bytes], withdrawal: int) -> bool:
    """Return whether Σ C' = Σ C + withdrawal·H: what a transfer spends is what it makes; it raises nothing.

    Args:
        pseudo_outputs: C' of the spends.
        commitments: C of the new notes and of the lock.
        withdrawal: what leaves the pool.
    """
    try:
        spent, made = (_G.sum(map(_G.point_from_bytes_checked, each)) for each in (pseudo_outputs, commitments))
    except InvalidEncoding:
        return False
    return _G.equal(spent, _G.sum((made, _G.multiply(_G.scalar(withdrawal), value_base(_G)))))


RangeClaim = tuple[range_proof.Statement[Point], range_proof.RangeProof[Point]]


def range_claim_of(commitments: Sequence[bytes], message: bytes, proof: bytes) -> RangeClaim | None:
    """Return what a transfer's range proof claims, as `range_proof.verify_each` takes it; None if it cannot be read."""
    try:
        points = tuple(map(_G.point_from_bytes_checked, commitments))
        said = range_proof.Statement(points, RANGE_BITS, message)
        return said, range_proof.range_proof_from_bytes_checked(_G, proof, said)
    except InvalidEncoding:
        return None
