"""The page of figures is made from kept results, and from nothing else."""

from __future__ import annotations

import pytest

from benchmarks.report import BEGIN, END, rewritten
from benchmarks.results import Result

SAMPLE = Result(
    "P1",
    "transfers",
    1234.5,
    "tx/s",
    "≥ 1,000",
    [1200.0, 1234.5, 1300.0],
    {"anvil": "826 tx/s"},
    "a machine",
    date="2016-06-20",
)


def test_figures_stand_between_the_marks_and_replace_older_ones() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    found = rewritten(page, [SAMPLE])
    assert found.startswith("before\n")
    assert found.endswith("\nafter\n")
    assert "old" not in found
    assert "| P1 | transfers | 1,234 tx/s | ≥ 1,000 | 1,200, 1,234, 1,300 | 2016-06-20 |" in found
    assert "- P1, anvil: 826 tx/s" in found
    assert rewritten(found, [SAMPLE]) == found


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="expected <!-- figures"):
        rewritten("no place", [SAMPLE])


def test_a_result_prints_figure_spread_and_bar() -> None:
    assert SAMPLE.line() == "P1 transfers: 1,234 tx/s (runs 1,200, 1,234, 1,300); bar ≥ 1,000"
