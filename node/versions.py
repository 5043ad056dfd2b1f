"""The versions of this software and of what it exchanges and stores: what decides whether two of them get along."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from node.p2p.frames import WIRE_MAJOR, WIRE_MINOR
from node.storage.tables import SCHEMA_VERSION

WIRE = f"{WIRE_MAJOR}.{WIRE_MINOR}"
STORAGE = str(SCHEMA_VERSION)


@cache
def software() -> str:
    """Return the version of this software."""
    return version("gridpact")


def versions() -> dict[str, str]:
    """Return software, wire and storage version by name."""
    return {"gridpact": software(), "wire": WIRE, "storage": STORAGE}
