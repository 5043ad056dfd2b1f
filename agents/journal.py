"""What a household's agents (or the operator) wrote down: `journal.jsonl` beside the configuration, one JSON a line.

Every line has `kind`, `at_s` (chain time) and the fields of one dataclass here. Energy in watt-hours, money in
micro-euro, prices in micro-euro per kWh, hashes and accounts as 0x and hexadecimal digits. A restart continues from
it; the live table and the report of a devnet read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

JOURNAL_NAME = "journal.jsonl"
MAX_LINE_BYTES = 64 * 1024  # the longest line is below one kilobyte

L = TypeVar("L", bound="Line")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Base of all lines."""

    kind: ClassVar[str] = ""
    at_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Line):
    """The agents started, or started again (`restart`), and go on from `next_quarter`."""

    kind: ClassVar[str] = "started"
    name: str
    household: str
    meter: str
    forecast: str
    strategy: str
    soc_wh: int
    next_quarter: int
    restart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter(Line):
    """A quarter-hour is over: the meter's position and the battery's state after it."""

    kind: ClassVar[str] = "quarter"
    quarter: int
    window: int
    load_wh: int
    pv_wh: int
    charged_wh: int
    discharged_wh: int
    import_wh: int
    export_wh: int
    soc_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast(Line):
    """What was forecast for a window, by the forecast used and by persistence beside it, and what is wanted of it."""

    kind: ClassVar[str] = "forecast"
    window: int
    method: str
    load_wh: int
    pv_wh: int
    persistence_load_wh: int
    persistence_pv_wh: int
    start_soc_wh: int
    demand_wh: int
    supply_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTrade(Line):
    """No trade for a window, and why."""

    kind: ClassVar[str] = "no-trade"
    window: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSent(Line):
    """An offer was sent to the market."""

    kind: ClassVar[str] = "offer"
    window: int
    purpose: str
    energy_wh: int
    price_microeur_per_kwh: int
    deposit_microeur: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Line):
    """A counter-offer was refused: the buyer's bid and the seller's next ask (0: it walked away)."""

    kind: ClassVar[str] = "refusal"
    window: int
    role: str
    peer: str
    conversation: str
    round: int
    bid_microeur_per_kwh: int
    ask_microeur_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDeal(Line):
    """A conversation ended without an agreement; `trade` is one that the buyer had signed and will not allow."""

    kind: ClassVar[str] = "no-deal"
    window: int
    role: str
    peer: str
    conversation: str
    reason: str
    trade: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed(Line):
    """The buyer signed an acceptance. Durable before it leaves: a trade that was never signed is never allowed."""

    kind: ClassVar[str] = "signed"
    window: int
    demand: int
    peer: str
    trade: str
    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract(Line):
    """Agreed. The seller's line holds what it needs to record the trade, durable before it confirms."""

    kind: ClassVar[str] = "contract"
    window: int
    role: str
    peer: str
    trade: str
    purpose: str
    energy_wh: int
    price_microeur_per_kwh: int
    offer: int = 0
    conversation: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Line):
    """The buyer's escrow is on chain: the contract binds both."""

    kind: ClassVar[str] = "recorded"
    window: int
    role: str
    peer: str
    trade: str
    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Line):
    """A delivery window is over. `forecast_wh` is the forecast net (sun less load), `price_microeur_per_kwh` the mean
    price of its contracts weighted by energy (0: none), `contracted_wh` what was sold and bought by contract."""

    kind: ClassVar[str] = "window"
    window: int
    made_wh: int
    used_wh: int
    charged_wh: int
    discharged_wh: int
    import_wh: int
    export_wh: int
    soc_wh: int
    sold_wh: int
    bought_wh: int
    contracted_wh: int
    price_microeur_per_kwh: int
    forecast_wh: int | None
    forecast_load_wh: int | None
    forecast_pv_wh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Line):
    """A window was settled: what the household received (negative: paid) for it."""

    kind: ClassVar[str] = "settled"
    window: int
    received_microeur: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Line):
    """A step came too late and was left out."""

    kind: ClassVar[str] = "skipped"
    window: int
    step: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadEnvelope(Line):
    """A message was refused: forged, malformed, or from a stranger."""

    kind: ClassVar[str] = "bad-envelope"
    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Line):
    """Something failed that the agents go on without: a transaction refused, a node out of reach."""

    kind: ClassVar[str] = "problem"
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateIntent(Line):
    """What a session of a private window is opened with. Durable before anything of it is sent."""

    kind: ClassVar[str] = "private-intent"
    window: int
    side: str
    purpose: str
    energy_wh: int
    price_microeur_per_kwh: int
    budget_microeur: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSent(Line):
    """A transaction of a session, as it is signed. Durable before it is sent: a restart sends the same bytes again.
    `nonce` is -1 where there is none."""

    kind: ClassVar[str] = "private-sent"
    window: int
    step: str
    nonce: int
    transaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateClosed(Line):
    """A session's window is closed: it settled, forfeited, or never locked anything."""

    kind: ClassVar[str] = "private-closed"
    window: int
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Funded(Line):
    """The operator issued money against a receipt."""

    kind: ClassVar[str] = "funded"
    household: str
    amount_microeur: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement(Line):
    """The operator sent the settlement of a window."""

    kind: ClassVar[str] = "settlement"
    window: int
    trades: int
    households: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreetBalance(Line):
    """What all meters attested of a window: the street's exchange with the grid, netted by quarter."""

    kind: ClassVar[str] = "balance"
    window: int
    meters: int
    import_wh: int
    export_wh: int
    grid_import_wh: int
    grid_export_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosing(Line):
    """The operator sent the closing of a window of sealed meters: of how many quarters, all meters together."""

    kind: ClassVar[str] = "closing"
    window: int
    quarters: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartGoing(Line):
    """The auditor is about to give its parts of a window's sums (hexadecimal). Durable before it leaves: it gives no
    part of other sums of that window, ever."""

    kind: ClassVar[str] = "part"
    window: int
    sums: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsFound(Line):
    """The auditor found a window's sums from enough parts, and sent them."""

    kind: ClassVar[str] = "sums"
    window: int
    import_wh: int
    export_wh: int
    auditors: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalPartGoing(Line):
    """The auditor is about to give its part of what a window owes the operator (hexadecimal). Durable before it leaves:
    it gives no part of another total of that window, ever."""

    kind: ClassVar[str] = "total part"
    window: int
    total: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalFound(Line):
    """The auditor found what a window owes the operator from enough parts, and sent it; negative if it is owed."""

    kind: ClassVar[str] = "total"
    window: int
    total_microeur: int
    auditors: list[int]


KINDS: Mapping[str, type[Line]] = {
    cls.kind: cls
    for cls in (
        Started,
        Quarter,
        Forecast,
        NoTrade,
        OfferSent,
        Refusal,
        NoDeal,
        Signed,
        Contract,
        Recorded,
        Window,
        Settled,
        Skipped,
        BadEnvelope,
        Problem,
        PrivateIntent,
        PrivateSent,
        PrivateClosed,
        Funded,
        Settlement,
        StreetBalance,
        WindowClosing,
        PartGoing,
        SumsFound,
        TotalPartGoing,
        TotalFound,
    )
}


class Journal:
    """Appends lines to a file. A line torn by a crash is cut off when it is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._cut_torn_line()

    def write(self, line: Line, *, durable: bool = False) -> None:
        """Append a line; a durable one is on disk when this returns (any survives a killed process)."""
        self._file.write(encode(line))
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        tail = min(size, MAX_LINE_BYTES)
        self._file.seek(size - tail)
        end = self._file.read(tail).rfind(b"\n")
        whole = size - tail + end + 1
        if whole < size:
            self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)


def encode(line: Line) -> bytes:
    """Return a line of the file."""
    return json.dumps({"kind": line.kind, **asdict(line)}, separators=(",", ":")).encode() + b"\n"


def decode(text: str | bytes) -> Line | None:
    """Return the line of a text; None for a torn one or one of an unknown kind."""
    try:
        content = json.loads(text)
    except ValueError:
        return None
    cls = KINDS.get(content.get("kind", "")) if isinstance(content, dict) else None
    if cls is None:
        return None
    names = {field.name for field in fields(cls)}
    try:
        return cls(**{name: value for name, value in content.items() if name in names})
    except TypeError:
        return None


def read_journal(path: Path) -> Iterator[Line]:
    """Yield the whole lines of a journal in their order; nothing for a file that is not there."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for text in file:
            line = decode(text)
            if line is not None:
                yield line


def lines_of(path: Path, cls: type[L]) -> list[L]:
    """Return the lines of one kind."""
    return [line for line in read_journal(path) if isinstance(line, cls)]


def as_table(line: Line) -> dict[str, Any]:
    """Return a line as plain values, its kind included."""
    return {"kind": line.kind, **asdict(line)}
