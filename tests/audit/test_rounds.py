"""What was signed, checked without executing: quicker, and it says what it did not look at."""

from __future__ import annotations

import os
import signal

import pytest
from typer.testing import CliRunner

from consensus.types import Domain
from node.audit import rounds
from node.audit.commands import app
from node.audit.report import Counts
from node.chain import rlp
from node.storage import tables
from tests.audit.street import HEAD, Street


def verify(street: Street, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", str(street.directory), "--no-execute", *words])
    return result.exit_code, result.output


def test_a_sound_chain_is_ok_and_what_was_not_done_is_said(street: Street) -> None:
    code, output = verify(street)
    assert code == 0, output
    assert "not executed: state, receipts and both chains are believed" in output
    assert "executed again" not in output
    assert f"heights {HEAD}:" in output
    assert f"certificates {HEAD}, against validators followed from the genesis file" in output
    assert f"transactions {len(street.transactions)}: {len(street.transactions)} signatures" in output
    executed = CliRunner().invoke(app, ["verify", str(street.directory)]).output
    assert output.splitlines()[-1] == executed.splitlines()[-1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("headers", "kind certificate"),
        ("records", "kind certificate"),
        ("certificates", "kind certificate"),
        ("bodies", "kind body"),
        ("receipts", "kind receipt"),
        ("senders", "kind index"),
    ],
)
def test_another_value_is_found_at_its_height(street: Street, table: str, said: str) -> None:
    key = tables.height_key(4)
    value = street.stored(table)[key]
    other = street.stored(table)[tables.height_key(5)] if table not in ("senders",) else bytes(len(value))
    with street.altered(table, key, other, repaired=True):
        code, output = verify(street)
    assert code == 1
    assert "audit: FAILED at height 4, chain round, " in output
    assert said in output


def test_damage_is_found(street: Street) -> None:
    key = tables.height_key(3)
    with street.altered("bodies", key, rlp.encode([b"x"]), repaired=False):
        code, output = verify(street)
    assert (code, "FAILED at height 3, chain round, kind database" in output) == (1, True)


def test_checkpoints_hold_here_too(street: Street) -> None:
    code, output = verify(street, "--checkpoint", f"2:0x{'ab' * 32}")
    assert code == 1
    assert "FAILED at height 2, chain round, kind checkpoint" in output
    code, output = verify(street, "--checkpoint", f"{HEAD + 1}:0x{'ab' * 32}")
    assert (code, "this database has no such height" in output) == (1, True)


def die(order: rounds.Order, first: int, end: int) -> tuple[Counts, None]:
    """What a reader does that the kernel kills, at its second slice."""
    if first > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Counts(), None


@pytest.mark.parametrize("slice_heights", [1, 2])
def test_a_reader_that_is_killed_is_no_sound_chain(
    street: Street, monkeypatch: pytest.MonkeyPatch, slice_heights: int
) -> None:
    monkeypatch.setattr(rounds, "check_heights", die)
    monkeypatch.setattr(rounds, "SLICE_HEIGHTS", slice_heights)
    domain = Domain(street.genesis.chain_id, street.genesis_hash)
    offence = rounds.audit_rounds(street.path, street.genesis, domain, {}).offence
    assert offence is not None
    assert offence.kind == "database"
    assert "a reader was killed at or after height" in offence.detail
