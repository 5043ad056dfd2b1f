"""execution-apis' own tests of eth_simulateV1, which go-ethereum answered: transactions, receipts, logs, gas, sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.chain.header import EMPTY_LIST_ROOT, NONCE, OMMERS_HASH, REQUESTS_HASH, ZERO_HASH, Header
from node.chain.receipt import EMPTY_BLOOM
from node.execution import VOID, Executor
from node.rpc import simulate
from node.rpc.errors import RpcError
from node.rpc.simulation import Simulation
from node.rules import Rules
from node.state import EMPTY_ROOT
from node.state.overlay import Overlay
from tests.execution.stock import FixedRules
from tests.rpc.schemas.make_simulations import comparable

VECTORS = json.loads(Path(__file__).with_name("schemas").joinpath("simulations.json").read_text(encoding="utf-8"))
CHAIN_ID, NUMBER, TIME_S, GAS_LIMIT = 3503995874084926, 0x36, 540, 200_000_000
BASE = Header(
    ZERO_HASH, OMMERS_HASH, bytes(20), EMPTY_ROOT, EMPTY_LIST_ROOT, EMPTY_LIST_ROOT, EMPTY_BLOOM, 0, NUMBER, GAS_LIMIT,
    0, TIME_S, b"", ZERO_HASH, NONCE, 0, EMPTY_LIST_ROOT, 0, 0, ZERO_HASH, REQUESTS_HASH,
)  # fmt: skip


class NoNodes:
    """The trie of an empty state."""

    def node(self, _key: bytes) -> None:
        return None


def simulated(payload: Any) -> list[Any]:
    request = simulate.simulate_request(payload, "0 (payload)")
    rules = Rules(1, CHAIN_ID, block_gas_limit=GAS_LIMIT, fork="prague")
    simulation = Simulation(
        Executor(FixedRules(rules)),
        Overlay(VOID, NoNodes(), EMPTY_ROOT),
        BASE,
        chain_id=CHAIN_ID,
        ancestor_hash=lambda _: None,
        strict=request.validation,
        transfers=request.transfers,
    )
    return simulate.made(simulation, request, BASE, TIME_S + simulate.BLOCK_TIME_S, GAS_LIMIT, CHAIN_ID)


@pytest.mark.parametrize("name", VECTORS["tests"])
def test_go_ethereum_answered_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "BLOCK_TIME_S", 12)
    vector = VECTORS["tests"][name]
    if "error" in vector:
        with pytest.raises(RpcError) as caught:
            simulated(vector["payload"])
        wanted = vector["error"]
        assert (caught.value.code, caught.value.message.lower()) == (wanted["code"], wanted["message"].lower())
        return
    found = simulated(vector["payload"])
    for block in found:
        del block["totalDifficulty"]
        for call in block["calls"]:
            if "error" in call:
                call["error"]["message"] = call["error"]["message"].removeprefix("vm execution error: ")
    assert comparable(found) == vector["result"]
