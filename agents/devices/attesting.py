"""How a meter's quarters get onto the chain: in the clear, or sealed so that nobody can read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.chain import Call, Chain
from agents.clock import Windows
from agents.devices.meter import Reading
from agents.devices.sealing import MeterSeal
from contracts.bindings import meter_registry, sealed_meters
from contracts.system import METER_REGISTRY, SEALED_METERS
from privacy.secp256k1 import SECP256K1, Point

ATTEST_GAS = 150_000
ATTEST_MORE_GAS = 60_000  # for each further quarter of a batch
STATUS_GAS = 120_000
SEALED_GAS = 650_000  # the first of a window takes 420,000: it writes where there was nothing

Row = tuple[int, int, int]  # quarter, import and export in watt-hours


class Attester(Protocol):
    """Where a meter attests; at most `limit` quarters at once."""

    limit: int

    async def next_quarter(self) -> int:
        """Return the first quarter that the chain does not have of this meter and still takes.

        Raises:
            NodeUnreachable, NodeError: the node does not say.
        """

    async def calls(self, rows: Sequence[Row], last: Reading | None) -> list[Call]:
        """Return the transactions that attest quarters, which follow one another; `last` is the newest reading.

        Raises:
            NodeUnreachable, NodeError: the node does not say what is needed for it.
        """


class OpenAttester:
    """Attests to `MeterRegistry`, several quarters at once, and reports the household's status with each window."""

    limit = meter_registry.MAX_BATCH

    def __init__(self, chain: Chain, meter: bytes, windows: Windows) -> None:
        self._chain = chain
        self._meter = meter
        self._windows = windows

    async def next_quarter(self) -> int:
        """Return the first quarter that the chain does not have."""
        (quarter,) = await self._chain.read(meter_registry.next_quarter(self._meter))
        return quarter

    async def calls(self, rows: Sequence[Row], last: Reading | None) -> list[Call]:
        """Return one attestation of all rows, and the status report if they end a window."""
        first, imports, exports = rows[0][0], [row[1] for row in rows], [row[2] for row in rows]
        data = (
            meter_registry.attest(first, imports[0], exports[0])
            if len(rows) == 1
            else meter_registry.attest_batch(first, imports, exports)
        )
        gas = ATTEST_GAS + ATTEST_MORE_GAS * (len(rows) - 1)
        calls = [Call(METER_REGISTRY, data, gas, f"attest quarters {first} to {rows[-1][0]}")]
        if (rows[-1][0] + 1) % self._windows.quarters == 0 and last is not None:
            calls.append(Call(METER_REGISTRY, self._status(last), STATUS_GAS, "report the household's status"))
        return calls

    def _status(self, last: Reading) -> bytes:
        """Return the status report of the last quarter's mean powers and the stored energy (DUAL-2020, eq. 1)."""
        per_hour = 3600 // self._windows.quarter_length_s
        return meter_registry.report_status(last.pv_wh * per_hour, last.load_wh * per_hour, last.soc_wh)


class SealedAttester:
    """Attests to `SealedMeters`, one quarter a transaction, and reports nothing else."""

    limit = 8

    def __init__(self, chain: Chain, seal: MeterSeal, windows: Windows) -> None:
        self._chain = chain
        self._seal = seal
        self._windows = windows
        self._joint_key: tuple[int, Point] | None = None  # of the newest window that was attested

    async def next_quarter(self) -> int:
        """Return the first quarter that the chain does not have, of a window that is not closed."""
        (quarter,) = await self._chain.read(sealed_meters.next_quarter(self._seal.meter))
        while True:
            window = quarter // self._windows.quarters
            (balance,) = await self._chain.read(sealed_meters.balance_of(window))
            if not balance.closed:
                return quarter
            quarter = (window + 1) * self._windows.quarters

    async def calls(self, rows: Sequence[Row], last: Reading | None) -> list[Call]:
        """Return an attestation of each row, the same whenever it is asked for the same row."""
        calls = []
        for quarter, import_wh, export_wh in rows:
            key = await self._key_of(quarter // self._windows.quarters)
            imported = self._seal.seal(key, quarter, import_wh, is_export=False)
            exported = self._seal.seal(key, quarter, export_wh, is_export=True)
            data = sealed_meters.attest(quarter, imported, exported)
            calls.append(Call(SEALED_METERS, data, SEALED_GAS, f"attest quarter {quarter}"))
        return calls

    async def _key_of(self, window: int) -> Point:
        if self._joint_key is None or self._joint_key[0] != window:
            (raw,) = await self._chain.read(sealed_meters.joint_key_of(window))
            self._joint_key = window, SECP256K1.point_from_bytes_checked(raw)
        return self._joint_key[1]
