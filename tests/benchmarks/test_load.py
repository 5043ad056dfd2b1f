"""The load is what a chain accepts, each sender's nonces in order; figures are taken from runs as they were."""

from __future__ import annotations

import json

import pytest
from coincurve import PrivateKey
from eth_hash.auto import keccak

from benchmarks import committed
from benchmarks.presigned import TokenSenders
from benchmarks.transfers import Throughput, bodies_by_sender
from node.chain.transaction import decode_transaction

KEYS = [bytes([number]) * 32 for number in (1, 2, 3)]
TOKEN = b"\xc0" * 20


def address(key: bytes) -> bytes:
    return keccak(PrivateKey(key).public_key.format(compressed=False)[1:])[12:]


def test_each_sender_has_its_batches_with_nonces_in_order() -> None:
    signed = TokenSenders(7, TOKEN, KEYS, [0, 10, 20], fee=5).next_transfers(10)
    lanes = bodies_by_sender(signed, 3)
    assert [[count for count, _ in lane] for lane in lanes] == [[3, 1], [3], [3]]
    for key, first, lane in zip(KEYS, (0, 10, 20), lanes, strict=True):
        rows = [row for _, body in lane for row in json.loads(body)]
        assert {row["method"] for row in rows} == {"eth_sendRawTransaction"}
        sent = [decode_transaction(bytes.fromhex(row["params"][0][2:]), 7) for row in rows]
        assert [tx.nonce for tx in sent] == list(range(first, first + len(sent)))
        assert {(tx.sender, tx.to, tx.max_fee_per_gas) for tx in sent} == {(address(key), TOKEN, 5)}


LOAD = "1,000 transfers a run, 700 at most on their way, 5 a request"


def runs(*seconds: float) -> list[Throughput]:
    return [Throughput(1_000, each, 4, 0.1, 700, 5) for each in seconds]


def test_p1_is_the_median_and_names_the_generators_share() -> None:
    found = committed.committed(runs(1.0, 0.5, 2.0), "here")
    assert (found.figure, found.runs) == (1_000, [1_000, 2_000, 500])
    assert found.beside["load generator"] == "9% of one core"  # 0.3 s of 3.5 s
    assert found.series == {committed.OURS: [(1, 1_000), (2, 2_000), (3, 500)]}


def test_p2_shows_both_percentiles_of_all_senders_at_once() -> None:
    found = committed.waited({1: [1.0, 2.0, 3.0], 8: [float(ms) for ms in range(1, 101)]}, "here")
    assert (found.figure, found.runs) == (50.5, [50.5, 100.0])
    assert found.beside["one sender alone"] == "p50 2.0 ms, p99 3.0 ms, longest 3.0 ms of 3 transfers"


def test_p3_is_the_last_run_over_the_first() -> None:
    found = committed.decayed(runs(1.0, 0.5, 1.25), [[100.0, 90.4], [100.0, 91.0], [101.0, 92.0]], "here")
    assert found.figure == pytest.approx(0.8)
    assert list(found.beside.values()) == ["100, 90 MB", "100, 91 MB", "101, 92 MB"]


def test_a_peer_that_was_not_measured_is_named_and_not_drawn() -> None:
    ours = committed.committed(runs(1.0), "here")
    found = committed.beside_peers(ours, {"anvil": runs(0.5, 1.0), "ganache": "not measured: npm is not installed"})
    assert found.beside["anvil"] == f"1,500 tx/s (runs 2,000, 1,000; one node; {LOAD})"
    assert found.beside["ganache"] == "not measured: npm is not installed"
    assert list(found.series) == [committed.OURS, "anvil"]
    assert found.figure == ours.figure
