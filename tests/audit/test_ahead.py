"""An audit whose transactions another process decodes says what one says that decodes them itself."""

from __future__ import annotations

import marshal
import signal
import subprocess
from concurrent.futures import Future
from typing import Any

import pytest

from node.audit import ahead
from node.audit.ahead import Ahead, Decoded, decode, reading_ahead
from node.audit.report import AuditReport
from node.chain import rlp
from node.chain.transaction import Transaction
from node.storage import Store, tables
from tests.audit.street import HEAD, Street
from tests.privacy.envelopes import CHAIN_ID, signed_call, signed_transfer


def audits(street: Street, monkeypatch: pytest.MonkeyPatch) -> list[AuditReport]:
    """Audit twice, decoding here and elsewhere."""
    reports = []
    for worth_it in (10**9, 0):
        monkeypatch.setattr(ahead, "WORTH_IT", worth_it)
        reports.append(street.audit())
    return reports


def test_every_height_is_decoded_elsewhere_as_here(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_IT", 0)
    reached: list[int] = []
    store = Store.open(street.path, chain_id=street.genesis.chain_id, genesis_hash=street.genesis_hash, readonly=True)
    with store.read() as view:
        chain_id, heights = street.genesis.chain_id, range(1, HEAD + 1)
        blocks = {height: view.transactions(height) for height in heights}
        monkeypatch.setattr(ahead, "decode", lambda *_: pytest.fail("decoded here"))
        with reading_ahead(view, chain_id, heights, reached.append) as handed:
            for height, raws in blocks.items():
                assert handed.take(height, raws) == decode(raws, chain_id)
    store.close()
    assert reached == list(heights)


def test_a_sound_chain_is_ok_both_ways(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = audits(street, monkeypatch)
    assert here.offence is None
    assert here == elsewhere


def test_what_is_no_transaction_is_said_in_the_same_words() -> None:
    (here,) = decode([b"\x03\xc0"], 1)
    assert isinstance(here, str)
    assert "transaction type not supported: 3" in here


@pytest.mark.parametrize("repaired", [True, False])
def test_the_first_offence_is_the_same_both_ways(
    street: Street, monkeypatch: pytest.MonkeyPatch, repaired: bool
) -> None:
    """Damage that is met while reading ahead is told when its height is checked: an earlier offence comes first."""
    key, other = tables.height_key(5), tables.height_key(2)
    records = street.stored("records")
    with street.altered("bodies", key, rlp.encode([b"x"]), repaired=repaired):
        here, elsewhere = audits(street, monkeypatch)
        assert here.offence is not None
        assert here.offence.height == 5
        assert here == elsewhere
        with street.altered("records", other, records[tables.height_key(4)]):
            here, elsewhere = audits(street, monkeypatch)
    assert here.offence is not None
    assert here.offence.height == 2
    assert here == elsewhere


def test_an_answer_to_other_bytes_is_not_taken(street: Street) -> None:
    """The transactions that are asked for are the ones that are handed out, whatever was read before."""
    asked: Future[list[Decoded]] = Future()
    asked.set_result(["of other bytes"])
    store = Store.open(street.path, chain_id=street.genesis.chain_id, genesis_hash=street.genesis_hash, readonly=True)
    with store.read() as view:
        raws = view.transactions(1)
        handed = Ahead(view, street.genesis.chain_id, range(2, 3), lambda _: None, lambda _: asked)
        assert handed.take(1, raws) == decode(raws, street.genesis.chain_id)
    store.close()


def test_a_helper_that_is_killed_changes_nothing(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two heights, so that some were asked for and are lost; the verdict is the same, and nothing is raised."""
    monkeypatch.setattr(ahead, "WORTH_IT", 0)
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    store = Store.open(street.path, chain_id=street.genesis.chain_id, genesis_hash=street.genesis_hash, readonly=True)
    with store.read() as view:
        chain_id, heights = street.genesis.chain_id, range(1, HEAD + 1)
        with reading_ahead(view, chain_id, heights, lambda _: None) as handed:
            for height in heights:
                raws = view.transactions(height)
                assert handed.take(height, raws) == decode(raws, chain_id)
                if height == 2:
                    started[0].kill()
                    started[0].wait()
    store.close()
    assert started[0].returncode == -signal.SIGKILL


def test_what_has_no_account_is_decoded_on_this_side() -> None:
    """It has parts that the other process cannot send, and nothing of it takes long."""
    raws = signed_call(), signed_transfer()
    for tx in decode(raws, CHAIN_ID):
        assert isinstance(tx, Transaction)
        row = ahead._row(tx)
        assert marshal.loads(marshal.dumps(row)) == row == tx.raw
        assert ahead._made(row, CHAIN_ID) == tx
