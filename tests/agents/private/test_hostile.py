"""What a hostile counterparty or node says costs nobody its budget."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey

from agents.chain import NodeUnreachable
from agents.disclosure.question import NotOnRecord
from agents.disclosure.record import Record
from agents.market.mechanism import Terms
from agents.private.chain_street import ChainStreet
from agents.private.memory import WindowMemory
from agents.private.session import PublicSession, open_session, usable
from agents.private.street import Intent
from contracts.bindings import disclosures
from contracts.bindings.disclosures import Kind, Request
from contracts.bindings.private_market import Side
from tests.agents.private.fake_street import JOINT_KEY

LOW_ORDER = bytes([1]) + bytes(31)
OWN, HONEST = (open_session(PrivateKey(bytes([number]) * 32), 7, 4) for number in (1, 2))


def test_an_agreement_with_a_contact_key_of_small_order_is_none_and_the_others_stand() -> None:
    memory = WindowMemory(intent=Intent(Side.SELL, "surplus", 900, 225_000, 50_000_000, 0))
    memory.agreed = {
        b"a" * 32: (b"e" * 20, Terms(10, 225_000)),
        b"b" * 32: (HONEST.address, Terms(20, 200_000)),
    }
    known = [
        PublicSession(b"e" * 20, LOW_ORDER, 225_000),
        PublicSession(HONEST.address, HONEST.contact_key, 225_000),
    ]
    (deal,) = memory.deals(7, JOINT_KEY, OWN, known)
    assert (deal.buyer, deal.terms.energy_wh) == (HONEST.address, 20)


@pytest.mark.parametrize(
    ("key", "good"), [(HONEST.contact_key, True), (LOW_ORDER, False), (bytes(32), False), (b"", False)]
)
def test_only_with_a_usable_contact_key_is_dealt(key: bytes, good: bool) -> None:
    assert usable(key) == good


def test_a_window_that_could_not_be_read_is_read_again() -> None:
    class Failing:
        calls = 0

        async def read(self, *_: Any) -> Any:
            self.calls += 1
            raise NodeUnreachable("a node", "restarting")

        read_all = batch = read

    chain: Any = Failing()
    street = ChainStreet(chain)
    for calls in (1, 2):
        with pytest.raises(NodeUnreachable):
            asyncio.run(street.shown(8))
        assert chain.calls == calls


def test_an_auditor_gives_no_part_of_another_subject_than_the_id_names() -> None:
    """An approved id with a subject that the node made up would open what nobody asked for."""
    asked = disclosures.trace_subject(b"m" * 20, 8)
    number = disclosures.request_id(7, 3, Kind.TRACE, asked)

    def said_by(subject: bytes, count: int) -> Record:
        async def read(*_: Any) -> Any:
            return Request(Kind.TRACE, bytes(32), subject, (b"a" * 20,)), count

        node: Any = SimpleNamespace(chain=SimpleNamespace(read=read), chain_id=7)
        return Record(node)

    assert asyncio.run(said_by(asked, 4).request(number, Kind.TRACE)).subject == asked
    for subject, count in ((disclosures.trace_subject(b"v" * 20, 8), 4), (asked, 3), (asked, 0)):
        with pytest.raises(NotOnRecord, match="another subject"):
            asyncio.run(said_by(subject, count).request(number, Kind.TRACE))
