from __future__ import annotations

import json
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agents.market.ontology import (
    ONTOLOGY,
    AcceptProposal,
    Body,
    Cfp,
    Envelope,
    Failure,
    Inform,
    InvalidEnvelope,
    Propose,
    Refuse,
    RejectProposal,
    open_sealed,
    recover,
    seal,
    sign_acceptance,
)
from contracts.bindings.market import acceptance_digest

ANN, BOB = PrivateKey(b"a" * 32), PrivateKey(b"b" * 32)
ANN_ACCOUNT, BOB_ACCOUNT = ANN.public_key.to_canonical_address(), BOB.public_key.to_canonical_address()
BODIES: list[Body] = [
    Cfp(8, 1, 400),
    Propose(400, 191_000),
    AcceptProposal(400, 191_000, b"s" * 65),
    AcceptProposal(400, 191_000, b""),
    RejectProposal("too low", 400, 208_000),
    Inform(b"t" * 32),
    Refuse("sold out"),
    Failure("closed"),
]


def envelope(body: Body = BODIES[0]) -> Envelope:
    return Envelope(2016, b"c" * 32, 3, ANN_ACCOUNT, BOB_ACCOUNT, 1_466_460_000, body)


@pytest.mark.parametrize("body", BODIES)
def test_every_message_survives_json(body: Body) -> None:
    sent = json.loads(json.dumps(seal(envelope(body), ANN)))
    assert sent["ontology"] == ONTOLOGY
    assert open_sealed(sent, chain_id=2016, receiver=BOB_ACCOUNT) == envelope(body)


def test_it_must_be_signed_by_its_sender() -> None:
    with pytest.raises(InvalidEnvelope, match="not signed by its sender"):
        open_sealed(seal(envelope(), BOB), chain_id=2016, receiver=BOB_ACCOUNT)


def test_it_must_be_for_us_on_this_chain() -> None:
    sent = seal(envelope(), ANN)
    with pytest.raises(InvalidEnvelope, match="for chain 2016, this is 1"):
        open_sealed(sent, chain_id=1, receiver=BOB_ACCOUNT)
    with pytest.raises(InvalidEnvelope, match=f"this is 0x{ANN_ACCOUNT.hex()}"):
        open_sealed(sent, chain_id=2016, receiver=ANN_ACCOUNT)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sequence", 4),
        ("reply_by_s", 1_466_460_001),
        ("conversation_id", f"0x{b'd'.hex() * 32}"),
        ("content", {"window": 8, "offer_id": 1, "energy_wh": 401}),
        ("sender", f"0x{BOB_ACCOUNT.hex()}"),
    ],
)
def test_every_field_is_under_the_signature(key: str, value: Any) -> None:
    with pytest.raises(InvalidEnvelope, match="not signed by its sender"):
        open_sealed({**seal(envelope(), ANN), key: value}, chain_id=2016, receiver=BOB_ACCOUNT)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("ontology", "gridpact-energy/2", "ontology"),
        ("performative", "query-if", "performative"),
        ("performative", ["cfp"], "performative"),
        ("chain_id", True, "chain_id"),
        ("sequence", -1, "sequence"),
        ("sequence", 1001, "sequence"),
        ("reply_by_s", 1.5, "reply_by_s"),
        ("sender", "0x00", "sender"),
        ("sender", f"0x{ANN_ACCOUNT.hex().upper()}", "sender"),
        ("signature", None, "signature"),
        ("signature", "0x" + "zz" * 65, "signature"),
        ("content", {"window": 8, "offer_id": 1}, "expected exactly window, offer_id, energy_wh"),
        ("content", {"window": 8, "offer_id": 1, "energy_wh": 1, "more": 1}, "expected exactly"),
        ("content", {"window": 8, "offer_id": 1, "energy_wh": 2**32}, "energy_wh"),
        ("content", [], "expected exactly"),
    ],
)
def test_malformed_messages_are_refused_by_name(key: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidEnvelope, match=reason):
        open_sealed({**seal(envelope(), ANN), key: value}, chain_id=2016, receiver=BOB_ACCOUNT)


def test_a_long_reason_and_strange_fields_are_refused() -> None:
    sent = seal(envelope(Refuse("x")), ANN)
    with pytest.raises(InvalidEnvelope, match="at most 200 characters"):
        open_sealed({**sent, "content": {"reason": "x" * 201}}, chain_id=2016, receiver=BOB_ACCOUNT)
    with pytest.raises(InvalidEnvelope, match="fields"):
        open_sealed({**sent, "__type__": 1}, chain_id=2016, receiver=BOB_ACCOUNT)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_garbage_is_refused_and_nothing_else_happens(garbage: Any) -> None:
    with pytest.raises(InvalidEnvelope):
        open_sealed(garbage, chain_id=2016, receiver=BOB_ACCOUNT)


@given(st.sampled_from(sorted(seal(envelope(), ANN))), JSON_VALUES)
def test_garbage_in_any_field_is_refused(key: str, garbage: Any) -> None:
    sent = seal(envelope(), ANN)
    if sent[key] != garbage:
        with pytest.raises(InvalidEnvelope):
            open_sealed({**sent, key: garbage}, chain_id=2016, receiver=BOB_ACCOUNT)


def test_an_acceptance_is_signed_as_the_market_checks_it() -> None:
    terms: dict[str, Any] = {
        "window": 8,
        "seller": BOB_ACCOUNT,
        "buyer": ANN_ACCOUNT,
        "energy_wh": 4,
        "negotiation_id": bytes(32),
    }
    digest = acceptance_digest(chain_id=2016, price_microeur_per_kwh=191_000, **terms)
    signature = sign_acceptance(digest, ANN)
    assert signature[64] in (27, 28)
    assert recover(digest, signature) == ANN_ACCOUNT
    assert recover(digest, signature[:64]) is None
    assert recover(digest, bytes(65)) is None
    assert recover(digest, b"\xff" * 65) is None
