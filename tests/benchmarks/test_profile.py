"""Samples are given to the right room, and a thread's seconds are shared out by them."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.profile import OTHER, room, rooms_by_thread, seconds_by_room

SERVES = "Runner.run (asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (["_post (node/rpc/server.py:2)", "recover_sender (node/chain/transaction.py:9)"], "decode, recover senders"),
        (["_run (node/rpc/dispatch.py:2)", "encode (json/encoder.py:9)"], "JSON-RPC"),
        (["update (node/state/trie.py:3)", "keccak256 (eth_hash/backends/pysha3.py:1)"], "roots, headers, both chains"),
        (["decode (node/chain/transaction.py:3)", "_prefix (node/chain/rlp.py:1)"], "decode, recover senders"),
        (["_receive (node/p2p/peer.py:3)", "add (node/mempool/pool.py:70)"], "pool, admission"),
        (["handle (node/driver/driver.py:3)", "append (node/driver/wal.py:7)"], "write-ahead log"),
        (["handle (node/driver/driver.py:3)", "step (consensus/core.py:7)"], "consensus"),
        ([SERVES], OTHER),
        (["no file"], OTHER),
    ],
)
def test_the_innermost_telling_frame_decides(frames: list[str], expected: str) -> None:
    assert room(frames) == expected


def test_only_work_of_known_threads_counts() -> None:
    head = 'process 5:"";process 7:"gridpact node run"'
    lines = [
        f"{head};thread (7): MainThread;{SERVES};_post (node/rpc/server.py:2) 3",
        f"{head};thread (7): MainThread;{SERVES};run (node/execution/loop.py:2) 1",
        f"{head};thread (7): MainThread;_find_and_load (<frozen importlib._bootstrap>:1176);f (node/rpc/eth.py:1) 50",
        f"{head};thread (8): chain_0;_worker (concurrent/futures/thread.py:81) 40",
        f"{head};thread (8): chain_0;_worker (concurrent/futures/thread.py:83);put (node/storage/store.py:4) 2",
        f"{head};thread (9): another;{SERVES};run (node/execution/loop.py:2) 9",
        f"{head} 4",
    ]
    assert rooms_by_thread(lines, {7: 1.0, 8: 1.0}) == {
        7: Counter({"JSON-RPC": 3, "execution": 1}),
        8: Counter({"LMDB": 2}),
    }


def test_seconds_are_shared_out_by_samples_and_none_is_lost() -> None:
    samples = {7: Counter({"JSON-RPC": 3, "execution": 1}), 8: Counter({"LMDB": 2})}
    threads = {7: 4.0, 8: 0.5, 9: 0.25}
    found = seconds_by_room(samples, threads)
    assert found == {"JSON-RPC": 3.0, "execution": 1.0, "LMDB": 0.5, OTHER: 0.25}
    assert list(found) == ["JSON-RPC", "execution", "LMDB", OTHER]
    assert sum(found.values()) == sum(threads.values())
