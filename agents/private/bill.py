"""A household's bill of its private windows: what its journal and wallet know of settlements that nobody else can read.

What a session paid is what it locked, less what came back as a note. The parts follow from the contracts, from what
sellers told they delivered, and from the own meter; the rest are penalties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from eth_keys.datatypes import PrivateKey

from agents.chain import LoggedEvent
from agents.journal import Line
from agents.private.memory import remember_windows
from agents.private.openings import fills, heard
from agents.private.session import PublicSession, open_session
from agents.private.street import Deal
from agents.wallet.wallet import Wallet
from contracts.bindings.market import cost_microeur
from contracts.bindings.market_types import Tariff
from contracts.bindings.private_market import (
    SessionOffered,
    SessionSettled,
    TradeAllocated,
    TradeAllowed,
    TradeDefaulted,
    TradeDelivered,
)
from privacy.secp256k1 import Point


@dataclass(frozen=True, slots=True)
class Delivery:
    """A contract: what was agreed and what was delivered (watt-hours), at which price."""

    energy_wh: int
    delivered_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class WindowBill:
    """A settled window. Energy in watt-hours, money in micro-euro, positive: to pay.

    Args:
        window: w.
        bought, sold: by contract.
        import_wh, export_wh: what the meter read.
        paid_microeur: what was locked, less what came back.
        tariff: of the window.
    """

    window: int
    bought: tuple[Delivery, ...]
    sold: tuple[Delivery, ...]
    import_wh: int
    export_wh: int
    paid_microeur: int
    tariff: Tariff

    @property
    def bought_wh(self) -> int:
        """What neighbours delivered."""
        return sum(each.delivered_wh for each in self.bought)

    @property
    def sold_wh(self) -> int:
        """What was delivered to neighbours."""
        return sum(each.delivered_wh for each in self.sold)

    @property
    def grid_wh(self) -> int:
        """What the grid supplied."""
        return max(self.import_wh - self.bought_wh, 0)

    @property
    def fed_in_wh(self) -> int:
        """What the grid took: the export that no contract had, and what was bought and not used."""
        return self.export_wh - self.sold_wh + max(self.bought_wh - self.import_wh, 0)

    @property
    def contracts_microeur(self) -> int:
        """The price of what was delivered."""
        return sum(cost_microeur(each.price_microeur_per_kwh, each.delivered_wh) for each in self.bought) - sum(
            cost_microeur(each.price_microeur_per_kwh, each.delivered_wh) for each in self.sold
        )

    @property
    def grid_microeur(self) -> int:
        """Retail for what the grid supplied, and local charges for what neighbours did, less feed-in."""
        tariff = self.tariff
        used_wh = min(self.bought_wh, self.import_wh)
        charged = cost_microeur(tariff.retail_microeur_per_kwh, self.grid_wh)
        charged += cost_microeur(tariff.local_charges_microeur_per_kwh, used_wh)
        return charged - cost_microeur(tariff.feed_in_microeur_per_kwh, self.fed_in_wh)

    @property
    def penalties_microeur(self) -> int:
        """What is left: penalties, and what a seller that lied or did not settle cost or brought."""
        return self.paid_microeur - self.contracts_microeur - self.grid_microeur


def window_bills(
    lines: Iterable[Line],
    events: Sequence[LoggedEvent],
    wallet: Wallet,
    account_key: PrivateKey,
    joint_keys: Mapping[int, Point],
    readings: Callable[[int], tuple[int, int]],
    tariff: Callable[[int], Tariff],
) -> list[WindowBill]:
    """Return the bills of all windows that a household has settled, in their order.

    Args:
        lines: of its journal.
        events: of the private market, in order.
        wallet: that knows the notes of the same heights.
        account_key: its account's.
        joint_keys: of the auditors, by window.
        readings: import and export of a window.
        tariff: of a window.
    """
    shown = _Shown(events)
    amounts = {note.key: note.amount for note in wallet.notes.values()}
    found = []
    for window, memory in sorted(remember_windows(lines).items()):
        session = open_session(account_key, wallet.chain_id, window)
        key = shown.settled.get(session.address)
        if key is None or memory.intent is None or window not in joint_keys:
            continue
        known = shown.sessions.get(window, [])
        deals = {deal.trade_id: deal for deal in memory.deals(wallet.chain_id, joint_keys[window], session, known)}
        binding = [deals[number] for number in shown.allocated if number in deals and number in shown.allowed]
        imported, exported = readings(window)
        bought = [deal for deal in binding if deal.buyer == session.address]
        sold = [deal for deal in binding if deal.seller == session.address and deal.trade_id not in shown.defaulted]
        delivered = fills(exported, [deal.terms.energy_wh for deal in sold])
        found.append(
            WindowBill(
                window,
                tuple(_delivery(deal, shown.told_wh(deal, joint_keys[window])) for deal in bought),
                tuple(map(_delivery, sold, delivered)),
                imported,
                exported,
                memory.intent.budget_microeur - amounts.get(key.hex(), 0),
                tariff(window),
            )
        )
    return found


class _Shown:
    """What the chain shows of sessions and trades."""

    def __init__(self, events: Sequence[LoggedEvent]) -> None:
        self.sessions: dict[int, list[PublicSession]] = {}
        self.settled: dict[bytes, bytes] = {}
        self.allocated: list[bytes] = []
        self.allowed: set[bytes] = set()
        self.defaulted: set[bytes] = set()
        self._delivered: dict[bytes, TradeDelivered] = {}
        for logged in events:
            match logged.event:
                case SessionOffered(window=window) as event:
                    public = PublicSession(event.session, event.contact_key, 0)
                    self.sessions.setdefault(window, []).append(public)
                case SessionSettled(session=account, key=key):
                    self.settled[account] = key
                case TradeAllocated(trade_id=number):
                    self.allocated.append(number)
                case TradeAllowed(trade_id=number):
                    self.allowed.add(number)
                case TradeDefaulted(trade_id=number):
                    self.defaulted.add(number)
                case TradeDelivered(trade_id=number) as event:
                    self._delivered[number] = event

    def told_wh(self, deal: Deal, joint_key: Point) -> int:
        """Return what a seller told of a delivery; nothing if it settled nothing, or told what is not so."""
        event = self._delivered.get(deal.trade_id)
        if event is None:
            return 0
        opening = heard(deal.key, deal.trade_id, event.told, event.delivered, joint_key)
        return 0 if opening is None else opening.amount


def _delivery(deal: Deal, delivered_wh: int) -> Delivery:
    return Delivery(deal.terms.energy_wh, delivered_wh, deal.terms.price_microeur_per_kwh)
