"""What Python's garbage collector looks at, and how often, while the event loop waits for it."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 10, 20)
"""Objects that are made before the youngest are looked at; how often that, before the next generation is; and so on.

By default (700, 10, 10) a request is looked at several times before it is answered, and counts as old then: with a
thousand connections open, a full collection of 70 ms every few seconds.
"""


def settle_heap() -> None:
    """Take what is loaded by now out of the collector's sight, and let it look at the rest less often.

    What is loaded stays for as long as the process does; going through it (over 100,000 objects, modules and their
    functions most of all) would hold up the event loop for some 60 ms at every full collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
