"""Random programs that mostly run, and worlds of contracts that call and create each other.

A program is a list of parts, so that one that shows a fault can be cut down part by part and its jumps still arrive.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.execution.programs import OPCODES, assemble, deploying

WORD = 1 << 256
CONTRACTS = tuple(bytes((0xC0 + i,)) * 20 for i in range(5))
DELEGATED, HOARD, WORN, NOBODY = b"\xde" * 20, b"\xab" * 20, b"\xee" * 20, b"\xd0" * 20
SYSTEM_PRECOMPILE = bytes.fromhex("0000000000000000000000000000000000004700")
PRECOMPILES = (*(number.to_bytes(20, "big") for number in (1, 2, 3, 4, 5, 6, 9, 10, 0x11)), SYSTEM_PRECOMPILE)
TARGETS = (*CONTRACTS, *CONTRACTS, *PRECOMPILES, DELEGATED, HOARD, WORN, NOBODY, bytes(20))
EDGES = (
    *(0, 1, 2, 31, 32, 33, 255, 256, 257, 1_023, 1_024, 24_576, 24_577, 49_152, 49_153, 1 << 16, (1 << 63) - 1),
    *(1 << 32, 1 << 64, 1 << 128, (1 << 160) - 1, 1 << 255, (1 << 255) - 1, (1 << 255) + 1, WORD - 1, WORD - 2),
    *(WORD - 32, WORD - 255, WORD - 256, 0x5B5B, int("80" * 32, 16), int("7f" * 32, 16)),
)
TAKES = {  # how many words each takes; all of these leave one
    0: """ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER
          DIFFICULTY GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBBASEFEE PC MSIZE GAS PUSH0""",
    1: "ISZERO NOT BALANCE EXTCODESIZE EXTCODEHASH CALLDATALOAD BLOCKHASH BLOBHASH TLOAD SLOAD",
    2: """ADD MUL SUB DIV SDIV MOD SMOD EXP SIGNEXTEND LT GT SLT SGT EQ AND OR XOR BYTE SHL SHR SAR""",
    3: "ADDMOD MULMOD",
}
HALF_THE_GAS: list[str | int] = ["GAS", 2, "SWAP1 DIV"]
GAS_GIVEN: list[list[str | int]] = [
    *([HALF_THE_GAS] * 4), ["GAS"], [0], [100], [700], [2_300], [5_000], [30_000], [100_000], [WORD - 1]
]  # fmt: skip
COPIES = ("CALLDATACOPY", "CODECOPY", "MCOPY", "RETURNDATACOPY")
DEEPEST_INIT = 2
SLOTS = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a program, with a JUMPDEST if it is to be jumped to."""

    number: int
    destination: bool = True


@dataclass(frozen=True, slots=True)
class At:
    """A push of a place, or of one some bytes behind it."""

    number: int
    behind: int = 0


Part = bytes | Mark | At
Program = tuple[Part, ...]


def link(parts: Program) -> bytes:
    """Return the code; a place whose mark was cut away is 0."""
    places, at = {}, 0
    for part in parts:
        if isinstance(part, Mark):
            places[part.number] = at
            at += part.destination
        else:
            at += 3 if isinstance(part, At) else len(part)
    code = b""
    for part in parts:
        if isinstance(part, Mark):
            code += b"\x5b" * part.destination
        elif isinstance(part, At):
            code += b"\x61" + ((places.get(part.number, 0) + part.behind) & 0xFFFF).to_bytes(2, "big")
        else:
            code += part
    return code


class Author:
    """Writes one program, and knows how many words lie on its stack.

    Args:
        chance: every choice comes from it.
        wild: how often what is written is likely to fail.
        depth: how many creations this is inside of.
    """

    def __init__(self, chance: random.Random, wild: float, depth: int = 0) -> None:
        self.chance = chance
        self.wild = wild
        self.depth = depth
        self.parts: list[Part] = []
        self.behind: list[Part] = []  # what lies behind the code: init codes
        self.height = 0
        self.floor = 0  # words below belong to a loop around
        self.marks = 0
        self.made: list[tuple[int, int, int]] = []

    def program(self, size: int) -> Program:
        """Return a program of `size` snippets and an end."""
        self.need(self.chance.choice([0, 0, 3, 17]))
        self.block(size)
        self.end()
        return (*self.parts, *self.behind)

    # -- words

    def put(self, *words: str | int | bytes, leaves: int = 0) -> None:
        """Write code that leaves so many more words on the stack (or takes, if negative)."""
        self.parts.append(assemble(*words))
        self.height += leaves

    def mark(self) -> int:
        """Return a new place's number."""
        self.marks += 1
        return self.marks

    def is_wild(self) -> bool:
        """Return whether to write what is likely to fail."""
        return self.chance.random() < self.wild

    def word(self) -> int:
        """Return an operand: edges, small numbers, addresses, powers of two and their neighbours, anything."""
        chance = self.chance
        match chance.randrange(6):
            case 0 | 1:
                return chance.randrange(70)
            case 2:
                return chance.choice(EDGES)
            case 3:
                return int.from_bytes(chance.choice(TARGETS), "big")
            case 4:
                return ((1 << chance.randrange(257)) + chance.randrange(-1, 2)) % WORD
            case _:
                return chance.getrandbits(8 * chance.randrange(1, 33))

    def place(self) -> int:
        """Return an offset into memory or what is copied."""
        if self.is_wild():
            return self.chance.choice(EDGES)
        return self.chance.randrange(200) if self.chance.random() < 0.95 else self.chance.randrange(5_000)

    def length(self) -> int:
        """Return how many bytes to read or write."""
        if self.is_wild():
            return self.chance.choice(EDGES)
        return self.chance.choice([0, 1, 31, 32, 33, 64, self.chance.randrange(100), self.chance.randrange(1_000)])

    def need(self, count: int) -> None:
        """Make sure that so many words of this block lie on the stack."""
        while self.height - self.floor < count:
            self.put(self.word(), leaves=1)

    # -- snippets

    def block(self, size: int) -> None:
        """Write snippets."""
        kinds = (
            [self.operation] * 14 + [self.memory] * 5 + [self.copy] * 3 + [self.storage] * 4 + [self.shuffle] * 5
            + [self.log] + [self.skip] * 2 + [self.loop] + [self.call] * 5 + [self.create] * 2 + [self.bytes_] * 2
        )  # fmt: skip
        for _ in range(size):
            self.chance.choice(kinds)()

    def operation(self) -> None:
        """An opcode that takes up to three words and leaves one."""
        takes = self.chance.choice([0, 1, 1, 2, 2, 2, 2, 3])
        name = self.chance.choice(TAKES[takes].split())
        if name in ("SLOAD", "TLOAD") and self.chance.random() < 0.8:
            return self.put(self.chance.randrange(SLOTS), name, leaves=1)
        if name in ("SHL", "SHR", "SAR", "BYTE", "SIGNEXTEND", "CALLDATALOAD") and self.chance.random() < 0.6:
            self.need(takes - 1)
            most = 34 if name in ("BYTE", "SIGNEXTEND") else 300
            return self.put(self.chance.randrange(most), name, leaves=2 - takes)
        if name == "BLOCKHASH" and self.chance.random() < 0.8:
            return self.put(self.chance.randrange(40, 304), name, leaves=1)
        if self.chance.random() < 0.5:
            self.put(*[self.word() for _ in range(takes)], leaves=takes)
        self.need(takes)
        return self.put(name, leaves=1 - takes)

    def memory(self) -> None:
        """Read, write or hash memory."""
        match self.chance.randrange(4):
            case 0:
                self.put(self.place(), "MLOAD", leaves=1)
            case 1:
                self.put(self.length(), self.place(), "SHA3", leaves=1)
            case _:
                self.need(1)
                self.put(self.place(), self.chance.choice(["MSTORE", "MSTORE8"]), leaves=-1)

    def copy(self) -> None:
        """Copy into memory."""
        name = self.chance.choice(COPIES)
        if self.chance.random() < 0.15:
            self.put(self.length(), self.place(), self.place(), self.word(), "EXTCODECOPY")
        elif name != "RETURNDATACOPY" or self.is_wild():
            self.put(self.length(), self.place(), self.place(), name)
        else:
            self.put("RETURNDATASIZE", 0, self.place(), name)

    def storage(self) -> None:
        """Write storage, transient or not: a few slots and values, so that writes meet each other."""
        for _ in range(self.chance.randrange(1, 4)):
            slot, value = self.chance.randrange(SLOTS), self.chance.choice([0, 0, 1, 7, 9, WORD - 1])
            self.put(value, slot, "TSTORE" if self.chance.random() < 0.25 else "SSTORE")

    def shuffle(self) -> None:
        """Duplicate, exchange or drop words."""
        own = self.height - self.floor
        reach = 20 if self.is_wild() else min(own, 16)
        if reach < 2:
            return self.need(3)
        match self.chance.randrange(4):
            case 0:
                self.put("POP", leaves=-1)
            case 1:
                self.put(bytes((OPCODES["SWAP1"] + min(self.chance.randrange(reach - 1), 15),)))
            case _:
                self.put(bytes((OPCODES["DUP1"] + min(self.chance.randrange(reach), 15),)), leaves=1)
        return None

    def log(self) -> None:
        """Write a log."""
        topics = self.chance.randrange(5)
        self.put(*[self.word() for _ in range(topics)], self.length(), self.place(), f"LOG{topics}")

    def bytes_(self) -> None:
        """What no compiler writes: random bytes, jumps to nowhere or into a push, a stack at its bound."""
        if self.chance.random() < 0.04:
            return self.fill_the_stack()
        if not self.is_wild():
            return self.operation()
        number = self.mark()
        match self.chance.randrange(4):
            case 0:
                self.put(self.word(), self.chance.choice(["JUMP", "JUMPI"]))
            case 1:
                self.parts += [Mark(number, False), b"\x63\x5b\x5b\x5b\x5b", At(number, self.chance.randrange(6))]
                self.put("JUMP", leaves=1)
            case _:
                self.put(self.chance.randbytes(self.chance.randrange(1, 6)))
        return None

    def fill_the_stack(self) -> None:
        """Push up to the bound of 1,024 words, or near it, and do one thing more."""
        room = 1_024 - self.height
        count = room - self.chance.choice([0, 1, 2, 16])
        if self.is_wild():
            count = room + 1
        self.put(b"\x5f" * count)
        last = self.chance.choice([b"\x5b", b"\x50\x80", b"\x9f", b"\x50\x5a", b"\x50\x47", b"\x15", b"\x50\x36"])
        if self.is_wild():
            last = bytes((self.chance.choice(b"\x30\x36\x38\x3d\x47\x48\x58\x59\x5a\x5f\x60\x8f"),))
        self.put(last, b"\x50" * count)

    def skip(self) -> None:
        """A jump over a block, taken or not."""
        number, height = self.mark(), self.height
        self.put(self.word() if self.chance.random() < 0.5 else self.chance.randrange(2))
        self.parts += [At(number), assemble("JUMPI")]
        self.nested()
        self.height = self.level(height)
        self.parts.append(Mark(number))

    def loop(self) -> None:
        """A block that runs a few times."""
        number = self.mark()
        self.put(self.chance.randrange(1, 6), leaves=1)
        self.parts.append(Mark(number))
        height = self.height
        self.nested()
        self.height = self.level(height)
        self.put(1, "SWAP1 SUB DUP1")
        self.parts += [At(number), assemble("JUMPI")]

    def nested(self) -> None:
        """A block that leaves the words below it alone."""
        floor, self.floor = self.floor, self.height
        self.block(self.chance.randrange(1, 4))
        self.floor = floor

    def level(self, height: int) -> int:
        """Bring the stack back to a height."""
        if self.height > height:
            self.put(b"\x50" * (self.height - height))
        return height

    def call(self) -> None:
        """Call something, and perhaps look at what it returned."""
        name = self.chance.choice(["CALL", "CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
        value = [self.chance.choice([0, 0, 0, 1, 3, 999, 1 << 200])] if name in ("CALL", "CALLCODE") else []
        beyond = self.chance.getrandbits(90) << 160  # an address is the word's last 20 bytes
        target = int.from_bytes(self.chance.choice(TARGETS), "big") + self.is_wild() * beyond
        gas: list[str | int] = self.chance.choice(GAS_GIVEN)
        self.put(self.length(), self.place(), self.length(), self.place(), *value, target, *gas, name, leaves=1)
        if self.chance.random() < 0.4:
            self.put("RETURNDATASIZE", 0, self.place(), "RETURNDATACOPY")

    def create(self) -> None:
        """Create a contract, perhaps one at an address that is taken by now, and perhaps call it."""
        if self.depth >= DEEPEST_INIT:
            return self.operation()
        if self.is_wild():
            size = self.chance.choice([49_152, 49_153, 0, 1 << 20])
            return self.put(7, size, 0, self.chance.randrange(2), "CREATE2", leaves=1)
        if not self.made or self.chance.random() < 0.6:
            init = self.init_code()
            number = self.mark()
            self.behind += [Mark(number, False), init]
            self.made.append((number, len(init), self.chance.randrange(2)))
        number, size, salt = self.chance.choice(self.made)
        self.put(size)
        self.parts.append(At(number))
        self.put(0, "CODECOPY")
        value = self.chance.choice([0, 0, 1, 5_000])
        if self.chance.random() < 0.5:
            self.put(size, 0, value, "CREATE", leaves=1)
        else:
            self.put(salt, size, 0, value, "CREATE2", leaves=1)
        if self.chance.random() < 0.6:
            self.put(32, 0, 0, 0, self.chance.randrange(2), "DUP6 GAS CALL", leaves=1)
        return None

    def init_code(self) -> bytes:
        """Return init code of some kind: that deploys, fails, reverts, destroys itself, returns what may not be."""
        inner = Author(self.chance, self.wild, self.depth + 1)
        match self.chance.randrange(10):
            case 0 | 1 | 2:
                return deploying(link(inner.program(self.chance.randrange(1, 8))))
            case 3 | 4:
                return link(inner.program(self.chance.randrange(1, 8)))
            case 5:
                return deploying(assemble(self.word(), "SELFDESTRUCT"))
            case 6:
                return assemble(self.chance.randrange(SLOTS), 3, "SSTORE", self.word(), "SELFDESTRUCT")
            case 7:
                return assemble(self.word(), 0, "MSTORE", self.length(), 0, "REVERT")
            case 8:
                return deploying(self.chance.choice([b"\xef", b"\xef\x01\x00" + CONTRACTS[1], b"", b"\xfe"]))
            case _:
                return assemble(self.chance.choice([24_576, 24_577, 200]), 0, "RETURN")

    def end(self) -> None:
        """Stop, return or revert with all of the stack and memory, destroy, or run off the end of the code."""
        kind = self.chance.randrange(12)
        if kind < 8:
            self.put("GAS", leaves=1)
            for at in range(min(self.height, 12)):
                self.put(32 * at + 128, "MSTORE", leaves=-1)
            self.put("MSIZE", 0, "REVERT" if kind == 0 else "RETURN")
        elif kind == 8:
            self.put(self.word(), "SELFDESTRUCT")
        elif kind == 9:
            self.put("STOP")
        elif not self.behind:
            self.put(b"" if kind == 10 else b"\x7f\x01"[: self.chance.randrange(1, 3)])
        else:
            self.put(b"\xfe" if kind == 10 else "STOP")


def some_program(chance: random.Random, wild: float, size: int) -> Program:
    """Return a program, or now and then nothing but bytes."""
    if wild and chance.random() < 0.05:
        return (chance.randbytes(chance.randrange(60)),)
    return Author(chance, wild).program(size)
