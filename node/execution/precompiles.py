"""Precompiled contracts and their prices: about 30 gas a microsecond, calibrated on ecrecover.

At Ethereum's prices one call of the pairing, of blake2f or of a BLS12-381 function holds a node for two seconds. So
modexp costs what EIP-7883 says, alt_bn128 and blake2f are re-priced by what they cost here, and point evaluation
(EIP-4844) and BLS12-381 (EIP-2537), too slow at any price that fits a block, fail: a call of them burns the gas it was
given.

A frame's input is a view of its caller's memory, which may be a megabyte for every call: nothing here copies it before
it is paid for, nor more of it than matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from Crypto.Hash import RIPEMD160
from eth.exceptions import OutOfGas
from eth.vm.forks.cancun.computation import CANCUN_PRECOMPILES
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from node.execution.proofs import FALSE, PROOFS, TRUE, Precompile
from node.rules import OWN_FORK

Data = bytes | memoryview

REPRICED = 200  # measured: pairing 0.31 and blake2f 0.16 Mgas/s at Ethereum's prices, against 30 gas a microsecond
BLAKE2F_CALL = 3_000  # decoding and encoding take a hundred microseconds, whatever the rounds
GAS_ED25519 = 3_000  # 53 microseconds, and the call around it
GAS_ED25519_WORD = 12  # SHA-512 over the message, as the hash precompiles are priced
ED25519_VERIFY = bytes.fromhex("0000000000000000000000000000000000004700")
GAS_RIPEMD160, GAS_RIPEMD160_WORD = 600, 120
KEY_BYTES, SIGNATURE_BYTES = 32, 64


def _address(number: int) -> bytes:
    return number.to_bytes(20, "big")


def ed25519_verify(frame: Any) -> Any:
    """Answer 1 if the input, key (32) ‖ signature (64) ‖ message, is a valid Ed25519 signature, else 0, as 32 bytes."""
    words = (max(0, len(frame.msg.data) - KEY_BYTES - SIGNATURE_BYTES) + 31) // 32
    frame.consume_gas(GAS_ED25519 + GAS_ED25519_WORD * words, reason="ed25519_verify precompile")
    frame.output = TRUE if _signature_holds(frame.msg.data_as_bytes) else FALSE
    return frame


def _signature_holds(data: bytes) -> bool:
    if len(data) < KEY_BYTES + SIGNATURE_BYTES:
        return False
    signature = data[KEY_BYTES : KEY_BYTES + SIGNATURE_BYTES]
    try:
        VerifyKey(data[:KEY_BYTES]).verify(data[KEY_BYTES + SIGNATURE_BYTES :], signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _refused(frame: Any) -> Any:
    raise OutOfGas("this precompile is not available on this chain")


def _priced(standard: Precompile, surcharge: Callable[[Data], int], reads: Callable[[Data], int | None]) -> Precompile:
    def precompile(frame: Any) -> Any:
        data = frame.msg.data
        frame.consume_gas(surcharge(data), reason="price of this precompile here")
        frame.msg.data = bytes(data[: reads(data)])
        return standard(frame)

    return precompile


def _rounds(data: Data) -> int:
    return int.from_bytes(data[:4], "big")


def _modexp_lengths(data: Data) -> list[int]:
    return [int.from_bytes(bytes(data[at : at + 32]).ljust(32, b"\0"), "big") for at in (0, 32, 64)]


def _modexp_surcharge(data: Data) -> int:
    """Return what EIP-7883 asks for beyond EIP-2565's price: a long exponent takes seconds at the latter."""
    base, exponent, modulus = _modexp_lengths(data)
    words = (max(base, modulus) + 7) // 8
    complexity = 2 * words**2 if max(base, modulus) > 32 else 16
    first = bytes(data[96 + base : 96 + base + min(exponent, 32)])
    head = int.from_bytes(first.ljust(min(exponent, 32), b"\0"), "big")
    bits = max(head.bit_length() - 1, 0)
    iterations = max(bits + 16 * max(exponent - 32, 0), 1)
    standard = max(200, words**2 * max(bits + 8 * max(exponent - 32, 0), 1) // 3)
    return max(500, complexity * iterations) - standard


_SURCHARGES: Mapping[int, Callable[[Data], int]] = {
    0x01: lambda data: 0,
    0x05: _modexp_surcharge,
    0x06: lambda data: 150 * (REPRICED - 1),
    0x07: lambda data: 6_000 * (REPRICED - 1),
    0x08: lambda data: (45_000 + 34_000 * (len(data) // 192)) * (REPRICED - 1),
    0x09: lambda data: BLAKE2F_CALL + _rounds(data) * (REPRICED - 1),
}
_READS: Mapping[int, Callable[[Data], int | None]] = {
    0x01: lambda data: 128,
    0x05: lambda data: 96 + sum(_modexp_lengths(data)),
    0x06: lambda data: 128,
    0x07: lambda data: 96,
    0x08: lambda data: None,  # paid for by the pair
    0x09: lambda data: 214,  # one more than it takes: that is an error
}
"""How many bytes of its input a precompile looks at."""
_REFUSED = range(0x0A, 0x12)


def ripemd160(frame: Any) -> Any:
    """RIPEMD-160 at Ethereum's price, without OpenSSL's: some builds of it lack the function."""
    words = (len(frame.msg.data) + 31) // 32
    frame.consume_gas(GAS_RIPEMD160 + GAS_RIPEMD160_WORD * words, reason="RIPEMD160 precompile")
    frame.output = RIPEMD160.new(frame.msg.data_as_bytes).digest().rjust(32, b"\0")
    return frame


def _gridpact() -> dict[bytes, Precompile]:
    table: dict[bytes, Precompile] = dict(PRAGUE_PRECOMPILES)
    table[_address(0x03)] = ripemd160
    for number, surcharge in _SURCHARGES.items():
        table[_address(number)] = _priced(table[_address(number)], surcharge, _READS[number])
    for number in _REFUSED:
        table[_address(number)] = _refused
    table[ED25519_VERIFY] = ed25519_verify
    table |= {_address(number): precompile for number, precompile in PROOFS.items()}
    return table


NAMES: Mapping[str, bytes] = {
    "ECREC": _address(0x01),
    "SHA256": _address(0x02),
    "RIPEMD160": _address(0x03),
    "ID": _address(0x04),
    "MODEXP": _address(0x05),
    "BN254_ADD": _address(0x06),
    "BN254_MUL": _address(0x07),
    "BN254_PAIRING": _address(0x08),
    "BLAKE2F": _address(0x09),
    "ED25519_VERIFY": ED25519_VERIFY,
    "RING_HOLDS": _address(0x4701),
    "NOTE_HOLDS": _address(0x4702),
    "RANGE_HOLDS": _address(0x4703),
    "SUM_POINTS": _address(0x4704),
    "EQUALITY_HOLDS": _address(0x4705),
    "HASH_TO_POINT": _address(0x4706),
}
"""Those of this chain that can be called, as EIP-7910 names them."""
SETS: Mapping[str, Mapping[bytes, Precompile]] = {
    OWN_FORK: _gridpact(),
    "prague": dict(PRAGUE_PRECOMPILES),
    "cancun": dict(CANCUN_PRECOMPILES),
}
"""By the fork that the rules name."""
