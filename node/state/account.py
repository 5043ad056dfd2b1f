"""An account of the world state. Source: yellow paper §4.1."""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from node.chain import rlp

EMPTY_CODE_HASH = keccak(b"")
EMPTY_ROOT = keccak(rlp.encode(b""))


@dataclass(frozen=True, slots=True)
class Account:
    """Nonce, balance in wei, root of the storage trie and hash of the code (32 bytes each)."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE_HASH

    def encode(self) -> bytes:
        """Return the RLP as it enters the state trie."""
        return rlp.encode((self.nonce, self.balance, self.storage_root, self.code_hash))


def decode_account(raw: bytes) -> Account:
    """Return the account that `raw` encodes.

    Raises:
        InvalidRlp: not an account.
    """
    nonce, balance, root, code = rlp.decode_list(rlp.decode(raw), 4)
    return Account(
        rlp.decode_int(nonce, 64), rlp.decode_int(balance), rlp.decode_data(root, 32), rlp.decode_data(code, 32)
    )
