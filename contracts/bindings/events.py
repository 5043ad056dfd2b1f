"""Logs of the system contracts as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.bindings import (
    consortium,
    disclosures,
    energy_token,
    fiat_token,
    market,
    meter_registry,
    privacy_registry,
    private_market,
    sealed_meters,
    shielded_pool,
)
from contracts.bindings.abi import Event, Interface

INTERFACES: Mapping[bytes, Interface] = {
    module.INTERFACE.address: module.INTERFACE
    for module in (
        consortium,
        meter_registry,
        energy_token,
        fiat_token,
        market,
        sealed_meters,
        privacy_registry,
        disclosures,
        shielded_pool,
        private_market,
    )
}


def decode_log(address: bytes, topics: Sequence[bytes], data: bytes) -> Event | None:
    """Return the event of a log; None if it is none of a system contract.

    Raises:
        MalformedAnswer: it has the topic of such an event but not its content.
    """
    interface = INTERFACES.get(bytes(address))
    return interface.decode_event(topics, data) if interface else None


def topic_of(address: bytes, event: type[Event]) -> bytes:
    """Return the first topic of an event's logs, for a filter."""
    return INTERFACES[address].topic(event)
