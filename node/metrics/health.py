"""Whether a node is ready: what a load balancer asks before it sends clients there, and an operator after a start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from node.metrics.gauges import Observed

MAX_BEHIND = 2  # heights: as far behind as a node is whose last messages are on their way
MAX_WAIT_S = 60.0  # for a block while work waits: two of the longest view timeouts
MIN_FREE_BYTES = 256 * 1024 * 1024  # on the disk: a log that rotates and some thousand blocks
MAX_MAP_SHARE = 0.98  # of the database's map


def unready(node: Observed) -> Iterator[str]:
    """Yield the reasons why a node is not ready, a line each; none if it is."""
    driver = node.driver
    target = node.target_height()
    if target is not None and target - (driver.height - 1) > MAX_BEHIND:
        yield f"catching up: at height {driver.height - 1} of {target}"
    if node.node_key in driver.validators:
        reachable, quorum = node.reachable(), driver.validators.quorum
        if reachable < quorum:
            yield f"no quorum: {reachable} of {driver.validators.size} validators are connected, {quorum} are needed"
    elif not node.network.connected() and not node.follows():
        yield "follows nobody: no peer is connected, and no address of [sync] urls answers"
    waited_s = node.work_waiting_s()
    if waited_s > MAX_WAIT_S:
        yield f"no block for {waited_s:.0f} s while work waits"
    free = shutil.disk_usage(node.wal.parent).free
    if free < MIN_FREE_BYTES:
        yield f"disk almost full: {free} bytes are free, at least {MIN_FREE_BYTES} are wanted"
    used = node.store.used_bytes
    if used > MAX_MAP_SHARE * node.store.map_bytes:
        yield f"database almost full: {used} of {node.store.map_bytes} bytes; raise node.map_size_gib"
    if away := node.signer_away():
        yield f"abstains: the signer is away: {away}"
    if driver.abstaining:
        yield "abstains: it may have forgotten votes of its own, and waits for its peers' answers"
