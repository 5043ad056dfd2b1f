"""What went over all connections of a node since it started."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.p2p.frames import Channel


@dataclass(slots=True)
class Count:
    """Messages, and the bytes of their payloads."""

    messages: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one message of so many bytes."""
        self.messages += 1
        self.bytes += size


def _counts() -> dict[Channel, Count]:
    return {channel: Count() for channel in Channel}


@dataclass(slots=True)
class Traffic:
    """By channel and direction; and what did not come about: messages that found a full queue, dials that failed."""

    sent: dict[Channel, Count] = field(default_factory=_counts)
    received: dict[Channel, Count] = field(default_factory=_counts)
    dropped: int = 0
    failed_dials: int = 0
