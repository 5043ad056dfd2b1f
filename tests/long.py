"""Whether the long forms of tests are to run: `make test-long` sets GRIDPACT_LONG."""

import os
from typing import TypeVar

T = TypeVar("T")
LONG = bool(os.environ.get("GRIDPACT_LONG"))


def short_or_long(short: T, long: T) -> T:
    """Return what a test is to take."""
    return long if LONG else short
