"""Bilateral negotiation as two pure state machines, one for each side: inputs in, actions out, time is an input.

A conversation, seen from the buyer:

    CALLING ── propose ──► BIDDING ── accept-proposal / good ask ──► SIGNING ── inform ──► AGREED
       │ refuse, failure,      │ ▲ reject-proposal: next round           │ failure, time-out
       └ time-out ─────────────┴─┴─────────────────────────────────────► ENDED

The seller keeps one book an offer: what is left of it and where each conversation stands. Energy is bound only by a
signed acceptance, first come first served, so that a buyer that falls silent blocks nobody. No answer in time ends a
conversation; there is no state that waits for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from agents.market.ontology import AcceptProposal, Body, Cfp, Failure, Inform, Propose, Refuse, RejectProposal
from agents.trading.strategy import Limits, Side, Situation, Strategy
from contracts.bindings.market_types import Rails

MAX_CONVERSATIONS = 256  # of one book: what a street's buyers open in a window, many times over
SOLD_OUT = "sold out"
NOT_OPEN = "this offer is not open here"  # the buyer's node may be a block ahead of the seller's
LESS_IS_LEFT = "less is left than was agreed"  # somebody else signed first: worth asking once more
MAX_ROUNDS = 50  # bounds a conversation whatever the strategies say


@dataclass(frozen=True, slots=True)
class Terms:
    """What both sides agreed on."""

    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send `body`; for the buyer, no answer until `reply_by_s` means the end of the conversation."""

    body: Body
    reply_by_s: float


@dataclass(frozen=True, slots=True)
class SignAndSend:
    """Sign the acceptance of `terms` with the buyer's key and send accept-proposal."""

    terms: Terms
    reply_by_s: float


@dataclass(frozen=True, slots=True)
class CounterRefused:
    """A counter-offer was refused: what was bid, and what the seller asks next."""

    bid_microeur_per_kwh: int
    ask_microeur_per_kwh: int
    round: int


@dataclass(frozen=True, slots=True)
class Agreed:
    """The trade is agreed: the seller holds the buyer's signed acceptance."""

    terms: Terms
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Ended:
    """The conversation is over without an agreement."""

    reason: str


Action = Send | SignAndSend | CounterRefused | Agreed | Ended


class Phase(Enum):
    """Where the buyer's side stands."""

    CALLING = "calling"
    BIDDING = "bidding"
    SIGNING = "signing"
    AGREED = "agreed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class BuyerRules:
    """What a buyer's conversations share.

    `reply_timeout_s` is how long it waits for an answer, `close_s` when negotiation closes, both in chain seconds.
    """

    strategy: Strategy
    limits: Limits
    rails: Rails
    minimum_lot_wh: int
    reply_timeout_s: float
    close_s: float


@dataclass(frozen=True, slots=True)
class BuyerTalk:
    """The buyer's side of one conversation."""

    window: int
    offer_id: int
    wanted_wh: int
    phase: Phase = Phase.CALLING
    round: int = 0
    terms: Terms | None = None
    bid_microeur_per_kwh: int = 0
    deadline_s: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in (Phase.AGREED, Phase.ENDED)


def open_talk(
    rules: BuyerRules, *, window: int, offer_id: int, wanted_wh: int, now_s: float
) -> tuple[BuyerTalk, tuple[Action, ...]]:
    """Begin a conversation about an offer."""
    talk = BuyerTalk(window, offer_id, wanted_wh, deadline_s=_deadline(rules, now_s))
    if now_s >= rules.close_s:
        return _end(talk, "closed")
    return talk, (Send(Cfp(window, offer_id, wanted_wh), talk.deadline_s),)


def buyer_hears(rules: BuyerRules, talk: BuyerTalk, body: Body, now_s: float) -> tuple[BuyerTalk, tuple[Action, ...]]:
    """Return the buyer's side after a message of the seller, and what to do."""
    match talk.phase, body:
        case ((Phase.AGREED | Phase.ENDED), _):
            return talk, ()
        case _, Refuse(reason) | Failure(reason):
            return _end(talk, reason)
        case Phase.CALLING, Propose(energy_wh, price):
            return _judge(rules, talk, Terms(min(energy_wh, talk.wanted_wh), price), now_s)
        case Phase.BIDDING, AcceptProposal(energy_wh, price, _):
            agreed = Terms(energy_wh, price)
            if talk.terms is None or agreed != Terms(talk.terms.energy_wh, talk.bid_microeur_per_kwh):
                return _walk_away(rules, talk, "accepted other terms than were bid", now_s)
            return _sign(rules, talk, agreed, now_s)
        case Phase.BIDDING, RejectProposal(_, energy_wh, price):
            refused = CounterRefused(talk.bid_microeur_per_kwh, price, talk.round)
            if price == 0:
                talk, actions = _end(talk, "the seller walked away")
                return talk, (refused, *actions)
            talk = replace(talk, round=talk.round + 1)
            talk, actions = _judge(rules, talk, Terms(min(energy_wh, talk.wanted_wh), price), now_s)
            return talk, (refused, *actions)
        case Phase.SIGNING, Inform(_) if talk.terms is not None:
            return replace(talk, phase=Phase.AGREED), (Agreed(talk.terms),)
        case _:
            return _walk_away(rules, talk, f"a {type(body).__name__} makes no sense here", now_s)


def buyer_waits(talk: BuyerTalk, now_s: float) -> tuple[BuyerTalk, tuple[Action, ...]]:
    """Return the buyer's side as time passes: after its deadline it is over."""
    if talk.over or now_s < talk.deadline_s:
        return talk, ()
    return _end(talk, f"no answer while {talk.phase.value}")


def _judge(rules: BuyerRules, talk: BuyerTalk, ask: Terms, now_s: float) -> tuple[BuyerTalk, tuple[Action, ...]]:
    """Accept an ask, name the next bid, or walk away."""
    if ask.energy_wh < rules.minimum_lot_wh:
        return _walk_away(rules, talk, "less than the smallest lot", now_s)
    if now_s >= rules.close_s:
        return _end(talk, "closed")
    situation = Situation(Side.BUYER, talk.round, rules.limits, rules.rails, ask.price_microeur_per_kwh)
    if rules.strategy.accepts(situation):
        return _sign(rules, talk, ask, now_s)
    if talk.round >= MAX_ROUNDS or rules.strategy.gives_up(situation):
        return _walk_away(rules, talk, "no price between the two reserves", now_s)
    bid = rules.strategy.price_microeur_per_kwh(situation)
    deadline = _deadline(rules, now_s)
    talk = replace(talk, phase=Phase.BIDDING, terms=ask, bid_microeur_per_kwh=bid, deadline_s=deadline)
    return talk, (Send(Propose(ask.energy_wh, bid), deadline),)


def _sign(rules: BuyerRules, talk: BuyerTalk, terms: Terms, now_s: float) -> tuple[BuyerTalk, tuple[Action, ...]]:
    deadline = _deadline(rules, now_s)
    return replace(talk, phase=Phase.SIGNING, terms=terms, deadline_s=deadline), (SignAndSend(terms, deadline),)


def _walk_away(rules: BuyerRules, talk: BuyerTalk, reason: str, now_s: float) -> tuple[BuyerTalk, tuple[Action, ...]]:
    goodbye = Send(RejectProposal(reason, 0, 0), _deadline(rules, now_s))
    return replace(talk, phase=Phase.ENDED), (goodbye, Ended(reason))


def _end(talk: BuyerTalk, reason: str) -> tuple[BuyerTalk, tuple[Action, ...]]:
    return replace(talk, phase=Phase.ENDED), (Ended(reason),)


def _deadline(rules: BuyerRules, now_s: float) -> float:
    return min(now_s + rules.reply_timeout_s, max(rules.close_s, now_s))


@dataclass(frozen=True, slots=True)
class SellerRules:
    """What a seller's conversations share; `buy_now_microeur_per_kwh` is accepted at once (0: none)."""

    strategy: Strategy
    limits: Limits
    rails: Rails
    minimum_lot_wh: int
    reply_timeout_s: float
    close_s: float
    buy_now_microeur_per_kwh: int = 0


@dataclass(frozen=True, slots=True)
class SellerTalk:
    """The seller's side of one conversation: its round, its price, and what it accepted of the buyer's (None:
    nothing)."""

    buyer: bytes
    energy_wh: int
    round: int
    ask_microeur_per_kwh: int
    accepted_microeur_per_kwh: int | None
    deadline_s: float


@dataclass(frozen=True, slots=True)
class SellerBook:
    """One offer: what is left of it, and its conversations by number."""

    window: int
    offer_id: int
    left_wh: int
    talks: Mapping[bytes, SellerTalk]


def seller_hears(
    rules: SellerRules,
    book: SellerBook,
    *,
    conversation_id: bytes,
    buyer: bytes,
    body: Body,
    now_s: float,
    signature_holds: bool = False,
) -> tuple[SellerBook, tuple[Action, ...]]:
    """Return the book after a buyer's message, and what to do.

    Args:
        rules: of the seller.
        book: of the offer that the conversation is about.
        conversation_id: 32 bytes.
        buyer: who sent it (its envelope is checked).
        body: the message.
        now_s: chain time.
        signature_holds: whether an accept-proposal's signature is the buyer's over exactly these terms.
    """
    talk = book.talks.get(conversation_id)
    reply_by_s = now_s + rules.reply_timeout_s
    if isinstance(body, Cfp):
        return _open_book(rules, book, conversation_id, buyer, body, now_s)
    if talk is None or talk.buyer != buyer:
        return book, (Send(Failure("unknown conversation"), reply_by_s),)
    match body:
        case Propose(energy_wh, price):
            if now_s >= rules.close_s:
                return _drop(book, conversation_id), (Send(Failure("closed"), reply_by_s), Ended("closed"))
            return _answer_counter(rules, book, conversation_id, talk, Terms(energy_wh, price), now_s)
        case AcceptProposal(energy_wh, price, signature):
            return _close_deal(
                rules, book, conversation_id, talk, Terms(energy_wh, price), signature, signature_holds, now_s
            )
        case RejectProposal(reason, _, _):
            return _drop(book, conversation_id), (Ended(reason),)
        case _:
            failure = Send(Failure(f"a {type(body).__name__} makes no sense here"), reply_by_s)
            return _drop(book, conversation_id), (failure, Ended("nonsense"))


def seller_waits(book: SellerBook, now_s: float) -> SellerBook:
    """Return the book without the conversations whose buyers fell silent."""
    return replace(book, talks={key: talk for key, talk in book.talks.items() if talk.deadline_s > now_s})


def _open_book(
    rules: SellerRules, book: SellerBook, conversation_id: bytes, buyer: bytes, cfp: Cfp, now_s: float
) -> tuple[SellerBook, tuple[Action, ...]]:
    reply_by_s = now_s + rules.reply_timeout_s
    energy_wh = min(cfp.energy_wh, book.left_wh)
    reason = None
    if cfp.window != book.window or cfp.offer_id != book.offer_id:
        reason = "no such offer"
    elif now_s >= rules.close_s:
        reason = "closed"
    elif energy_wh < rules.minimum_lot_wh:
        reason = SOLD_OUT if book.left_wh < rules.minimum_lot_wh else "less than the smallest lot"
    elif conversation_id in book.talks:
        reason = "conversation already open"
    elif len(book.talks) >= MAX_CONVERSATIONS:
        reason = "too many conversations"
    if reason is not None:
        return book, (Send(Refuse(reason), reply_by_s),)
    situation = Situation(Side.SELLER, 0, rules.limits, rules.rails)
    ask = rules.strategy.price_microeur_per_kwh(situation)
    talk = SellerTalk(buyer, energy_wh, 0, ask, None, reply_by_s)
    return _keep(book, conversation_id, talk), (Send(Propose(energy_wh, ask), reply_by_s),)


def _answer_counter(
    rules: SellerRules, book: SellerBook, conversation_id: bytes, talk: SellerTalk, bid: Terms, now_s: float
) -> tuple[SellerBook, tuple[Action, ...]]:
    """Accept a counter-offer or refuse it with the next price; energy left may have shrunk meanwhile."""
    reply_by_s = now_s + rules.reply_timeout_s
    energy_wh = min(bid.energy_wh, book.left_wh)
    if energy_wh < rules.minimum_lot_wh:
        return _drop(book, conversation_id), (Send(Failure(SOLD_OUT), reply_by_s), Ended(SOLD_OUT))
    if talk.round >= MAX_ROUNDS:
        goodbye = Send(RejectProposal("too many rounds", 0, 0), reply_by_s)
        return _drop(book, conversation_id), (goodbye, Ended("too many rounds"))
    price = bid.price_microeur_per_kwh
    situation = Situation(Side.SELLER, talk.round + 1, rules.limits, rules.rails, price)
    inside = rules.rails.lowest_microeur_per_kwh <= price <= rules.rails.highest_microeur_per_kwh
    buy_now = 0 < rules.buy_now_microeur_per_kwh <= price
    if inside and energy_wh == bid.energy_wh and (buy_now or rules.strategy.accepts(situation)):
        talk = replace(talk, energy_wh=energy_wh, accepted_microeur_per_kwh=price, deadline_s=reply_by_s)
        return _keep(book, conversation_id, talk), (Send(AcceptProposal(energy_wh, price, b""), reply_by_s),)
    ask = rules.strategy.price_microeur_per_kwh(situation)
    talk = replace(talk, energy_wh=energy_wh, round=talk.round + 1, ask_microeur_per_kwh=ask, deadline_s=reply_by_s)
    refusal = RejectProposal("the bid is below my price", energy_wh, ask)
    return _keep(book, conversation_id, talk), (
        CounterRefused(price, ask, talk.round - 1),
        Send(refusal, reply_by_s),
    )


def _close_deal(
    rules: SellerRules,
    book: SellerBook,
    conversation_id: bytes,
    talk: SellerTalk,
    terms: Terms,
    signature: bytes,
    signature_holds: bool,
    now_s: float,
) -> tuple[SellerBook, tuple[Action, ...]]:
    """Take a signed acceptance if it is of what was proposed or accepted, and if there is enough left."""
    reply_by_s = now_s + rules.reply_timeout_s
    mine = terms.price_microeur_per_kwh in (talk.ask_microeur_per_kwh, talk.accepted_microeur_per_kwh)
    reason = None
    if not mine or terms.energy_wh != talk.energy_wh:
        reason = "not the terms that were proposed"
    elif not signature_holds:
        reason = "the acceptance is not signed by the buyer over these terms"
    elif now_s >= rules.close_s:
        reason = "closed"
    elif terms.energy_wh > book.left_wh:
        reason = SOLD_OUT if book.left_wh < rules.minimum_lot_wh else LESS_IS_LEFT
    if reason is not None:
        return _drop(book, conversation_id), (Send(Failure(reason), reply_by_s), Ended(reason))
    book = replace(_drop(book, conversation_id), left_wh=book.left_wh - terms.energy_wh)
    return book, (Agreed(terms, signature),)


def _keep(book: SellerBook, conversation_id: bytes, talk: SellerTalk) -> SellerBook:
    return replace(book, talks={**book.talks, conversation_id: talk})


def _drop(book: SellerBook, conversation_id: bytes) -> SellerBook:
    return replace(book, talks={key: talk for key, talk in book.talks.items() if key != conversation_id})
