"""A household's session of one private window, from its offer to its settlement.

    trade, in window w - 1:   intend ─► offer ─► fund ─► negotiate ─► allocate / allow, trades of nothing too
    settle, after window w:   prepare ─► (default_ of what sellers owe) ─► settle

Every member opens a session for every window, also one that wants nothing: only so is an offer no news. What is done is
told by the chain, what is to be done by the journal, and both can be read again; so a session that is killed at any
point goes on, or lapses with nothing locked, and what is locked is settled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields

from agents.chain import Call
from agents.errors import AgentError
from agents.home import Home, hexed
from agents.journal import NoTrade, PrivateClosed, PrivateIntent, Recorded, Skipped
from agents.ledger import MarketView
from agents.market.mechanism import NOT_OPEN, SOLD_OUT
from agents.market.tariff import why_no_trade
from agents.private.cover import (
    Cover,
    choose_covers,
    cover_price,
    cover_step,
    final_quota,
    find_cover,
    make_cover,
    quota_so_far,
)
from agents.private.mail import MailAgent
from agents.private.memory import WindowMemory
from agents.private.outbox import Outbox
from agents.private.post import Post
from agents.private.session import PublicSession, Session, SessionHome, usable
from agents.private.street import Deal, Intent, NotEnoughNotes, Scribe, Street, TradeShown, WindowShown
from agents.trading.buyer_agent import BuyerAgent
from agents.trading.plan import Supply, Trading, WindowPlan
from agents.trading.seller_agent import SellerAgent
from agents.trading.strategy import Side as Role
from agents.trading.strategy import Situation
from agents.trading.window import selling_rules, shop
from contracts.bindings.market import cost_microeur
from contracts.bindings.market_types import Offer, Trade
from contracts.bindings.market_types import TradeState as OpenState
from contracts.bindings.private_market import MAX_PURCHASES, MAX_SALES, SessionState, Side, TradeState

OFFER_LEAD_S = 600.0  # chain seconds: an offer's slot is so long before the time for offers is over
OFFER_LEAD_WALL_S = 6.0  # and so long: what passes until relays and some blocks have taken it
RECORD_LEAD_S = 300.0  # chain seconds: an allocation is sent so long before the window ends
RECORD_LEAD_WALL_S = 3.0  # and so long: relays, a block, and the same again until it is allowed
ENOUGH_TRADES = "no more trades with this session"
SPARE_WH = 3_000  # a budget covers three times what is forecast to be taken from the grid, and this
LOOK_AGAIN_S = 60.0  # chain seconds
MIN_PAUSE_S = 0.1  # wall seconds
PREPARE_SPREAD_S = 600.0  # chain seconds in which somebody prepares a window that is over: it is needed once
_OVER = (SessionState.SETTLED, SessionState.FORFEITED)
_BINDING = (TradeState.ALLOWED, TradeState.DELIVERED, TradeState.DEFAULTED)


@dataclass(slots=True)
class Means:
    """What the sessions of a household share.

    `changed` returns at the next news of the chain, or after so many wall seconds; `trading` holds the limits of price
    that are the street's.
    """

    home: Home
    street: Street
    scribe: Scribe
    post: Post
    outbox: Outbox
    mail: MailAgent
    changed: Callable[[float], Awaitable[None]]
    reply_timeout_s: int
    trading: Trading


class PrivateWindow:
    """One session.

    Args:
        means: of the household.
        session: its keys.
        memory: what was written down of the window before a restart.
    """

    def __init__(self, means: Means, session: Session, memory: WindowMemory) -> None:
        self._means = means
        self._session = session
        self._memory = memory
        self._shown = WindowShown()
        self._contacts: dict[bytes, bytes] = {}
        self._found: dict[bytes, Cover | None] = {}  # what was tried whether it is a trade of nothing
        windows = means.home.windows
        self._window = session.window
        self._start_s = windows.start_s(session.window - 1)
        self._close_s = self._start_s + windows.negotiation_close_s
        self._end_s = windows.start_s(session.window)
        last_s = windows.start_s(session.window + 1) + PREPARE_SPREAD_S
        self._prepare_s = means.post.slot(last_s - PREPARE_SPREAD_S, last_s)
        closable_s = windows.start_s(self._window + 1 + windows.settlement_deadline_windows)
        self._late_close_s = means.post.slot(closable_s, closable_s + windows.window_length_s // 8)

    # -- window w - 1

    async def trade(self, plan: WindowPlan) -> None:
        """Offer, fund, negotiate and record, each as far as there is time for it; returns by the end of window w - 1.

        Args:
            plan: what is wanted of the window.

        Raises:
            NodeUnreachable, NodeError: the node failed for long.
        """
        home, plan = self._means.home, plan.one_side()
        reason = why_no_trade(home.tariff(self._window))
        if reason is not None:
            home.write(NoTrade(window=self._window, reason=reason))
            return
        opened = await self._open(plan)
        if opened is not None:
            home.write(Skipped(window=self._window, step="private session", reason=opened))
            return
        if self._side is Side.NONE:
            return
        looking = asyncio.create_task(self._look_until(self._end_s))
        try:
            await self._negotiate(plan)
            await home.sleep_until(self._close_s)
            await self._record()
        finally:
            looking.cancel()
            self._means.mail.close_session(self._window)

    async def _open(self, plan: WindowPlan) -> str | None:
        """Have a funded session on chain; return why there is none."""
        means, memory, session = self._means, self._memory, self._session
        half_s = self._start_s + means.home.windows.negotiation_close_s // 2
        if memory.intent is None:
            if means.home.clock.now_s() >= half_s:
                return "the time for offers was over"
            await self._intend(plan)
        intent = self._intent
        if "offer" not in memory.sent:
            await means.home.sleep_until(self._offer_slot_s(half_s))
        try:
            if not await means.outbox.send(
                memory, self._window, "offer", lambda: means.scribe.offer(session, intent), half_s
            ):
                return "the offer came too late, or was refused"
            if intent.budget_microeur and not await means.outbox.send(
                memory, self._window, "fund", lambda: means.scribe.fund(session, intent), self._close_s
            ):
                return "the budget was not locked in time"
        except NotEnoughNotes as error:
            return str(error)
        return None

    def _offer_slot_s(self, half_s: float) -> float:
        """Return when to offer: any time that leaves enough for the offer to be on chain before offers close."""
        clock = self._means.home.clock
        now_s, last_s = clock.now_s(), half_s - OFFER_LEAD_S
        left_wall_s = clock.wall_until_s(half_s)
        if left_wall_s > 0:
            last_s = min(last_s, half_s - OFFER_LEAD_WALL_S * (half_s - now_s) / left_wall_s)
        return self._means.post.slot(now_s, last_s)

    async def _intend(self, plan: WindowPlan) -> None:
        """Decide what the session is opened with, and write it down."""
        home = self._means.home
        side, purpose, energy_wh, price = Side.NONE, "", 0, 0
        if plan.supply is not None:
            side, purpose, energy_wh = Side.SELL, plan.supply.purpose, plan.supply.energy_wh
            situation = Situation(Role.SELLER, 0, plan.supply.limits, home.rails(self._window))
            price = home.strategy.price_microeur_per_kwh(situation)
        elif plan.demands:
            side, purpose, energy_wh = Side.BUY, plan.demands[0].purpose, plan.demand_wh
            situation = Situation(Role.BUYER, 0, plan.demands[0].limits, home.rails(self._window))
            price = home.strategy.price_microeur_per_kwh(situation)
        budget, most = budget_microeur(home, plan), await self._means.scribe.spendable_microeur()
        if budget > most:  # an offer all the same: only so is none of them news
            reason = f"a budget of {budget} micro-euro: {most} can be locked"
            home.write(Skipped(window=self._window, step="private session", reason=reason))
            side, purpose, energy_wh, price, budget = Side.NONE, "", 0, 0, most
        height = await self._means.street.height()
        home.write(
            PrivateIntent(
                window=self._window,
                side=side.name.lower(),
                purpose=purpose,
                energy_wh=energy_wh,
                price_microeur_per_kwh=price,
                budget_microeur=budget,
                height=height,
            ),
            durable=True,
        )
        self._memory.intent = Intent(side, purpose, energy_wh, price, budget, height)

    async def _negotiate(self, plan: WindowPlan) -> None:
        """Sell or buy until negotiation closes; agreements go to the journal as they are made."""
        if self._side is Side.SELL and plan.supply is not None:
            await self._sell(plan.supply)
        elif self._side is Side.BUY and plan.demands:
            await self._buy(plan)

    async def _sell(self, supply: Supply) -> None:
        means, window, intent = self._means, self._window, self._intent
        home = self._session_home()
        seller = SellerAgent(home, lambda buyer: self._why_not(seller, buyer))
        public = PublicSession(self._session.address, self._session.contact_key, intent.price_microeur_per_kwh)
        rules = selling_rules(home, window, supply, close_s=self._close_s, reply_timeout_s=means.reply_timeout_s)
        left_wh = intent.energy_wh - sum(terms.energy_wh for _, terms in self._memory.agreed.values())
        seller.open_book(rules, window, public.as_offer(window).offer_id, left_wh, intent.purpose)
        means.mail.open_session(window, self._session.contact, seller.hear)
        try:
            await home.sleep_until(self._close_s)
        finally:
            for agreement in seller.agreements.get(window, []):
                self._memory.agreed[agreement.trade_id] = (agreement.buyer, agreement.terms)

    async def _buy(self, plan: WindowPlan) -> None:
        means, window = self._means, self._window
        home = self._session_home()
        buyer = BuyerAgent(home)
        means.mail.open_session(window, self._session.contact, buyer.hear)
        try:
            await shop(
                home,
                buyer,
                plan,
                lambda: self._offers(buyer),
                changed=means.changed,
                from_s=self._start_s + home.windows.negotiation_close_s // 2,
                close_s=self._close_s,
                reply_timeout_s=means.reply_timeout_s,
                bought_wh=self._memory.bought_wh,
                most_trades=MAX_PURCHASES - len(self._memory.agreed),
            )
        finally:
            for trade_id, terms in buyer.signed.get(window, {}).items():
                self._memory.agreed[trade_id] = (buyer.sellers[trade_id], terms)

    async def _record(self) -> None:
        """Allocate what was sold and trades of nothing, or allow what was bought, until all is on chain or the window
        ends."""
        await self._look()
        if self._side is Side.SELL:
            await self._allocate_all()
        else:
            await self._allow_all()
        await self._look()  # what was recorded in the last moment binds
        deals = self._deals
        left = sum([not self._bound(deal) for deal in deals])
        if left:
            reason = f"{left} of {len(deals)} agreed trades were not recorded in time"
            self._means.home.write(Skipped(window=self._window, step="recording", reason=reason))

    async def _allocate_all(self) -> None:
        """Allocate real trades and those of nothing, mixed, at times drawn at random; then see them allowed."""
        means, session = self._means, self._session
        recording = [(f"allocate {hexed(deal.trade_id)}", deal) for deal in self._deals]
        recording += [(cover.step, cover.deal) for cover in self._new_covers()]
        recording.sort(key=lambda each: session.randomness(f"order of {each[0]}"))
        sent, now_s = self._memory.sent, means.home.clock.now_s()
        again = sorted((each for each in recording if each[0] in sent), key=lambda each: sent[each[0]].nonce)
        recording = again + [each for each in recording if each[0] not in sent]  # no other may take their nonces
        fresh = (means.post.slot(now_s, self._last_slot_s(now_s)) for _ in recording[len(again) :])
        slots = [now_s] * len(again) + sorted(fresh)
        await asyncio.gather(
            *(self._allocate(step, deal, slot, recording) for (step, deal), slot in zip(recording, slots, strict=True))
        )
        while means.home.clock.now_s() < self._end_s:
            await self._look()
            if all(self._is_binding(deal) for _, deal in recording):
                return
            await means.changed(means.home.clock.wall_until_s(self._end_s))

    async def _allocate(self, step: str, deal: Deal, slot_s: float, recording: list[tuple[str, Deal]]) -> None:
        means, memory = self._means, self._memory
        await means.home.sleep_until(slot_s)
        if self._trade(deal) is not None:
            return

        def before() -> list[Deal]:
            return [each for other, each in recording if other != step and (other in memory.sent or self._trade(each))]

        await means.outbox.call(
            memory,
            self._session,
            step,
            lambda: means.scribe.allocate(self._session, self._intent, before(), deal),
            self._end_s,
        )

    def _new_covers(self) -> list[Cover]:
        """Return the seller's trades of nothing that the chain does not show; those signed before a restart again."""
        home, joint_key = self._means.home, self._shown.joint_key
        if joint_key is None:
            return []
        funded = [each for each in self._shown.sessions if each.state is not SessionState.OFFERED]
        public = [each.public for each in funded if each.side is Side.BUY and usable(each.public.contact_key)]
        buyers = {each.address: each for each in public}
        shown = {(cover.deal.buyer, cover.number) for cover in self._covers}
        every = ((buyer, number) for buyer in buyers for number in range(MAX_SALES))
        signed = {each for each in every if cover_step(*each) in self._memory.sent}
        real = Counter(deal.buyer for deal in self._deals)
        covers = []
        for buyer, number in choose_covers(self._session, buyers, real, shown | signed, final_quota(funded)):
            if (buyer, number) in shown:
                continue
            peer, ask = buyers[buyer], self._intent.price_microeur_per_kwh
            trading, rails = self._means.trading, home.rails(self._window)
            price = cover_price(self._session, peer, number, ask, trading=trading, strategy=home.strategy, rails=rails)
            covers.append(make_cover(home.chain_id, joint_key, self._session, peer, number, price, Side.SELL))
        return covers

    def _last_slot_s(self, now_s: float) -> float:
        """Return the last moment at which an allocation may be sent, so that it is allowed before the window ends."""
        left_wall_s = self._means.home.clock.wall_until_s(self._end_s)
        if left_wall_s <= 0:
            return now_s
        wall_s = RECORD_LEAD_WALL_S * (self._end_s - now_s) / left_wall_s
        return self._end_s - max(RECORD_LEAD_S, wall_s)

    async def _allow_all(self) -> None:
        """Allow what the chain shows of the deals, and trades of nothing, in the order in which it shows them."""
        means, asked = self._means, set[bytes]()
        async with asyncio.TaskGroup() as tasks:
            while means.home.clock.now_s() < self._end_s:
                await self._look()
                for deal in self._to_allow(asked):
                    asked.add(deal.trade_id)
                    tasks.create_task(self._allow(deal))
                if self._all_allowed():
                    return
                await means.changed(means.home.clock.wall_until_s(self._end_s))

    def _to_allow(self, asked: set[bytes]) -> list[Deal]:
        """Return what is to be allowed and was not asked for. Trades of nothing have no more room than the quota of
        their seller, and none that an agreement needs."""
        deals = {deal.trade_id: deal for deal in self._deals}
        covers = {cover.deal.trade_id: cover.deal for cover in self._covers}
        taken = Counter(deal.seller for deal in deals.values())
        taken.update(deal.seller for number, deal in covers.items() if number in asked or self._is_binding(deal))
        of_pair = final_quota(self._shown.sessions).of_pair
        found = []
        for trade in self._shown.of(self._session.address, TradeState.ALLOCATED):
            if trade.trade_id in asked:
                continue
            if trade.trade_id in deals:
                found.append(deals[trade.trade_id])
            elif trade.trade_id in covers and taken[trade.seller] < of_pair and taken.total() < MAX_PURCHASES:
                found.append(covers[trade.trade_id])
                taken[trade.seller] += 1
        return found

    def _all_allowed(self) -> bool:
        """Return whether every seller has made its sales, and what is the session's of them binds."""
        funded = [each for each in self._shown.sessions if each.state is not SessionState.OFFERED]
        sales = Counter(trade.seller for trade in self._shown.trades)
        most = final_quota(funded).of_seller
        done = all(sales[each.public.address] >= most for each in funded if each.side is Side.SELL)
        return done and all(self._is_binding(deal) for deal in self._all_deals)

    async def _allow(self, deal: Deal) -> None:
        means, memory = self._means, self._memory

        def before() -> list[Deal]:
            rest = (each for each in self._all_deals if each is not deal and each.trade_id != deal.trade_id)
            return [each for each in rest if self._is_binding(each) or _allow_step(each) in memory.sent]

        await means.outbox.call(
            memory,
            self._session,
            _allow_step(deal),
            lambda: means.scribe.allow(self._session, self._intent, before(), deal),
            self._end_s,
        )

    def _trade(self, deal: Deal) -> TradeShown | None:
        return next((each for each in self._shown.trades if each.trade_id == deal.trade_id), None)

    def _is_binding(self, deal: Deal) -> bool:
        trade = self._trade(deal)
        return trade is not None and trade.state in _BINDING

    def _bound(self, deal: Deal) -> bool:
        """Return whether a deal binds; the first time that it does, the household takes it into account."""
        if not self._is_binding(deal):
            return False
        home, selling = self._means.home, deal.seller == self._session.address
        if deal.trade_id not in home.view.trades.get(self._window, {}):
            home.view.learn_trades([_own_trade(home.account, self._window, deal, selling=selling)])
        if deal.trade_id not in self._memory.recorded:
            self._memory.recorded.add(deal.trade_id)
            home.write(
                Recorded(
                    window=self._window,
                    role="seller" if selling else "buyer",
                    peer=hexed(deal.buyer if selling else deal.seller),
                    trade=hexed(deal.trade_id),
                    energy_wh=deal.terms.energy_wh,
                    price_microeur_per_kwh=deal.terms.price_microeur_per_kwh,
                )
            )
        return True

    # -- after window w

    async def settle(self) -> None:
        """Settle what is locked, once the window's meters are closed and, for a buyer, its sellers have settled or are
        in default; returns when the session holds nothing any more.

        Raises:
            NodeUnreachable, NodeError: the node failed for long.
        """
        home = self._means.home
        attempt = max(
            sum(step.startswith("settle") for step in self._memory.sent) - 1, 0
        )  # the last is looked at again
        await self._look()
        for deal in self._deals:
            self._bound(deal)
        await home.sleep_until(home.windows.start_s(self._window + 1))
        while True:
            await self._look()
            own = self._shown.session(self._session.address)
            if own is None or own.state not in (SessionState.FUNDED, *_OVER):
                return self._close("nothing was locked")
            if own.state in _OVER:
                return self._close(own.state.name.lower())
            if self._memory.intent is None:
                return self._close("the journal is lost: the auditors can open what was locked")
            for deal in self._deals:
                self._bound(deal)
            if not await self._not_yet():
                attempt += 1
                if await self._settle(self._all_deals, attempt):
                    return self._close("settled")
                pause_s = min(LOOK_AGAIN_S * 2**attempt, home.windows.window_length_s)  # a seller's time is short
                await home.sleep_until(home.clock.now_s() + pause_s)
            else:
                await self._means.changed(max(home.clock.wall_until_s(home.clock.now_s() + LOOK_AGAIN_S), MIN_PAUSE_S))

    async def _not_yet(self) -> bool:
        """Return whether the window cannot be settled yet, and do what helps."""
        scribe, now_s = self._means.scribe, self._means.home.clock.now_s()
        if not self._shown.prepared:
            if self._shown.closed and now_s >= self._prepare_s:
                await self._send("prepare", scribe.prepare(self._window))
            elif not self._shown.closed and now_s >= self._late_close_s:
                await self._send("close", scribe.close(self._window))  # the operator did not: its sellers would be late
            return True
        owed = [trade for trade in self._shown.trades if trade.state is TradeState.ALLOWED]
        owed = [trade for trade in owed if trade.buyer == self._session.address]
        if owed and now_s >= self._after_s(Side.SELL):
            for trade in owed:
                await self._send(f"default {hexed(trade.trade_id)}", scribe.default(trade))
        return bool(owed)

    async def _settle(self, deals: list[Deal], attempt: int) -> bool:
        means, intent, shown = self._means, self._intent, self._shown
        settled = await means.outbox.call(
            self._memory,
            self._session,
            f"settle {attempt}",
            lambda: means.scribe.settle(self._session, intent, deals, shown),
            self._after_s(Side.SELL if intent.side is Side.SELL else Side.BUY),
        )
        if settled is False:
            means.home.problem(f"settle window {self._window}", "the transaction was refused")
        return bool(settled)

    async def _send(self, step: str, call: Call) -> None:
        async def made() -> Call:
            return call

        await self._means.outbox.call(self._memory, self._session, step, made, self._after_s(Side.BUY))

    def _after_s(self, side: Side) -> int:
        """Return when the time to settle of sellers, or of all others, is over: docs/private-window.md, step 6."""
        windows = self._means.home.windows
        deadline = windows.settlement_deadline_windows
        last = self._window + (deadline + 1 if side is Side.SELL else 2 * deadline + 2)
        return windows.start_s(last + 1)

    def _close(self, outcome: str) -> None:
        self._means.home.write(PrivateClosed(window=self._window, outcome=outcome))
        self._memory.closed = True

    # -- what is known

    @property
    def _intent(self) -> Intent:
        if self._memory.intent is None:
            raise RuntimeError("a session without an intent sends nothing")
        return self._memory.intent

    @property
    def _side(self) -> Side:
        return self._intent.side

    @property
    def _deals(self) -> list[Deal]:
        if self._shown.joint_key is None:
            return []
        sessions = [each.public for each in self._shown.sessions]
        return self._memory.deals(self._means.home.chain_id, self._shown.joint_key, self._session, sessions)

    @property
    def _covers(self) -> list[Cover]:
        """The session's trades of nothing that the chain shows."""
        joint_key = self._shown.joint_key
        for trade in self._shown.of(self._session.address, *TradeState):
            peer = self._shown.session(trade.buyer if self._side is Side.SELL else trade.seller)
            if trade.trade_id in self._found or peer is None or joint_key is None:
                continue
            chain_id, side = self._means.home.chain_id, self._side
            self._found[trade.trade_id] = find_cover(chain_id, joint_key, self._session, peer.public, trade, side)
        return [cover for cover in self._found.values() if cover is not None]

    @property
    def _all_deals(self) -> list[Deal]:
        return [*self._deals, *(cover.deal for cover in self._covers)]

    def _why_not(self, seller: SellerAgent, buyer: bytes) -> str:
        """Return why nothing more is sold to a buyer; nothing if it is."""
        buyers = [peer for peer, _ in self._memory.agreed.values()]
        buyers += [agreement.buyer for agreement in seller.agreements.get(self._window, [])]
        quota = quota_so_far(self._shown.sessions)
        if len(buyers) >= MAX_SALES:
            return SOLD_OUT
        if buyers.count(buyer) >= quota.of_pair:
            return ENOUGH_TRADES
        return NOT_OPEN if len(buyers) >= quota.of_seller else ""

    def _offers(self, buyer: BuyerAgent) -> list[Offer]:
        """Return what is on sale by sessions that have their budget, and with which more may be traded."""
        trades = Counter(peer for peer, _ in self._memory.agreed.values())
        trades.update(buyer.sellers[trade] for trade in buyer.signed.get(self._window, {}))
        quota = quota_so_far(self._shown.sessions)
        return [
            each.public.as_offer(self._window)
            for each in self._shown.sessions
            if each.side is Side.SELL
            and each.state is SessionState.FUNDED
            and trades[each.public.address] < quota.of_pair
        ]

    def _session_home(self) -> SessionHome:
        home = self._means.home
        given = {each.name: getattr(home, each.name) for each in fields(Home) if each.init}
        given |= {"key": self._session.key, "account": self._session.address, "view": MarketView()}
        given |= {"neighbours": self._contacts}
        return SessionHome(**given, contacts=self._contacts, post=self._means.post)

    async def _look(self) -> None:
        self._shown = await self._means.street.shown(self._window)
        for each in self._shown.sessions:  # who has nothing to lose is not dealt with
            if each.state is SessionState.FUNDED and usable(each.public.contact_key):
                self._contacts[each.public.address] = each.public.contact_key

    async def _look_until(self, until_s: float) -> None:
        home = self._means.home
        while home.clock.now_s() < until_s:
            try:
                await self._look()
            except AgentError as error:
                home.problem("look at the private market", error)
            await self._means.changed(home.clock.wall_until_s(until_s))


def budget_microeur(home: Home, plan: WindowPlan) -> int:
    """Return what a session locks: the price of all that it wants at its reserve, the bond for all that it sells, and
    what it may owe the operator for what it takes from the grid."""
    tariff = home.tariff(plan.window)
    grid_wh = 3 * max(plan.forecast_load_wh - plan.forecast_pv_wh, 0) + SPARE_WH
    retail = tariff.retail_microeur_per_kwh + tariff.local_charges_microeur_per_kwh
    budget = cost_microeur(retail, grid_wh)
    for demand in plan.demands:
        budget += cost_microeur(demand.limits.reserve_microeur_per_kwh, demand.energy_wh)
    if plan.supply is not None:
        budget += cost_microeur(home.terms.penalty_microeur_per_kwh, plan.supply.energy_wh)
    return budget


def _allow_step(deal: Deal) -> str:
    return f"allow {hexed(deal.trade_id)}"


def _own_trade(account: bytes, window: int, deal: Deal, *, selling: bool) -> Trade:
    """Return an own deal as the open market would show it, the household in place of its session."""
    return Trade(
        trade_id=deal.trade_id,
        seller=account if selling else deal.seller,
        energy_wh=deal.terms.energy_wh,
        price_microeur_per_kwh=deal.terms.price_microeur_per_kwh,
        state=OpenState.ALLOWED,
        buyer=deal.buyer if selling else account,
        window=window,
        delivered_wh=0,
        seller_before_wh=0,
        buyer_before_wh=0,
        offer_id=0,
    )
