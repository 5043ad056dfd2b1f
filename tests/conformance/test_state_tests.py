"""A fixed sample of every folder of the state tests, with both loops; `make conformance` runs all."""

from __future__ import annotations

import pytest

from node.execution import Loop
from tests.conformance.state_tests import ARCHIVE, members, run_file

EVERY = 12  # one file in so many
SLOW = "vmPerformance"


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no vectors at {ARCHIVE}")
@pytest.mark.parametrize("loop", list(Loop))
def test_a_sample_of_the_state_tests(loop: Loop) -> None:
    sample = [each for each in list(members())[::EVERY] if each[0] != SLOW]
    outcomes = [outcome for each in sample for outcome in run_file(*each, loop)]
    assert [outcome for outcome in outcomes if outcome.reason] == []
    assert len(outcomes) > 500
