"""The transactions of the state tests: what this chain takes, and two forms that it refuses.

Those are legacy transactions without replay protection, in which most of these tests come, and blob transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction, recover_sender

CHAIN_ID = 1
BLOB_TYPE = 3
MAX_BLOBS = 6  # Cancun: 786,432 blob gas a block
GAS_PER_BLOB = 131_072
VERSION_KZG = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction, the versioned hashes of its blobs, and the most that it pays for a unit of blob gas."""

    tx: Transaction
    blobs: tuple[bytes, ...] = ()
    max_fee_per_blob_gas: int = 0

    @property
    def blob_gas(self) -> int:
        """Gas of all blobs."""
        return GAS_PER_BLOB * len(self.blobs)


def decode(raw: bytes) -> Sent:
    """Decode a transaction of a test.

    Raises:
        InvalidTransaction: it has no valid form.
        InvalidRlp: it is no RLP of one.
    """
    if raw[:1] == bytes((BLOB_TYPE,)):
        return _decode_blobs(raw)
    try:
        return Sent(decode_transaction(raw, CHAIN_ID))
    except InvalidTransaction as error:
        if "replay-protected" not in error.reason:
            raise
    return Sent(_decode_unprotected(raw))


def _decode_unprotected(raw: bytes) -> Transaction:
    nonce, price, gas, to, value, payload, v, r, s = rlp.decode_list(rlp.decode(raw), 9)
    parity, r_number, s_number = rlp.decode_int(v) - 27, rlp.decode_int(r), rlp.decode_int(s)
    digest = keccak(rlp.encode([nonce, price, gas, to, value, payload]))
    fee = rlp.decode_int(price)
    return Transaction(
        raw=raw,
        hash=keccak(raw),
        type=0,
        chain_id=CHAIN_ID,
        nonce=rlp.decode_int(nonce, 64),
        max_priority_fee_per_gas=fee,
        max_fee_per_gas=fee,
        gas_limit=rlp.decode_int(gas, 64),
        to=rlp.decode_data(to, 0, 20) or None,
        value=rlp.decode_int(value),
        data=rlp.decode_data(payload),
        access_list=(),
        y_parity=parity,
        r=r_number,
        s=s_number,
        sender=recover_sender(digest, parity, r_number, s_number),
    )


def _decode_blobs(raw: bytes) -> Sent:
    """Decode a blob transaction (EIP-4844) as the type-2 transaction that it extends."""
    parts = rlp.decode_list(rlp.decode(raw[1:]), 14)
    blobs = tuple(rlp.decode_data(each, 32) for each in rlp.decode_list(parts[10]))
    if not rlp.decode_data(parts[5], 0, 20):
        raise InvalidTransaction("a blob transaction creates no contract")
    if not 0 < len(blobs) <= MAX_BLOBS or any(each[0] != VERSION_KZG for each in blobs):
        raise InvalidTransaction(f"expected 1 to {MAX_BLOBS} blob hashes of version {VERSION_KZG}")
    extended = decode_transaction(b"\2" + rlp.encode([*parts[:9], *parts[11:]]), CHAIN_ID)
    parity, r, s = (rlp.decode_int(part) for part in parts[11:])
    sender = recover_sender(keccak(raw[:1] + rlp.encode(parts[:11])), parity, r, s)
    return Sent(replace(extended, raw=raw, hash=keccak(raw), sender=sender), blobs, rlp.decode_int(parts[9]))
