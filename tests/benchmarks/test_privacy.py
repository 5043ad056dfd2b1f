"""What `make bench-privacy` measures holds, and has the sizes that are published."""

from __future__ import annotations

import pytest

from benchmarks.privacy import BATCH, PUBLISHED, call_of, delivery_of, payment, scans, taken
from privacy import range_proof
from privacy.secp256k1 import SECP256K1


@pytest.mark.parametrize("members", [8, 16])
def test_a_call_and_a_delivery_hold_and_have_their_sizes(members: int) -> None:
    check, _, proof = call_of(members)
    assert check()
    assert proof == 32 * (members + 1)
    check, length, proof = delivery_of(members)
    assert check()
    assert proof == 3 * 33 + 32 * (members + 1)
    assert length == 1 + 2 + 32 + 32 + 33 + 99 * members + proof


def test_a_payment_holds_in_all_its_parts() -> None:
    paid = payment()
    assert paid.spends()
    assert paid.sealed()
    assert range_proof.verify_batch(SECP256K1, [(paid.ranges, paid.range_proof)] * 2, bytes(32))
    assert paid.length > 2 * 610 + 2 * 334
    assert BATCH == 64


def test_a_foreign_note_is_passed_over_and_an_own_one_found() -> None:
    miss, hit = scans()
    assert miss() is None
    assert hit() is not None


def test_what_does_not_hold_is_not_measured() -> None:
    with pytest.raises(AssertionError, match="does not hold"):
        taken(lambda: False)


def test_every_published_figure_names_its_source_and_its_machine() -> None:
    for text in PUBLISHED.values():
        assert "Opteron" in text or "processor not stated" in text
        assert "/" in text.rsplit("(", 1)[1]
