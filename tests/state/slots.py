"""Slots as a test writes them, and as changes name them."""

from __future__ import annotations

from collections.abc import Mapping

from node.state import slot_key


def named(storage: Mapping[bytes, Mapping[int, int]]) -> dict[bytes, int]:
    """Return values by `slot_key`, of values by address and slot."""
    return {slot_key(address, slot): value for address, slots in storage.items() for slot, value in slots.items()}
