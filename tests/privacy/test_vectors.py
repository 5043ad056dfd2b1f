"""Committed vectors of our own proofs: today's code makes the same bytes and accepts them; so do plain integers."""

from __future__ import annotations

import pytest

from privacy.secp256k1 import SECP256K1
from tests.privacy.make_vectors import CHECKS, FOLDER, MAKERS, path_of, written
from tests.privacy.plain_secp256k1 import PLAIN


@pytest.mark.parametrize("name", MAKERS)
def test_todays_code_makes_the_committed_bytes(name: str) -> None:
    """A changed label, order or encoding shows here; if it is meant, `python -m tests.privacy.make_vectors`."""
    assert MAKERS[name](SECP256K1) == written(name)


@pytest.mark.parametrize("name", MAKERS)
def test_plain_integers_make_the_committed_bytes(name: str) -> None:
    assert MAKERS[name](PLAIN) == written(name)


@pytest.mark.parametrize("name", CHECKS)
def test_both_groups_accept_the_committed_proofs(name: str) -> None:
    case = written(name)
    raw = bytes.fromhex(case["proof"])
    assert CHECKS[name](SECP256K1, case, raw)
    assert CHECKS[name](PLAIN, case, raw)


@pytest.mark.parametrize("name", CHECKS)
def test_no_committed_proof_holds_with_its_last_scalar_changed(name: str) -> None:
    case = written(name)
    raw = bytes.fromhex(case["proof"])
    bent = raw[:-32] + ((int.from_bytes(raw[-32:], "big") + 1) % SECP256K1.order).to_bytes(32, "big")
    assert not CHECKS[name](SECP256K1, case, bent)


def test_every_committed_file_has_a_maker_or_its_source() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {*(path_of(name).name for name in MAKERS), "erc5564.json"}
