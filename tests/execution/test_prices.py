"""Our prices and our precompile; and what dangerous ones do."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak

from node.chain.transaction import decode_transaction
from node.execution import BlockEnvironment, Executor
from node.execution.precompiles import ED25519_VERIFY, REPRICED
from node.rules import RuleBook
from node.state import Account
from tests.execution.test_seams import SSTORE, A
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, node_key


class Nothing:
    """An empty state."""

    def account(self, address: bytes) -> None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        return b""


ENVIRONMENT = BlockEnvironment(1, 0, 10_000_000, bytes(32), 1, lambda _: None)


def run(to: bytes, data: bytes, gas: int = 10_000_000) -> tuple[bool, bytes, int]:
    executor = Executor(RuleBook({"version": 1}, 1))
    called = executor.call(Nothing(), ENVIRONMENT, sender=b"\1" * 20, to=to, data=data, gas=gas)
    return called.success, called.output, called.gas_used


def test_ed25519_verify_says_one_or_zero() -> None:
    key, message = node_key(0), b"a vote"
    signature = key.sign(message).signature
    public = bytes(key.verify_key)
    one, zero = (1).to_bytes(32, "big"), bytes(32)
    assert run(ED25519_VERIFY, public + signature + message)[:2] == (True, one)
    for wrong in (
        public + signature + b"another",
        public + bytes(64) + message,
        bytes(32) + signature + message,
        b"\xff" * 32 + signature + message,
        public + signature[:-1],
        b"",
        public[:31],
    ):
        assert run(ED25519_VERIFY, wrong)[:2] == (True, zero)


def test_ed25519_verify_is_paid_for_before_it_runs() -> None:
    data = bytes(96 + 64)
    assert run(ED25519_VERIFY, data)[2] == 3_000 + 2 * 12
    assert run(ED25519_VERIFY, data, gas=3_023)[0] is False


@pytest.mark.parametrize(("number", "standard", "data"), [(6, 150, b""), (7, 6_000, b""), (8, 45_000, b"")])
def test_slow_curves_cost_what_they_take(number: int, standard: int, data: bytes) -> None:
    success, _, used = run(number.to_bytes(20, "big"), data)
    assert success
    assert used == standard * REPRICED


def test_blake2f_costs_by_the_round() -> None:
    data = (1_000).to_bytes(4, "big") + bytes(208) + b"\1"
    success, _, used = run((9).to_bytes(20, "big"), data)
    assert success
    assert used == 3_000 + 1_000 * REPRICED


@pytest.mark.parametrize("number", range(0x0A, 0x12))
def test_what_is_too_slow_at_any_price_fails_and_burns_its_gas(number: int) -> None:
    success, output, used = run(number.to_bytes(20, "big"), bytes(192), gas=50_000)
    assert (success, output, used) == (False, b"", 50_000)


def test_an_estimate_is_the_least_that_suffices() -> None:
    raw = sign_transaction(account_key("x"), chain_id=1, nonce=0, to=A, gas=5_000_000)
    estimate = Executor(RuleBook({"version": 1}, 1)).estimate_gas(Setter(), ENVIRONMENT, decode_transaction(raw, 1))
    assert estimate == 21_000 + 3 + 3 + 22_100


class Setter(Nothing):
    """A state whose account A sets a fresh slot when called."""

    CODE = SSTORE(1, 2)

    def account(self, address: bytes) -> Account | None:  # type: ignore[override]
        return Account(1, 0, code_hash=keccak(self.CODE)) if address == A else None

    def code(self, code_hash: bytes) -> bytes:
        return self.CODE
