"""The buyer and the seller agent, with what they say caught on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from eth_keys.datatypes import PrivateKey

from agents.clock import ChainClock, Segment, Windows
from agents.home import MAX_BAD_ENVELOPES, Home
from agents.journal import BadEnvelope, Contract, Journal, Line, NoDeal, Signed, read_journal
from agents.ledger import MarketView
from agents.market.mechanism import BuyerRules, SellerRules, Terms
from agents.market.ontology import (
    AcceptProposal,
    Body,
    Cfp,
    Envelope,
    Failure,
    Inform,
    Propose,
    Refuse,
    open_sealed,
    seal,
    sign_acceptance,
)
from agents.messaging import AgentContainer
from agents.trading.buyer import Errand
from agents.trading.buyer_agent import BuyerAgent
from agents.trading.concession import ConcessionStrategy
from agents.trading.seller_agent import SellerAgent
from agents.trading.strategy import Limits
from contracts.bindings.market import acceptance_digest
from contracts.bindings.market_types import Offer, Parameters
from contracts.tariffs import PRESETS

TARIFF = PRESETS["shared-connection"]
SELLER, BUYER, STRANGER = (PrivateKey(bytes([i]) * 32) for i in (1, 2, 3))
CHAIN_ID, TALK = 2016, b"t" * 32


def account(key: PrivateKey) -> bytes:
    return bytes(key.public_key.to_canonical_address())


class Wire(AgentContainer):
    """Keeps what is sent instead of sending it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0))
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def deliver(self, endpoint: str, agent: str, content: dict[str, Any]) -> bool:
        self.sent.put_nowait(content)
        return True

    async def said(self, receiver: PrivateKey) -> Body:
        """The next thing that was said to `receiver`."""
        content = await asyncio.wait_for(self.sent.get(), 5)
        return open_sealed(content, chain_id=CHAIN_ID, receiver=account(receiver)).body


def make_home(key: PrivateKey, folder: Path, wire: Wire, *, scale: int = 1) -> Home:
    view = MarketView()
    view.endpoints = {account(k): "tcp://127.0.0.1:1" for k in (SELLER, BUYER)}
    return Home(
        key=key,
        account=account(key),
        chain_id=CHAIN_ID,
        clock=ChainClock([Segment(0, 0, scale)]),
        windows=Windows(0, 3600, 900, 2700, 900, 4),
        tariffs=(TARIFF,),
        terms=Parameters(0, 0, 10),
        strategy=ConcessionStrategy(),
        journal=Journal(folder / "journal.jsonl"),
        view=view,
        container=wire,
        neighbours=frozenset({account(SELLER), account(BUYER)}),
    )


def run(folder: Path, key: PrivateKey, scenario: Callable[[Home, Wire], Awaitable[None]], scale: int = 1) -> list[Line]:
    """Run a scenario at a home and return what it wrote down."""

    async def whole() -> None:
        wire = Wire()
        home = make_home(key, folder, wire, scale=scale)
        await wire.start()
        try:
            await scenario(home, wire)
        finally:
            await wire.shutdown()
            home.journal.close()

    asyncio.run(whole())
    return list(read_journal(folder / "journal.jsonl"))


def selling(home: Home, wire: Wire) -> SellerAgent:
    seller: SellerAgent = wire.register(SellerAgent(home), "seller")
    for_ever = home.clock.now_s() * 2
    rules = SellerRules(ConcessionStrategy(), Limits(225_000, 140_000, 6), TARIFF.rails, 10, 300.0, for_ever)
    seller.open_book(rules, 8, 1, 1000, "surplus")
    return seller


def say(body: Body, sequence: int, key: PrivateKey = BUYER, talk: bytes = TALK) -> dict[str, Any]:
    return seal(Envelope(CHAIN_ID, talk, sequence, account(key), account(SELLER), 0, body), key)


def acceptance(terms: Terms, key: PrivateKey = BUYER) -> AcceptProposal:
    digest = acceptance_digest(
        chain_id=CHAIN_ID,
        window=8,
        seller=account(SELLER),
        buyer=account(BUYER),
        energy_wh=terms.energy_wh,
        price_microeur_per_kwh=terms.price_microeur_per_kwh,
        negotiation_id=TALK,
    )
    return AcceptProposal(terms.energy_wh, terms.price_microeur_per_kwh, sign_acceptance(digest, key))


def test_a_seller_sells_against_a_signature_and_keeps_it(tmp_path: Path) -> None:
    async def scenario(home: Home, wire: Wire) -> None:
        seller = selling(home, wire)
        seller.hear(say(Cfp(8, 1, 400), 0))
        assert await wire.said(BUYER) == Propose(400, 225_000)
        seller.hear(say(acceptance(Terms(400, 225_000)), 1))
        body = await wire.said(BUYER)
        assert isinstance(body, Inform)
        (agreement,) = seller.agreements[8]
        assert (agreement.trade_id, agreement.terms) == (body.trade_id, Terms(400, 225_000))

    (contract,) = [line for line in run(tmp_path, SELLER, scenario) if isinstance(line, Contract)]
    assert (contract.role, contract.energy_wh, len(contract.signature)) == ("seller", 400, 132)


def test_a_seller_believes_neither_strangers_nor_forgers_nor_echoes(tmp_path: Path) -> None:
    async def scenario(home: Home, wire: Wire) -> None:
        seller = selling(home, wire)
        seller.hear(say(Cfp(8, 1, 400), 0, STRANGER))
        seller.hear({**say(Cfp(8, 1, 400), 0), "sequence": 1})
        seller.hear("garbage")
        seller.hear(say(Cfp(8, 1, 400), 0))
        assert await wire.said(BUYER) == Propose(400, 225_000)
        seller.hear(say(Cfp(8, 1, 400), 0))
        seller.hear(say(acceptance(Terms(400, 225_000), STRANGER), 1))
        reason = "the acceptance is not signed by the buyer over these terms"
        assert await wire.said(BUYER) == Failure(reason)
        assert seller.agreements.get(8, []) == []

    lines = run(tmp_path, SELLER, scenario)
    reasons = [line.reason for line in lines if isinstance(line, BadEnvelope)]
    assert len(reasons) == 4
    assert "no household of this market" in reasons[0]
    assert "not signed by its sender" in reasons[1]
    assert "not its next" in reasons[3]
    assert not [line for line in lines if isinstance(line, Contract)]


def test_an_offer_that_is_not_open_is_refused_and_garbage_does_not_fill_the_disk(tmp_path: Path) -> None:
    async def scenario(home: Home, wire: Wire) -> None:
        seller = selling(home, wire)
        seller.hear(say(Cfp(8, 2, 400), 0))
        assert await wire.said(BUYER) == Refuse("this offer is not open here")
        for _ in range(MAX_BAD_ENVELOPES + 10):
            seller.hear({})

    lines = run(tmp_path, SELLER, scenario)
    assert len([line for line in lines if isinstance(line, BadEnvelope)]) == MAX_BAD_ENVELOPES


def buying(home: Home, wire: Wire) -> tuple[BuyerAgent, BuyerRules, Errand]:
    buyer: BuyerAgent = wire.register(BuyerAgent(home), "buyer")
    for_ever = home.clock.now_s() * 2
    rules = BuyerRules(ConcessionStrategy(), Limits(140_000, 260_000, 5), TARIFF.rails, 10, 300.0, for_ever)
    return buyer, rules, Errand(0, Offer(1, account(SELLER), 8, 1000, 0, 225_000, 225_000, 0, 0), 400)


def test_a_silent_seller_ends_at_the_time_out(tmp_path: Path) -> None:
    async def scenario(home: Home, wire: Wire) -> None:
        buyer, rules, errand = buying(home, wire)
        outcome = await asyncio.wait_for(buyer.negotiate(rules, errand, "own use"), 5)
        assert (outcome.terms, outcome.silent) == (None, True)
        assert await wire.said(SELLER) == Cfp(8, 1, 400)

    (ended,) = run(tmp_path, BUYER, scenario, scale=100_000)
    assert isinstance(ended, NoDeal)
    assert ended.reason == "no answer while calling"


def test_a_signature_that_nobody_answered_counts_as_bought(tmp_path: Path) -> None:
    async def scenario(home: Home, wire: Wire) -> None:
        buyer, rules, errand = buying(home, wire)
        task = asyncio.create_task(buyer.negotiate(rules, errand, "own use"))
        content = await asyncio.wait_for(wire.sent.get(), 5)
        talk = bytes.fromhex(content["conversation_id"][2:])
        answer = Envelope(CHAIN_ID, talk, 0, account(SELLER), account(BUYER), 0, Propose(400, 130_000))
        buyer.hear(seal(answer, STRANGER))
        buyer.hear(seal(answer, SELLER))
        outcome = await asyncio.wait_for(task, 5)
        assert outcome.terms == Terms(400, 130_000)
        assert outcome.silent
        assert list(buyer.signed[8].values()) == [Terms(400, 130_000)]

    lines = run(tmp_path, BUYER, scenario, scale=1_000)
    assert [type(line) for line in lines] == [BadEnvelope, Signed, NoDeal]
