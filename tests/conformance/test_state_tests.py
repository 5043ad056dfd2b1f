"""A fixed sample of every folder of the state tests, by both loops and traced; `make conformance` runs all."""

from __future__ import annotations

import pytest

from tests.conformance.state_tests import ARCHIVE, Way, members, run_file

EVERY = {Way.INLINED: 12, Way.STOCK: 12, Way.TRACED: 96}  # one file in so many
SLOW = "vmPerformance"


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no vectors at {ARCHIVE}")
@pytest.mark.parametrize("way", list(Way))
def test_a_sample_of_the_state_tests(way: Way) -> None:
    sample = [each for each in list(members())[:: EVERY[way]] if each[0] != SLOW]
    outcomes = [outcome for each in sample for outcome in run_file(*each, way)]
    assert [outcome for outcome in outcomes if outcome.reason] == []
    assert len(outcomes) * EVERY[way] > 6_000
