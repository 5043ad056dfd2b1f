"""Signed transactions of every kind, right ones and wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coincurve import PrivateKey
from eth_hash.auto import keccak

from node.chain import rlp

AccessEntries = Sequence[tuple[bytes, Sequence[bytes]]]


def fields(kind: int, **values: Any) -> list[Any]:
    """Return the unsigned fields of a transaction of type 0, 1 or 2, in the order of its encoding."""
    given: dict[str, Any] = {
        "chain_id": 2016,
        "nonce": 0,
        "tip": 0,
        "price": 0,
        "gas": 1_000_000,
        "to": b"\x11" * 20,
        "value": 0,
        "data": b"",
        "access": [],
    }
    unknown = set(values) - set(given)
    if unknown:
        raise ValueError(f"no such fields: {sorted(unknown)}")
    given |= values
    common = [given["gas"], given["to"] or b"", given["value"], given["data"]]
    if kind == 0:
        return [given["nonce"], given["price"], *common]
    if kind == 1:
        return [given["chain_id"], given["nonce"], given["price"], *common, given["access"]]
    return [given["chain_id"], given["nonce"], given["tip"], given["price"], *common, given["access"]]


def signature(key: PrivateKey, digest: bytes) -> tuple[int, int, int]:
    """Return (y parity, r, s) over a digest of 32 bytes."""
    raw = key.sign_recoverable(digest, hasher=None)
    return raw[64], int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


def signed(key: PrivateKey, kind: int, **values: Any) -> bytes:
    """Return a raw transaction of type 0 (EIP-155), 1 or 2."""
    chain_id = values.get("chain_id", 2016)
    unsigned = fields(kind, **values)
    if kind == 0:
        parity, r, s = signature(key, keccak(rlp.encode([*unsigned, chain_id, 0, 0])))
        return rlp.encode([*unsigned, chain_id * 2 + 35 + parity, r, s])
    prefix = bytes((kind,))
    return prefix + rlp.encode([*unsigned, *signature(key, keccak(prefix + rlp.encode(unsigned)))])
