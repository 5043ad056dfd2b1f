"""Writes the kept figures into docs/performance.md and draws two of them: `python -m benchmarks.report`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.bars import Bar, svg
from benchmarks.committed import OURS
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
    """Return what is drawn, by file name: P1 beside other chains, and where a transfer's time goes, if measured."""
    by_claim = {result.claim: result for result in results}
    found = {}
    if "P1" in by_claim and by_claim["P1"].series:
        found["committed.svg"] = committed(by_claim["P1"])
    if "profile" in by_claim and by_claim["profile"].series:
        found["profile.svg"] = profile(by_claim["profile"])
    return found


def committed(result: Result) -> str:
    """Draw the median of each chain's runs; the first is ours."""
    medians = {name: statistics.median(y for _, y in points) for name, points in result.series.items()}
    rows = [Bar(name, rate, f"{rate:,.0f} tx/s", int(name != OURS)) for name, rate in medians.items()]
    return svg("Committed ERC-20 transfers a second, the same load on the same machine", rows)


def profile(result: Result) -> str:
    """Draw each room's CPU time."""
    sizes = {name: points[0][1] for name, points in result.series.items()}
    rows = [Bar(name, micro, f"{micro:,.0f} µs, {micro / result.figure:.0%}") for name, micro in sizes.items()]
    title = f"CPU time of one committed transfer, four validators together: {result.figure:,.0f} µs"
    return svg(title, sorted(rows, key=lambda row: -row.figure))


def main() -> None:
    """Rewrite the page and the plots."""
    results = kept()
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    for name, drawn in plots(results).items():
        (DOCS / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
