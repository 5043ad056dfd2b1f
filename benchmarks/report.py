"""Writes the kept figures into docs/performance.md: `python -m benchmarks.report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Result, kept

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks.report -->", "<!-- end of figures -->"


def table(results: Sequence[Result]) -> str:
    """Return the figures as a Markdown table, and what was measured beside each below it."""
    lines = ["| | what | figure | bar | runs | measured |", "|---|---|--:|---|---|---|"]
    for result in results:
        runs = ", ".join(f"{run:,.4g}" for run in result.runs) if len(result.runs) > 1 else ""
        figure = f"{result.figure:,.4g} {result.unit}".strip()
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
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), kept()), encoding="utf-8")


if __name__ == "__main__":
    main()
