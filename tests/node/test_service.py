"""A real validator, not yet listening: what it makes of wrong proofs, from peers and by RPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_hash.auto import keccak

from contracts import system
from node import anonymity
from node.config import DATABASE_NAME, NodeConfig
from node.creation import create_database
from node.genesis import parse_genesis
from node.gossip import encode_batches
from node.journalling import PoolJournal
from node.mempool.journal import Journal
from node.p2p import Channel, Offence
from node.rpc.dispatch import Dispatcher, all_methods
from node.rpc.settings import RpcConfig
from node.service import Validator
from tests.execution.signing import signed
from tests.node.private_street import Street, decoded
from tests.node.samples import account_key, node_key, sample_genesis, seed
from tests.node.test_intake import GOOD, MOST, wrong

PEER = bytes(node_key(1).verify_key)


def config_in(directory: Path) -> NodeConfig:
    """Return what a node needs; nothing of it is read or listened on here."""
    return NodeConfig(
        directory=directory,
        genesis=directory / "genesis.json",
        key=directory / "key",
        passphrase_file=None,
        p2p_listen=("127.0.0.1", 0),
        rpc=RpcConfig(port=0),
        log_level="info",
        log_format="text",
        map_size_gib=1,
        p2p_dial={},
        clock_offset_ms=0,
        sync_urls=(),
        snapshot_every_heights=0,
        loop="inlined",
        history_heights=0,
        metrics_listen=None,
    )


@pytest.fixture
def validator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Validator]:
    def deployments(genesis: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        return [*system.genesis_deployments(genesis), *Street().deployments()]

    monkeypatch.setattr("node.application.genesis_deployments", deployments)
    monkeypatch.setattr(anonymity, "_proved", anonymity._Proved(anonymity.PROOFS_KEPT))
    monkeypatch.setattr("node.transactions.time", SimpleNamespace(monotonic=lambda: 100.0))
    genesis = parse_genesis(sample_genesis())
    create_database(tmp_path / DATABASE_NAME, genesis)
    made = Validator(config_in(tmp_path), genesis, seed("node 0"))
    monkeypatch.setattr(made, "_handle", lambda _: None)  # no consensus
    yield made
    asyncio.run(made._close())


def test_a_peers_wrong_proof_ends_its_parcel_and_its_connection(
    validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    parcel = next(encode_batches([GOOD[0], wrong(0), GOOD[1]]))
    complaints: list[str] = []
    monkeypatch.setattr(validator._network, "complain", lambda _, reason: complaints.append(reason))
    with pytest.raises(Offence, match="invalid CLSAG"):
        validator._on_message(PEER, Channel.TRANSACTIONS, parcel)
    assert validator.backend.mempool.get(decoded(GOOD[0]).hash) is not None
    assert len(validator.backend.mempool) == 1
    assert complaints == ["invalid CLSAG: spend 0 is of no note of its bin"]


def test_a_batch_of_wrong_proofs_does_not_hold_up_the_loop(validator: Validator) -> None:
    """Of a batch some are checked, each in a turn of its own; the others are refused as they come."""

    async def scenario() -> tuple[list[str], int]:
        turns, done = 0, asyncio.Event()

        async def count() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        calls = [
            {"jsonrpc": "2.0", "id": at, "method": "eth_sendRawTransaction", "params": ["0x" + wrong(at).hex()]}
            for at in range(4 * MOST)
        ]
        counting = asyncio.create_task(count())
        context: Any = SimpleNamespace(backend=validator.backend, namespaces=frozenset({"eth"}))
        answer = await Dispatcher(all_methods(), 1_000, 1 << 20, 30.0).answer(
            json.dumps(calls), context, lambda _: True
        )
        done.set()
        await counting
        return [entry["error"]["message"] for entry in json.loads(answer or "")], turns

    said, turns = asyncio.run(scenario())
    checked = [reason for reason in said if reason.startswith("invalid CLSAG")]
    assert len(checked) == MOST
    assert set(said[MOST:]) == {"too many wrong proofs: try again later"}
    assert turns >= len(said)


def test_what_a_client_sent_is_in_the_pool_again_after_a_restart(validator: Validator) -> None:
    raw = signed(account_key("household 0"), 2, gas=60_000)
    path = validator._config.directory / validator._config.pool.journal

    async def scenario() -> None:
        await validator._transactions._journal.restore(validator._transactions.put_back)
        await validator.backend.submit(raw)
        await validator._transactions._journal.close()

    asyncio.run(scenario())
    assert Journal(path).read().raws == [raw]
    tx = validator.backend.mempool.get(keccak(raw))
    assert tx is not None
    validator.backend.mempool.drop(tx)
    Journal(path).rewrite([raw, b"nothing of ours"])
    again = PoolJournal(path, validator.backend.mempool.local)
    assert asyncio.run(again.restore(validator._transactions.put_back)) == 1
    assert [each.raw for each in validator.backend.mempool.local()] == [raw]
