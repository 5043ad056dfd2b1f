"""What a benchmark found: kept as JSON in `benchmarks/results/`, shown in docs/performance.md."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Result:
    """One claim's figure.

    Args:
        claim: its name, "P1" to "P10" or another file name.
        what: what was measured, in words.
        figure, unit: the median, or the one measurement.
        bar: what it is to reach, in words; empty if there is none.
        runs: every single measurement.
        beside: other figures of the same run by name, already formatted.
        machine: `benchmarks.machine.describe`.
        series: for plots: lines of (x, y) points by name.
        date: of the measurement, ISO 8601.
    """

    claim: str
    what: str
    figure: float
    unit: str
    bar: str
    runs: Sequence[float]
    beside: Mapping[str, str]
    machine: str
    series: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date().isoformat())

    def line(self) -> str:
        """Return the figure with its spread, as it is printed."""
        spread = f" (runs {', '.join(map(number, self.runs))})" if len(self.runs) > 1 else ""
        goal = f"; bar {self.bar}" if self.bar else ""
        return f"{self.claim} {self.what}: {number(self.figure)} {self.unit}{spread}{goal}"


def number(figure: float) -> str:
    """Return a figure as it is printed: four digits, or all before the point."""
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.4g}"


def show(result: Result, *, keep: bool) -> None:
    """Print a result and what was measured beside it; keep it if asked to."""
    print(result.line())
    for name, value in result.beside.items():
        print(f"  {name}: {value}")
    print(f"  {result.machine}")
    if keep:
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{result.claim}.json"
        path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def kept() -> list[Result]:
    """Return all kept results, by claim."""
    found = [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in FOLDER.glob("*.json")]
    return sorted(found, key=lambda result: (len(result.claim), result.claim))
