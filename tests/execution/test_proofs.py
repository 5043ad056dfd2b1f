"""The precompiled contracts for private windows: verdicts, prices taken first, and inputs that are none."""

from __future__ import annotations

import pytest

from node.execution import proofs
from privacy import claims
from privacy.gas import GAS_HASH_TO_POINT
from privacy.ring import scope_base
from privacy.secp256k1 import SECP256K1
from tests.execution.test_precompiles import call, word
from tests.privacy.claims import SCOPE, all_terms, good
from tests.privacy.test_claims import NAMES

PRICES = {
    "ring of one column": 6_000 + 3 * 4_500,
    "ring of two columns": 6_000 + 3 * 5_500,
    "ring of three columns": 6_000 + 3 * 7_000,
    "delivery": 6_000 + 3 * 7_500,
    "note": 6_000 + 3 * 9_000,
    "range": 30_000 + 2_200 * 16,
    "possession": 6_000,
    "part": 6_000,
    "same amount": 12_000,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_answered_and_costs_what_its_head_says(name: str) -> None:
    number, raw = good()[name]
    found = call(number, raw)
    assert (found.output, found.gas_used) == (word(1), PRICES[name])
    bent = raw[:-1] + bytes((raw[-1] ^ 1,))
    found = call(number, bent)
    assert (found.output, found.gas_used) == (word(0), PRICES[name])
    short = call(number, raw, gas=PRICES[name] - 1)
    assert (short.error.split(":")[0], short.output) == ("OutOfGas", b"")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_of_another_length_is_not_read(name: str) -> None:
    number, raw = good()[name]
    for bad in (b"", raw[:2], raw[:-1], raw + b"\0"):
        found = call(number, bad)
        assert (found.output, found.gas_used) == (word(0), 6_000)


def test_sums_and_hashed_points() -> None:
    raw = claims.sum_claim(all_terms())
    found = call(0x4704, raw)
    assert (found.output, found.gas_used) == (claims.summed(raw), 2_000 + 5 * 400 + 3 * 1_000)
    for bad in (b"", raw[:-1], raw + bytes(200)):
        assert call(0x4704, bad).output == b""
    found = call(0x4706, SCOPE)
    assert found.output == SECP256K1.point_to_bytes(scope_base(SECP256K1, SCOPE))
    assert found.gas_used == GAS_HASH_TO_POINT
    for bad in (b"", SCOPE[:-1], SCOPE + b"\0"):
        assert call(0x4706, bad).output == b""


def test_every_claim_has_an_address_of_its_own() -> None:
    assert sorted(proofs.PROOFS) == list(range(0x4701, 0x4707))
