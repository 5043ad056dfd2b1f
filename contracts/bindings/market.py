"""Market: offers, contracts, escrow and settlement.

Energy in watt-hours, money in micro-euro, prices in micro-euro per kWh in steps of 1,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Interface, View, construct, one
from contracts.bindings.market_types import (
    EVENTS,
    PRICE_TICK_MICROEUR_PER_KWH,
    Info,
    Offer,
    OffersPage,
    Parameters,
    Position,
    Rails,
    Tariff,
    Trade,
    TradesPage,
)
from contracts.bindings.meter_registry import Schedule, WindowTime
from contracts.system import MARKET

INTERFACE = Interface("Market", MARKET, EVENTS)
MAX_PAGE = 50
MAX_OFFERS_PER_SELLER = 8

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_ACCEPTANCE_TYPE = (
    b"Acceptance(uint64 window,address seller,address buyer,uint32 energyWh,uint32 priceMicroeurPerKwh,"
    b"bytes32 negotiationId)"
)


def publish_info(household: bytes, endpoint: str, ontology: str) -> bytes:
    """Publish the sending agent's household, how to reach it and what it speaks (each text at most 256 bytes)."""
    return INTERFACE.call("publishInfo", household, endpoint, ontology)


def make_offer(
    window: int, energy_wh: int, price_microeur_per_kwh: int, deposit_microeur: int, buy_now_microeur_per_kwh: int = 0
) -> bytes:
    """Offer energy of `window`, the next one, before negotiation closes; for the deposit see `deposit_required`."""
    return INTERFACE.call(
        "makeOffer", window, energy_wh, price_microeur_per_kwh, buy_now_microeur_per_kwh, deposit_microeur
    )


def withdraw_offer(offer_id: int) -> bytes:
    """Take what is not allocated of an own offer back, with its part of the deposit."""
    return INTERFACE.call("withdrawOffer", offer_id)


def allocate_energy(
    offer_id: int,
    buyer: bytes,
    energy_wh: int,
    price_microeur_per_kwh: int,
    negotiation_id: bytes,
    signature: bytes,
) -> bytes:
    """Allocate energy of an own offer to `buyer`, in the recording margin.

    Args:
        negotiation_id: 32 bytes that both agents know.
        signature: the buyer's over `acceptance_digest`, 65 bytes r ‖ s ‖ v with v 27 or 28.
    """
    return INTERFACE.call(
        "allocateEnergy", offer_id, buyer, energy_wh, price_microeur_per_kwh, negotiation_id, signature
    )


def allow_transaction(trade_id: bytes) -> bytes:
    """Escrow the price of an allocated trade, in the recording margin; sent by the buyer. It binds from then on."""
    return INTERFACE.call("allowTransaction", trade_id)


def make_transaction(trade_id: bytes) -> bytes:
    """Settle a contract, once its readings are there; sent by anyone, once."""
    return INTERFACE.call("makeTransaction", trade_id)


def settle_window(window: int, household: bytes) -> bytes:
    """Settle what a household's contracts leave of a window; sent by anyone, once a household and window."""
    return INTERFACE.call("settleWindow", window, household)


def multicall(calls: Sequence[bytes]) -> bytes:
    """Make several of this module's calls in one transaction: all of them, or none when one is refused."""
    return INTERFACE.call("multicall", list(calls))


def pay_in(party: bytes, amount_microeur: int) -> bytes:
    """Pay the sender's tokens in to the balance of `party` (the sender, another, or `contracts.system.GRID`)."""
    return INTERFACE.call("payIn", party, amount_microeur)


def pay_out(amount_microeur: int) -> bytes:
    """Take the sender's balance out as tokens."""
    return INTERFACE.call("payOut", amount_microeur)


def pay_out_grid(amount_microeur: int) -> bytes:
    """Take what the grid has earned out as tokens; sent by the operator."""
    return INTERFACE.call("payOutGrid", amount_microeur)


def get_info(agent: bytes) -> View[Info | None]:
    """What an agent published of itself."""
    return INTERFACE.view(lambda row: Info(**row) if row["published_at_s"] else None, "getInfo", agent)


def get_offers(window: int, offset: int = 0, limit: int = MAX_PAGE) -> View[OffersPage]:
    """The offers for `window` from `offset` on, at most `limit` and at most MAX_PAGE."""
    return INTERFACE.view(_offers, "getOffers", window, offset, limit)


def get_trades(window: int, offset: int = 0, limit: int = MAX_PAGE) -> View[TradesPage]:
    """The trades for `window` in the order allocated, from `offset` on, at most `limit` and at most MAX_PAGE."""
    return INTERFACE.view(_trades, "getTrades", window, offset, limit)


def get_offer(offer_id: int) -> View[Offer | None]:
    """An offer."""
    return INTERFACE.view(
        lambda row: Offer(offer_id=offer_id, **row) if any(row["seller"]) else None, "getOffer", offer_id
    )


def get_trade(trade_id: bytes) -> View[Trade | None]:
    """A trade."""
    return INTERFACE.view(
        lambda row: construct(Trade, {"trade_id": trade_id, **row}) if row["state"] else None, "getTrade", trade_id
    )


def get_position(window: int, household: bytes) -> View[Position]:
    """A household in a window."""
    return INTERFACE.view(lambda row: Position(**row), "getPosition", window, household)


def balance_of(party: bytes) -> View[int]:
    """The balance of a party in the market's books; negative is a debt."""
    return INTERFACE.view(one, "balanceOf", party)


def available_to(party: bytes) -> View[int]:
    """What a party could commit now: its balance and what its wallet lets the market take."""
    return INTERFACE.view(one, "availableTo", party)


def locked_microeur() -> View[int]:
    """What lies in deposits and escrows."""
    return INTERFACE.view(one, "lockedMicroeur")


def operator() -> View[bytes]:
    """The operator's account."""
    return INTERFACE.view(one, "operator")


def parameters() -> View[Parameters]:
    """The genesis parameters beside schedule and tariffs."""
    return INTERFACE.view(lambda row: Parameters(**row), "parameters")


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def tariff_at(window: int) -> View[Tariff]:
    """The tariff of a window."""
    return INTERFACE.view(lambda row: Tariff(**row), "tariffAt", window)


def rails(window: int) -> View[Rails]:
    """The lowest and the highest price of a trade for `window`."""
    return INTERFACE.view(Rails, "rails", window)


def cost_microeur(price_microeur_per_kwh: int, energy_wh: int) -> int:
    """Return price × energy, exact for a price on its tick.

    Raises:
        ValueError: the price is not a multiple of the tick.
    """
    if price_microeur_per_kwh % PRICE_TICK_MICROEUR_PER_KWH:
        raise ValueError(f"{price_microeur_per_kwh} is not a multiple of {PRICE_TICK_MICROEUR_PER_KWH} micro-euro/kWh")
    return price_microeur_per_kwh // PRICE_TICK_MICROEUR_PER_KWH * energy_wh


def deposit_required(tariff: Tariff, terms: Parameters, energy_wh: int, price_microeur_per_kwh: int) -> int:
    """Return the least deposit of an offer in micro-euro, as the contract's depositRequired does."""
    gap = max(tariff.retail_microeur_per_kwh - price_microeur_per_kwh, 0)
    return cost_microeur(gap, energy_wh) + cost_microeur(terms.penalty_microeur_per_kwh, energy_wh)


def acceptance_digest(
    *,
    chain_id: int,
    window: int,
    seller: bytes,
    buyer: bytes,
    energy_wh: int,
    price_microeur_per_kwh: int,
    negotiation_id: bytes,
    market: bytes = MARKET,
) -> bytes:
    """Return the 32 bytes that the buyer signs, which are also the number of the trade (EIP-712).

    The signature over them is r ‖ s ‖ v: `eth_keys` private_key.sign_msg_hash(digest) with v + 27, or eth_account's
    unsafe_sign_hash(digest).signature as it is.
    """
    domain = encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [keccak(_DOMAIN_TYPE), keccak(b"gridpact market"), keccak(b"1"), chain_id, market],
    )
    acceptance = encode(
        ["bytes32", "uint64", "address", "address", "uint32", "uint32", "bytes32"],
        [keccak(_ACCEPTANCE_TYPE), window, seller, buyer, energy_wh, price_microeur_per_kwh, negotiation_id],
    )
    return keccak(b"\x19\x01" + keccak(domain) + keccak(acceptance))


def _offers(page: Sequence[Mapping[str, Any]], total: int) -> OffersPage:
    return OffersPage(tuple(Offer(offer_id=row["offer_id"], **row["offer"]) for row in page), total)


def _trades(page: Sequence[Mapping[str, Any]], total: int) -> TradesPage:
    rows = ({"trade_id": row["trade_id"], **row["trade"]} for row in page)
    return TradesPage(tuple(construct(Trade, row) for row in rows), total)
