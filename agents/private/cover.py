"""Trades of nothing: every selling session ends with as many sales as every other, whatever it has to sell. Pure.

Their quantities are commitments to zero, as good as any other. Nobody announces them: what opens one follows from the
contact keys of its two sessions and a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.market.mechanism import (
    Action,
    Agreed,
    BuyerRules,
    SellerBook,
    SellerRules,
    Send,
    SignAndSend,
    Terms,
    buyer_hears,
    open_talk,
    seller_hears,
)
from agents.market.ontology import AcceptProposal, Body, Inform
from agents.private.packets import InvalidRelayKey
from agents.private.session import PublicSession, Session
from agents.private.street import Deal, SessionShown, TradeShown, make_deal
from agents.trading.plan import Trading
from agents.trading.strategy import Limits, Side, Situation, Strategy
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH, Rails
from contracts.bindings.private_market import MAX_PURCHASES, MAX_SALES, SessionState, cover_number
from contracts.bindings.private_market import Side as Offers
from privacy.secp256k1 import Point

_LOT_WH, _PATIENCE_S = 1, 1.0


@dataclass(frozen=True, slots=True)
class Quota:
    """How many trades there are in a window, real ones and those of nothing together.

    Args:
        of_pair: the most of one seller and one buyer.
        of_seller: every selling session's.
    """

    of_pair: int
    of_seller: int


def quota_of(buyers: int, sellers: int) -> Quota:
    """Return how many trades each seller of a window makes, and how many at most with one buyer.

    No buyer is asked for more than it may have as long as there are no more sellers than that.

    Args:
        buyers, sellers: sessions that may trade.
    """
    of_pair = max(1, MAX_PURCHASES // max(sellers, 1))
    return Quota(of_pair, min(MAX_SALES, buyers * of_pair))


def final_quota(sessions: Iterable[SessionShown]) -> Quota:
    """Return the quota of a window whose negotiation is over: its funded sessions are counted."""
    funded = Counter(each.side for each in sessions if each.state is not SessionState.OFFERED)
    return quota_of(funded[Offers.BUY], funded[Offers.SELL])


def quota_so_far(sessions: Iterable[SessionShown]) -> Quota:
    """Return a quota that the final one, once offers are closed, is not below.

    Sellers count as soon as they have offered, buyers only when they are funded.
    """
    rows = list(sessions)
    buyers = sum(each.side is Offers.BUY and each.state is not SessionState.OFFERED for each in rows)
    return quota_of(buyers, sum(each.side is Offers.SELL for each in rows))


@dataclass(frozen=True, slots=True)
class Cover:
    """A trade of nothing, and its number among those of its seller and buyer."""

    number: int
    deal: Deal

    @property
    def step(self) -> str:
        """What its seller calls it in the journal."""
        return cover_step(self.deal.buyer, self.number)


def cover_step(buyer: bytes, number: int) -> str:
    """Return what a seller calls a trade of nothing in its journal."""
    return f"cover 0x{buyer.hex()} {number}"


def make_cover(
    chain_id: int, joint_key: Point, session: Session, peer: PublicSession, number: int, price: int, side: Offers
) -> Cover:
    """Return a trade of nothing as both sides of it make it, each with its own session.

    Args:
        chain_id: the chain's.
        joint_key: of the window's auditors.
        session: the own one.
        peer: the other.
        number: from 0 to one less than the most sales of a session.
        price: in micro-euro per kWh.
        side: the own one.

    Raises:
        InvalidRelayKey: the peer's contact key is of small order.
    """
    seller, buyer = (session.address, peer.address) if side is Offers.SELL else (peer.address, session.address)
    agreement = cover_number(chain_id, session.window, seller, buyer, number)
    return Cover(number, make_deal(chain_id, joint_key, session, peer, agreement, Terms(0, price), side))


def find_cover(
    chain_id: int, joint_key: Point, session: Session, peer: PublicSession, trade: TradeShown, side: Offers
) -> Cover | None:
    """Return what opens a trade of the session if it is one of nothing; None if it is not, and may be of anything."""
    price = trade.tick * PRICE_TICK_MICROEUR_PER_KWH
    for number in range(MAX_SALES):
        try:
            cover = make_cover(chain_id, joint_key, session, peer, number, price, side)
        except InvalidRelayKey:
            return None
        if cover.deal.trade_id == trade.trade_id:
            return cover
    return None


def choose_covers(
    session: Session,
    buyers: Iterable[bytes],
    real: Mapping[bytes, int],
    made: Iterable[tuple[bytes, int]],
    quota: Quota,
) -> list[tuple[bytes, int]]:
    """Return which trades of nothing a seller makes, by buyer and number: drawn by the session's own randomness.

    Args:
        session: the seller's.
        buyers: funded sessions that buy.
        real: how many real trades it has with each.
        made: those that it has made before; they are among the result.
        quota: the window's.
    """
    chosen = sorted(set(made))
    trades = Counter(real)
    trades.update(buyer for buyer, _ in chosen)
    order = sorted(
        ((buyer, number) for buyer in set(buyers) for number in range(min(quota.of_pair, MAX_SALES))),
        key=lambda each: session.randomness(cover_step(*each)),
    )
    for buyer, number in order:
        if trades.total() < quota.of_seller and trades[buyer] < quota.of_pair and (buyer, number) not in chosen:
            chosen.append((buyer, number))
            trades[buyer] += 1
    return chosen


def cover_price(
    session: Session, buyer: PublicSession, number: int, ask: int, *, trading: Trading, strategy: Strategy, rails: Rails
) -> int:
    """Return the price of a trade of nothing (micro-euro per kWh, on the tick): where a negotiation would end.

    Where both sides offer what the street's one policy begins with, that is known. Otherwise it is drawn between the
    two offers.

    Args:
        session: the seller's.
        buyer: the other session.
        number: of the trade.
        ask: what the seller offers at.
        trading: the policy, as the seller has it.
        strategy: by which prices are named.
        rails: of the window.
    """
    bid, sell, buy = buyer.price_microeur_per_kwh, trading.sell, trading.buy
    if sell is not None and buy is not None:
        begins = (
            strategy.price_microeur_per_kwh(Situation(Side.SELLER, 0, sell, rails)),
            strategy.price_microeur_per_kwh(Situation(Side.BUYER, 0, buy, rails)),
        )
        found = settled_price(strategy, rails, sell, buy) if begins == (ask, bid) else None
        if found is not None:
            return found
    low, high = sorted((ask // PRICE_TICK_MICROEUR_PER_KWH, bid // PRICE_TICK_MICROEUR_PER_KWH))
    drawn = int.from_bytes(session.randomness(f"price of {cover_step(buyer.address, number)}"), "big")
    return (low + drawn % (high - low + 1)) * PRICE_TICK_MICROEUR_PER_KWH


def settled_price(strategy: Strategy, rails: Rails, sell: Limits, buy: Limits) -> int | None:
    """Return the price at which a seller and a buyer with these limits agree; None if they do not."""
    seller = SellerRules(strategy, sell, rails, _LOT_WH, _PATIENCE_S, _PATIENCE_S, sell.opening_microeur_per_kwh)
    buyer = BuyerRules(strategy, buy, rails, _LOT_WH, _PATIENCE_S, _PATIENCE_S)
    book, line = SellerBook(0, 0, _LOT_WH, {}), bytes(32)
    talk, actions = open_talk(buyer, window=0, offer_id=0, wanted_wh=_LOT_WH, now_s=0.0)
    while not talk.over:
        book, actions = seller_hears(
            seller, book, conversation_id=line, buyer=b"", body=_said(actions), now_s=0.0, signature_holds=True
        )
        talk, actions = buyer_hears(buyer, talk, _said(actions), 0.0)
    agreed = (action.terms for action in actions if isinstance(action, Agreed))
    return next((terms.price_microeur_per_kwh for terms in agreed), None)


def _said(actions: Sequence[Action]) -> Body:
    """Return what one side of a conversation says."""
    for action in actions:
        match action:
            case Send(body, _):
                return body
            case SignAndSend(terms, _):
                return AcceptProposal(terms.energy_wh, terms.price_microeur_per_kwh, b"")
            case Agreed():
                return Inform(bytes(32))
    raise RuntimeError(f"nothing was said in {actions}")
