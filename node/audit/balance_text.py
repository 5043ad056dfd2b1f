"""The report of a window's balance for people."""

from __future__ import annotations

from rich.table import Table

from node.audit.balance import BalanceReport


def balance_table(report: BalanceReport) -> Table:
    """Return the sums, the feeder's reading, the losses, and what was checked."""
    table = Table(title=f"Window {report.window}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    imports, exports = report.sums or (None, None)
    brought, took = report.feeder or (None, None)
    rows = (
        ("all meters, from the grid", _wh(imports)),
        ("all meters, to the grid", _wh(exports)),
        ("feeder, brought", _wh(brought)),
        ("feeder, took", _wh(took)),
        ("losses: feeder − meters, net", _wh(report.losses_wh)),
        ("quarters attested", f"{report.readings} of {report.expected}"),
        ("proofs of the same amount, checked", str(2 * report.readings)),
        ("sums of the readings, checked", "2" if report.closed else "–"),
        ("auditors' parts, checked", f"{2 * len(report.parts)}, of auditors {_names(report.parts)}"),
        ("opened by auditors", _names(report.opened_by)),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _wh(energy_wh: int | None) -> str:
    return "–" if energy_wh is None else f"{energy_wh} Wh"


def _names(numbers: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "–"
