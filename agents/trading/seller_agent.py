"""The seller agent: answers buyers about its offers, and records what was agreed in the recording margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.home import Home, hexed
from agents.journal import Contract, NoDeal, Refusal
from agents.market.mechanism import (
    NOT_OPEN,
    Action,
    Agreed,
    CounterRefused,
    Ended,
    SellerBook,
    SellerRules,
    Send,
    Terms,
    seller_hears,
    seller_waits,
)
from agents.market.ontology import (
    AcceptProposal,
    Body,
    Cfp,
    Envelope,
    Failure,
    Inform,
    InvalidEnvelope,
    Propose,
    Refuse,
    open_sealed,
    recover,
    seal,
)
from agents.messaging import CarefulAgent
from agents.trading.buyer_agent import BUYER, SELLER
from contracts.bindings.market import acceptance_digest

MAX_CONVERSATIONS = 1024  # of a window, over all offers


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the seller needs to record a trade."""

    trade_id: bytes
    offer_id: int
    buyer: bytes
    terms: Terms
    conversation_id: bytes
    signature: bytes


@dataclass(slots=True)
class _Line:
    offer_id: int
    buyer: bytes
    heard: int
    spoken: int = 0


class SellerAgent(CarefulAgent):
    """Negotiates sales for its household.

    Args:
        home: the household's.
        why_not: returns why nothing more is sold to a buyer; nothing if it is.
    """

    def __init__(self, home: Home, why_not: Callable[[bytes], str] = lambda _: "") -> None:
        super().__init__()
        self._home = home
        self._why_not = why_not
        self._books: dict[int, tuple[SellerRules, SellerBook, str]] = {}
        self._lines: dict[bytes, _Line] = {}
        self.agreements: dict[int, list[Agreement]] = {}

    def open_book(self, rules: SellerRules, window: int, offer_id: int, energy_wh: int, purpose: str) -> None:
        """Answer buyers about an offer from now on; what was agreed before a restart is not sold again."""
        sold = sum(a.terms.energy_wh for a in self.agreements.get(window, []) if a.offer_id == offer_id)
        if offer_id not in self._books:
            self._books[offer_id] = (rules, SellerBook(window, offer_id, energy_wh - sold, {}), purpose)

    def close_books(self, before_window: int) -> None:
        """Forget the offers and conversations of windows before this one."""
        self._books = {key: value for key, value in self._books.items() if value[1].window >= before_window}
        self._lines = {key: line for key, line in self._lines.items() if line.offer_id in self._books}
        self.agreements = {w: rows for w, rows in self.agreements.items() if w >= before_window}

    def hear(self, content: Any) -> None:
        """Answer a buyer's message; note one that is forged, malformed, repeated or from a stranger."""
        home = self._home
        try:
            envelope = open_sealed(content, chain_id=home.chain_id, receiver=home.account)
        except InvalidEnvelope as error:
            home.bad_envelope(SELLER, error.reason)
            return
        if envelope.sender not in home.neighbours or envelope.sender == home.account:
            home.bad_envelope(SELLER, f"{hexed(envelope.sender)} is no household of this market")
            return
        line = self._lines.get(envelope.conversation_id)
        if line is not None and (line.buyer != envelope.sender or envelope.sequence <= line.heard):
            home.bad_envelope(SELLER, f"message {envelope.sequence} of {hexed(envelope.sender)} is not its next")
            return
        if line is None:
            line = self._open_line(envelope)
        line.heard = envelope.sequence
        self._answer(envelope, line)

    def _open_line(self, envelope: Envelope) -> _Line:
        body = envelope.body
        offer_id = body.offer_id if isinstance(body, Cfp) else 0
        line = _Line(offer_id, envelope.sender, envelope.sequence)
        if isinstance(body, Cfp) and offer_id in self._books and len(self._lines) < MAX_CONVERSATIONS:
            self._lines[envelope.conversation_id] = line
        return line

    def _answer(self, envelope: Envelope, line: _Line) -> None:
        now_s = self._home.clock.now_s()
        found = self._books.get(line.offer_id)
        if found is None:
            body: Body = Refuse(NOT_OPEN) if isinstance(envelope.body, Cfp) else Failure("unknown conversation")
            self._say(envelope, line, body, now_s)
            return
        rules, book, purpose = found
        why_not = self._why_not(envelope.sender)
        if why_not and isinstance(envelope.body, Cfp | Propose | AcceptProposal):
            self._say(envelope, line, Refuse(why_not) if isinstance(envelope.body, Cfp) else Failure(why_not), now_s)
            return
        book, actions = seller_hears(
            rules,
            seller_waits(book, now_s),
            conversation_id=envelope.conversation_id,
            buyer=envelope.sender,
            body=envelope.body,
            now_s=now_s,
            signature_holds=self._signature_holds(book, envelope),
        )
        self._books[line.offer_id] = (rules, book, purpose)
        for action in actions:
            self._act(envelope, line, book, purpose, action, now_s)

    def _act(
        self, envelope: Envelope, line: _Line, book: SellerBook, purpose: str, action: Action, now_s: float
    ) -> None:
        home, window = self._home, book.window
        peer, conversation = hexed(envelope.sender), hexed(envelope.conversation_id)
        match action:
            case Send(body, reply_by_s):
                self._say(envelope, line, body, reply_by_s)
            case CounterRefused(bid, ask, round_):
                home.write(
                    Refusal(
                        window=window,
                        role=SELLER,
                        peer=peer,
                        conversation=conversation,
                        round=round_,
                        bid_microeur_per_kwh=bid,
                        ask_microeur_per_kwh=ask,
                    )
                )
            case Ended(reason):
                home.write(NoDeal(window=window, role=SELLER, peer=peer, conversation=conversation, reason=reason))
            case Agreed(terms, signature):
                trade_id = self._trade_id(window, envelope, terms)
                agreement = Agreement(
                    trade_id, book.offer_id, envelope.sender, terms, envelope.conversation_id, signature
                )
                self.agreements.setdefault(window, []).append(agreement)
                home.write(
                    Contract(
                        window=window,
                        role=SELLER,
                        peer=peer,
                        trade=hexed(trade_id),
                        purpose=purpose,
                        energy_wh=terms.energy_wh,
                        price_microeur_per_kwh=terms.price_microeur_per_kwh,
                        offer=book.offer_id,
                        conversation=conversation,
                        signature=hexed(signature),
                    ),
                    durable=True,
                )
                self._say(envelope, line, Inform(trade_id), now_s)

    def _say(self, heard: Envelope, line: _Line, body: Body, reply_by_s: float) -> None:
        home = self._home
        envelope = Envelope(
            home.chain_id, heard.conversation_id, line.spoken, home.account, heard.sender, int(reply_by_s), body
        )
        line.spoken += 1
        self.soon(home.tell(heard.sender, BUYER, seal(envelope, home.key)))

    def _signature_holds(self, book: SellerBook, envelope: Envelope) -> bool:
        body = envelope.body
        if not isinstance(body, AcceptProposal):
            return False
        terms = Terms(body.energy_wh, body.price_microeur_per_kwh)
        return recover(self._trade_id(book.window, envelope, terms), body.signature) == envelope.sender

    def _trade_id(self, window: int, envelope: Envelope, terms: Terms) -> bytes:
        return acceptance_digest(
            chain_id=self._home.chain_id,
            window=window,
            seller=self._home.account,
            buyer=envelope.sender,
            energy_wh=terms.energy_wh,
            price_microeur_per_kwh=terms.price_microeur_per_kwh,
            negotiation_id=envelope.conversation_id,
        )
