"""Foundry: forge deploys, tests on a fork and broadcasts a script; cast sends, calls, reads, proves and replays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from devnet.accounts import MNEMONIC
from devnet.layout import CHAIN_ID
from devnet.run import Devnet
from tests.tools.conftest import FOLDER
from tests.tools.running import run

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("tools")]

ACCOUNT = 4  # of the mnemonic
SLOT = "0x0"  # where the counter keeps its number

Account.enable_unaudited_hdwallet_features()
_account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{ACCOUNT}")
SENDER = str(_account.address)
KEY = "0x" + bytes(_account.key).hex()


@dataclass(frozen=True, slots=True)
class Foundry:
    """Foundry's commands in a project folder, and the counter that forge deployed."""

    binaries: Path
    project: Path
    more: dict[str, str]
    counter: str

    def cast(self, *words: str) -> str:
        """Run cast; return what it printed."""
        return run([self.binaries / "cast", *words], self.project, more=self.more).strip()

    def json(self, *words: str) -> Any:
        """Run cast with --json; return what it printed, parsed."""
        return json.loads(self.cast(*words, "--json"))

    def forge(self, *words: str) -> str:
        """Run forge with npm's compiler; return what it printed."""
        command: list[str | Path] = [self.binaries / "forge", words[0], "--use", FOLDER / "solc.mjs", *words[1:]]
        return run(command, self.project, more={**self.more, "COUNTER": self.counter})


@pytest.fixture(scope="module")
def foundry(chain: Devnet, installed: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Foundry:
    """A project whose counter `forge create` has deployed."""
    binaries = installed(FOLDER)
    if not (binaries / "forge").exists():
        pytest.skip("Foundry has no binary for this platform in package.json")
    project = tmp_path_factory.mktemp("foundry") / "project"
    shutil.copytree(FOLDER / "foundry", project)
    more = {"ETH_RPC_URL": f"http://{chain.place.rpc(2)}", "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1"}
    printed = Foundry(binaries, project, more, "").forge(
        *("create", "src/Counter.sol:Counter", "--broadcast", "--private-key", KEY, "--constructor-args", "1")
    )
    (counter,) = [line.split()[-1] for line in printed.splitlines() if line.startswith("Deployed to:")]
    return Foundry(binaries, project, more, counter)


def set_to(foundry: Foundry, number: int, *more: str) -> Any:
    return foundry.json("send", "--private-key", KEY, foundry.counter, "set(uint256)", str(number), *more)


def test_cast_sends_every_type_and_reads_it_back(foundry: Foundry) -> None:
    for number, (more, type_) in enumerate([(("--legacy",), 0), (("--legacy", "--access-list"), 1), ((), 2)], 10):
        sent = set_to(foundry, number, *more)
        assert (int(sent["status"], 16), int(sent["type"], 16)) == (1, type_)
        hash_ = sent["transactionHash"]
        assert foundry.json("receipt", hash_)["blockHash"] == sent["blockHash"]
        assert foundry.json("tx", hash_)["hash"] == hash_
        assert foundry.cast("call", foundry.counter, "number()(uint256)") == str(number)
        assert foundry.json("block", str(int(sent["blockNumber"], 16)))["transactions"] == [hash_]
        (log,) = foundry.json(
            *(
                "logs",
                "--from-block",
                str(int(sent["blockNumber"], 16)),
                "--address",
                foundry.counter,
                "Set(uint256 indexed)",
            )
        )
        assert int(log["topics"][1], 16) == number


def test_cast_reads_the_chain(foundry: Foundry) -> None:
    assert foundry.cast("chain-id") == str(CHAIN_ID)
    assert foundry.cast("gas-price") == foundry.cast("base-fee") == "0"
    assert int(foundry.cast("nonce", SENDER)) >= 1
    assert int(foundry.cast("balance", SENDER)) > 10**21
    assert foundry.cast("code", foundry.counter).startswith("0x60")
    assert 21_000 < int(foundry.cast("estimate", foundry.counter, "set(uint256)", "5", "--from", SENDER)) < 100_000
    proof = json.loads(foundry.cast("proof", foundry.counter, SLOT))
    number = int(foundry.cast("call", foundry.counter, "number()(uint256)"))
    assert (
        int(proof["storageProof"][0]["value"], 16) == number == int(foundry.cast("storage", foundry.counter, SLOT), 16)
    )
    listed = foundry.json("access-list", foundry.counter, "set(uint256)", "5", "--from", SENDER)
    assert listed["accessList"][0]["address"].lower() == foundry.counter.lower()


def test_cast_replays_a_transaction(foundry: Foundry) -> None:
    sent = set_to(foundry, 33)
    printed = foundry.cast("run", sent["transactionHash"])
    assert "emit Set(number: 33)" in printed or "::set(33)" in printed
    assert f"Gas used: {int(sent['gasUsed'], 16)}" in printed


def test_cast_names_the_error_of_a_contract(foundry: Foundry) -> None:
    with pytest.raises(AssertionError, match=r"execution reverted, data: .*: TooLarge\(2000\)"):
        set_to(foundry, 2_000)


def test_forge_tests_on_a_fork(foundry: Foundry) -> None:
    set_to(foundry, 42)
    assert "4 tests passed, 0 failed" in foundry.forge("test", "--fork-url", foundry.more["ETH_RPC_URL"])
    assert foundry.cast("call", foundry.counter, "number()(uint256)") == "42"  # the fork's writes stay there


def test_forge_broadcasts_a_script(foundry: Foundry) -> None:
    printed = foundry.forge(
        *("script", "script/Deploy.s.sol:Deploy", "--rpc-url", foundry.more["ETH_RPC_URL"]),
        *("--private-key", KEY, "--broadcast"),
    )
    assert "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL" in printed
    run_file = foundry.project / "broadcast" / "Deploy.s.sol" / str(CHAIN_ID) / "run-latest.json"
    receipts = json.loads(run_file.read_text(encoding="utf-8"))["receipts"]
    assert [int(receipt["status"], 16) for receipt in receipts] == [1, 1]
    assert foundry.cast("call", receipts[0]["contractAddress"], "number()(uint256)") == "2"
