"""ERC-20 transfers signed straight on the curve, and whole JSON-RPC batches of them: a cheap load generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coincurve import PrivateKey
from eth_hash.auto import keccak

from benchmarks.ethereum import GAS
from node.chain import rlp

SELECTOR = bytes.fromhex("a9059cbb")  # transfer(address,uint256)


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transfer: the sender's index and nonce, the raw transaction, and its hash, both 0x…."""

    sender: int
    nonce: int
    raw: str
    hash: str


class TokenSenders:
    """Accounts that send each other one unit of a token in turn.

    Args:
        chain_id: of the chain.
        token: the contract's address (20 bytes).
        keys: the senders' private keys (32 bytes each).
        nonces: the next nonce of each.
        fee: what they offer, in wei a gas.
    """

    def __init__(self, chain_id: int, token: bytes, keys: Sequence[bytes], nonces: Sequence[int], fee: int = 0) -> None:
        self._chain_id = chain_id
        self._token = token
        self._fee = fee
        self._keys = [PrivateKey(key) for key in keys]
        self._nonces = list(nonces)
        addresses = [keccak(key.public_key.format(compressed=False)[1:])[12:] for key in self._keys]
        self.addresses = ["0x" + address.hex() for address in addresses]
        one = (1).to_bytes(32, "big")
        self._data = [SELECTOR + bytes(12) + to + one for to in [*addresses[1:], addresses[0]]]
        self._turn = 0

    def next_transfers(self, count: int) -> list[Signed]:
        """Sign the next `count` transfers, one a sender in turn."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Signed:
        index = self._turn
        self._turn = (index + 1) % len(self._keys)
        nonce = self._nonces[index]
        self._nonces[index] = nonce + 1
        fields: list[object] = [self._chain_id, nonce, 0, self._fee, GAS, self._token, 0, self._data[index], []]
        signed = self._keys[index].sign_recoverable(keccak(b"\2" + rlp.encode(fields)), hasher=None)
        r, s = (int.from_bytes(signed[at : at + 32], "big") for at in (0, 32))
        raw = b"\2" + rlp.encode([*fields, signed[64], r, s])
        return Signed(index, nonce, "0x" + raw.hex(), "0x" + keccak(raw).hex())


def batch_body(transfers: Sequence[Signed]) -> bytes:
    """Return the JSON-RPC batch that sends these transfers."""
    rows = (
        f'{{"jsonrpc":"2.0","id":{index},"method":"eth_sendRawTransaction","params":["{each.raw}"]}}'
        for index, each in enumerate(transfers)
    )
    return f"[{','.join(rows)}]".encode()
