"""The buyer agent: opens conversations about offers and carries them to an agreement or an end, one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from agents.home import Home, hexed
from agents.journal import Contract, NoDeal, Refusal, Signed
from agents.market.mechanism import (
    Action,
    Agreed,
    BuyerRules,
    BuyerTalk,
    CounterRefused,
    Ended,
    Phase,
    Send,
    SignAndSend,
    Terms,
    buyer_hears,
    buyer_waits,
    open_talk,
)
from agents.market.ontology import AcceptProposal, Body, Envelope, InvalidEnvelope, open_sealed, seal, sign_acceptance
from agents.messaging import CarefulAgent
from agents.trading.buyer import Errand
from contracts.bindings.market import acceptance_digest

BUYER = "buyer"
SELLER = "seller"
MAX_WAITING = 16  # messages of one conversation: the seller speaks once a round


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a conversation ended. `terms` are binding if the seller confirmed them, or if it holds a signature and fell
    silent."""

    terms: Terms | None
    reason: str
    silent: bool


@dataclass(slots=True)
class _Line:
    """An open conversation: with whom, what it said last, and what it said that was not heard yet."""

    peer: bytes
    inbox: asyncio.Queue[Envelope]
    heard: int = -1
    spoken: int = 0


class BuyerAgent(CarefulAgent):
    """Negotiates purchases for its household; `signed` holds its signed acceptances by window and trade, `sellers` for
    whom they are."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home
        self._lines: dict[bytes, _Line] = {}
        self._opened = 0
        self._born_ms = int(home.clock.now_s() * 1000)
        self.signed: dict[int, dict[bytes, Terms]] = {}
        self.sellers: dict[bytes, bytes] = {}

    def hear(self, content: Any) -> None:
        """Take a seller's message if it belongs to an open conversation; note any other."""
        try:
            envelope = open_sealed(content, chain_id=self._home.chain_id, receiver=self._home.account)
        except InvalidEnvelope as error:
            self._home.bad_envelope(BUYER, error.reason)
            return
        line = self._lines.get(envelope.conversation_id)
        if line is None:
            return  # the conversation timed out here: a late answer is no offence
        if line.peer != envelope.sender:
            self._home.bad_envelope(BUYER, f"{hexed(envelope.sender)} speaks in another's conversation")
        elif envelope.sequence <= line.heard or line.inbox.full():
            self._home.bad_envelope(BUYER, f"message {envelope.sequence} repeated by {hexed(envelope.sender)}")
        else:
            line.heard = envelope.sequence
            line.inbox.put_nowait(envelope)

    async def negotiate(self, rules: BuyerRules, errand: Errand, purpose: str) -> Outcome:
        """Hold one conversation about an offer, to its end."""
        home, offer = self._home, errand.offer
        conversation_id = self._new_conversation(errand)
        line = self._lines[conversation_id] = _Line(offer.seller, asyncio.Queue(MAX_WAITING))
        try:
            talk, actions = open_talk(
                rules,
                window=offer.window,
                offer_id=offer.offer_id,
                wanted_wh=errand.wanted_wh,
                now_s=home.clock.now_s(),
            )
            withdrawn: bytes | None = None
            while True:
                end = await self._act(conversation_id, line, errand, talk, actions)
                if end is not None:
                    return self._conclude(conversation_id, errand, purpose, end, withdrawn)
                asked = talk
                envelope = await self._hear(line, talk)
                now_s = home.clock.now_s()
                if envelope is None:
                    talk, actions = buyer_waits(talk, max(now_s, talk.deadline_s))
                    if asked.phase is Phase.SIGNING:
                        self._conclude(conversation_id, errand, purpose, Ended("the seller did not confirm"), None)
                        return Outcome(asked.terms, "signed, never confirmed", silent=True)
                else:
                    talk, actions = buyer_hears(rules, talk, envelope.body, now_s)
                    withdrawn = self._withdraw_signature(asked, talk, conversation_id, errand)
        finally:
            del self._lines[conversation_id]

    async def _hear(self, line: _Line, talk: BuyerTalk) -> Envelope | None:
        try:
            async with asyncio.timeout(max(self._home.clock.wall_until_s(talk.deadline_s), 0.001)):
                return await line.inbox.get()
        except TimeoutError:
            return None

    async def _act(
        self, conversation_id: bytes, line: _Line, errand: Errand, talk: BuyerTalk, actions: tuple[Action, ...]
    ) -> Agreed | Ended | None:
        end: Agreed | Ended | None = None
        for action in actions:
            match action:
                case Send(body, reply_by_s):
                    await self._say(conversation_id, line, body, reply_by_s)
                case SignAndSend(terms, reply_by_s):
                    signature = self._sign(conversation_id, errand, terms)
                    body = AcceptProposal(terms.energy_wh, terms.price_microeur_per_kwh, signature)
                    await self._say(conversation_id, line, body, reply_by_s)
                case CounterRefused(bid, ask, round_):
                    self._home.write(
                        Refusal(
                            window=errand.offer.window,
                            role=BUYER,
                            peer=hexed(line.peer),
                            conversation=hexed(conversation_id),
                            round=round_,
                            bid_microeur_per_kwh=bid,
                            ask_microeur_per_kwh=ask,
                        )
                    )
                case Agreed() | Ended():
                    end = action
        return end

    async def _say(self, conversation_id: bytes, line: _Line, body: Body, reply_by_s: float) -> None:
        home = self._home
        envelope = Envelope(home.chain_id, conversation_id, line.spoken, home.account, line.peer, int(reply_by_s), body)
        line.spoken += 1
        await home.tell(line.peer, SELLER, seal(envelope, home.key))

    def _sign(self, conversation_id: bytes, errand: Errand, terms: Terms) -> bytes:
        home, window = self._home, errand.offer.window
        trade_id = self._trade_id(conversation_id, errand, terms)
        self.signed.setdefault(window, {})[trade_id] = terms
        self.sellers[trade_id] = errand.offer.seller
        home.write(
            Signed(
                window=window,
                demand=errand.demand,
                peer=hexed(errand.offer.seller),
                trade=hexed(trade_id),
                energy_wh=terms.energy_wh,
                price_microeur_per_kwh=terms.price_microeur_per_kwh,
            ),
            durable=True,
        )
        return sign_acceptance(trade_id, home.key)

    def _trade_id(self, conversation_id: bytes, errand: Errand, terms: Terms) -> bytes:
        return acceptance_digest(
            chain_id=self._home.chain_id,
            window=errand.offer.window,
            seller=errand.offer.seller,
            buyer=self._home.account,
            energy_wh=terms.energy_wh,
            price_microeur_per_kwh=terms.price_microeur_per_kwh,
            negotiation_id=conversation_id,
        )

    def _withdraw_signature(
        self, asked: BuyerTalk, talk: BuyerTalk, conversation_id: bytes, errand: Errand
    ) -> bytes | None:
        """Forget a signature that the seller said it cannot use: its trade will not be allowed. Returns that trade."""
        if asked.phase is not Phase.SIGNING or talk.phase is not Phase.ENDED or asked.terms is None:
            return None
        trade_id = self._trade_id(conversation_id, errand, asked.terms)
        self.signed.get(errand.offer.window, {}).pop(trade_id, None)
        return trade_id

    def _conclude(
        self, conversation_id: bytes, errand: Errand, purpose: str, end: Agreed | Ended, withdrawn: bytes | None
    ) -> Outcome:
        window, peer = errand.offer.window, hexed(errand.offer.seller)
        if isinstance(end, Agreed):
            self._home.write(
                Contract(
                    window=window,
                    role=BUYER,
                    peer=peer,
                    trade=hexed(self._trade_id(conversation_id, errand, end.terms)),
                    purpose=purpose,
                    energy_wh=end.terms.energy_wh,
                    price_microeur_per_kwh=end.terms.price_microeur_per_kwh,
                    offer=errand.offer.offer_id,
                    conversation=hexed(conversation_id),
                )
            )
            return Outcome(end.terms, "agreed", silent=False)
        self._home.write(
            NoDeal(
                window=window,
                role=BUYER,
                peer=peer,
                conversation=hexed(conversation_id),
                reason=end.reason,
                trade=hexed(withdrawn) if withdrawn else "",
            )
        )
        return Outcome(None, end.reason, silent=end.reason.startswith("no answer"))

    def _new_conversation(self, errand: Errand) -> bytes:
        """Return a number that this account never used: its birth's instant and a counter make it so."""
        self._opened += 1
        parts = (self._born_ms, self._opened, errand.offer.offer_id)
        return keccak(b"gridpact/negotiation" + self._home.account + b"".join(p.to_bytes(8, "big") for p in parts))
