"""What Python's garbage collector looks at, while the event loop waits for it."""

from __future__ import annotations

import gc


def settle_heap() -> None:
    """Take what is loaded by now out of the collector's sight: it stays for as long as the process does.

    Going through it (over 100,000 objects, modules and their functions most of all) would hold up the event loop for
    some 60 ms at every full collection.
    """
    gc.collect()
    gc.freeze()
