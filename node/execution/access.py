"""What a transaction touches: the access list that it could bring (EIP-2930).

Source: go-ethereum, `eth_createAccessList`: run again with what was found, until nothing new is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from node.chain.transaction import AccessList
from node.execution.accounts import FlatAccounts
from node.execution.machine import Outcome
from node.state import StateReader, slot_key

MAX_RUNS = 16  # what an access list changes is gas, and what gas changes are few branches


class RecordingAccounts(FlatAccounts):
    """Accounts that note what opcodes ask for, also in frames that fail."""

    def __init__(self, state: StateReader) -> None:
        super().__init__(state)
        self.asked: set[bytes] = set()  # addresses, and places of slots

    def access_account(self, address: bytes) -> bool:
        """Mark an address warm, and return whether it was cold."""
        self.asked.add(address)
        return super().access_account(address)

    def access_storage(self, address: bytes, slot: int) -> bool:
        """Mark a slot warm, and return whether it was cold."""
        self.asked.add(slot_key(address, slot))
        return super().access_storage(address, slot)

    def is_address_warm(self, address: bytes) -> bool:
        """Return whether the address was accessed in this transaction."""
        self.asked.add(address)
        return super().is_address_warm(address)

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Return whether the slot was accessed in this transaction."""
        self.asked.add(slot_key(address, slot))
        return super().is_storage_warm(address, slot)


def find_access_list(
    attempt: Callable[[AccessList], tuple[Outcome, Collection[bytes]]], given: AccessList, without: Collection[bytes]
) -> tuple[AccessList, Outcome]:
    """Return the access list of a transaction, and what it does with it.

    Args:
        attempt: runs it with a list; returns what it did and what was asked for.
        given: the list that it brings.
        without: addresses that are warm anyway.
    """
    places = {place for address, slots in given for place in (address, *(slot_key(address, slot) for slot in slots))}
    outcome, listed = None, given
    for _ in range(MAX_RUNS):
        listed = _grouped(places, without)
        outcome, asked = attempt(listed)
        if places.issuperset(asked):
            break
        places.update(asked)
    if outcome is None:
        raise ValueError("no run was allowed")
    return listed, outcome


def _grouped(places: Collection[bytes], without: Collection[bytes]) -> AccessList:
    slots: dict[bytes, list[int]] = {}
    for place in sorted(places):
        if len(place) > 20:
            slots.setdefault(place[:20], []).append(int.from_bytes(place[20:], "big"))
        elif place not in without:
            slots.setdefault(place, [])
    return tuple((address, tuple(found)) for address, found in sorted(slots.items()))
