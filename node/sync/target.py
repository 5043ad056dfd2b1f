"""Where a node that is behind is heading."""

from __future__ import annotations

from node.driver.driver import Driver
from node.sync.follower import Follower

MOMENTS = 1  # heights: so far behind is a node whose next block is on its way


def target_height(driver: Driver, follower: Follower | None) -> int | None:
    """Return the highest committed height that is known of, if the node is behind it; None if it is not.

    Args:
        driver: knows what the validators told it; the claims of f of them are not believed.
        follower: knows which blocks it fetched from a member, and how many more that one says there are.
    """
    told = max(driver.told_height, 0 if follower is None else follower.target_height)
    head = driver.height - 1
    return told if told - head > MOMENTS else None
