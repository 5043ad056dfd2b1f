"""Many seeds of delay, loss, duplication, reordering, partitions, kills and power cuts, all at once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.driver.chaos import Chaos


@pytest.mark.parametrize(("size", "seeds"), [(1, 10), (2, 20), (3, 30), (4, 160), (5, 20), (7, 25), (10, 8)])
def test_nothing_forks_nothing_is_lost_and_all_commits_after_the_trouble(size: int, seeds: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(seeds):
        counts += Chaos(seed, size).run()
    assert counts["heights"] >= 3 * seeds
    assert counts["power cuts"] >= 2 * seeds
    assert counts["partitions"] == 4 * seeds
    assert counts["view changes"] > seeds // 2 or size == 1
