"""The sums of a window of sealed meters, as its readings on the chain add up; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.bindings.sealed_meters import SealedAttested
from privacy.auditors import Ciphertext
from privacy.group import InvalidEncoding
from privacy.secp256k1 import SECP256K1, Point

_G = SECP256K1
_CIPHERTEXT_BYTES = 2 * _G.point_bytes


@dataclass(slots=True)
class WindowReadings:
    """What meters attested of a window so far: who, and the sums of R and M of the imports, then of the exports."""

    meters: set[bytes] = field(default_factory=set)
    quarters: set[tuple[bytes, int]] = field(default_factory=set)
    _sums: list[Point] = field(default_factory=lambda: [_G.identity] * 4)

    def learn(self, event: SealedAttested) -> bool:
        """Take a quarter; False for one that is no reading, or the second of its meter and quarter."""
        try:
            points = _points(event.import_points) + _points(event.export_points)
        except InvalidEncoding:
            return False
        if (event.meter, event.quarter) in self.quarters:
            return False
        self.quarters.add((event.meter, event.quarter))
        self.meters.add(event.meter)
        self._sums = [_G.sum(pair) for pair in zip(self._sums, points, strict=True)]
        return True

    @property
    def sums(self) -> bytes:
        """R, M of the imports, then R, M of the exports: what the contract has to say."""
        return b"".join(map(_G.point_to_bytes, self._sums))

    @property
    def ciphertexts(self) -> tuple[Ciphertext[Point], Ciphertext[Point]]:
        """The encrypted sums of imports and exports."""
        return Ciphertext(*self._sums[:2]), Ciphertext(*self._sums[2:])


def _points(raw: bytes) -> list[Point]:
    return [
        _G.point_from_bytes_checked(raw[at : at + _G.point_bytes]) for at in range(0, _CIPHERTEXT_BYTES, _G.point_bytes)
    ]
