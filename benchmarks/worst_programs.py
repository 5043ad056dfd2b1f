"""Programs that fill a block with one thing in its worst form.

Each is a loop that runs out of gas, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coincurve import PrivateKey
from eth_hash.auto import keccak
from nacl.signing import SigningKey

from benchmarks.worst_claims import worst_claims

PEOPLE, LARGE, HOPPING, SLOTS = 20_000, 4_200, 1_200, 2_000  # more contracts than a block can call once each
MAX_CODE, MAX_INITCODE = 24_576, 49_152
MAX = (1 << 256) - 1
COLLIDING = (1 << 61) - 1  # Python's integers have the same hash modulo this
WIDE = 1 << 20  # bytes of memory; they cost a fifth of a block
BN_P = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47

OPS = {
    "STOP": 0x00, "ADD": 0x01, "MUL": 0x02, "SUB": 0x03, "DIV": 0x04, "SDIV": 0x05, "MOD": 0x06, "SMOD": 0x07,
    "ADDMOD": 0x08, "MULMOD": 0x09, "EXP": 0x0A, "SIGNEXTEND": 0x0B, "LT": 0x10, "GT": 0x11, "SLT": 0x12, "SGT": 0x13,
    "EQ": 0x14, "ISZERO": 0x15, "AND": 0x16, "OR": 0x17, "XOR": 0x18, "NOT": 0x19, "BYTE": 0x1A, "SHL": 0x1B,
    "SHR": 0x1C, "SAR": 0x1D, "KECCAK256": 0x20, "ADDRESS": 0x30, "BALANCE": 0x31, "ORIGIN": 0x32, "CALLER": 0x33,
    "CALLVALUE": 0x34, "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37, "CODESIZE": 0x38,
    "CODECOPY": 0x39, "GASPRICE": 0x3A, "EXTCODESIZE": 0x3B, "EXTCODECOPY": 0x3C, "RETURNDATASIZE": 0x3D,
    "RETURNDATACOPY": 0x3E, "EXTCODEHASH": 0x3F, "BLOCKHASH": 0x40, "COINBASE": 0x41, "TIMESTAMP": 0x42, "NUMBER": 0x43,
    "PREVRANDAO": 0x44, "GASLIMIT": 0x45, "CHAINID": 0x46, "SELFBALANCE": 0x47, "BASEFEE": 0x48, "BLOBHASH": 0x49,
    "BLOBBASEFEE": 0x4A, "POP": 0x50, "MLOAD": 0x51, "MSTORE": 0x52, "MSTORE8": 0x53, "SLOAD": 0x54, "SSTORE": 0x55,
    "JUMP": 0x56, "JUMPI": 0x57, "PC": 0x58, "MSIZE": 0x59, "GAS": 0x5A, "JUMPDEST": 0x5B, "TLOAD": 0x5C,
    "TSTORE": 0x5D, "MCOPY": 0x5E, "PUSH0": 0x5F, "DUP1": 0x80, "DUP2": 0x81, "DUP3": 0x82, "DUP16": 0x8F,
    "SWAP1": 0x90, "SWAP16": 0x9F, "LOG0": 0xA0, "LOG1": 0xA1, "LOG2": 0xA2, "LOG3": 0xA3, "LOG4": 0xA4,
    "CREATE": 0xF0, "CALL": 0xF1, "CALLCODE": 0xF2, "RETURN": 0xF3, "DELEGATECALL": 0xF4, "CREATE2": 0xF5,
    "STATICCALL": 0xFA, "REVERT": 0xFD, "INVALID": 0xFE, "SELFDESTRUCT": 0xFF,
}  # fmt: skip
"""Opcodes by mnemonic."""


@dataclass(frozen=True, slots=True)
class Program:
    """A contract and how it is called.

    Args:
        name: what it fills a block with.
        code: of the contract.
        data, value: of each transaction.
        gas_each: gas of each transaction, where one does not take all.
        target: the transactions' destinations by number, where they are not the contract.
        creates: whether the transactions create contracts by `data`.
        filled: whether the contract's first slots hold values.
        step: between those slots.
    """

    name: str
    code: bytes
    data: bytes = b""
    value: int = 0
    gas_each: int = 0
    target: Callable[[int], bytes] | None = None
    creates: bool = False
    filled: bool = False
    step: int = 1

    @property
    def succeeds(self) -> bool:
        """Whether its transactions have to succeed: what a failed one did is undone, and not in the roots."""
        return self.creates or self.name.endswith("kept")


def push(number: int) -> bytes:
    """Return the shortest code that pushes a number."""
    if not number:
        return bytes((OPS["PUSH0"],))
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes((0x5F + len(data),)) + data


def code_of(*words: str | int | bytes) -> bytes:
    """Assemble mnemonics, numbers (pushed) and raw code."""
    parts = []
    for word in words:
        parts.append(bytes((OPS[word],)) if isinstance(word, str) else push(word) if isinstance(word, int) else word)
    return b"".join(parts)


def loop(head: bytes, body: bytes) -> bytes:
    """Return code that runs `head` once and `body` for ever, as long as fits a contract."""
    times = max(1, (MAX_CODE - len(head) - 5) // len(body))
    return head + code_of("JUMPDEST") + body * times + push(len(head)) + code_of("JUMP")


def counted(head: bytes, body: bytes) -> bytes:
    """Return code that runs `body` for ever with a counter on the stack, which begins with 0."""
    return loop(head + push(0), body + code_of(1, "ADD"))


def person(number: int) -> bytes:
    """Return the address of one of many accounts: 1 and `number`."""
    return (1 << 159 | number).to_bytes(20, "big")


def large_contract(number: int) -> bytes:
    """Return the address of one of the largest contracts."""
    return (1 << 158 | number).to_bytes(20, "big")


def large_code(number: int) -> bytes:
    """Return its code: PUSH1 all over, and at the end a jump over all of it."""
    head = code_of(push(MAX_CODE - 2), "JUMP")
    end = code_of("JUMPDEST", "STOP")
    body = b"\x60\x5b" * MAX_CODE
    return (head + number.to_bytes(2, "big") + body)[: MAX_CODE - 2] + end


CHUNK = 64  # bytes of code whose instructions are looked for together
HOP = b"\x60\0\x50" * 19 + b"\0" + bytes((OPS["JUMPDEST"], OPS["PC"], 0x60, CHUNK - 1, OPS["ADD"], OPS["JUMP"]))
"""A chunk: what takes long to walk through, then a jump to the same place of the next one."""
FIRST_HOP = bytes((0x60, 2 * CHUNK - 6, OPS["JUMP"]))  # and a number behind it


def hopping_contract(number: int) -> bytes:
    """Return the address of a contract that jumps once into every chunk of its code."""
    return (1 << 157 | number).to_bytes(20, "big")


def hopping_code(number: int) -> bytes:
    """Return its code."""
    code = HOP * (MAX_CODE // CHUNK)
    return FIRST_HOP + number.to_bytes(32, "big") + code[35:-5] + bytes(5)


def all_programs() -> list[Program]:
    """Return every program."""
    return [*_arithmetic(), *_environment(), *_memory(), *_state(), *_calls(), *_precompiles(), *_transactions()]


def _arithmetic() -> list[Program]:
    two = [0x80 << 248 | 3, MAX]
    found = [
        Program(name, loop(code_of(MAX - 2, MAX), code_of("DUP2", "DUP2", name, "POP")))
        for name in (
            "ADD",
            "MUL",
            "SUB",
            "DIV",
            "SDIV",
            "MOD",
            "SMOD",
            "LT",
            "GT",
            "SLT",
            "SGT",
            "EQ",
            "AND",
            "OR",
            "XOR",
        )
    ]
    for name, operands in {"SIGNEXTEND": [MAX, 3], "BYTE": [MAX, 3], "SHL": [MAX, 7], "SHR": [MAX, 7]}.items():
        found.append(Program(name, loop(code_of(*operands), code_of("DUP2", "DUP2", name, "POP"))))
    found.append(Program("SAR", loop(code_of(MAX - 1, 1), code_of("DUP2", "DUP2", "SAR", "POP"))))
    found += [
        Program(name, loop(code_of(MAX - 58, MAX - 2, MAX - 4), code_of("DUP3", "DUP3", "DUP3", name, "POP")))
        for name in ("ADDMOD", "MULMOD")
    ]
    found.append(Program("EXP 32 bytes", loop(code_of(*two), code_of("DUP2", "DUP2", "EXP", "POP"))))
    found.append(Program("EXP 1 byte", loop(code_of(255, MAX), code_of("DUP2", "DUP2", "EXP", "POP"))))
    found += [Program(f"{name} alone", loop(code_of(MAX >> 9), code_of(name))) for name in ("NOT", "ISZERO")]
    found += [
        Program("JUMPDEST", loop(b"", code_of("JUMPDEST"))),
        Program("JUMP", code_of("JUMPDEST", 0, "JUMP")),
        Program("JUMPI", code_of("JUMPDEST", 1, 0, "JUMPI")),
        Program("PUSH0 POP", loop(b"", code_of("PUSH0", "POP"))),
        Program("PUSH1 POP", loop(b"", code_of(1, "POP"))),
        Program("PUSH32 POP", loop(b"", code_of(MAX, "POP"))),
        Program("DUP16 POP", loop(code_of(*[1] * 16), code_of("DUP16", "POP"))),
        Program("SWAP16", loop(code_of(*[1] * 17), code_of("SWAP16"))),
        Program(
            "stack full of PUSH32", code_of("JUMPDEST") + push(MAX) * 700 + code_of("POP") * 700 + code_of(0, "JUMP")
        ),
    ]
    return found


def _environment() -> list[Program]:
    names = "ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER"
    names += " PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBBASEFEE PC MSIZE GAS"
    found = [Program(name, loop(b"", code_of(name, "POP"))) for name in names.split()]
    found += [Program(name, loop(push(0), code_of(name))) for name in ("CALLDATALOAD", "BLOBHASH")]
    for name, at in (("32 bytes", 1), ("a byte", 63)):
        found.append(Program(f"CALLDATALOAD of {name}", loop(b"", code_of(at, "CALLDATALOAD", "POP")), b"\xff" * 64))
    found.append(Program("BLOCKHASH", loop(b"", code_of(0, "BLOCKHASH", "POP"))))
    cold = [("BALANCE", person), ("EXTCODESIZE", large_contract), ("EXTCODEHASH", large_contract)]
    for name, address in cold:
        first = int.from_bytes(address(0), "big")
        found.append(Program(f"{name} cold", counted(b"", code_of("DUP1", first, "OR", name, "POP"))))
        found.append(Program(f"{name} warm", loop(push(first), code_of("DUP1", name, "POP"))))
        found.append(Program(f"{name} absent", counted(b"", code_of("DUP1", 1 << 150, "OR", name, "POP"))))
    first = int.from_bytes(large_contract(0), "big")
    copy = code_of(MAX_CODE, 0, 0, b"\x83", first, "OR", "EXTCODECOPY")
    found.append(Program("EXTCODECOPY 24 kB", counted(b"", copy)))
    return found


def _memory() -> list[Program]:
    grown = code_of(0, 1 << 16, "MSTORE")
    found = [
        Program("MSTORE", loop(b"", code_of("PUSH0", "PUSH0", "MSTORE"))),
        Program("MSTORE8", loop(b"", code_of("PUSH0", "PUSH0", "MSTORE8"))),
        Program("MLOAD", loop(code_of(0), code_of("MLOAD"))),
        Program("memory grown word by word", counted(b"", code_of("DUP1", 5, "SHL", "DUP1", "MSTORE"))),
        Program("memory grown at once", loop(b"", code_of(1, 2_000_000, "MSTORE"))),
        Program("KECCAK256 of nothing", loop(b"", code_of(0, 0, "KECCAK256", "POP"))),
        Program("KECCAK256 of 32 bytes", loop(b"", code_of(32, 0, "KECCAK256", "POP"))),
        Program("KECCAK256 of 64 kB", loop(grown, code_of(1 << 16, 0, "KECCAK256", "POP"))),
        Program("MSIZE of large memory", loop(grown, code_of("MSIZE", "POP"))),
    ]
    for name in ("CALLDATACOPY", "CODECOPY", "MCOPY"):
        for size in (0, 1, 32, 1 << 16):
            found.append(Program(f"{name} {size}", loop(grown, code_of(size, 0, 0, name))))
    returned = code_of(1 << 16, 0, 1 << 16, 0, 4, "GAS", "STATICCALL", "POP")
    for size in (0, 32, 1 << 16):
        found.append(Program(f"RETURNDATACOPY {size}", loop(grown + returned, code_of(size, 0, 0, "RETURNDATACOPY"))))
    for topics in range(5):
        found.append(Program(f"LOG{topics} of nothing", loop(b"", code_of(*[MAX] * topics, 0, 0, f"LOG{topics}"))))
    found.append(Program("LOG0 of 64 kB", loop(grown, code_of(1 << 16, 0, "LOG0"))))
    found.append(Program("LOG4 of 32 bytes", loop(grown, code_of(1, 2, 3, 4, 32, 0, "LOG4"))))
    return found


def _state() -> list[Program]:
    return [
        Program("SLOAD cold, filled", counted(b"", code_of("DUP1", "SLOAD", "POP")), filled=True),
        Program("SLOAD cold, empty", counted(b"", code_of("DUP1", 1 << 200, "OR", "SLOAD", "POP"))),
        Program("SLOAD warm", loop(push(0), code_of("SLOAD"))),
        Program("SSTORE fresh", counted(b"", code_of(1, "DUP2", "SSTORE")), gas_each=GAS_OF_STORES),
        Program("SSTORE reset", counted(b"", code_of(2, "DUP2", "SSTORE")), filled=True, gas_each=GAS_OF_STORES),
        Program("SSTORE clear", counted(b"", code_of(0, "DUP2", "SSTORE")), filled=True, gas_each=GAS_OF_STORES),
        Program("SSTORE the same", loop(b"", code_of(0, 0, "SSTORE"))),
        Program("SSTORE dirty", counted(b"", code_of("DUP1", 0, "SSTORE"))),
        Program("SSTORE kept", _until_little_gas(code_of(1, "DUP2", "SSTORE"))),
        Program("SSTORE cleared, kept", _until_little_gas(code_of(0, "DUP2", "SSTORE")), filled=True),
        Program("TLOAD", loop(push(0), code_of("TLOAD"))),
        Program("TSTORE", counted(b"", code_of("DUP1", "DUP1", "TSTORE"))),
        *_colliding(),
    ]


def _colliding() -> list[Program]:
    """Return programs over slots whose numbers have the same hash in Python."""
    turn, end = code_of(COLLIDING, "ADD"), code_of(60_000, "GAS", "GT", 1, "JUMPI", "STOP")
    begin = code_of(0, "JUMPDEST")
    return [
        Program("TSTORE, colliding", loop(push(0), code_of("DUP1", "DUP1", "TSTORE") + turn)),
        Program("SLOAD cold, colliding", loop(push(0), code_of("DUP1", "SLOAD", "POP") + turn)),
        Program("SSTORE fresh, colliding, kept", begin + code_of(1, "DUP2", "SSTORE") + turn + end),
        Program(
            "SSTORE reset, colliding, kept",
            begin + code_of(2, "DUP2", "SSTORE") + turn + end,
            filled=True,
            step=COLLIDING,
        ),
    ]


GAS_OF_STORES = 1_000_000


def _until_little_gas(body: bytes) -> bytes:
    """Return a loop with a counter that ends well, so that what it wrote stays."""
    test = code_of(1, "ADD", 60_000, "GAS", "GT", 1, "JUMPI", "STOP")
    return code_of(0, "JUMPDEST") + body + test


def _many_times(body: bytes, turns: int) -> bytes:
    """Return a loop with a counter that begins again with 0 after so many turns."""
    return code_of(0, "JUMPDEST", body, 1, "ADD", turns, "DUP2", "MOD", b"\x90", "POP", 1, "JUMP")


def _call(name: str, target: int | str, *, value: int = 0, size: int = 0) -> bytes:
    brings = push(value) if name in ("CALL", "CALLCODE") else b""
    return code_of(0, 0, size, 0, brings, target, "GAS", name, "POP")


def _calls() -> list[Program]:
    nobody = 1 << 140
    found = [
        Program(f"{name} of an empty account", loop(b"", _call(name, nobody)))
        for name in ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL")
    ]
    stops = int.from_bytes(large_contract(0), "big")
    fresh = code_of(0, 0, 0, 0, 1, b"\x85", 1 << 141, "OR", "GAS", "CALL", "POP")  # DUP6: the counter
    each = code_of(0, 0, 0, 0, b"\x84", stops, "OR", "GAS", "STATICCALL", "POP")  # DUP5
    hops = int.from_bytes(hopping_contract(0), "big")
    hopping = code_of(0, 0, 0, 0, b"\x84", hops, "OR", "GAS", "STATICCALL", "POP")  # DUP5
    found += [
        Program("STATICCALL of a large contract", loop(b"", _call("STATICCALL", stops))),
        Program("STATICCALL of distinct large ones", counted(b"", each)),
        Program("STATICCALL of distinct ones, a jump into each 64 bytes", counted(b"", hopping)),
        Program("STATICCALL of 1,000 large ones, again and again", _many_times(each, 1_000)),
        Program("CALL with value to new accounts", counted(b"", fresh)),
        Program("CALL with value to one account", loop(b"", _call("CALL", nobody, value=1))),
        Program("CALL of itself, as deep as it goes", code_of("JUMPDEST", _call("CALL", "ADDRESS"), 0, "JUMP")),
        Program("DELEGATECALL of itself", code_of("JUMPDEST", _call("DELEGATECALL", "ADDRESS"), 0, "JUMP")),
        Program("CALL that fails at once", loop(b"", code_of(0, 0, 0, 0, 0, "ADDRESS", 0, "CALL", "POP"))),
        Program("CREATE of nothing", loop(b"", code_of(0, 0, 0, "CREATE", "POP"))),
        Program("CREATE2 of nothing", counted(b"", code_of("DUP1", 0, 0, 0, "CREATE2", "POP"))),
        Program("CALL with value to new accounts, kept", _until_little_gas(fresh)),
        Program("CREATE of nothing, kept", _until_little_gas(code_of(0, 0, 0, "CREATE", "POP"))),
        Program("LOG4 of nothing, kept", _until_little_gas(code_of(1, 2, 3, b"\x83", 0, 0, "LOG4"))),
        Program("LOG0 of nothing, kept", _until_little_gas(code_of(0, 0, "LOG0"))),
    ]
    wide = code_of(0, WIDE - 32, "MSTORE")
    for size in (1 << 15, 1 << 18, WIDE):
        head = code_of(0, size - 32, "MSTORE")
        for number in (1, 4, 5, 9, 10):
            name = f"STATICCALL of precompile {number} without gas, {size >> 10} kB of input"
            body = code_of(0, 0, size, 0, number, 0, "STATICCALL", "POP")
            found.append(Program(name, loop(head, body)))
    for number in (1, 5, 9, stops):
        name = "a large contract" if number == stops else f"precompile {number}"
        found.append(
            Program(f"STATICCALL of {name}, 1 MB of input", loop(wide, _call("STATICCALL", number, size=WIDE)))
        )
    # Init code of the largest size, each time another: PUSH1 all over, a jump to its end.
    init = code_of(MAX_INITCODE - 2, "JUMP")
    fill = [code_of(int.from_bytes((b"\x60\x5b" * 16), "big"), 32 * i, "MSTORE") for i in range(4)]
    double = [code_of(128 << i, 0, 128 << i, "MCOPY") for i in range(9)]
    head = code_of(
        *fill, *double, int.from_bytes(init.ljust(32, b"\x60"), "big"), 0, "MSTORE", 0x5B, MAX_INITCODE - 2, "MSTORE8"
    )
    body = code_of("DUP1", 64, "MSTORE", MAX_INITCODE, 0, 0, "CREATE", "POP")
    found.append(Program("CREATE, distinct, jumping init code", head + _counted_once(len(head), body)))
    # And one that jumps into every 64 bytes of it.
    words = [code_of(int.from_bytes(HOP[at : at + 32], "big"), at, "MSTORE") for at in (0, 32)]
    double = [code_of(CHUNK << i, 0, CHUNK << i, "MCOPY") for i in range(10)]
    first = code_of(int.from_bytes(FIRST_HOP.ljust(32, b"\0"), "big"), 0, "MSTORE")
    head = code_of(*words, *double, first, 0, MAX_INITCODE - 5, "MSTORE8")
    body = code_of("DUP1", 3, "MSTORE", MAX_INITCODE, 0, 0, "CREATE", "POP")
    found.append(Program("CREATE, distinct, a jump into each 64 bytes", head + _counted_once(len(head), body)))
    reverting = code_of(0, 0, "REVERT")
    found.append(Program("REVERT", reverting, gas_each=30_000))
    destroyed = code_of(int.from_bytes(code_of("CALLER", "SELFDESTRUCT"), "big"), 0, "MSTORE", 0) + code_of("JUMPDEST")
    found.append(
        Program("CREATE and SELFDESTRUCT", destroyed + code_of(2, 30, 0, "CREATE", "POP", len(destroyed) - 1, "JUMP"))
    )
    return found


def _counted_once(at: int, body: bytes) -> bytes:
    """Return a loop with a counter, one turn long, that begins at a place of the code."""
    return code_of(0, "JUMPDEST", body, 1, "ADD", at + 1, "JUMP")


def _precompiles() -> list[Program]:
    def calling(name: str, number: int, data: bytes) -> Program:
        words = [data[i : i + 32].ljust(32, b"\0") for i in range(0, len(data), 32)]
        stores = [code_of(int.from_bytes(word, "big"), 32 * i, "MSTORE") for i, word in enumerate(words) if any(word)]
        size = len(data)
        head = code_of(*stores, b"" if any(data[-32:]) or not size else code_of(0, size - 1, "MSTORE8"))
        return Program(name, loop(head, _call("STATICCALL", number, size=size)))

    one, two = (1).to_bytes(32, "big"), (2).to_bytes(32, "big")
    key = SigningKey(b"\1" * 32)
    short, long = b"m" * 32, b"m" * 8_192
    signature = PrivateKey(keccak(b"key")).sign_recoverable(keccak(b"m"), hasher=None)
    secp = keccak(b"m") + (27 + signature[64]).to_bytes(32, "big") + signature[:64]
    invalid = keccak(b"m") + (27).to_bytes(32, "big") + MAX.to_bytes(32, "big") * 2
    generator2 = [
        0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
        0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
        0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
        0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
    ]
    pair = one + two + b"".join(number.to_bytes(32, "big") for number in generator2)
    found = [
        calling("ecrecover", 1, secp),
        calling("ecrecover of no signature", 1, invalid),
        calling("sha256 of nothing", 2, b""),
        calling("sha256 of 8 kB", 2, b"\xff" * 8_192),
        calling("ripemd160 of nothing", 3, b""),
        calling("ripemd160 of 8 kB", 3, b"\xff" * 8_192),
        calling("identity of nothing", 4, b""),
        calling("identity of 8 kB", 4, b"\xff" * 8_192),
        calling("bn128 add", 6, (one + two) * 2),
        calling("bn128 mul", 7, one + two + (BN_P - 3).to_bytes(32, "big")),
        calling("bn128 pairing of nothing", 8, b""),
        calling("bn128 pairing", 8, pair),
        calling("blake2f 1 round", 9, (1).to_bytes(4, "big") + b"\1" * 208 + b"\1"),
        calling("blake2f 1,000 rounds", 9, (1_000).to_bytes(4, "big") + b"\1" * 208 + b"\1"),
        calling("point evaluation (refused)", 10, b"\1" * 192),
        calling("BLS12-381 pairing (refused)", 15, b"\1" * 384),
        calling("ed25519_verify, short", 0x4700, bytes(key.verify_key) + key.sign(short).signature + short),
        calling("ed25519_verify, 8 kB", 0x4700, bytes(key.verify_key) + key.sign(long).signature + long),
        calling("ed25519_verify of nothing", 0x4700, b""),
        *(calling(name, number, data) for name, (number, data) in worst_claims().items()),
        Program("hash to point, always another", counted(b"", _hash_of_counter())),
    ]
    for base, exponent, modulus in (
        (0, 0, 0),
        (1, 32, 1),
        (32, 32, 32),
        (64, 32, 64),
        (256, 3, 256),
        (1, 512, 32),
        (512, 64, 512),
        (1_024, 1, 1_024),
    ):
        data = b"".join(size.to_bytes(32, "big") for size in (base, exponent, modulus))
        data += b"\xff" * base + b"\xff" * exponent + (b"\xff" * modulus)[:-1] + b"\xfd" * bool(modulus)
        found.append(calling(f"modexp {base}-{exponent}-{modulus}", 5, data))
    return found


def _hash_of_counter() -> bytes:
    return code_of("DUP1", 0, "MSTORE") + _call("STATICCALL", 0x4706, size=32)


def _transactions() -> list[Program]:
    initcode = code_of(MAX_CODE, 0, "RETURN")
    return [
        Program(
            "transfers to new accounts",
            b"",
            value=1,
            gas_each=21_000,
            target=lambda n: (1 << 157 | n).to_bytes(20, "big"),
        ),
        Program("transfers to accounts", b"", value=1, gas_each=21_000, target=person),
        Program("calldata of zeros", code_of("STOP"), data=bytes(100_000), gas_each=21_000 + 10 * 100_000),
        Program("calldata", code_of("STOP"), data=b"\1" * 100_000, gas_each=21_000 + 40 * 100_000),
        Program("creation of 24 kB", b"", data=initcode, gas_each=53_000 + 200 * MAX_CODE + 100_000, creates=True),
    ]
