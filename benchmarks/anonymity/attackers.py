"""Attackers that name the seller of a trade among the members who offer energy in its window.

Who offers is given to them: roofs tell it anyway, and what is asked is whether the ledger tells them apart. An attacker
gives every eligible member a score for a session; it names the best, and tosses a coin among equals.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import log

from benchmarks.anonymity.world import Session, View

Score = Callable[[View, int, str], float]
"""(window, session, member) -> how likely the session is the member's; only its order counts."""
Days = Sequence[Sequence[View]]
SMOOTHING, VALUES = 0.5, 40  # of a feature that was never seen with a member, among about so many values


def features(view: View, session: int) -> Mapping[str, int]:
    """Return what the ledger says of a session in its window, in classes."""
    found: Session = view.sessions[session]
    degrees = [len(view.sessions[other].trades) for other in view.sellers]
    degree = len(found.trades)
    return {
        "tick": found.tick,
        "price": found.trades[0][1] if found.trades else 0,
        "slot": found.slot // 8,
        "order": session * 4 // len(view.sessions),
        "settled": found.settled // 4,
        "degree": degree,
        "rank of degree": sum(other > degree for other in degrees),
        "share of trades": round(4 * degree / max(len(view.sold), 1)),
        "sellers": len(view.sellers),
        "busiest buyer": max((len(view.sessions[other].trades) for other, _ in found.trades), default=0),
    }


# -- the ledger alone: members are rows of a registry, and sessions have an order


def by_registry(place: Callable[[View, int], float]) -> Score:
    """Return who takes it that sessions, in some order, are the registry's rows in theirs."""

    def score(view: View, session: int, member: str) -> float:
        mine = sorted(view.sellers, key=lambda other: (place(view, other), other)).index(session)
        row = sorted((view.names[other] for other in view.sellers), key=registry_row).index(member)
        return -abs(mine - row)

    return score


def registry_row(member: str) -> int:
    """Return a member's place in the registry."""
    return int(member.rsplit("L", 1)[1])


LEDGER_ALONE: Mapping[str, Score] = {
    "order of calls is the registry's": by_registry(lambda view, session: session),
    "order of settlements is the registry's": by_registry(lambda view, session: view.sessions[session].settled),
    "most trades, first row": by_registry(lambda view, session: -len(view.sessions[session].trades)),
    "lowest price, first row": by_registry(lambda view, session: view.sessions[session].tick),
    "a coin": lambda view, session, member: 0.0,
}


# -- who knows the truth of other windows


def learned(days: Days, only: Sequence[str] = ()) -> Score:
    """Return who has learnt how members' sessions look, from windows whose truth it was told (naive Bayes).

    Args:
        days: with the truth.
        only: the features that count; all if none is named.
    """
    counts: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for day in days:
        for view in day:
            for session in view.sellers:
                for name, value in features(view, session).items():
                    counts[name, view.names[session]][value] += 1

    def score(view: View, session: int, member: str) -> float:
        total = 0.0
        for name, value in features(view, session).items():
            if not only or name in only:
                seen = counts[name, member]
                total += log((seen[value] + SMOOTHING) / (seen.total() + SMOOTHING * VALUES))
        return total

    return score


def best_of(days: Days, evaluate: Callable[[Score], float]) -> Score:
    """Return the best of those who learnt from all features, or from one of them, as `evaluate` rates them."""
    names = features(days[0][0], days[0][0].sellers[0])
    candidates = [learned(days), *(learned(days, [name]) for name in names)]
    return max(candidates, key=evaluate)


# -- who has seen more than the ledger


def by_sun(view: View, session: int, member: str) -> float:
    """Roofs and weather: whoever has most sun sold."""
    return view.sun_wh[member]


def _by_sun(view: View) -> list[str]:
    """Return the eligible members by their sun; whose sessions come first must not show among equals."""
    return sorted((view.names[other] for other in view.sellers), key=lambda name: (-view.sun_wh[name], name))


def by_sun_and_trades(view: View, session: int, member: str) -> float:
    """Roofs, weather and the ledger: sessions by their trades are members by their sun."""
    trades = sorted(view.sellers, key=lambda other: -len(view.sessions[other].trades)).index(session)
    sun = _by_sun(view).index(member)
    return -abs(trades - sun)


def by_sun_and_quantities(view: View, session: int, member: str) -> float:
    """Roofs, weather, and quantities, as if these were in the clear."""
    sold = sorted(view.sellers, key=lambda other: -view.sold_wh[other]).index(session)
    sun = _by_sun(view).index(member)
    return -abs(sold - sun)
