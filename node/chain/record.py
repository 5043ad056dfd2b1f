"""The round record: what an Ethereum header has no room for. The header's `extraData` is its digest."""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from node.chain import rlp

DOMAIN = b"gridpact/round-record/v1"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block of one chain: its number (0: none yet) and hash (32 bytes)."""

    number: int
    hash: bytes


NO_HEAD = Head(0, bytes(32))


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """Rules, validators, both chains' heads and the history root as of a height; hashes are 32 bytes."""

    rules_version: int
    epoch: int
    validators_hash: bytes
    next_validators_hash: bytes
    contract_head: Head
    ledger_head: Head
    history_root: bytes

    def encode(self) -> bytes:
        """Return the canonical RLP."""
        return rlp.encode(
            (
                self.rules_version,
                self.epoch,
                self.validators_hash,
                self.next_validators_hash,
                (self.contract_head.number, self.contract_head.hash),
                (self.ledger_head.number, self.ledger_head.hash),
                self.history_root,
            )
        )

    @property
    def digest(self) -> bytes:
        """keccak(domain ‖ canonical RLP): the header's extraData."""
        return keccak(DOMAIN + self.encode())


def decode_record(raw: bytes) -> RoundRecord:
    """Return the record that `raw` encodes.

    Raises:
        InvalidRlp: not a canonical round record.
    """
    version, epoch, acting, following, contract, ledger, history = rlp.decode_list(rlp.decode(raw), 7)
    return RoundRecord(
        rules_version=rlp.decode_int(version, 32),
        epoch=rlp.decode_int(epoch, 64),
        validators_hash=rlp.decode_data(acting, 32),
        next_validators_hash=rlp.decode_data(following, 32),
        contract_head=_decode_head(contract),
        ledger_head=_decode_head(ledger),
        history_root=rlp.decode_data(history, 32),
    )


def _decode_head(item: rlp.Item) -> Head:
    number, digest = rlp.decode_list(item, 2)
    return Head(rlp.decode_int(number, 64), rlp.decode_data(digest, 32))
