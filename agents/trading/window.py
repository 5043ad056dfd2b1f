"""A household's trading window: forecast, offer, buy until the close, record in the margin. Steps 2 to 4 of a
window."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from agents.chain import POLL_S, Call, NodeError, NodeUnreachable, Sender
from agents.follower import Follower
from agents.home import Home
from agents.journal import NoTrade, OfferSent, Skipped
from agents.market.mechanism import NOT_OPEN, BuyerRules, SellerRules
from agents.market.tariff import why_no_trade
from agents.trading.buyer import Shopping
from agents.trading.buyer_agent import BuyerAgent
from agents.trading.plan import Supply, WindowPlan
from agents.trading.planner import Planner
from agents.trading.seller import asking_for
from agents.trading.seller_agent import SellerAgent
from contracts.bindings import market
from contracts.bindings.market_types import Offer, OfferMade, TradeState
from contracts.system import MARKET

OFFER_GAS = 450_000
ALLOCATE_GAS = 350_000
ALLOW_GAS = 300_000
MAX_TRADES = 1_000  # of a household in a window: a street has fewer offers


class Trader:
    """Trades one window after the other for a household.

    Args:
        home: the household's shared things.
        planner: says what is wanted of a window.
        buyer, seller: the negotiating agents.
        sender: of the household's account.
        follower: tells news of the chain.
        offers_wait_s: how long buyers wait for the offers to come in, so that the cheapest is asked first (chain
        seconds).
        reply_timeout_s: how long to wait for an answer (chain seconds).
        bought_wh: what was signed before a restart: window → demand → energy.
    """

    def __init__(
        self,
        home: Home,
        planner: Planner,
        *,
        buyer: BuyerAgent,
        seller: SellerAgent,
        sender: Sender,
        follower: Follower,
        offers_wait_s: int,
        reply_timeout_s: int,
        bought_wh: dict[int, dict[int, int]],
    ) -> None:
        self._home = home
        self._planner = planner
        self._buyer = buyer
        self._seller = seller
        self._sender = sender
        self._follower = follower
        self._offers_wait_s = offers_wait_s
        self._reply_timeout_s = reply_timeout_s
        self._bought_wh = bought_wh
        self._supplies: dict[int, Supply] = {}

    async def trade(self, window: int) -> None:
        """Trade delivery window `window` during the window before it; returns when all is recorded or it ends.

        Raises:
            NodeUnreachable, NodeError: the node failed for long; the next window is tried again.
        """
        home = self._home
        start_s = home.windows.start_s(window - 1)
        close_s = start_s + home.windows.negotiation_close_s
        plan = self._planner.plan(window)
        reason = why_no_trade(home.tariff(window))
        if reason is not None:
            home.write(NoTrade(window=window, reason=reason))
            return
        if home.clock.now_s() < close_s:
            await self._offer(plan)
            await self._buy(plan, start_s + self._offers_wait_s, close_s)
        elif plan.supply is not None or plan.demands:
            home.write(Skipped(window=window, step="negotiation", reason="negotiation had closed"))
        await home.sleep_until(close_s)
        await self._record(window, close_s + home.windows.recording_margin_s)

    def offer_made(self, event: OfferMade) -> None:
        """Open the book of an own offer that the chain has taken."""
        self._open_book(event.window, event.offer_id, event.energy_wh)

    async def _offer(self, plan: WindowPlan) -> None:
        """Make the offer of a plan; one that is on chain already (before a restart) is taken up again."""
        home, supply = self._home, plan.supply
        if supply is None:
            return
        self._supplies[plan.window] = supply
        existing = home.view.offer_of(plan.window, home.account)
        if existing is not None:
            self._open_book(plan.window, existing.offer_id, existing.energy_wh)
            return
        asking = asking_for(supply, home.strategy, home.rails(plan.window), home.tariff(plan.window), home.terms)
        price = asking.price_microeur_per_kwh
        data = market.make_offer(plan.window, asking.energy_wh, price, asking.deposit_microeur, price)
        await self._sender.send([Call(MARKET, data, OFFER_GAS, f"offer for window {plan.window}")])
        home.write(
            OfferSent(
                window=plan.window,
                purpose=supply.purpose,
                energy_wh=asking.energy_wh,
                price_microeur_per_kwh=price,
                deposit_microeur=asking.deposit_microeur,
            )
        )

    def _open_book(self, window: int, offer_id: int, energy_wh: int) -> None:
        home, supply = self._home, self._supplies.get(window)
        if supply is None:
            return
        close_s = home.windows.start_s(window - 1) + home.windows.negotiation_close_s
        rules = selling_rules(home, window, supply, close_s=close_s, reply_timeout_s=self._reply_timeout_s)
        self._seller.open_book(rules, window, offer_id, energy_wh, supply.purpose)

    async def _buy(self, plan: WindowPlan, from_s: float, close_s: float) -> None:
        home, window = self._home, plan.window
        await shop(
            home,
            self._buyer,
            plan,
            lambda: home.view.offers.get(window, {}).values(),
            changed=self._follower.changed,
            from_s=from_s,
            close_s=close_s,
            reply_timeout_s=self._reply_timeout_s,
            bought_wh=self._bought_wh.get(window, {}),
        )

    async def _record(self, window: int, end_s: float) -> None:
        """In the recording margin: allocate what was sold, allow what was bought, until both are on chain."""
        home = self._home
        agreements = self._seller.agreements.get(window, [])
        known = home.view.trades.get(window, {})
        allocations = [
            Call(
                MARKET,
                market.allocate_energy(
                    agreement.offer_id,
                    agreement.buyer,
                    agreement.terms.energy_wh,
                    agreement.terms.price_microeur_per_kwh,
                    agreement.conversation_id,
                    agreement.signature,
                ),
                ALLOCATE_GAS,
                f"allocate energy of window {window}",
            )
            for agreement in agreements
            if agreement.trade_id not in known
        ]
        if allocations and home.clock.now_s() < end_s:
            await self._send(allocations)
        asked: set[bytes] = set()
        wanted = {agreement.trade_id for agreement in agreements} | set(self._buyer.signed.get(window, {}))
        if not wanted:
            return
        while home.clock.now_s() < end_s:
            trades = home.view.trades.get(window, {})
            ready = [
                trade_id
                for trade_id in sorted(self._buyer.signed.get(window, {}))
                if trade_id in trades and trades[trade_id].state is TradeState.ALLOCATED and trade_id not in asked
            ]
            asked.update(ready)
            await self._send(
                [Call(MARKET, market.allow_transaction(t), ALLOW_GAS, f"allow trade 0x{t.hex()[:8]}") for t in ready]
            )
            if all(t in trades and trades[t].state is not TradeState.ALLOCATED for t in wanted):
                return
            await self._follower.changed(home.clock.wall_until_s(end_s))
        trades = home.view.trades.get(window, {})
        left = [t for t in wanted if t not in trades or trades[t].state is TradeState.ALLOCATED]
        reason = f"{len(left)} of {len(wanted)} agreed trades were not recorded in time"
        home.write(Skipped(window=window, step="recording", reason=reason))

    async def _send(self, calls: list[Call]) -> None:
        if not calls:
            return
        try:
            await self._sender.send(calls)
        except (NodeError, NodeUnreachable) as error:
            self._home.problem(calls[0].what, error)


async def shop(
    home: Home,
    buyer: BuyerAgent,
    plan: WindowPlan,
    offers: Callable[[], Iterable[Offer]],
    *,
    changed: Callable[[float], Awaitable[None]],
    from_s: float,
    close_s: float,
    reply_timeout_s: int,
    bought_wh: Mapping[int, int],
    most_trades: int = MAX_TRADES,
) -> None:
    """Ask offers for what a plan wants, one conversation at a time, until it is bought or negotiation closes.

    Args:
        home: whose rails, terms and clock count.
        buyer: negotiates.
        plan: whose demands are served.
        offers: what is on offer for the window now.
        changed: returns at the next news of the chain, or after so many wall seconds.
        from_s, close_s: chain time in which to ask.
        reply_timeout_s: how long to wait for an answer (chain seconds).
        bought_wh: what was signed before a restart, by demand.
        most_trades: after which no more is bought.
    """
    if not plan.demands:
        return
    bought = [bought_wh.get(number, 0) for number in range(len(plan.demands))]
    shopping = Shopping(plan.demands, home.terms.minimum_lot_wh, bought)
    await home.sleep_until(min(from_s, close_s))
    while home.clock.now_s() < close_s and shopping.open_wh() > 0 and most_trades > 0:
        errand = shopping.next_errand(offers(), home.account)
        if errand is None:
            await changed(home.clock.wall_until_s(close_s))
            continue
        rules = BuyerRules(
            strategy=home.strategy,
            limits=plan.demands[errand.demand].limits,
            rails=home.rails(plan.window),
            minimum_lot_wh=home.terms.minimum_lot_wh,
            reply_timeout_s=reply_timeout_s,
            close_s=close_s,
        )
        shopping.began(errand)
        outcome = await buyer.negotiate(rules, errand, plan.demands[errand.demand].purpose)
        if outcome.terms is not None:
            shopping.agreed(errand, outcome.terms)
            most_trades -= 1
        else:
            shopping.failed(errand, outcome.reason, silent=outcome.silent)
            if outcome.reason == NOT_OPEN:
                await changed(POLL_S)


def selling_rules(home: Home, window: int, supply: Supply, *, close_s: float, reply_timeout_s: int) -> SellerRules:
    """Return the rules by which a window's supply is sold; who pays its opening price has it at once.

    Args:
        home: whose strategy, rails and terms count.
        window: in which is delivered.
        supply: what is sold.
        close_s: when negotiation closes (chain time).
        reply_timeout_s: how long to wait for an answer (chain seconds).
    """
    return SellerRules(
        strategy=home.strategy,
        limits=supply.limits,
        rails=home.rails(window),
        minimum_lot_wh=home.terms.minimum_lot_wh,
        reply_timeout_s=reply_timeout_s,
        close_s=close_s,
        buy_now_microeur_per_kwh=supply.limits.opening_microeur_per_kwh,
    )
