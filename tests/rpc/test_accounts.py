"""Accounts that the operator unlocked: what the node fills in, signs, refuses; and where there are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from node.keys import ACCOUNT_KIND, NODE_KIND, SCRYPT_LIGHT, KeyFileError, save_key
from node.parsing import ConfigError
from node.rpc.dispatch import all_methods
from node.rules import Rules
from node.wallet import Wallet, open_wallet
from tests.node.samples import seed
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode
from tests.rpc.test_openrpc import validator

TO = "0x" + "ab" * 20
MAIL = {
    "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Mail": [{"name": "wh", "type": "uint256"}]},
    "primaryType": "Mail",
    "domain": {"name": "gridpact"},
    "message": {"wh": 1_500},
}


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that signs for the first two households."""
    running = RunningNode(tmp_path_factory.mktemp("accounts") / "chain", open_accounts=True)
    running.backend.wallet = Wallet([seed(f"account household {index}") for index in range(2)])
    yield running
    running.close()


def fitting(node: RunningNode, method: str, *params: Any) -> Any:
    """Return a result, which must fit the schema that the method declares."""
    result = node.result(method, *params)
    validator(all_methods().find(method).returns or {}).validate(result)
    return result


def sender(index: int = 0) -> str:
    return funded(index).address.lower()


def test_a_node_without_unlocked_accounts_signs_nothing(node: RunningNode) -> None:
    assert node.result("eth_accounts") == []
    transaction = {"from": sender(), "to": TO, "gas": "0x5208", "gasPrice": "0x0", "nonce": "0x0"}
    for method, *params in (
        ("eth_sendTransaction", transaction),
        ("eth_signTransaction", transaction),
        ("eth_sign", sender(), "0x00"),
        ("personal_sign", "0x00", sender(), ""),
        ("eth_signTypedData_v4", sender(), MAIL),
    ):
        assert node.error(method, *params) == {"code": -32000, "message": "unknown account"}


def test_what_the_client_leaves_out_is_filled_in(unlocked: RunningNode) -> None:
    assert unlocked.result("eth_accounts") == [sender(0), sender(1)]
    nonce = int(unlocked.result("eth_getTransactionCount", sender(), "latest"), 16)
    found = []
    for extra in (
        {},
        {"gasPrice": "0x0"},
        {"gasPrice": "0x1", "accessList": [{"address": TO, "storageKeys": ["0x" + "00" * 32]}]},
        {"maxPriorityFeePerGas": "0x2"},
        {"type": "0x0", "gas": "0x7530", "nonce": hex(nonce + 4), "chainId": unlocked.result("eth_chainId")},
        {"type": "0x2", "maxFeePerGas": "0x5", "maxPriorityFeePerGas": "0x3"},
    ):
        done = fitting(unlocked, "eth_sendTransaction", {"from": sender(), "to": TO, "value": "0x1", **extra})
        assert unlocked.result("eth_getTransactionReceipt", done)["status"] == "0x1"
        found.append(unlocked.result("eth_getTransactionByHash", done))
    assert [each["type"] for each in found] == ["0x2", "0x0", "0x1", "0x2", "0x0", "0x2"]
    assert [int(each["nonce"], 16) for each in found] == list(range(nonce, nonce + 6))
    assert {each["from"] for each in found} == {sender()}
    assert [found[0]["maxFeePerGas"], found[3]["maxFeePerGas"], found[4]["gas"]] == ["0x0", "0x2", "0x7530"]
    assert found[2]["accessList"][0]["address"] == TO


def test_a_contract_is_created_and_a_revert_is_told_before_anything_is_sent(unlocked: RunningNode) -> None:
    made = unlocked.result("eth_sendTransaction", {"from": sender(1), "data": "0x5f5ff3"})
    assert unlocked.result("eth_getTransactionReceipt", made)["contractAddress"] is not None
    before = unlocked.result("eth_getTransactionCount", sender(1), "pending")
    assert unlocked.error("eth_sendTransaction", {"from": sender(1), "data": "0x5f5ffd"})["code"] == 3
    assert unlocked.result("eth_getTransactionCount", sender(1), "pending") == before


def test_callers_at_once_never_get_the_same_nonce(unlocked: RunningNode) -> None:
    unlocked.backend.mining = False
    try:
        request = {"from": sender(), "to": TO}

        def send(value: int) -> str:
            return str(unlocked.result("eth_sendTransaction", {**request, "value": hex(value)}))

        with ThreadPoolExecutor(8) as pool:
            hashes = list(pool.map(send, range(16)))
        nonces = {int(unlocked.result("eth_getTransactionByHash", each)["nonce"], 16) for each in hashes}
        assert len(set(hashes)) == len(nonces) == 16
        assert max(nonces) - min(nonces) == 15
    finally:
        unlocked.mine()
        unlocked.backend.mining = True


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, -32000, "both gasPrice and (maxFeePerGas or"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, -32000, "maxFeePerGas (1) < maxPriorityFeePerGas (2)"),
        ({"chainId": "0x1"}, -32000, "chainId does not match node's (have=1, want="),
        ({"to": None}, -32000, "contract creation without any data provided"),
        ({"input": "0x01", "data": "0x02"}, -32602, "the same bytes in"),
        ({"type": "0x2", "gasPrice": "0x1"}, -32000, "type 2 has maxFeePerGas"),
        ({"type": "0x1", "maxFeePerGas": "0x1"}, -32000, "type 1 has gasPrice"),
        ({"type": "0x0", "accessList": []}, -32000, "type 0 has no accessList"),
        ({"type": "0x3"}, -32000, "transaction type not supported: 3"),
        ({"data": "0x" + "00" * 200_000}, -32000, "oversized data: 200000 bytes, limit 131072"),
        ({"authorizationList": []}, -32000, "transaction type not supported"),
        ({"nonce": "0xffffffffffffffff"}, -32602, "at most 0xfffffffffffffffe"),
        ({"nonce": "0x0"}, -32000, "nonce too low"),
        ({"gas": "0x1"}, -32000, "intrinsic gas too low"),
        ({"value": hex(10**30)}, -32000, "insufficient funds"),
        ({"from": TO}, -32000, "unknown account"),
        ({"from": None}, -32000, "unknown account"),
        ({"from": "0x12"}, -32602, "0 (transaction).from"),
    ],
)
def test_contradictions_are_refused_in_words_that_clients_know(
    unlocked: RunningNode, fields: dict[str, Any], code: int, message: str
) -> None:
    if unlocked.result("eth_getTransactionCount", sender(), "latest") == "0x0":
        unlocked.result("eth_sendTransaction", {"from": sender(), "to": TO})
    before = unlocked.result("eth_getTransactionCount", sender(), "pending")
    error = unlocked.error("eth_sendTransaction", {"from": sender(), "to": TO, **fields})
    assert error["code"] == code
    assert message in error["message"]
    assert unlocked.result("eth_getTransactionCount", sender(), "pending") == before


def test_a_type_may_be_a_plain_number(unlocked: RunningNode) -> None:
    """As web3.py's modify_transaction writes it."""
    sent = unlocked.result("eth_sendTransaction", {"from": sender(), "to": TO, "type": 1, "gasPrice": "0x0"})
    assert unlocked.result("eth_getTransactionByHash", sent)["type"] == "0x1"
    assert unlocked.result("eth_call", {"to": TO, "type": 2}, "latest") == "0x"
    error = unlocked.error("eth_call", {"to": TO, "type": 3}, "latest")
    assert error == {"code": -32000, "message": "transaction type not supported: 3"}


def test_a_signed_transaction_is_not_sent(unlocked: RunningNode) -> None:
    whole = {"from": sender(1), "to": TO, "gas": "0x5208", "gasPrice": "0x0", "nonce": "0x40"}
    signed = fitting(unlocked, "eth_signTransaction", whole)
    assert Account.recover_transaction(signed["raw"]).lower() == sender(1)
    assert signed["tx"]["nonce"] == "0x40"
    assert unlocked.result("eth_getTransactionByHash", signed["tx"]["hash"]) is None
    for missing, message in (
        ("gas", "gas not specified"),
        ("gasPrice", "missing gasPrice or maxFeePerGas/maxPriorityFeePerGas"),
        ("nonce", "nonce not specified"),
    ):
        part = {key: value for key, value in whole.items() if key != missing}
        assert unlocked.error("eth_signTransaction", part) == {"code": -32000, "message": message}


def test_messages_and_typed_data(unlocked: RunningNode) -> None:
    text = encode_defunct(b"1.5 kWh")
    signature = fitting(unlocked, "eth_sign", sender(), "0x" + b"1.5 kWh".hex())
    assert Account.recover_message(text, signature=signature).lower() == sender()
    assert signature == unlocked.result("personal_sign", "0x" + b"1.5 kWh".hex(), sender(), "ignored")
    for given in (MAIL, json.dumps(MAIL)):
        signature = fitting(unlocked, "eth_signTypedData_v4", sender(1), given)
        assert Account.recover_message(encode_typed_data(full_message=MAIL), signature=signature).lower() == sender(1)
    assert signature == unlocked.result("eth_signTypedData", sender(1), MAIL)
    pair = {**MAIL, "types": {"EIP712Domain": [{"name": "name", "type": "string"}],
                              "Mail": [{"name": "wh", "type": "uint256[2]"}]}}  # fmt: skip
    assert unlocked.result("eth_signTypedData_v4", sender(1), {**pair, "message": {"wh": [1, 2]}})
    error = unlocked.error("eth_signTypedData_v4", sender(1), {**pair, "message": {"wh": [1]}})
    assert "Expected 2 items for array type uint256[2], got 1 items" in error["message"]
    for bad in ({}, {**MAIL, "message": {"wh": "much"}}, "{", 7, "x" * 200_000, {**MAIL, "types": {"Mail": 3}}):
        assert unlocked.error("eth_signTypedData_v4", sender(1), bad)["code"] == -32602


def test_keystores_are_opened_on_a_devnet_alone(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("secret\n")
    keystore, node_key = tmp_path / "account.json", tmp_path / "node.json"
    secret = seed("account household 0")
    save_key(keystore, secret, "secret", ACCOUNT_KIND, SCRYPT_LIGHT)
    save_key(node_key, secret, "secret", NODE_KIND, SCRYPT_LIGHT)
    toml = tmp_path / "node.toml"
    devnet, field = Rules(1, 7, open_accounts=True), Rules(1, 7)
    assert open_wallet(toml, [keystore], passphrase, devnet).addresses == (bytes.fromhex(sender()[2:]),)
    assert open_wallet(toml, [], None, field).addresses == ()
    with pytest.raises(ConfigError, match=r"accounts\.keystores.*only on a devnet"):
        open_wallet(toml, [keystore], passphrase, field)
    with pytest.raises(KeyFileError, match="kind"):
        open_wallet(toml, [node_key], passphrase, devnet)
