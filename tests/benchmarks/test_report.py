"""The page of figures is made from kept results, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.committed import OURS
from benchmarks.report import BEGIN, END, plots, rewritten
from benchmarks.results import Result, number

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


def test_p1_is_drawn_beside_others_and_a_profile_by_size() -> None:
    p1 = replace(SAMPLE, series={OURS: [(1, 1200.0), (2, 1300.0)], "anvil <1 s>": [(1, 650.0)]})
    rooms = {"small": [(0.0, 250.0)], "large": [(0.0, 750.0)]}
    drawn = plots([p1, replace(SAMPLE, claim="profile", figure=1_000.0, series=rooms)])
    assert set(drawn) == {"committed.svg", "profile.svg"}
    assert texts(drawn["committed.svg"])[1:] == [OURS, "1,250 tx/s", "anvil <1 s>", "650 tx/s"]
    assert texts(drawn["profile.svg"])[1:] == ["large", "750 µs, 75%", "small", "250 µs, 25%"]
    widths = [float(bar.attrib["width"]) for bar in svg(drawn["profile.svg"]).iter(f"{SVG}rect")][1:]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert "![committed](committed.svg)" in rewritten(f"{BEGIN}\n{END}", [p1])


def test_a_long_chain_is_drawn_as_it_grows() -> None:
    lines = {name: [(1_000, 1.0), (2_000, 2.0)] for name in ("transfers/s", "memory", "disk")}
    drawn = plots([replace(SAMPLE, claim="soak-chain", series=lines)])
    assert set(drawn) == {"soak-chain.svg"}
    assert len(list(svg(drawn["soak-chain.svg"]).iter(f"{SVG}polyline"))) == 3


def test_a_figure_keeps_its_digits() -> None:
    assert [number(each) for each in (0.98765, 98.765, 9_876.5, 14_871.3)] == ["0.9877", "98.77", "9,876", "14,871"]


def test_nothing_is_drawn_of_what_was_not_measured() -> None:
    assert plots([replace(SAMPLE, claim="P4")]) == {}


SVG = "{http://www.w3.org/2000/svg}"


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def texts(text: str) -> list[str | None]:
    return [each.text for each in svg(text).iter(f"{SVG}text")]
