"""`make bench-scale`: 4 to 100 validators on lines of 1 Mbit/s, simulated; prints a table; --update writes it."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.machine import processor
from benchmarks.plot import Chart, Series, svg
from benchmarks.scale.simulation import Figures, Setting, measure_costs, simulate
from benchmarks.scale.validator import Costs

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- figures: make bench-scale ARGS=--update -->", "<!-- end of figures -->"
HANDLE_S = 0.000_05  # a message beside its signatures: decoded, weighed, answered; the runs print what it took here
ORDINARY = 12.0  # transactions a second, arriving at random: the bar is 10, what a field trial of 40 households reached
OVERLOAD = {4: 400.0, 10: 200.0, 25: 150.0, 50: 100.0, 100: 60.0}  # more than is committed
HEADER = (
    "| validators | lines, kbit/s | offered tx/s | committed tx/s | finality p50, s | p99, s "
    "| kB a height and node | signatures a height and node | heights/min | failed views | remark |\n"
    "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)


def settings() -> list[tuple[Setting, str]]:
    """Return what is run, with a remark."""
    ordinary = [(Setting(size, ORDINARY), "") for size in OVERLOAD]
    overload = [(Setting(size, offered), "heavy load") for size, offered in OVERLOAD.items()]
    largest = max(OVERLOAD)
    others = [
        (Setting(largest, ORDINARY, one_origin=True), "all through one validator"),
        (Setting(largest, ORDINARY, slower=4.0), "machines four times slower"),
        (Setting(largest, OVERLOAD[largest], view_timeout_ms=12_000), "heavy load, view timeout 12 s"),
    ]
    return [*ordinary, *overload, *others]


def row(figures: Figures, remark: str) -> str:
    """Return a row of the table."""
    setting = figures.setting
    return (
        f"| {setting.validators} | {setting.line_kbit_s:,} | {setting.offered:g} | {figures.committed_s:.1f} "
        f"| {figures.finality_p50_s:.2f} | {figures.finality_p99_s:.2f} | {figures.bytes_a_height / 1000:.1f} "
        f"| {figures.signatures_a_height} | {figures.heights * 60 / setting.measured_s:.0f} "
        f"| {figures.view_changes} | {remark} |"
    )


def charts(runs: Sequence[tuple[Figures, str]]) -> str:
    """Return the plot."""
    ordinary = [figures for figures, remark in runs if not remark]
    loaded = [figures for figures, remark in runs if remark == "heavy load"]
    sizes = [figures.setting.validators for figures in ordinary]
    return svg(
        [
            Chart(
                "Committed under heavy load, lines of 1 Mbit/s",
                "transactions/s",
                [Series("committed", [(each.setting.validators, each.committed_s) for each in loaded])],
            ),
            Chart(
                f"Finality at {ORDINARY:g} tx/s",
                "seconds",
                [
                    Series("p50", list(zip(sizes, [each.finality_p50_s for each in ordinary], strict=True))),
                    Series("p99", list(zip(sizes, [each.finality_p99_s for each in ordinary], strict=True))),
                ],
            ),
        ]
    )


def machine(costs: Costs) -> str:
    """Return a line about the machine and what was measured on it for the simulation."""
    return (
        f"Measured on {processor()}, Python {platform.python_version()}, and charged to every simulated core: "
        f"{costs.verify_s * 1e6:.0f} µs a signature of a vote checked, {costs.sign_s * 1e6:.0f} µs signed, "
        f"{costs.admit_s * 1e6:.0f} µs a transaction decoded and its sender recovered; set: "
        f"{costs.execute_s * 1e6:.0f} µs a transaction executed, {costs.handle_s * 1e6:.0f} µs a message."
    )


def main() -> None:
    """Run everything and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the table and the plot into docs/")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="simulations at once")
    options = parser.parse_args()
    begin, costs = perf_counter(), measure_costs(HANDLE_S)
    wanted = settings()
    with ProcessPoolExecutor(options.processes) as pool:
        found = list(pool.map(partial(simulate, costs=costs), [setting for setting, _ in wanted]))
    runs = [(figures, remark) for figures, (_, remark) in zip(found, wanted, strict=True)]
    table = "\n".join([HEADER, *(row(figures, remark) for figures, remark in runs)])
    print(table)
    print(machine(costs))
    print(f"took {perf_counter() - begin:.0f} s")
    if options.update:
        page = DOCS / "scale.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page.write_text(f"{before}{BEGIN}\n{table}\n\n{machine(costs)}\n{END}{after}", encoding="utf-8")
        (DOCS / "scale.svg").write_text(charts(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
