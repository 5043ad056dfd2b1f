"""What a negotiation strategy is. The ontology is fixed; any strategy may be plugged in (`gridpact.strategies`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib.metadata import entry_points
from typing import Protocol

from contracts.bindings.market_types import Rails

STRATEGIES_GROUP = "gridpact.strategies"


class Side(Enum):
    """Who is asking for a price."""

    BUYER = "buyer"
    SELLER = "seller"


@dataclass(frozen=True, slots=True)
class Limits:
    """A side's private limits in micro-euro per kWh: it begins at `opening` and never goes beyond `reserve`, in
    `rounds`."""

    opening_microeur_per_kwh: int
    reserve_microeur_per_kwh: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a negotiation stands for one side: its round from 0, its limits, the rails, and what the other side said
    last."""

    side: Side
    round: int
    limits: Limits
    rails: Rails
    offered_microeur_per_kwh: int | None = None


class Strategy(Protocol):
    """Names a side's prices and judges the other's."""

    def price_microeur_per_kwh(self, situation: Situation) -> int:
        """Return this side's price of a round: on the tick, between the rails, never beyond the reserve."""
        ...

    def accepts(self, situation: Situation) -> bool:
        """Return whether to take `offered_microeur_per_kwh` rather than to go on with this side's price of the
        round."""
        ...

    def gives_up(self, situation: Situation) -> bool:
        """Return whether this side has no further price to name."""
        ...


class UnknownStrategy(LookupError):
    """No package registered a strategy of this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"strategy {name!r}: expected one of {', '.join(known)}")
        self.name = name
        self.known = known


def load_strategy(name: str) -> Strategy:
    """Return a new strategy of a registered name.

    Raises:
        UnknownStrategy: nobody registered it.
    """
    found = {entry.name: entry for entry in entry_points(group=STRATEGIES_GROUP)}
    if name not in found:
        raise UnknownStrategy(name, tuple(sorted(found)))
    strategy: Strategy = found[name].load()()
    return strategy
