"""The device agents of a household's container: sun, battery, and the smart meter with a key of its own.

They take no orders from outside: whatever reaches them over the network is noted and left alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from agents.chain import Pending, Sender
from agents.devices.attesting import Attester, Row
from agents.devices.battery import BatterySpec
from agents.devices.load import Load
from agents.devices.meter import Meter, Reading
from agents.devices.pv import Pv
from agents.devices.wire import Wire
from agents.home import Home
from agents.journal import Quarter, Skipped
from agents.messaging import CarefulAgent
from agents.profiles import row_at


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
        attester: how readings get onto the chain.
        sender: of the meter's account.
        wire: where the energy itself flows, in a simulated street; None for none.
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
        attester: Attester,
        sender: Sender,
        wire: Wire | None,
        next_quarter: int,
        attest_quarters: int,
    ) -> None:
        super().__init__(home)
        self._battery = battery
        self._attester = attester
        self._sender = sender
        self._wire = wire
        self._attest_quarters = attest_quarters
        spec, soc_wh = (battery.spec, battery.soc_wh) if battery else (None, 0)
        self._meter = Meter(load, pv.pv, spec, soc_wh, home.windows.quarter_length_s)
        self._unattested: deque[Row] = deque()
        self._in_flight: list[Pending] = []
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
        if self._wire is not None:
            self._wire.flow(quarter, reading.import_wh, reading.export_wh)
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
        if any(not pending.outcome.done() for pending in self._in_flight):
            return
        if self._in_flight:
            await self._after_attestation()
        if self._due():
            self._in_flight = await self._sender.send(await self._attester.calls(self._batch(), self._last))

    async def _after_attestation(self) -> None:
        attested = await self._attester.next_quarter()
        sent, self._in_flight = self._in_flight, []
        while self._unattested and self._unattested[0][0] < attested:
            self._unattested.popleft()
        for pending in sent:
            if not pending.outcome.result():
                self.home.problem(pending.call.what, "the transaction was refused; what the chain lacks is sent again")

    def _due(self) -> bool:
        quarters = self.home.windows.quarters
        ends_window = any((quarter + 1) % quarters == 0 for quarter, _, _ in self._unattested)
        return ends_window or len(self._unattested) >= self._attest_quarters

    def _batch(self) -> list[Row]:
        batch: list[Row] = []
        for row in self._unattested:
            if len(batch) == self._attester.limit or (batch and row[0] != batch[-1][0] + 1):
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
