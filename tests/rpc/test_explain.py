"""Why a transaction is where it is: every case told, by RPC and by the command."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from node.chain.transaction import decode_transaction
from node.cli import app
from node.rpc import explain_schemas
from node.rpc.backend import NodeStatus
from node.rpc.schemas import COMPONENTS
from tests.execution.signing import signed
from tests.node.samples import account_key, address_of
from tests.rpc.harness import RunningNode

KEY = account_key("household 0")
SENDER = address_of(KEY)
REVERTS = bytes.fromhex("60006000fd")  # PUSH1 0 PUSH1 0 REVERT


@pytest.fixture
def node(own_node: RunningNode) -> Iterator[RunningNode]:
    own_node.backend.mining = False
    return own_node  # type: ignore[return-value]


def send(node: RunningNode, key: Any = KEY, **fields: Any) -> str:
    return str(node.result("eth_sendRawTransaction", "0x" + signed(key, 2, **fields).hex()))


def why(node: RunningNode, what: str) -> Any:
    """Return what the node says, whose form is checked."""
    sender = len(what) == 42
    found = node.result("grid_explainSender" if sender else "grid_explainTransaction", what)
    schema = explain_schemas.SENDER if sender else explain_schemas.TRANSACTION
    Draft202012Validator({**schema, "components": {"schemas": COMPONENTS}}).validate(found)
    return found


def run(node: RunningNode, *args: str) -> Result:
    return CliRunner().invoke(app, ["tx", *args, "--rpc", node.url])


def test_pending(node: RunningNode) -> None:
    send(node)
    second = why(node, send(node, nonce=1))
    assert (second["status"], second["reason"], second["ahead"]) == ("pending", "executable", "0x1")
    assert "1 of its sender are before it, 2 of all senders wait" in second["explanation"][0]
    assert second["explanation"][1].startswith("Block 1 is led by ")


def test_a_gap_names_the_missing_nonces(node: RunningNode) -> None:
    send(node)
    found = why(node, send(node, nonce=9))
    assert (found["status"], found["reason"]) == ("queued", "nonce-gap")
    assert found["missingNonces"] == [hex(nonce) for nonce in range(1, 9)]
    assert found["explanation"][0] == (
        "It waits for earlier transactions of its sender: it has nonce 9, the chain expects 0, and 8 nonces are "
        "(1, 2, 3, 4, 5 …) missing here."
    )
    account = why(node, "0x" + SENDER.hex())
    assert (account["status"], account["reason"]) == ("queued", "nonce-gap")
    assert account["explanation"][0] == "1 can be executed, 1 cannot yet."
    assert [entry["executable"] for entry in account["transactions"]] == [True, False]
    assert (account["nonce"], account["pendingNonce"]) == ("0x0", "0x1")


def test_committed_and_reverted(node: RunningNode) -> None:
    send(node, to=None, data=bytes.fromhex("6005600c60003960056000f3") + REVERTS)
    node.mine()
    contract = node.result("eth_getBlockReceipts", "latest")[0]["contractAddress"]
    good, bad = send(node, nonce=1), send(node, nonce=2, to=bytes.fromhex(contract[2:]), gas=100_000)
    node.mine()
    found = why(node, good)
    assert (found["status"], found["reason"], found["blockNumber"], found["success"]) == (
        "committed",
        "succeeded",
        "0x2",
        True,
    )
    assert found["explanation"] == ["It is in block 2, at place 0, and final. It succeeded and used 21000 gas."]
    found = why(node, bad)
    assert (found["reason"], found["success"], found["transactionIndex"]) == ("reverted", False, "0x1")
    assert found["explanation"][1] == (
        "The contract's reason: the call was refused without a reason (or ran out of gas)."
    )


def test_too_poor_after_its_money_went_elsewhere(node: RunningNode) -> None:
    balance = int(node.result("eth_getBalance", "0x" + SENDER.hex(), "latest"), 16)
    later = send(node, nonce=1, value=balance // 2 + 1)
    pool, rules = node.backend.mempool, node.backend.rule_book.rules_at(1)
    spends = decode_transaction(signed(KEY, 2, value=balance // 2 + 1), rules.chain_id)

    async def spend() -> None:
        built = node.backend.chain.application.build(1, [spends])
        node.backend.chain.application.commit(built.body, b"")
        with node.backend.store.read() as view:
            pool.commit(built.transactions, view.state, view.head, open_accounts=True)

    node.run(spend())
    found = why(node, later)
    assert (found["status"], found["reason"]) == ("queued", "balance")
    assert f"may cost up to {balance // 2 + 1} wei" in found["explanation"][0]
    assert "wei to 0x" in found["advice"][0]
    assert node.result("txpool_status") == {"pending": "0x0", "queued": "0x1"}


def test_nobody_vouches_any_more(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send(node)
    monkeypatch.setattr("node.rpc.explain.sponsor_of", lambda *_, **__: None)
    found = why(node, sent)
    assert (found["status"], found["reason"]) == ("queued", "unvouched")
    assert found["advice"][0].startswith("A member vouches for it: gridpact consortium vouch 0x")
    assert why(node, "0x" + SENDER.hex())["reason"] == "unvouched"


def test_the_rules_have_changed(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send(node, gas=1_000_000)
    book = node.backend.rule_book
    tight = dataclasses.replace(book.rules_at(1), block_gas_limit=500_000)
    monkeypatch.setattr(book, "rules_at", lambda _: tight)
    found = why(node, sent)
    assert (found["status"], found["reason"]) == ("queued", "rules")
    assert "exceeds block gas limit: 1000000, at most 500000" in found["explanation"][0]


def test_what_left_is_remembered(node: RunningNode) -> None:
    first = send(node, price=1, tip=1)
    second = send(node, price=2, tip=2)
    found = why(node, first)
    assert (found["status"], found["reason"], found["by"]) == ("dropped", "replaced", second)
    third = decode_transaction(signed(KEY, 2, value=7), 2016)

    async def other() -> None:
        built = node.backend.chain.application.build(1, [third])
        node.backend.chain.application.commit(built.body, b"")
        with node.backend.store.read() as view:
            node.backend.mempool.commit(built.transactions, view.state, view.head, open_accounts=True)

    node.run(other())
    found = why(node, second)
    assert (found["reason"], found["by"]) == ("stale", "0x" + third.hash.hex())
    assert "its nonce 0 was used by 0x" in found["explanation"][0]


def test_what_was_refused_is_remembered(node: RunningNode) -> None:
    raw = signed(KEY, 2, value=10**30)
    reason = node.error("eth_sendRawTransaction", "0x" + raw.hex())["message"]
    found = why(node, "0x" + decode_transaction(raw, 2016).hash.hex())
    assert (found["status"], found["reason"]) == ("dropped", "refused")
    assert found["explanation"] == [f"This node refused it: {reason}."]


def test_the_consortium_stands_still(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send(node)
    monkeypatch.setattr(node.backend, "peers", list)
    monkeypatch.setattr(node.backend, "status", lambda: NodeStatus(node.backend.validators().keys[0], 2, 9))
    monkeypatch.setattr(node.backend, "chain_time_s", lambda: 2_000_000_000)
    text = " ".join(why(node, sent)["explanation"])
    assert "catching up, at height 0 of 9" in text
    assert "connected to 1 of 4 validators, itself included if it is one, and 3 have to agree" in text
    assert "2 leader(s) of the open block have failed already" in text
    assert "s of chain time old" in text


def test_unknown_and_clear(node: RunningNode) -> None:
    found = why(node, "0x" + "12" * 32)
    assert (found["status"], found["reason"]) == ("unknown", "unknown")
    found = why(node, "0x" + "13" * 20)
    assert (found["status"], found["transactions"], found["member"]) == ("clear", [], None)
    assert why(node, "0x" + SENDER.hex())["member"] == "0x" + SENDER.hex()


def test_too_much_is_refused_with_what_to_ask_instead(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.txpool.MAX_CONTENT", 1)
    send(node), send(node, nonce=1)
    assert "txpool_contentFrom" in node.error("txpool_content")["message"]
    assert node.result("txpool_status") == {"pending": "0x2", "queued": "0x0"}


# -- the command


def test_the_command_tells_a_person_and_a_script(node: RunningNode) -> None:
    raw = signed(KEY, 2)
    sent = run(node, "send", "0x" + raw.hex())
    assert sent.exit_code == 0
    gap = send(node, nonce=2)
    listed = run(node, "list").output
    content = node.result("txpool_contentFrom", "0x" + SENDER.hex())
    assert {part: [entry["hash"] for entry in content[part].values()] for part in content} == {
        "pending": [sent.output.strip()],
        "queued": [gap],
    }
    assert list(content["queued"]) == ["2"]
    assert node.result("txpool_contentFrom", "0x" + "13" * 20) == {"pending": {}, "queued": {}}
    line = "0x1111111111111111111111111111111111111111: 0 wei + 1000000 gas × 0 wei"
    assert list(node.result("txpool_inspect")["queued"].values()) == [{"2": line}]
    assert listed.startswith("pending: 1\n  0x")
    assert "\nqueued: 1\n" in listed
    assert run(node, "list", "--account", "0x" + SENDER.hex()).output == listed.replace(
        "0x" + listed.split()[2][2:], "0x" + SENDER.hex()
    )
    stuck = run(node, "why", gap)
    assert stuck.exit_code == 1
    assert f"transaction {gap}: queued (nonce-gap)" in stuck.output
    assert "→ Send a transaction of 0x" in stuck.output
    answer = run(node, "why", "0x" + SENDER.hex(), "--json")
    assert (answer.exit_code, json.loads(answer.output)["reason"]) == (1, "nonce-gap")
    assert "waits in this node's pool" in run(node, "show", sent.output.strip()).output
    node.mine()
    fine = run(node, "why", sent.output.strip())
    assert (fine.exit_code, "committed (succeeded)" in fine.output) == (0, True)
    assert "succeeded in block 1, place 0; 21000 gas, 0 logs" in run(node, "show", sent.output.strip()).output
    missing = run(node, "show", "0x" + "12" * 32)
    assert (missing.exit_code, "gridpact tx why" in missing.output) == (1, True)


@pytest.mark.parametrize("args", [("why", "0x12"), ("show", "12"), ("send", "0xf"), ("list", "--account", "you")])
def test_the_command_says_what_it_expects(node: RunningNode, args: tuple[str, ...]) -> None:
    assert "expected" in run(node, *args).output
    assert "no answer" in CliRunner().invoke(app, ["tx", "list", "--rpc", "http://127.0.0.1:1"]).output
