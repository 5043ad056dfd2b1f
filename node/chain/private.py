"""Transactions without an account as bytes: 0x6e, a member's anonymous call, and 0x6f, a transfer of shielded notes.

Source: docs/private-window.md. Whether their proofs hold depends on the state, and is `node.anonymity`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.chain import rlp
from privacy.envelopes import CLSAG_BYTES, RANGE_PROOF_BYTES, AnonymousCall, ShieldedTransfer, ring_of_proof
from privacy.secp256k1 import POINT_BYTES

ADDRESS_BYTES = 20
HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class SignedCall:
    """An anonymous call with its proof, c_0 ‖ responses."""

    call: AnonymousCall
    proof: bytes

    @property
    def members(self) -> int:
        """How large a ring the proof is for."""
        return ring_of_proof(self.proof)


@dataclass(frozen=True, slots=True)
class SignedTransfer:
    """A transfer with its proofs: a CLSAG a spend, and the range proof."""

    transfer: ShieldedTransfer
    proofs: tuple[bytes, bytes, bytes]

    @property
    def outputs(self) -> int:
        """How many commitments the range proof is about: two notes, and a lock if it is three."""
        return next(count for count, length in RANGE_PROOF_BYTES.items() if length == len(self.proofs[2]))


def decode_call(raw: bytes) -> SignedCall:
    """Return the anonymous call in raw bytes of type 0x6e.

    Raises:
        InvalidRlp: not its one encoding, or with a proof of no ring that there may be.
    """
    chain, window, root, nullifier, trace, expiry, gas, to, data, proof = rlp.decode_list(rlp.decode(raw[1:]), 10)
    signed = SignedCall(
        AnonymousCall(
            rlp.decode_int(chain, 64),
            rlp.decode_int(window, 64),
            rlp.decode_data(root, HASH_BYTES),
            rlp.decode_data(nullifier, POINT_BYTES),
            rlp.decode_data(trace, POINT_BYTES),
            rlp.decode_int(expiry, 64),
            rlp.decode_int(gas, 64),
            rlp.decode_data(to, ADDRESS_BYTES),
            rlp.decode_data(data),
        ),
        rlp.decode_data(proof),
    )
    if not signed.members:
        raise rlp.InvalidRlp(f"expected the proof of a ring of 8 to 64 members, found {len(signed.proof)} bytes")
    return signed


def decode_transfer(raw: bytes) -> SignedTransfer:
    """Return the transfer in raw bytes of type 0x6f.

    Raises:
        InvalidRlp: not its one encoding, or with proofs of other lengths.
    """
    chain, expiry, gas, to, data, proofs = rlp.decode_list(rlp.decode(raw[1:]), 6)
    first, second, ranges = rlp.decode_list(proofs, 3)
    return SignedTransfer(
        ShieldedTransfer(
            rlp.decode_int(chain, 64),
            rlp.decode_int(expiry, 64),
            rlp.decode_int(gas, 64),
            rlp.decode_data(to, ADDRESS_BYTES),
            rlp.decode_data(data),
        ),
        (
            rlp.decode_data(first, CLSAG_BYTES),
            rlp.decode_data(second, CLSAG_BYTES),
            rlp.decode_data(ranges, *RANGE_PROOF_BYTES.values()),
        ),
    )
