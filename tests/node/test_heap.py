"""What is loaded when a node starts is not gone through at every collection."""

from __future__ import annotations

import gc

from node.heap import THRESHOLDS, settle_heap


def test_what_is_loaded_is_out_of_sight() -> None:
    before = gc.get_threshold()
    try:
        settle_heap()
        assert gc.get_freeze_count() > len(gc.get_objects())
        assert gc.get_threshold() == THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
