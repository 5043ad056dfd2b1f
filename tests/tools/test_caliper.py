"""Hyperledger Caliper's Ethereum connector: all of 500 transactions and 500 queries succeed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account

from devnet.accounts import MNEMONIC
from devnet.layout import CHAIN_ID
from devnet.run import Devnet
from tests.tools.conftest import FOLDER
from tests.tools.running import run

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("tools")]

CALIPER = FOLDER / "caliper"
TRANSACTIONS = 500
ACCOUNT = 9  # of the mnemonic

Account.enable_unaudited_hdwallet_features()


def write_workspace(folder: Path, url: str, contract: str) -> None:
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{ACCOUNT}")
    key = "0x" + bytes(account.key).hex()
    network = {
        "caliper": {"blockchain": "ethereum"},
        "ethereum": {
            "url": url,
            "chainId": CHAIN_ID,
            "gasPrice": 0,
            "transactionConfirmationBlocks": 1,
            "contractDeployerAddress": account.address,
            "contractDeployerAddressPrivateKey": key,
            "fromAddress": account.address,
            "fromAddressPrivateKey": key,
            "contracts": {"accounts": {"path": "Accounts.json", "gas": {"open": 100_000, "query": 100_000}}},
        },
    }
    (folder / "network.json").write_text(json.dumps(network), encoding="utf-8")
    (folder / "Accounts.json").write_text(contract, encoding="utf-8")
    for name in ("benchmark.yaml", "accounts.js"):
        shutil.copy(CALIPER / name, folder)
    (folder / "node_modules").symlink_to(CALIPER / "node_modules")


def test_caliper_sees_every_transaction_succeed(
    chain: Devnet, installed: Callable[[Path], Path], tmp_path: Path
) -> None:
    installed(FOLDER)
    caliper = installed(CALIPER) / "caliper"
    contract = run(["node", "artifact.mjs", "Accounts.sol", "Accounts"], FOLDER)
    write_workspace(tmp_path, f"ws://{chain.place.rpc(0)}", contract)
    printed = run(
        [
            *(caliper, "launch", "manager", "--caliper-workspace", "."),
            *("--caliper-networkconfig", "network.json", "--caliper-benchconfig", "benchmark.yaml"),
        ],
        tmp_path,
    )
    rows = dict(re.findall(r"\| (open|query) +\| (\d+ +\| \d+) ", printed))
    assert {label: row.split() for label, row in rows.items()} == {
        label: [str(TRANSACTIONS), "|", "0"] for label in ("open", "query")
    }, printed[-4000:]
