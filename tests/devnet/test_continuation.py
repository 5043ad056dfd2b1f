"""Two of four validators are lost for ever, so no block can be decided; the other two go on, and are audited."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from eth_account import Account

from devnet.accounts import MNEMONIC
from devnet.layout import CHAIN_ID, Options, init_command
from devnet.processes import gridpact
from devnet.run import height_of, rpc_call
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.load import Load
from tests.devnet.running import free_port, launched, until

pytestmark = pytest.mark.xdist_group("devnet")

BOUND_S = 90.0
SURVIVORS = (0, 1)

Account.enable_unaudited_hdwallet_features()


def gridpact_says(*words: str | Path) -> str:
    done = subprocess.run([gridpact(), *map(str, words)], capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def transfer(endpoint: str, chain_id: int) -> str:
    """Send a transfer and return its hash."""
    account = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/1")
    content = {
        "chainId": chain_id,
        "nonce": int(rpc_call(endpoint, "eth_getTransactionCount", account.address, "latest"), 16),
        "to": "0x" + "11" * 20,
        "value": 1,
        "gas": 21_000,
        "gasPrice": 0,
    }
    raw = account.sign_transaction(content).raw_transaction
    return str(rpc_call(endpoint, "eth_sendRawTransaction", "0x" + raw.hex().removeprefix("0x")))


def test_two_survivors_go_on_from_the_old_state(tmp_path: Path) -> None:
    scenario = load_scenario(find_scenario("street"))
    with launched(tmp_path / "devnet", scenario, Options(rpc_port=free_port(80), market=False)) as devnet:
        place = devnet.place
        load = Load(place.rpc(0), 1)
        load.start()
        until("a few heights", lambda: (height_of(place.rpc(0)) or 0) >= 3, BOUND_S)
        load.stop()
        for index in range(place.count):
            devnet.processes.kill(f"node-{index}")
        old = tmp_path / "old"
        old.mkdir()
        for index in range(place.count):
            place.node(index).rename(old / str(index))
        heads = [json.loads(gridpact_says("audit", "verify", old / str(i), "--json"))["head"] for i in SURVIVORS]
        source = old / str(SURVIVORS[heads.index(max(heads))])
        members = json.loads(place.genesis.read_text())["members"]
        keep = [word for index in SURVIVORS for word in ("--keep", members[index]["name"])]
        continued = tmp_path / "continued.json"
        said = gridpact_says("node", "continue", "--data", source, *keep, "--out", continued)
        assert f"chain {CHAIN_ID + 1} continues chain {CHAIN_ID} from height {max(heads)}" in said
        shutil.copy(continued, place.genesis)
        for index in SURVIVORS:
            gridpact_says(*init_command(place, index), "--parent", source)
            devnet.start_node(index)
        until("both nodes", lambda: all(height_of(place.rpc(index)) is not None for index in SURVIVORS), BOUND_S)
        sent = transfer(place.rpc(1), CHAIN_ID + 1)
        until("its receipt", lambda: rpc_call(place.rpc(0), "eth_getTransactionReceipt", sent), BOUND_S)
        for index in SURVIVORS:
            said = gridpact_says("audit", "verify", place.node(index), "--parent", source)
            assert f"continues chain {CHAIN_ID} from height {max(heads)}" in said
            assert "2 of 4 members kept" in said
