"""Writes the kept figures into docs/performance.md and draws three of them: `python -m benchmarks.report`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import bars
from benchmarks.bars import Bar
from benchmarks.committed import OURS
from benchmarks.plot import Chart, Series, svg
from benchmarks.results import Result, kept, number

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks.report -->", "<!-- end of figures -->"


def table(results: Sequence[Result]) -> str:
    """Return the figures as a Markdown table, and what was measured beside each below it."""
    lines = ["| | what | figure | bar | runs | measured |", "|---|---|--:|---|---|---|"]
    for result in results:
        runs = ", ".join(number(run) for run in result.runs) if len(result.runs) > 1 else ""
        figure = f"{number(result.figure)} {result.unit}".strip()
        lines.append(f"| {result.claim} | {result.what} | {figure} | {result.bar} | {runs} | {result.date} |")
    lines.append("")
    for result in results:
        lines += [f"- {result.claim}, {name}: {value}" for name, value in result.beside.items()]
    machines = sorted({result.machine for result in results})
    return "\n".join([*lines, "", *(f"Measured on: {each}." for each in machines)])


def rewritten(page: str, results: Sequence[Result]) -> str:
    """Return the page with its figures replaced.

    Raises:
        ValueError: it has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected {BEGIN} and {END}")
    images = "".join(f"\n![{name.removesuffix('.svg')}]({name})\n" for name in plots(results))
    return f"{before}{BEGIN}\n{table(results)}\n{images}{END}{after}"


def plots(results: Sequence[Result]) -> Mapping[str, str]:
    """Return what is drawn of what was measured, by file name: P1, where a transfer's time goes, a long chain."""
    drawings = {
        "P1": ("committed", committed),
        "profile": ("profile", profile),
        "soak-chain": ("soak-chain", long_chain),
    }
    drawn = [(*drawings[result.claim], result) for result in results if result.claim in drawings and result.series]
    return {f"{name}.svg": draw(result) for name, draw, result in drawn}


def committed(result: Result) -> str:
    """Draw the median of each chain's runs; the first is ours."""
    medians = {name: statistics.median(y for _, y in points) for name, points in result.series.items()}
    rows = [Bar(name, rate, f"{rate:,.0f} tx/s", int(name != OURS)) for name, rate in medians.items()]
    return bars.svg("Committed ERC-20 transfers a second, one load generator, one machine", rows)


def profile(result: Result) -> str:
    """Draw each room's CPU time."""
    sizes = {name: points[0][1] for name, points in result.series.items()}
    rows = [Bar(name, micro, f"{micro:,.0f} µs, {micro / result.figure:.0%}") for name, micro in sizes.items()]
    title = f"CPU time of one committed transfer, four validators together: {result.figure:,.0f} µs"
    return bars.svg(title, sorted(rows, key=lambda row: -row.figure))


def long_chain(result: Result) -> str:
    """Draw speed, memory and disk as a chain grows."""
    titles = {
        "transfers/s": ("Transfers a second", "tx/s"),
        "memory": ("Anonymous memory, largest validator", "MB"),
        "disk": ("Disk, everything, slice by slice", "bytes a transfer"),
    }
    return svg([Chart(*titles[name], [Series("", result.series[name])], "transfers on the chain") for name in titles])


def main() -> None:
    """Rewrite the page and the plots."""
    results = kept()
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    for name, drawn in plots(results).items():
        (DOCS / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
