"""Between which rails a street trades under a tariff, and whether it can at all."""

from __future__ import annotations

from contracts.bindings.market_types import Rails, Tariff


def why_no_trade(tariff: Tariff) -> str | None:
    """Return why no trade pays under a tariff, in a sentence; None if trades can pay."""
    rails: Rails = tariff.rails
    if rails.lowest_microeur_per_kwh <= rails.highest_microeur_per_kwh:
        return None
    return (
        f"no trade pays both sides: a buyer could give at most {rails.highest_microeur_per_kwh} micro-euro/kWh "
        f"(retail {tariff.retail_microeur_per_kwh} less local charges {tariff.local_charges_microeur_per_kwh}), "
        f"while the grid already gives the seller {rails.lowest_microeur_per_kwh} (feed-in)"
    )
