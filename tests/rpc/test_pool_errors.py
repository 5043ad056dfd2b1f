"""What eth_sendRawTransaction refuses, in go-ethereum's words, which clients match (core/error.go, core/txpool)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account

from node.chain import rlp
from tests.execution.signing import signed
from tests.node.samples import account_key
from tests.rpc.harness import RunningNode

KEY = account_key("household 0")
POOR = account_key("nobody has given it anything")
CHAIN = 2016


def send(node: RunningNode, raw: bytes) -> dict[str, Any]:
    return dict(node.ask("eth_sendRawTransaction", "0x" + raw.hex()))


def unprotected() -> bytes:
    account = Account.from_key(KEY.secret)
    fields = {"nonce": 0, "gas": 21_000, "gasPrice": 0, "to": "0x" + "11" * 20, "value": 0, "data": b""}
    return bytes(account.sign_transaction(fields).raw_transaction)


def wrong_signature() -> bytes:
    items = list(rlp.decode_list(rlp.decode(signed(KEY, 2)[1:])))
    return b"\2" + rlp.encode([*items[:-1], b"\xff" * 32])


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A node of which household 0 has used nonces 0 to 2, and has nonce 3 waiting at price 100."""
    running = RunningNode(tmp_path_factory.mktemp("errors") / "chain", open_accounts=True)
    for nonce in range(3):
        assert "result" in send(running, signed(KEY, 2, nonce=nonce))
    running.backend.mining = False
    assert "result" in send(running, signed(KEY, 2, nonce=3, price=100, tip=100))
    yield running
    running.close()


PRICED = {"nonce": 3, "price": 100, "tip": 100}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (lambda: signed(KEY, 2, **PRICED), r"already known"),
        (lambda: signed(KEY, 2, nonce=1, value=9), r"nonce too low: next nonce 3, tx nonce 1"),
        (lambda: signed(KEY, 2, nonce=600), r"nonce too high: next nonce 3, tx nonce 600, at most 512 wait"),
        (lambda: signed(KEY, 2, nonce=3, price=109, tip=109), r"replacement transaction underpriced: .*"),
        (lambda: signed(KEY, 2, nonce=3, price=120, tip=100), r"replacement transaction underpriced: .*"),
        (
            lambda: signed(POOR, 2, value=10),
            r"insufficient funds for gas \* price \+ value: balance 0, tx cost 10, overshot 10",
        ),
        (
            lambda: signed(POOR, 0, price=1, gas=21_000),
            r"insufficient funds for gas \* price \+ value: balance 0, tx cost 21000, overshot 21000",
        ),
        (lambda: signed(KEY, 2, nonce=4, gas=20_999), r"intrinsic gas too low: gas 20999, minimum needed 21000"),
        (
            lambda: signed(KEY, 2, nonce=4, gas=40_000, data=b"\1" * 1_000),
            r"insufficient gas for floor data gas cost: gas 40000, minimum needed 61000",
        ),
        (lambda: signed(KEY, 2, nonce=4, gas=2**40), r"exceeds block gas limit: 1099511627776, at most \d+"),
        (
            lambda: signed(KEY, 2, nonce=4, gas=9_000_000, data=b"\1" * 132_000),
            r"oversized data: transaction size 132\d\d\d, limit 131072",
        ),
        (
            lambda: signed(KEY, 2, nonce=4, to=None, data=b"\1" * 49_153),
            r"max initcode size exceeded: code size 49153 limit 49152",
        ),
        (wrong_signature, r"invalid sender: invalid transaction v, r, s values"),
        (lambda: signed(KEY, 2, chain_id=1), r"invalid sender: invalid chain id for signer: have 1 want 2016"),
        (lambda: b"\3\xc0", r"transaction type not supported: 3; .*"),
        (lambda: b"\4\xc0", r"transaction type not supported: 4; .*"),
        (unprotected, r"only replay-protected \(EIP-155\) transactions allowed over RPC"),
        (
            lambda: signed(KEY, 2, nonce=4, price=1, tip=2),
            r"max priority fee per gas higher than max fee per gas: 2 > 1",
        ),
        (lambda: signed(KEY, 2, nonce=2**64 - 1), r"nonce has max value: 18446744073709551615"),
    ],
)
def test_a_refusal_has_the_code_and_the_words_of_go_ethereum(
    used: RunningNode, raw: Callable[[], bytes], message: str
) -> None:
    waiting = used.backend.mempool.content()
    answer = send(used, raw())
    assert answer["error"]["code"] == -32000
    assert re.fullmatch(message, answer["error"]["message"])
    assert used.backend.mempool.content() == waiting


def test_a_replacement_ten_percent_dearer_is_taken(own_node: RunningNode) -> None:
    own_node.backend.mining = False
    for price in (100, 110, 121):
        assert "result" in send(own_node, signed(KEY, 2, price=price, tip=price))
    (waiting,) = own_node.backend.mempool.content().values()
    assert [tx.max_fee_per_gas for tx in waiting.values()] == [121]
