"""Transactions: strict decoding by type, and the sender recovered once.

Sources: EIP-155 (type 0), EIP-2930 (type 1), EIP-1559 (type 2), EIP-2 (low s). Blob (type 3) and set-code (type 4)
transactions are refused by rule. Types 0x6e and 0x6f are ours: their proofs take the place of a signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coincurve import PublicKey
from eth_hash.auto import keccak

from contracts.system import PRIVACY_REGISTRY
from node.chain import rlp
from node.chain.private import SignedCall, SignedTransfer, decode_call, decode_transfer
from privacy.envelopes import ANONYMOUS_TYPE, SHIELDED_TYPE, AnonymousCall, ShieldedTransfer

SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAX_TRANSACTION_BYTES = 128 * 1024  # what Ethereum clients accept; a 24 kB contract takes 60 kB of init code at most
MAX_NONCE = 2**64 - 2  # EIP-2681
_WRONG_SIGNATURE = "invalid sender: invalid transaction v, r, s values"

AccessList = tuple[tuple[bytes, tuple[int, ...]], ...]


class InvalidTransaction(Exception):
    """A transaction that no valid block contains.

    Args:
        reason: what is wrong and what was expected, in the words that Ethereum clients use where they have any.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Transaction:
    """A decoded transaction with its sender.

    Addresses have 20 bytes (`to` None creates a contract), prices are wei a unit of gas; a legacy transaction's gas
    price stands in both fee fields. `raw` is the EIP-2718 encoding and `hash` its keccak. One without an account has
    its `private` part, a one-time sender, and zeros for nonce, prices, value and signature.
    """

    raw: bytes
    hash: bytes
    type: int
    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    to: bytes | None
    value: int
    data: bytes
    access_list: AccessList
    y_parity: int
    r: int
    s: int
    sender: bytes
    private: SignedCall | SignedTransfer | None = None


def decode_transaction(raw: bytes, chain_id: int) -> Transaction:
    """Decode a raw transaction of this chain and recover its sender.

    Raises:
        InvalidTransaction: malformed, of a type or chain that is not ours, or with an invalid signature.
    """
    if not raw:
        raise InvalidTransaction("malformed transaction: no bytes")
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(f"oversized data: transaction size {len(raw)}, limit {MAX_TRANSACTION_BYTES}")
    try:
        if raw[0] >= 0xC0:
            return _decode_legacy(raw, chain_id)
        decoder = TYPES.get(raw[0])
        if decoder is None:
            known = ", ".join(str(kind) for kind in (0, *sorted(TYPES)))
            raise InvalidTransaction(f"transaction type not supported: {raw[0]}; this chain takes types {known}")
        return decoder(raw, chain_id)
    except rlp.InvalidRlp as error:
        raise InvalidTransaction(f"malformed transaction: {error}") from None


def _decode_legacy(raw: bytes, chain_id: int) -> Transaction:
    items = rlp.decode_list(rlp.decode(raw), 9)
    nonce, price, gas, to, value, data = _common(items[0], items[1], items[2], items[3], items[4], items[5])
    v = rlp.decode_int(items[6], 64)
    if v in (27, 28):
        raise InvalidTransaction("only replay-protected (EIP-155) transactions allowed over RPC")
    _check_chain((v - 35) // 2, chain_id)
    unsigned = rlp.encode([*items[:6], rlp.encode_int(chain_id), b"", b""])
    return _signed(
        raw, 0, chain_id, nonce, price, price, gas, to, value, data, (), (v - 35) & 1, items[7], items[8], unsigned
    )


def _decode_access_list_type(raw: bytes, chain_id: int) -> Transaction:
    items = rlp.decode_list(rlp.decode(raw[1:]), 11)
    _check_chain(rlp.decode_int(items[0], 64), chain_id)
    nonce, price, gas, to, value, data = _common(items[1], items[2], items[3], items[4], items[5], items[6])
    access = _access_list(items[7])
    unsigned = raw[:1] + rlp.encode(items[:8])
    parity = rlp.decode_int(items[8], 8)
    return _signed(
        raw, 1, chain_id, nonce, price, price, gas, to, value, data, access, parity, items[9], items[10], unsigned
    )


def _decode_dynamic_fee_type(raw: bytes, chain_id: int) -> Transaction:
    items = rlp.decode_list(rlp.decode(raw[1:]), 12)
    _check_chain(rlp.decode_int(items[0], 64), chain_id)
    tip = rlp.decode_int(items[2])
    nonce, cap, gas, to, value, data = _common(items[1], items[3], items[4], items[5], items[6], items[7])
    if tip > cap:
        raise InvalidTransaction(f"max priority fee per gas higher than max fee per gas: {tip} > {cap}")
    access = _access_list(items[8])
    unsigned = raw[:1] + rlp.encode(items[:9])
    parity = rlp.decode_int(items[9], 8)
    return _signed(
        raw, 2, chain_id, nonce, tip, cap, gas, to, value, data, access, parity, items[10], items[11], unsigned
    )


def _decode_anonymous_call(raw: bytes, chain_id: int) -> Transaction:
    signed = decode_call(raw)
    _check_chain(signed.call.chain_id, chain_id)
    return _private(raw, signed.call.sender(PRIVACY_REGISTRY), signed.call, signed)


def _decode_shielded_transfer(raw: bytes, chain_id: int) -> Transaction:
    signed = decode_transfer(raw)
    _check_chain(signed.transfer.chain_id, chain_id)
    return _private(raw, signed.transfer.sender(), signed.transfer, signed)


def _private(
    raw: bytes, sender: bytes, said: AnonymousCall | ShieldedTransfer, signed: SignedCall | SignedTransfer
) -> Transaction:
    gas, to, data = said.gas_limit, said.to, said.data
    return Transaction(raw, keccak(raw), raw[0], said.chain_id, 0, 0, 0, gas, to, 0, data, (), 0, 0, 0, sender, signed)


TYPES: dict[int, Callable[[bytes, int], Transaction]] = {
    1: _decode_access_list_type,
    2: _decode_dynamic_fee_type,
    ANONYMOUS_TYPE: _decode_anonymous_call,
    SHIELDED_TYPE: _decode_shielded_transfer,
}
"""Decoders by EIP-2718 type byte; a later type is one more entry."""


def _common(
    nonce: rlp.Item, price: rlp.Item, gas: rlp.Item, to: rlp.Item, value: rlp.Item, data: rlp.Item
) -> tuple[int, int, int, bytes | None, int, bytes]:
    number = rlp.decode_int(nonce, 64)
    if number > MAX_NONCE:
        raise InvalidTransaction(f"nonce has max value: {number}")
    return (
        number,
        rlp.decode_int(price),
        rlp.decode_int(gas, 64),
        rlp.decode_data(to, 0, 20) or None,
        rlp.decode_int(value),
        rlp.decode_data(data),
    )


def _access_list(item: rlp.Item) -> AccessList:
    entries = []
    for entry in rlp.decode_list(item):
        address, slots = rlp.decode_list(entry, 2)
        numbers = tuple(int.from_bytes(rlp.decode_data(slot, 32), "big") for slot in rlp.decode_list(slots))
        entries.append((rlp.decode_data(address, 20), numbers))
    return tuple(entries)


def _check_chain(found: int, chain_id: int) -> None:
    if found != chain_id:
        raise InvalidTransaction(f"invalid sender: invalid chain id for signer: have {found} want {chain_id}")


def _signed(
    raw: bytes,
    kind: int,
    chain_id: int,
    nonce: int,
    tip: int,
    cap: int,
    gas: int,
    to: bytes | None,
    value: int,
    data: bytes,
    access: AccessList,
    parity: int,
    r_item: rlp.Item,
    s_item: rlp.Item,
    unsigned: bytes,
) -> Transaction:
    r, s = rlp.decode_int(r_item), rlp.decode_int(s_item)
    sender = recover_sender(keccak(unsigned), parity, r, s)
    return Transaction(
        raw, keccak(raw), kind, chain_id, nonce, tip, cap, gas, to, value, data, access, parity, r, s, sender
    )


def recover_sender(digest: bytes, y_parity: int, r: int, s: int) -> bytes:
    """Return the address (20 bytes) whose key signed a 32-byte digest.

    Raises:
        InvalidTransaction: values out of range, s in the upper half (EIP-2), or no such point.
    """
    if y_parity not in (0, 1) or not 0 < r < SECP256K1_N or not 0 < s <= SECP256K1_N // 2:
        raise InvalidTransaction(_WRONG_SIGNATURE)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # coincurve raises a bare Exception for a point that is not on the curve
        raise InvalidTransaction(_WRONG_SIGNATURE) from None
    return keccak(key.format(compressed=False)[1:])[12:]
