"""`gridpact audit statement`: what a view key shows, over a real node and from events that are made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.chain import LoggedEvent
from agents.consortium_input import InputError
from agents.disclosure.member_commands import load_view_key
from agents.disclosure.received import Kind, accounts_of, statement_lines
from agents.disclosure.statement_commands import parse_windows
from agents.wallet.keys import WalletKeys, keys_of
from contracts.bindings import shielded_pool
from contracts.bindings.abi import Event
from contracts.bindings.private_market import SessionFunded, SessionSettled
from contracts.bindings.shielded_pool import BinClosed, Deposited, NoteMade, Spent, Withdrawn
from privacy.notes import make_note
from privacy.secp256k1 import POINT_BYTES, SECP256K1
from tests.agents.disclosure.chain import NOTE_MICROEUR, PrivateChain, account_of
from tests.contracts.street import CHAIN_ID, hexed
from tests.contracts.test_sealed_meters import JOINT_KEY
from tests.privacy.keys import random_bytes

OWN, OTHER = keys_of(b"\1" * 32), keys_of(b"\2" * 32)
ACCOUNT, STRANGER, SESSION = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20
WINDOW = 7


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateChain]:
    made = PrivateChain(tmp_path_factory.mktemp("private"))
    yield made
    made.close()


def note(keys: WalletKeys, amount: int) -> bytes:
    """A published note."""
    made, _ = make_note(
        SECP256K1,
        keys.address,
        amount,
        JOINT_KEY,
        lambda key: shielded_pool.note_message(CHAIN_ID, key),
        random_bytes(f"{keys.viewing} {amount}"),
    )
    return made.to_bytes(SECP256K1)[:206]


def logged(*events: Event) -> list[LoggedEvent]:
    return [LoggedEvent(height, event) for height, event in enumerate(events)]


def shown(*events: Event) -> list[tuple[Kind, int | None, int | None, int]]:
    found = statement_lines(logged(*events), OWN.viewing, OWN.address.spending, [ACCOUNT])
    return [(line.kind, line.window, line.note, line.microeur) for line in found]


def test_a_deposit_is_its_notes_and_the_accounts_line() -> None:
    events = NoteMade(0, note(OWN, 5)), NoteMade(1, note(OWN, 6)), Deposited(ACCOUNT, 11), Deposited(STRANGER, 12)
    assert shown(*events) == [
        (Kind.NOTE_OF_DEPOSIT, None, 0, 5),
        (Kind.NOTE_OF_DEPOSIT, None, 1, 6),
        (Kind.DEPOSITED, None, None, 11),
    ]


def test_notes_of_others_are_passed_over_and_withdrawals_are_shown() -> None:
    events = NoteMade(0, note(OTHER, 5)), Withdrawn(ACCOUNT, 3), Withdrawn(STRANGER, 4)
    assert shown(*events) == [(Kind.WITHDRAWN, None, None, 3)]


def test_the_change_of_a_budget_and_a_settlement_are_of_their_window() -> None:
    paid = note(OWN, 9)
    events = (
        Spent(bytes(66)),
        NoteMade(0, note(OWN, 1)),
        BinClosed(0, bytes(20)),
        NoteMade(1, note(OWN, 0)),
        SessionFunded(WINDOW, SESSION, b""),
        SessionSettled(WINDOW, SESSION, b"", 0, paid[:POINT_BYTES]),
        NoteMade(2, paid),
    )
    assert shown(*events) == [
        (Kind.NOTE_OF_BUDGET, WINDOW, 0, 1),
        (Kind.NOTE_OF_BUDGET, WINDOW, 1, 0),
        (Kind.NOTE_OF_SETTLEMENT, WINDOW, 2, 9),
    ]


def test_a_transfer_that_funds_nothing_is_one_and_a_strangers_budget_is_not_ours() -> None:
    events = (
        Spent(bytes(66)),
        NoteMade(0, note(OWN, 1)),
        NoteMade(1, note(OTHER, 2)),
        Spent(bytes(66)),
        NoteMade(2, note(OTHER, 3)),
        NoteMade(3, note(OTHER, 4)),
        SessionFunded(WINDOW, SESSION, b""),
        NoteMade(4, note(OWN, 5)),
    )
    assert shown(*events) == [(Kind.NOTE_OF_TRANSFER, None, 0, 1), (Kind.NOTE_OF_DEPOSIT, None, 4, 5)]


def test_nobody_registered_an_unknown_wallet() -> None:
    assert accounts_of(logged(Deposited(ACCOUNT, 1)), OWN.viewing, OWN.address.spending) == ()


@pytest.mark.parametrize(("text", "windows"), [(None, None), ("7", range(7, 8)), ("7..9", range(7, 10))])
def test_windows_are_one_or_from_to(text: str | None, windows: range | None) -> None:
    assert parse_windows(text) == windows


@pytest.mark.parametrize("text", ["", "..", "7..", "9..7", "-1", "x", "1..2..3", "9" * 20])
def test_what_are_no_windows_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--window"):
        parse_windows(text)


def test_a_member_shows_its_deposit_and_nobody_elses(chain: PrivateChain) -> None:
    done = chain.statement("--view-key", chain.file("view-0"))
    assert done.exit_code == 0, done.output
    assert f"account {hexed(account_of(0))}: 0.000000 €" in done.stdout
    assert "deposited 0.000500 €, withdrawn 0.000000 €" in done.stdout
    assert "notes 0.000500 €, of which settlements 0.000000 €" in done.stdout
    other = chain.statement("--view-key", chain.file("view-1"), "--json")
    content = json.loads(other.stdout)
    assert list(content["accounts"]) == [hexed(account_of(1))]
    assert (content["lines"], content["notes_microeur"]) == ([], 0)


def test_json_says_the_same_and_windows_are_filtered(chain: PrivateChain) -> None:
    content = json.loads(chain.statement("--view-key", chain.file("view-0"), "--json").stdout)
    assert content["deposited_microeur"] == content["notes_microeur"] == NOTE_MICROEUR
    assert {line["kind"] for line in content["lines"]} == {"note of a deposit", "deposited"}
    window = content["lines"][0]["window"]
    assert window is not None
    kept, none = (
        json.loads(chain.statement("--view-key", chain.file("view-0"), "--json", "--window", each).stdout)
        for each in (f"{window}", f"{window + 1}..{window + 3}")
    )
    assert kept == content
    assert (none["lines"], none["deposited_microeur"]) == ([], 0)


@pytest.mark.parametrize(
    "text", ["", "view:gridpact:0x", "view:gridpact:0x" + "00" * 65, "st:gridpact:0x" + "11" * 65, "é"]
)
def test_a_file_that_is_no_view_key_is_refused(chain: PrivateChain, tmp_path: Path, text: str) -> None:
    path = tmp_path / "view"
    path.write_text(text, encoding="utf-8")
    refused = chain.statement("--view-key", str(path))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "what `gridpact wallet export-view-key` printed" in refused.stderr
    missing = chain.statement("--view-key", str(tmp_path / "none"))
    assert (missing.exit_code, "a readable file" in missing.stderr) == (2, True)


def test_a_view_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "view"
    path.write_text(OWN.view_key + "\n")
    assert load_view_key(path) == (OWN.viewing, OWN.address.spending)
