"""The device agents of a household's container: sun, battery, and the smart meter with a key of its own.

They take no orders from outside: whatever reaches them over the network is noted and left alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from agents.chain import Call, Chain, Pending, Sender
from agents.devices.battery import BatterySpec
from agents.devices.load import Load
from agents.devices.meter import Meter, Reading
from agents.devices.pv import Pv
from agents.home import Home
from agents.journal import Quarter, Skipped
from agents.messaging import CarefulAgent
from agents.profiles import row_at
from contracts.bindings import meter_registry
from contracts.system import METER_REGISTRY

ATTEST_GAS = 150_000
STATUS_GAS = 120_000
ATTEST_MORE_GAS = 60_000  # for each further quarter of a batch


class DeviceAgent(CarefulAgent):
    """An agent at a device."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home = home

    def hear(self, content: Any) -> None:
        """Note a message: nobody has anything to say to a device."""
        self.home.bad_envelope(str(self.aid), "a device takes no messages")


class PvAgent(DeviceAgent):
    """Reads the photovoltaic system."""

    def __init__(self, home: Home, pv: Pv) -> None:
        super().__init__(home)
        self.pv = pv


class BatteryAgent(DeviceAgent):
    """Knows the battery and its charge state."""

    def __init__(self, home: Home, spec: BatterySpec, soc_wh: int) -> None:
        super().__init__(home)
        self.spec = spec
        self.soc_wh = soc_wh


class MeterAgent(DeviceAgent):
    """Reads the meter quarter by quarter, writes every reading down, and attests it with the meter's key.

    Args:
        home: the household's shared things.
        load: consumption behind the meter.
        pv: the sun's agent.
        battery: the battery's agent; None for a connection without one.
        chain: the node.
        sender: of the meter's account.
        next_quarter: the first quarter to read.
        attest_quarters: how many quarters to attest in one transaction (the last quarter of a window always goes).
    """

    def __init__(
        self,
        home: Home,
        load: Load,
        pv: PvAgent,
        battery: BatteryAgent | None,
        *,
        chain: Chain,
        sender: Sender,
        next_quarter: int,
        attest_quarters: int,
    ) -> None:
        super().__init__(home)
        self._battery = battery
        self._chain = chain
        self._sender = sender
        self._attest_quarters = attest_quarters
        spec, soc_wh = (battery.spec, battery.soc_wh) if battery else (None, 0)
        self._meter = Meter(load, pv.pv, spec, soc_wh, home.windows.quarter_length_s)
        self._unattested: deque[tuple[int, int, int]] = deque()
        self._in_flight: Pending | None = None
        self._last: Reading | None = None
        self.next_quarter = next_quarter

    @property
    def soc_wh(self) -> int:
        """The battery's charge state after the last quarter read."""
        return self._meter.soc_wh

    def expect(self, quarter: int, import_wh: int, export_wh: int) -> None:
        """Take a reading from before a restart that the chain does not have yet."""
        self._unattested.append((quarter, import_wh, export_wh))

    def read_quarter(self) -> tuple[int, Reading]:
        """Let the next quarter pass, its battery steered to the contracts of its window, and write it down."""
        home, quarter = self.home, self.next_quarter
        window, within = divmod(quarter, home.windows.quarters)
        contracted = home.view.contracted(window, home.account)
        row = row_at(home.windows.window_zero_s + quarter * home.windows.quarter_length_s)
        reading = self._meter.read(row, contracted.net_import_wh(within, home.windows.quarters))
        if self._battery is not None:
            self._battery.soc_wh = reading.soc_wh
        home.write(
            Quarter(
                quarter=quarter,
                window=window,
                load_wh=reading.load_wh,
                pv_wh=reading.pv_wh,
                charged_wh=reading.charged_wh,
                discharged_wh=reading.discharged_wh,
                import_wh=reading.import_wh,
                export_wh=reading.export_wh,
                soc_wh=reading.soc_wh,
            )
        )
        self._unattested.append((quarter, reading.import_wh, reading.export_wh))
        self.next_quarter += 1
        self._last = reading
        return quarter, reading

    async def attest(self) -> None:
        """Attest what is due and not under way; what the chain already has is dropped.

        Raises:
            NodeUnreachable, NodeError: the node does not take it; call again.
        """
        if self._in_flight is not None:
            if not self._in_flight.outcome.done():
                return
            await self._after_attestation(self._in_flight)
        if not self._due():
            return
        batch = self._batch()
        imports, exports = [row[1] for row in batch], [row[2] for row in batch]
        data = (
            meter_registry.attest(batch[0][0], imports[0], exports[0])
            if len(batch) == 1
            else meter_registry.attest_batch(batch[0][0], imports, exports)
        )
        gas = ATTEST_GAS + ATTEST_MORE_GAS * (len(batch) - 1)
        what = f"attest quarters {batch[0][0]} to {batch[-1][0]}"
        calls = [Call(METER_REGISTRY, data, gas, what)]
        if (batch[-1][0] + 1) % self.home.windows.quarters == 0 and self._last is not None:
            calls.append(Call(METER_REGISTRY, self._status(self._last), STATUS_GAS, "report the household's status"))
        self._in_flight = (await self._sender.send(calls))[0]

    def _status(self, last: Reading) -> bytes:
        """Return the status report of the last quarter's mean powers and the stored energy (DUAL-2020, eq. 1)."""
        per_hour = 3600 // self.home.windows.quarter_length_s
        return meter_registry.report_status(last.pv_wh * per_hour, last.load_wh * per_hour, last.soc_wh)

    async def _after_attestation(self, pending: Pending) -> None:
        self._in_flight = None
        (attested,) = await self._chain.read(meter_registry.next_quarter(self._sender.account))
        while self._unattested and self._unattested[0][0] < attested:
            self._unattested.popleft()
        if not pending.outcome.result():
            self.home.problem(pending.call.what, "the transaction was refused; what the chain lacks is sent again")

    def _due(self) -> bool:
        quarters = self.home.windows.quarters
        ends_window = any((quarter + 1) % quarters == 0 for quarter, _, _ in self._unattested)
        return ends_window or len(self._unattested) >= self._attest_quarters

    def _batch(self) -> list[tuple[int, int, int]]:
        batch: list[tuple[int, int, int]] = []
        for row in self._unattested:
            if len(batch) == meter_registry.MAX_BATCH or (batch and row[0] != batch[-1][0] + 1):
                break
            batch.append(row)
        return batch

    def skip_to(self, quarter: int) -> None:
        """Leave out quarters that nobody measured."""
        windows = self.home.windows
        if quarter > self.next_quarter:
            reason = f"quarters {self.next_quarter} to {quarter - 1} were never measured"
            self.home.write(Skipped(window=self.next_quarter // windows.quarters, step="meter", reason=reason))
            self.next_quarter = quarter


async def attested_so_far(chain: Chain, meter: bytes) -> int:
    """Return the first quarter that the chain does not have of a meter.

    Raises:
        NodeUnreachable, NodeError: the node does not say.
    """
    (quarter,) = await chain.read(meter_registry.next_quarter(meter))
    return quarter
