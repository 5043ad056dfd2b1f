"""`make anonymity`: over a thousand private windows of real data, how often attackers name the seller of a trade.

Of every window with at least two members who offer energy, one trade is drawn, and every attacker names its seller. A
coin is right in one of so many cases as there are such members: the expected rate. The interval (95 %) is that of the
difference between hits and expectation, by days (windows of one day are alike). Who is said to be above is so by the
interval that holds for all attackers with the ledger alone at once: of a dozen coins one is often above its own.
Attackers with the ledger alone, those who learnt from the truth of as many other windows among them, must not be above
the expected rate: status 1 if one is. What others know is not the ledger's; they are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from random import Random
from statistics import NormalDist

from agents.trading.strategy import Limits
from benchmarks.anonymity.attackers import (
    LEDGER_ALONE,
    Days,
    Score,
    best_of,
    by_sun,
    by_sun_and_quantities,
    by_sun_and_trades,
)
from benchmarks.anonymity.world import Member, View, street_8, street_41, windows

STREETS: Mapping[str, Callable[[], tuple[Member, ...]]] = {"street-8": street_8, "semiurb4, 41 connections": street_41}
WANTED_WINDOWS = 1_000  # to be attacked; as many again are learnt from
SUMMER = range(80, 260)
HELD = len(STREETS) * (len(LEDGER_ALONE) + 1)  # attackers that are held to a coin
OF_ONE, OF_ALL = (NormalDist().inv_cdf(1 - 0.05 / 2 / count) for count in (1, HELD))


@dataclass(frozen=True, slots=True)
class Rate:
    """How often an attacker named the seller, and how often a coin does.

    Args:
        windows: that were attacked.
        rate, expected: of them.
        deviation: the rate's standard deviation.
    """

    windows: int
    rate: float
    expected: float
    deviation: float

    @property
    def exceeds(self) -> bool:
        """Whether the lower end of the interval, the one for all attackers at once, is above what a coin gives."""
        return self.rate - OF_ALL * self.deviation > self.expected

    def text(self) -> str:
        """Return it as it is printed."""
        error = OF_ONE * self.deviation
        low, high = max(self.rate - error, 0.0), min(self.rate + error, 1.0)
        return f"{self.rate:.3f} [{low:.3f}, {high:.3f}], expected {self.expected:.3f}"


def attacked(days: Days, score: Score, seed: int) -> Rate:
    """Return how an attacker does; which trade of a window is named, and who among equals, is drawn."""
    chance = Random(seed)
    by_day = [[_hit(view, score, chance) for view in day if len(view.sellers) > 1] for day in days]
    rows = [row for row in by_day if row]
    count = sum(map(len, rows))
    hits, expected = (sum(each[at] for row in rows for each in row) / count for at in (0, 1))
    gain = hits - expected
    sums = [sum(hit - coin - gain for hit, coin in row) for row in rows]
    spread = sqrt(sum(each * each for each in sums) * len(rows) / max(len(rows) - 1, 1)) / count
    return Rate(count, hits, expected, spread)


def _hit(view: View, score: Score, chance: Random) -> tuple[float, float]:
    session = chance.choice(view.sold)
    members = sorted(view.names[other] for other in view.sellers)
    chance.shuffle(members)
    named = max(members, key=lambda member: score(view, session, member))
    return float(named == view.names[session]), 1 / len(members)


def halves(days: Days, seed: int) -> tuple[Days, Days]:
    """Return the days that are learnt from, and those that are attacked."""
    mixed = list(days)
    Random(seed).shuffle(mixed)
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def simulated(members: Sequence[Member], count: int, seed: int) -> Days:
    """Return whole days until at least two times `count` windows have two sellers, as far as summer goes.

    Raises:
        ValueError: summer has fewer.
    """
    order = list(SUMMER)
    Random(seed).shuffle(order)
    found: list[list[View]] = []
    rivals = 0
    for day in order:
        found.append(list(windows(members, [day], seed * 1_000 + day)))
        rivals += sum(len(view.sellers) > 1 for view in found[-1])
        if rivals >= 2 * count + 50:
            return found
    raise ValueError(f"{rivals} windows with two sellers: expected {2 * count}")


def learner(learnt: Days, seed: int) -> Score:
    """Return the best of who learnt from two thirds of what there is to learn from, as the last third rates them."""
    cut = 2 * len(learnt) // 3
    return best_of(learnt[:cut], lambda score: attacked(learnt[cut:], score, seed).rate)


def personal(members: Sequence[Member]) -> tuple[Member, ...]:
    """Return a street in which every household asks a price of its own."""
    return tuple(
        replace(member, limits=(member.limits[0], Limits(210_000 + 1_000 * at, 150_000, 6)))
        for at, member in enumerate(members)
    )


def relayed(chance: Random, *, relays: bool) -> Score:
    """Return who sees every call's first hop: its sender's node, or the last of two relays drawn from all members."""

    def score(view: View, session: int, member: str) -> float:
        seen = chance.choice(view.names) if relays else view.names[session]
        return float(seen == member)

    return score


def report(name: str, members: Sequence[Member], count: int, seed: int) -> bool:
    """Print how attackers do on a street; return whether those with the ledger alone are no better than a coin."""
    learnt, days = halves(simulated(members, count, seed), seed)
    own = halves(simulated(personal(members), count, seed), seed)
    one = sum(len(view.sellers) == 1 for day in days for view in day)
    print(
        f"{name}: {sum(len(view.sellers) > 1 for day in days for view in day):,} windows attacked; {one} more have one"
    )
    print("  member who offers energy, whom nothing can hide from those who know that")
    alone = {who: attacked(days, score, seed) for who, score in LEDGER_ALONE.items()}
    alone["learnt from as many other windows and their truth"] = attacked(days, learner(learnt, seed), seed)
    more = {
        "learnt, if everyone asks a price of its own": attacked(own[1], learner(own[0], seed), seed),
        "sees the first hop of calls, nobody relays": attacked(days, relayed(Random(seed), relays=False), seed),
        "sees it, two relays": attacked(days, relayed(Random(seed), relays=True), seed),
        "roofs and weather": attacked(days, by_sun, seed),
        "roofs, weather and the number of trades": attacked(days, by_sun_and_trades, seed),
        "roofs, weather and quantities, were they in the clear": attacked(days, by_sun_and_quantities, seed),
    }
    for title, found in (("the ledger alone, must not be above", alone), ("more than the ledger", more)):
        print(f" {title}:")
        for who, rate in found.items():
            print(f"  {who}: {rate.text()}: {'ABOVE' if rate.exceeds else 'no better than a coin'}")
    return not any(rate.exceeds for rate in alone.values())


def main() -> None:
    """Attack both streets; status 1 if the ledger tells more than a coin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=WANTED_WINDOWS, help="to attack, for each street")
    parser.add_argument("--seed", type=int, default=2016)
    options = parser.parse_args()
    found = [report(name, street(), options.windows, options.seed) for name, street in STREETS.items()]
    sys.exit(0 if all(found) else 1)


if __name__ == "__main__":
    main()
