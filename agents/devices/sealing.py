"""What a meter makes of a reading that nobody may read: a commitment, a ciphertext to the auditors, and their proof.

All blindings follow from the meter's key by a pseudorandom function, so a household that has the key opens its own
readings at any time, and a meter that starts again says the same of the same quarter: two commitments to one quarter
with one blinding would tell the difference of what they hold.
Source: Bellare, Canetti, Krawczyk 1996 (HMAC); privacy/auditors.py for the ciphertext and its proof.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from eth_keys.datatypes import PrivateKey

from contracts.bindings.sealed_meters import Sealed, seal_message
from contracts.system import SEALED_METERS
from privacy.auditors import encrypt, prove_same_amount
from privacy.commitment import commit
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point

_SEED_LABEL = b"gridpact/meter-seed/v1"
_G = SECP256K1


class MeterSeal:
    """A meter's secrets, quarter by quarter.

    Args:
        key: the meter's; its seed follows from it.
        chain_id: of the chain that the meter attests on; another chain has other blindings.
    """

    def __init__(self, key: PrivateKey, chain_id: int) -> None:
        self._seed = hmac.digest(key.to_bytes(), _SEED_LABEL, "sha512")
        self._chain_id = chain_id
        self.meter: bytes = key.public_key.to_canonical_address()
        self._bound = b"gridpact/meter/v1" + chain_id.to_bytes(32, "big") + SEALED_METERS + self.meter

    def blinding(self, quarter: int, *, is_export: bool) -> Scalar:
        """Return γ of the commitment v·H + γ·G to what the meter read of a quarter in one direction."""
        return self._scalar(b"commitment", quarter, is_export=is_export)

    def sum_of_blindings(self, quarters: Iterable[int], *, is_export: bool) -> Scalar:
        """Return the blinding of the sum of several quarters' commitments."""
        return _G.scalar(sum(self.blinding(quarter, is_export=is_export) for quarter in quarters))

    def seal(self, joint_key: Point, quarter: int, energy_wh: int, *, is_export: bool) -> Sealed:
        """Return what the meter attests of one direction of a quarter; the same for the same reading.

        Args:
            joint_key: that of the auditors of the quarter's window.
            quarter: since window 0 began.
            energy_wh: what was read, from 0.
            is_export: the direction.
        """
        rho = self._scalar(b"encryption", quarter, is_export=is_export)
        gamma = self.blinding(quarter, is_export=is_export)
        message = seal_message(self._chain_id, self.meter, quarter, is_export=is_export)
        proof = prove_same_amount(
            _G, joint_key, energy_wh, rho, gamma, message, self._draw(b"proof", quarter, is_export=is_export)
        )
        points = encrypt(_G, joint_key, energy_wh, rho).to_bytes(_G)
        return Sealed(points + _G.point_to_bytes(commit(_G, energy_wh, gamma)), proof.to_bytes(_G))

    def _scalar(self, use: bytes, quarter: int, *, is_export: bool) -> Scalar:
        return _G.scalar_from_bytes_wide(self._draw(use, quarter, is_export=is_export))

    def _draw(self, use: bytes, quarter: int, *, is_export: bool) -> bytes:
        """Return 64 pseudorandom bytes; the use comes last, all before it is of one length."""
        said = self._bound + quarter.to_bytes(8, "big") + bytes((is_export,)) + use
        return hmac.digest(self._seed, said, "sha512")
