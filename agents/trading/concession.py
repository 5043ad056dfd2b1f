"""The default strategy: concessions by a stated rule.

The price of round k of N is opening + (reserve − opening) × k / (N − 1), rounded to the tick towards the opening (so
never beyond the reserve) and cut to the rails. A side accepts what is at least as good as the price that it would
name next.
"""

from __future__ import annotations

from agents.trading.strategy import Side, Situation
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH as TICK


class ConcessionStrategy:
    """Linear concession from opening to reserve."""

    def price_microeur_per_kwh(self, situation: Situation) -> int:
        """Return the price of the round, at most the last round's."""
        limits, rails = situation.limits, situation.rails
        opening, reserve = limits.opening_microeur_per_kwh, limits.reserve_microeur_per_kwh
        steps = max(limits.rounds - 1, 1)
        done = min(situation.round, steps) if limits.rounds > 1 else steps
        moved = (reserve - opening) * done
        price = opening + (moved // steps if moved >= 0 else -(-moved // steps))
        price = -(-price // TICK) * TICK if situation.side is Side.SELLER else price // TICK * TICK
        return min(max(price, rails.lowest_microeur_per_kwh), rails.highest_microeur_per_kwh)

    def accepts(self, situation: Situation) -> bool:
        """Return whether the other side's price is at least as good as one's own of this round."""
        offered = situation.offered_microeur_per_kwh
        if offered is None:
            return False
        own = self.price_microeur_per_kwh(situation)
        return offered >= own if situation.side is Side.SELLER else offered <= own

    def gives_up(self, situation: Situation) -> bool:
        """Return whether all rounds are used up."""
        return situation.round >= situation.limits.rounds
