"""A private market in plain numbers: it keeps to the rules of docs/private-window.md, and counts the money."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from agents.chain import Call
from agents.clock import ChainClock, Windows
from agents.private.session import PublicSession, Session
from agents.private.street import Deal, Intent, NotEnoughNotes, SessionShown, TradeShown, WindowShown
from contracts.bindings.market import cost_microeur
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH
from contracts.bindings.private_market import SessionState, Side, TradeState
from privacy.secp256k1 import SECP256K1

PLACE = b"m" * 20
JOINT_KEY = SECP256K1.multiply_generator(SECP256K1.scalar(77))
ANONYMOUS = 0x6E


@dataclass
class Terms:
    """What the numbers of a trade are; the real chain has commitments."""

    energy_wh: int
    price: int

    @property
    def microeur(self) -> int:
        return cost_microeur(self.price, self.energy_wh)


@dataclass
class FakeStreet:
    """The chain of a private street; a transaction is in a block at once."""

    clock: ChainClock
    windows: Windows
    wallets: dict[int, int]
    window: dict[int, WindowShown] = field(default_factory=dict)
    locked: dict[bytes, int] = field(default_factory=dict)
    owners: dict[bytes, int] = field(default_factory=dict)
    terms: dict[bytes, Terms] = field(default_factory=dict)
    outcomes: dict[bytes, bool] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    funds: list[bytes] = field(default_factory=list)
    operator_closes: bool = True
    closed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self._waiting: dict[tuple[bytes, int], bytes] = {}

    @property
    def money(self) -> int:
        """All there is: it never changes."""
        return sum(self.wallets.values()) + sum(self.locked.values())

    # -- as a private window sees it

    async def shown(self, window: int) -> WindowShown:
        by_operator = self.operator_closes and self.clock.now_s() >= self.windows.start_s(window + 1) + 60
        closed = by_operator or window in self.closed
        return replace(self._window(window), closed=closed, joint_key=JOINT_KEY)

    async def height(self) -> int:
        return len(self.outcomes)

    async def outcome(self, transaction: bytes) -> bool | None:
        return self.outcomes.get(transaction)

    async def nonce(self, account: bytes) -> int:
        return self.nonces.get(account, 0)

    async def changed(self, wall_s: float) -> None:
        try:
            async with asyncio.timeout(max(wall_s, 0.001)):
                await self._news.wait()
        except TimeoutError:
            pass

    # -- as a node takes transactions

    async def submit(self, transaction: bytes) -> None:
        if transaction in self.outcomes:
            return
        if transaction[:1] == bytes([ANONYMOUS]):
            self._execute(transaction, b"", json.loads(transaction[1:]))
        else:
            sender = bytes.fromhex(Account.recover_transaction(transaction)[2:])
            fields = TypedTransaction.from_bytes(HexBytes(transaction)).as_dict()
            self._waiting[sender, fields["nonce"]] = transaction
            while (ready := self._waiting.pop((sender, self.nonces.get(sender, 0)), None)) is not None:
                self.nonces[sender] = self.nonces.get(sender, 0) + 1
                data = TypedTransaction.from_bytes(HexBytes(ready)).as_dict()["data"]
                self._execute(ready, sender, json.loads(bytes(data)))
        self._news.set()
        self._news = asyncio.Event()

    def _execute(self, transaction: bytes, sender: bytes, said: dict[str, Any]) -> None:
        try:
            getattr(self, "_" + said.pop("do"))(sender, **said)
            self.outcomes[transaction] = True
        except AssertionError as error:
            self.refusals.append(str(error))
            self.outcomes[transaction] = False

    # -- the rules

    def _offer(self, _: bytes, window: int, who: int, session: str, contact: str, side: int, price: int) -> None:
        self._require_traded(window, self.windows.negotiation_close_s // 2)
        public = PublicSession(bytes.fromhex(session), bytes.fromhex(contact), price)
        now = self._window(window)
        assert now.session(public.address) is None, "offered before"
        shown = SessionShown(public, Side(side), SessionState.OFFERED)
        self.window[window] = replace(now, sessions=(*now.sessions, shown))
        self.owners[public.address] = who

    def _fund(self, _: bytes, window: int, session: str, amount: int) -> None:
        address = bytes.fromhex(session)
        self._require_traded(window)
        self._require(window, address, SessionState.OFFERED)
        assert self.wallets[self.owners[address]] >= amount, "spent before"
        self.wallets[self.owners[address]] -= amount
        self.locked[address] = amount
        self.funds.append(address)
        self._set_session(window, address, SessionState.FUNDED)

    def _allocate(self, sender: bytes, window: int, trade: str, buyer: str, energy: int, price: int) -> None:
        self._require_traded(window)
        self._require(window, sender, SessionState.FUNDED, Side.SELL)
        self._require(window, bytes.fromhex(buyer), SessionState.FUNDED, Side.BUY)
        now, number = self._window(window), bytes.fromhex(trade)
        assert number not in self.terms, "allocated before"
        self.terms[number] = Terms(energy, price)
        made = TradeShown(
            number, sender, bytes.fromhex(buyer), price // PRICE_TICK_MICROEUR_PER_KWH, TradeState.ALLOCATED
        )
        self.window[window] = replace(now, trades=(*now.trades, made))

    def _allow(self, sender: bytes, window: int, trade: str) -> None:
        self._require_traded(window)
        found = self._trade(window, bytes.fromhex(trade), TradeState.ALLOCATED)
        assert found.buyer == sender, "another's trade"
        assert self.locked[sender] >= self.terms[found.trade_id].microeur, "budget"
        self._pay(sender, found.trade_id, self.terms[found.trade_id].microeur)
        self._set_trade(window, found.trade_id, TradeState.ALLOWED)

    def _close(self, _: bytes, window: int) -> None:
        assert self.clock.now_s() >= self.windows.start_s(window + 1 + self.windows.settlement_deadline_windows), (
            "early"
        )
        assert window not in self.closed, "closed before"
        self.closed.add(window)

    def _prepare(self, _: bytes, window: int) -> None:
        assert not self._window(window).prepared, "prepared before"
        self.window[window] = replace(self._window(window), prepared=True)

    def _default(self, _: bytes, window: int, trade: str) -> None:
        deadline = window + self.windows.settlement_deadline_windows + 2
        assert self.clock.now_s() >= self.windows.start_s(deadline), "too early"
        found = self._trade(window, bytes.fromhex(trade), TradeState.ALLOWED)
        self._set_trade(window, found.trade_id, TradeState.DEFAULTED)

    def _settle(self, sender: bytes, window: int) -> None:
        """Sellers deliver all; escrow of what was not delivered goes back."""
        assert self._window(window).prepared, "not prepared"
        self._require(window, sender, SessionState.FUNDED)
        for trade in self._window(window).of(sender, TradeState.ALLOWED):
            assert trade.seller == sender, "sellers first"
            self._pay(trade.trade_id, sender, self.terms[trade.trade_id].microeur)
            self._set_trade(window, trade.trade_id, TradeState.DELIVERED)
        for trade in self._window(window).of(sender, TradeState.DEFAULTED):
            if trade.buyer == sender:
                self._pay(trade.trade_id, sender, self.terms[trade.trade_id].microeur)
        self.wallets[self.owners[sender]] += self.locked.pop(sender)
        self._set_session(window, sender, SessionState.SETTLED)

    def _window(self, window: int) -> WindowShown:
        return self.window.get(window, WindowShown())

    def _require_traded(self, window: int, within_s: int = 10**9) -> None:
        start_s = self.windows.start_s(window - 1)
        assert start_s <= self.clock.now_s() < start_s + min(within_s, self.windows.window_length_s), "not traded now"

    def _require(self, window: int, address: bytes, state: SessionState, side: Side | None = None) -> None:
        shown = self._window(window).session(address)
        assert shown is not None, "no session"
        assert shown.state is state, f"session is {shown.state.name}"
        assert side is None or shown.side is side, "another side"

    def _trade(self, window: int, number: bytes, state: TradeState) -> TradeShown:
        found = next((each for each in self._window(window).trades if each.trade_id == number), None)
        assert found is not None, "no trade"
        assert found.state is state, f"trade is {found.state.name}"
        return found

    def _pay(self, payer: bytes, payee: bytes, microeur: int) -> None:
        self.locked[payer] -= microeur
        self.locked[payee] = self.locked.get(payee, 0) + microeur
        if payer in self.terms and not self.locked[payer]:
            del self.locked[payer]

    def _set_session(self, window: int, address: bytes, state: SessionState) -> None:
        rows = (replace(s, state=state) if s.public.address == address else s for s in self.window[window].sessions)
        self.window[window] = replace(self.window[window], sessions=tuple(rows))

    def _set_trade(self, window: int, number: bytes, state: TradeState) -> None:
        rows = (replace(t, state=state) if t.trade_id == number else t for t in self.window[window].trades)
        self.window[window] = replace(self.window[window], trades=tuple(rows))


@dataclass
class FakeScribe:
    """What a household sends, in plain numbers."""

    who: int
    street: FakeStreet

    async def spendable_microeur(self) -> int:
        return self.street.wallets[self.who]

    async def offer(self, session: Session, intent: Intent) -> bytes:
        return self._raw(
            do="offer",
            window=session.window,
            who=self.who,
            session=session.address.hex(),
            contact=session.contact_key.hex(),
            side=intent.side.value,
            price=intent.price_microeur_per_kwh,
        )

    async def fund(self, session: Session, intent: Intent) -> bytes:
        if self.street.wallets[self.who] < intent.budget_microeur:
            raise NotEnoughNotes(intent.budget_microeur, self.street.wallets[self.who])
        return self._raw(do="fund", window=session.window, session=session.address.hex(), amount=intent.budget_microeur)

    async def allocate(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        return self._call(
            do="allocate",
            window=session.window,
            trade=deal.trade_id.hex(),
            buyer=deal.buyer.hex(),
            energy=deal.terms.energy_wh,
            price=deal.terms.price_microeur_per_kwh,
        )

    async def allow(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        return self._call(do="allow", window=session.window, trade=deal.trade_id.hex())

    def close(self, window: int) -> Call:
        return self._call(do="close", window=window)

    def prepare(self, window: int) -> Call:
        return self._call(do="prepare", window=window)

    def default(self, trade: TradeShown) -> Call:
        window = next(w for w, shown in self.street.window.items() if trade in shown.trades)
        return self._call(do="default", window=window, trade=trade.trade_id.hex())

    async def settle(self, session: Session, intent: Intent, deals: Sequence[Deal], shown: WindowShown) -> Call:
        assert {deal.trade_id for deal in deals} >= {
            trade.trade_id for trade in shown.of(session.address, TradeState.ALLOWED, TradeState.DELIVERED)
        }, "a session that settles knows what it traded"
        return self._call(do="settle", window=session.window)

    @staticmethod
    def _raw(**said: object) -> bytes:
        return bytes([ANONYMOUS]) + json.dumps(said).encode()

    @staticmethod
    def _call(**said: object) -> Call:
        return Call(PLACE, json.dumps(said).encode(), 100_000, str(said["do"]))
