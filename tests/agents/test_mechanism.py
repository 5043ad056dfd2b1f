from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.market.mechanism import (
    LESS_IS_LEFT,
    MAX_CONVERSATIONS,
    SOLD_OUT,
    Action,
    Agreed,
    BuyerRules,
    BuyerTalk,
    CounterRefused,
    Ended,
    Phase,
    SellerBook,
    SellerRules,
    Send,
    SignAndSend,
    Terms,
    buyer_hears,
    buyer_waits,
    open_talk,
    seller_hears,
    seller_waits,
)
from agents.market.ontology import AcceptProposal, Body, Cfp, Failure, Inform, Propose, Refuse, RejectProposal
from agents.trading.concession import ConcessionStrategy
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Rails

RAILS = Rails(123_000, 287_000)
BUYER, OTHER = b"b" * 20, b"o" * 20
TALK = b"t" * 32
CLOSE_S = 2700.0


def buyer_rules(opening: int = 140_000, reserve: int = 260_000, rounds: int = 5) -> BuyerRules:
    return BuyerRules(ConcessionStrategy(), Limits(opening, reserve, rounds), RAILS, 10, 300.0, CLOSE_S)


def seller_rules(opening: int = 225_000, reserve: int = 140_000, rounds: int = 6, buy_now: int = 0) -> SellerRules:
    return SellerRules(ConcessionStrategy(), Limits(opening, reserve, rounds), RAILS, 10, 300.0, CLOSE_S, buy_now)


def book(left_wh: int = 1000) -> SellerBook:
    return SellerBook(8, 1, left_wh, {})


def hears(
    rules: SellerRules,
    shelf: SellerBook,
    body: Body,
    *,
    buyer: bytes = BUYER,
    talk: bytes = TALK,
    now_s: float = 0.0,
    holds: bool = True,
) -> tuple[SellerBook, tuple[Action, ...]]:
    return seller_hears(rules, shelf, conversation_id=talk, buyer=buyer, body=body, now_s=now_s, signature_holds=holds)


def said(actions: tuple[Action, ...]) -> Body:
    for action in actions:
        if isinstance(action, Send):
            return action.body
        if isinstance(action, SignAndSend):
            return AcceptProposal(action.terms.energy_wh, action.terms.price_microeur_per_kwh, b"")
        if isinstance(action, Agreed):
            return Inform(bytes(32))
    raise AssertionError(actions)


def negotiate(
    ours: BuyerRules, theirs: SellerRules, shelf: SellerBook, wanted_wh: int = 400
) -> tuple[BuyerTalk, SellerBook, list[Action]]:
    seen: list[Action] = []
    talk, actions = open_talk(ours, window=8, offer_id=1, wanted_wh=wanted_wh, now_s=0.0)
    for _ in range(200):
        shelf, answers = hears(theirs, shelf, said(actions))
        seen += answers
        if talk.over:
            break
        talk, actions = buyer_hears(ours, talk, said(answers), 0.0)
        seen += actions
        if talk.over and not any(isinstance(action, Send) for action in actions):
            break
    assert talk.over
    return talk, shelf, seen


def test_both_sides_concede_until_they_meet() -> None:
    talk, shelf, seen = negotiate(buyer_rules(), seller_rules(), book())
    assert talk.phase is Phase.AGREED
    assert talk.terms == Terms(400, 191_000)
    assert shelf.left_wh == 600
    assert [(a.bid_microeur_per_kwh, a.ask_microeur_per_kwh) for a in seen if isinstance(a, CounterRefused)] == [
        (140_000, 208_000),
        (140_000, 208_000),
        (170_000, 191_000),
        (170_000, 191_000),
    ]


def test_reserves_that_do_not_meet_end_without_an_agreement() -> None:
    talk, shelf, seen = negotiate(buyer_rules(reserve=150_000), seller_rules(reserve=160_000), book())
    assert talk.phase is Phase.ENDED
    assert Ended("no price between the two reserves") in seen
    assert shelf.left_wh == 1000
    assert shelf.talks == {}


PRICES = st.integers(123, 287).map(lambda tick: tick * 1000)


@given(
    PRICES, PRICES, PRICES, PRICES, st.integers(1, 12), st.integers(1, 12), st.integers(0, 2000), st.integers(10, 900)
)
def test_whatever_is_agreed_suits_both_and_every_talk_ends(
    a: int, b: int, c: int, d: int, rounds: int, their_rounds: int, left_wh: int, wanted_wh: int
) -> None:
    ours = buyer_rules(min(a, b), max(a, b), rounds)
    theirs = seller_rules(max(c, d), min(c, d), their_rounds)
    talk, shelf, _ = negotiate(ours, theirs, book(left_wh), wanted_wh)
    if talk.phase is Phase.AGREED:
        assert talk.terms is not None
        assert min(c, d) <= talk.terms.price_microeur_per_kwh <= max(a, b)
        assert talk.terms.energy_wh == min(left_wh, wanted_wh)
        assert shelf.left_wh == left_wh - talk.terms.energy_wh
    else:
        assert shelf.left_wh == left_wh
        assert left_wh < 10 or max(a, b) < min(c, d) or rounds != their_rounds


@pytest.mark.parametrize("phase", [Phase.CALLING, Phase.BIDDING, Phase.SIGNING])
def test_silence_ends_a_conversation_at_its_deadline(phase: Phase) -> None:
    talk, _ = open_talk(buyer_rules(), window=8, offer_id=1, wanted_wh=400, now_s=100.0)
    talk = replace(talk, phase=phase)
    assert talk.deadline_s == 400.0
    assert buyer_waits(talk, 399.9) == (talk, ())
    ended, actions = buyer_waits(talk, 400.0)
    assert ended.phase is Phase.ENDED
    assert actions == (Ended(f"no answer while {phase.value}"),)
    assert buyer_waits(ended, 500.0) == (ended, ())


def test_nothing_waits_beyond_the_close() -> None:
    talk, _ = open_talk(buyer_rules(), window=8, offer_id=1, wanted_wh=400, now_s=CLOSE_S - 10)
    assert talk.deadline_s == CLOSE_S
    _, actions = open_talk(buyer_rules(), window=8, offer_id=1, wanted_wh=400, now_s=CLOSE_S)
    assert actions == (Ended("closed"),)
    _, actions = hears(seller_rules(), book(), Cfp(8, 1, 400), now_s=CLOSE_S)
    assert said(actions) == Refuse("closed")
    shelf, _ = hears(seller_rules(), book(), Cfp(8, 1, 400))
    _, actions = hears(seller_rules(), shelf, Propose(400, 286_000), now_s=CLOSE_S)
    assert said(actions) == Failure("closed")
    _, actions = hears(seller_rules(), shelf, AcceptProposal(400, 225_000, b""), now_s=CLOSE_S)
    assert said(actions) == Failure("closed")


def test_a_silent_buyer_is_forgotten_and_blocks_nothing() -> None:
    shelf, _ = hears(seller_rules(), book(), Cfp(8, 1, 1000))
    assert seller_waits(shelf, 299.0).talks
    shelf = seller_waits(shelf, 300.0)
    assert not shelf.talks
    assert shelf.left_wh == 1000
    _, actions = hears(seller_rules(), shelf, Propose(1000, 200_000))
    assert said(actions) == Failure("unknown conversation")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (Cfp(9, 1, 400), "no such offer"),
        (Cfp(8, 2, 400), "no such offer"),
        (Cfp(8, 1, 9), "less than the smallest lot"),
    ],
)
def test_a_call_that_fits_nothing_is_refused(body: Cfp, reason: str) -> None:
    shelf, actions = hears(seller_rules(), book(), body)
    assert said(actions) == Refuse(reason)
    assert not shelf.talks


def test_the_smallest_lot_and_what_is_left() -> None:
    _, actions = hears(seller_rules(), book(9), Cfp(8, 1, 400))
    assert said(actions) == Refuse(SOLD_OUT)
    _, actions = hears(seller_rules(), book(10), Cfp(8, 1, 400))
    assert said(actions) == Propose(10, 225_000)


def test_a_forged_signature_sells_nothing() -> None:
    shelf, _ = hears(seller_rules(), book(), Cfp(8, 1, 400))
    after, actions = hears(seller_rules(), shelf, AcceptProposal(400, 225_000, b"x" * 65), holds=False)
    assert after.left_wh == 1000
    assert said(actions) == Failure("the acceptance is not signed by the buyer over these terms")


@pytest.mark.parametrize("terms", [(400, 150_000), (401, 225_000)])
def test_terms_that_were_never_proposed_sell_nothing(terms: tuple[int, int]) -> None:
    shelf, _ = hears(seller_rules(), book(), Cfp(8, 1, 400))
    after, actions = hears(seller_rules(), shelf, AcceptProposal(*terms, b""))
    assert after.left_wh == 1000
    assert said(actions) == Failure("not the terms that were proposed")


def test_first_signed_first_served() -> None:
    rules = seller_rules()
    shelf, _ = hears(rules, book(500), Cfp(8, 1, 400))
    shelf, _ = hears(rules, shelf, Cfp(8, 1, 400), buyer=OTHER, talk=b"u" * 32)
    shelf, actions = hears(rules, shelf, AcceptProposal(400, 225_000, b""))
    assert Agreed(Terms(400, 225_000), b"") in actions
    _, late = hears(rules, shelf, AcceptProposal(400, 225_000, b""), buyer=OTHER, talk=b"u" * 32)
    assert said(late) == Failure(LESS_IS_LEFT)
    _, empty = hears(rules, replace(shelf, left_wh=0), Propose(400, 200_000), buyer=OTHER, talk=b"u" * 32)
    assert said(empty) == Failure(SOLD_OUT)


def test_nobody_speaks_in_anothers_conversation() -> None:
    shelf, _ = hears(seller_rules(), book(), Cfp(8, 1, 400))
    after, actions = hears(seller_rules(), shelf, AcceptProposal(400, 225_000, b""), buyer=OTHER)
    assert after == shelf
    assert said(actions) == Failure("unknown conversation")
    _, actions = hears(seller_rules(), shelf, Cfp(8, 1, 400))
    assert said(actions) == Refuse("conversation already open")


def test_the_conversations_of_a_book_are_bounded() -> None:
    shelf = book()
    for i in range(MAX_CONVERSATIONS):
        shelf, _ = hears(seller_rules(), shelf, Cfp(8, 1, 10), talk=i.to_bytes(32, "big"))
    _, actions = hears(seller_rules(), shelf, Cfp(8, 1, 10), talk=b"z" * 32)
    assert said(actions) == Refuse("too many conversations")


def test_a_buy_now_price_is_taken_at_once() -> None:
    rules = seller_rules(opening=200_000, reserve=190_000, rounds=1, buy_now=200_000)
    shelf, _ = hears(rules, book(), Cfp(8, 1, 400))
    _, actions = hears(rules, shelf, Propose(400, 205_000))
    assert said(actions) == AcceptProposal(400, 205_000, b"")
    _, actions = hears(rules, shelf, Propose(400, 288_000))
    assert isinstance(said(actions), RejectProposal)  # outside the rails


@pytest.mark.parametrize("body", [Inform(bytes(32)), Cfp(8, 1, 1), AcceptProposal(400, 1, b"")])
def test_nonsense_ends_the_buyers_conversation(body: Body) -> None:
    talk, _ = open_talk(buyer_rules(), window=8, offer_id=1, wanted_wh=400, now_s=0.0)
    ended, actions = buyer_hears(buyer_rules(), talk, body, 1.0)
    assert ended.phase is Phase.ENDED
    assert isinstance(said(actions), RejectProposal)


def test_a_seller_that_accepts_other_terms_than_were_bid_gets_no_signature() -> None:
    rules = buyer_rules()
    talk, _ = open_talk(rules, window=8, offer_id=1, wanted_wh=400, now_s=0.0)
    talk, actions = buyer_hears(rules, talk, Propose(400, 225_000), 1.0)
    assert said(actions) == Propose(400, 140_000)
    ended, actions = buyer_hears(rules, talk, AcceptProposal(400, 141_000, b""), 2.0)
    assert ended.phase is Phase.ENDED
    assert not any(isinstance(action, SignAndSend) for action in actions)
    signing, actions = buyer_hears(rules, talk, AcceptProposal(400, 140_000, b""), 2.0)
    assert signing.phase is Phase.SIGNING
    assert actions == (SignAndSend(Terms(400, 140_000), 302.0),)


def test_a_seller_never_gets_more_than_the_buyer_wanted() -> None:
    talk, _ = open_talk(buyer_rules(), window=8, offer_id=1, wanted_wh=400, now_s=0.0)
    talk, _ = buyer_hears(buyer_rules(), talk, Propose(5000, 130_000), 1.0)
    assert talk.terms == Terms(400, 130_000)
