"""gridpact's set of precompiles: ed25519_verify, what is re-priced, what is refused."""

from __future__ import annotations

import hashlib
import time

import pytest

from node.execution import CallResult
from tests.execution.states import DictState
from tests.execution.stock import ENVIRONMENT, GRIDPACT, executor
from tests.node.samples import node_key
from tests.privacy.vectors import read_json

ED25519 = 0x4700
GENERATOR = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
GAS_PER_MICROSECOND = 30


def call(number: int, data: bytes, gas: int = 10_000_000) -> CallResult:
    return executor(GRIDPACT).call(
        DictState({}), ENVIRONMENT, sender=b"\x01" * 20, to=number.to_bytes(20, "big"), data=data, gas=gas
    )


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("message", [b"", b"vote", b"m" * 1_000])
def test_ed25519_verify(message: bytes) -> None:
    key = node_key(0)
    signature = key.sign(message).signature
    data = bytes(key.verify_key) + signature + message
    good = call(ED25519, data)
    assert (good.output, good.gas_used) == (word(1), 3_000 + 12 * ((len(message) + 31) // 32))
    assert call(ED25519, bytes(node_key(1).verify_key) + signature + message).output == word(0)
    assert call(ED25519, data + b"x").output == word(0)
    for bit in (0, 255, 256, 767):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << (bit % 8)
        assert call(ED25519, bytes(altered)).output == word(0)


def test_ed25519_verify_of_a_signature_with_s_beyond_the_order() -> None:
    key = node_key(0)
    signature = key.sign(b"vote").signature
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    assert call(ED25519, bytes(key.verify_key) + signature[:32] + s.to_bytes(32, "little") + b"vote").output == word(0)


def test_ed25519_verify_of_wycheproof() -> None:
    verdicts = []
    for group in read_json("wycheproof/ed25519_test.json.gz")["testGroups"]:
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            if len(signature) == 64:
                answer = call(0x4700, bytes.fromhex(group["publicKey"]["pk"]) + signature + bytes.fromhex(case["msg"]))
                assert answer.output == word(case["result"] == "valid"), case
                verdicts.append(case["result"])
    assert min(map(verdicts.count, ("valid", "invalid"))) > 20


@pytest.mark.parametrize("length", [0, 1, 95])
def test_ed25519_verify_of_too_little(length: int) -> None:
    result = call(ED25519, bytes(length))
    assert (result.success, result.output) == (True, word(0))


def test_ed25519_verify_without_the_gas() -> None:
    assert not call(ED25519, bytes(96), gas=2_999).success


@pytest.mark.parametrize("number", range(0x0A, 0x12))
def test_what_is_too_slow_at_any_price_burns_its_gas(number: int) -> None:
    result = call(number, bytes(192), gas=100_000)
    assert (result.success, result.gas_used, result.output) == (False, 100_000, b"")


@pytest.mark.parametrize(("number", "data", "gas"), [(6, GENERATOR * 2, 30_000), (7, GENERATOR, 1_200_000)])
def test_the_curve_alt_bn128_costs_what_it_takes(number: int, data: bytes, gas: int) -> None:
    result = call(number, data)
    assert (result.success, result.gas_used, len(result.output)) == (True, gas, 64)
    assert not call(number, data, gas=gas - 1).success


def test_blake2f_costs_what_it_takes() -> None:
    data = (12).to_bytes(4, "big") + bytes(208) + b"\1"
    assert (call(9, data).gas_used, len(call(9, data).output)) == (3_000 + 12 * 200, 64)


@pytest.mark.parametrize("number", range(1, 0x12))
@pytest.mark.parametrize("data", [b"", b"\1", b"\xff" * 96, b"\xff" * 128, b"\xff" * 213, bytes(384)])
def test_whatever_the_input_a_precompile_answers_or_fails(number: int, data: bytes) -> None:
    result = call(number, data, gas=1_000_000)
    assert 0 <= result.gas_used <= 1_000_000


def test_ripemd160_is_the_published_one() -> None:
    digest = bytes.fromhex("8eb208f7e05d987a9b044a8e98c6b087f15a0bfc")  # of "abc", in its authors' page
    assert call(3, b"abc").output == digest.rjust(32, b"\0")


def test_a_long_exponent_costs_what_it_takes() -> None:
    size = 100_000  # bytes of exponent: 800,000 squarings
    data = word(8) + word(size) + word(8) + b"\xff" * 8 + b"\1" + bytes(size - 1) + b"\xff" * 7 + b"\xfd"
    start = time.process_time()
    result = call(5, data)
    assert result.gas_used >= GAS_PER_MICROSECOND / 3 * (time.process_time() - start) * 1e6


def without_ripemd160(name: str, *_: object) -> None:
    raise ValueError(f"unsupported hash type {name}")


def test_ripemd160_does_not_depend_on_how_python_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = call(3, b"abc")
    monkeypatch.setattr(hashlib, "new", without_ripemd160)
    assert call(3, b"abc") == expected


def test_blake2f_of_no_rounds_is_not_free() -> None:
    result = call(9, bytes(212) + b"\1")
    assert len(result.output) == 64
    assert result.gas_used >= 1_000
