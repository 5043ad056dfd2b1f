"""What an agent knows of the market from the chain: read once when it starts, then kept up by the chain's events.
Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agents.devices.meter import Contracted
from contracts.bindings.abi import Event
from contracts.bindings.market_types import (
    Cash,
    EnergyAllocated,
    InfoPublished,
    Offer,
    OfferMade,
    OfferWithdrawn,
    Trade,
    TradeState,
    TransactionAllowed,
    TransactionMade,
    WindowSettled,
)
from contracts.bindings.meter_registry import Attested

KEPT_WINDOWS = 12  # more than the settlement deadline of any sensible genesis; older ones are of no use to an agent


@dataclass(slots=True)
class MarketView:
    """Offers, trades, readings and settlements of the newest windows, and how to reach the other agents."""

    offers: dict[int, dict[int, Offer]] = field(default_factory=dict)
    trades: dict[int, dict[bytes, Trade]] = field(default_factory=dict)
    endpoints: dict[bytes, str] = field(default_factory=dict)
    settled: dict[int, set[bytes]] = field(default_factory=dict)
    cash_microeur: dict[int, dict[bytes, int]] = field(default_factory=dict)
    readings: dict[int, dict[bytes, dict[int, tuple[int, int]]]] = field(default_factory=dict)

    def learn_offers(self, offers: Iterable[Offer]) -> None:
        """Take offers as getOffers gives them."""
        for offer in offers:
            self.offers.setdefault(offer.window, {})[offer.offer_id] = offer

    def learn_trades(self, trades: Iterable[Trade]) -> None:
        """Take trades as getTrades gives them."""
        for trade in trades:
            self.trades.setdefault(trade.window, {})[trade.trade_id] = trade

    def learn(self, event: Event) -> None:
        """Take one event of the chain."""
        match event:
            case OfferMade():
                offer = Offer(
                    offer_id=event.offer_id,
                    seller=event.seller,
                    window=event.window,
                    energy_wh=event.energy_wh,
                    allocated_wh=0,
                    price_microeur_per_kwh=event.price_microeur_per_kwh,
                    buy_now_microeur_per_kwh=event.buy_now_microeur_per_kwh,
                    deposit_microeur=event.deposit_microeur,
                    pledged_microeur=0,
                )
                self.offers.setdefault(event.window, {})[event.offer_id] = offer
            case OfferWithdrawn():
                self.offers.get(event.window, {}).pop(event.offer_id, None)
            case EnergyAllocated():
                trade = Trade(
                    trade_id=event.trade_id,
                    seller=event.seller,
                    energy_wh=event.energy_wh,
                    price_microeur_per_kwh=event.price_microeur_per_kwh,
                    state=TradeState.ALLOCATED,
                    buyer=event.buyer,
                    window=event.window,
                    delivered_wh=0,
                    seller_before_wh=0,
                    buyer_before_wh=0,
                    offer_id=event.offer_id,
                )
                self.trades.setdefault(event.window, {})[event.trade_id] = trade
            case TransactionAllowed():
                self._set_state(event.window, event.trade_id, TradeState.ALLOWED)
            case TransactionMade():
                self._set_state(event.window, event.trade_id, TradeState.SETTLED)
            case WindowSettled():
                self.settled.setdefault(event.window, set()).add(event.household)
            case Cash():
                cash = self.cash_microeur.setdefault(event.window, {})
                cash[event.party] = cash.get(event.party, 0) + event.amount_microeur
            case InfoPublished():
                self.endpoints[event.household] = event.endpoint
            case Attested():
                quarters = self.readings.setdefault(event.window, {}).setdefault(event.household, {})
                quarters[event.quarter] = (event.import_wh, event.export_wh)
            case _:
                pass

    def forget_before(self, window: int) -> None:
        """Drop what is older than KEPT_WINDOWS before `window`."""
        tables: tuple[dict[int, object], ...] = (
            self.offers,  # type: ignore[assignment]
            self.trades,
            self.settled,
            self.cash_microeur,
            self.readings,
        )
        for table in tables:
            for old in [known for known in table if known < window - KEPT_WINDOWS]:
                del table[old]

    def trades_in(self, window: int) -> list[Trade]:
        """Return a window's trades in the order allocated."""
        return list(self.trades.get(window, {}).values())

    def binding(self, window: int) -> list[Trade]:
        """Return a window's trades whose buyers allowed them."""
        return [t for t in self.trades_in(window) if t.state in (TradeState.ALLOWED, TradeState.SETTLED)]

    def contracted(self, window: int, household: bytes) -> Contracted:
        """Return what a household has contracted for a window."""
        binding = self.binding(window)
        return Contracted(
            bought_wh=sum(trade.energy_wh for trade in binding if trade.buyer == household),
            sold_wh=sum(trade.energy_wh for trade in binding if trade.seller == household),
        )

    def offer_of(self, window: int, seller: bytes) -> Offer | None:
        """Return a seller's first offer for a window."""
        mine = [offer for offer in self.offers.get(window, {}).values() if offer.seller == seller]
        return min(mine, key=lambda offer: offer.offer_id) if mine else None

    def _set_state(self, window: int, trade_id: bytes, state: TradeState) -> None:
        trades = self.trades.get(window, {})
        if trade_id in trades:
            trades[trade_id] = replace(trades[trade_id], state=state)
