"""Prague's opcodes as traces show them: name, items taken from the stack, gas that each costs whatever it is given.

Names are go-ethereum's (`core/vm/opcodes.go`). Sources: yellow paper, appendix H.2; EIP-1153, EIP-3198, EIP-3855,
EIP-4399 (whose opcode go-ethereum still calls DIFFICULTY), EIP-4844, EIP-5656.
"""

from __future__ import annotations

from dataclasses import dataclass

CREATE, CREATE2, SELFDESTRUCT = 0xF0, 0xF5, 0xFF
SLOAD, SSTORE = 0x54, 0x55


@dataclass(frozen=True, slots=True)
class Opcode:
    """An opcode: its name, how many stack items it takes, its constant gas."""

    name: str
    takes: int
    gas: int


_TABLE = """
00 STOP 0 0|01 ADD 2 3|02 MUL 2 5|03 SUB 2 3|04 DIV 2 5|05 SDIV 2 5|06 MOD 2 5|07 SMOD 2 5|08 ADDMOD 3 8
09 MULMOD 3 8|0a EXP 2 0|0b SIGNEXTEND 2 5|10 LT 2 3|11 GT 2 3|12 SLT 2 3|13 SGT 2 3|14 EQ 2 3|15 ISZERO 1 3
16 AND 2 3|17 OR 2 3|18 XOR 2 3|19 NOT 1 3|1a BYTE 2 3|1b SHL 2 3|1c SHR 2 3|1d SAR 2 3|20 KECCAK256 2 30
30 ADDRESS 0 2|31 BALANCE 1 100|32 ORIGIN 0 2|33 CALLER 0 2|34 CALLVALUE 0 2|35 CALLDATALOAD 1 3
36 CALLDATASIZE 0 2|37 CALLDATACOPY 3 3|38 CODESIZE 0 2|39 CODECOPY 3 3|3a GASPRICE 0 2|3b EXTCODESIZE 1 100
3c EXTCODECOPY 4 100|3d RETURNDATASIZE 0 2|3e RETURNDATACOPY 3 3|3f EXTCODEHASH 1 100|40 BLOCKHASH 1 20
41 COINBASE 0 2|42 TIMESTAMP 0 2|43 NUMBER 0 2|44 DIFFICULTY 0 2|45 GASLIMIT 0 2|46 CHAINID 0 2
47 SELFBALANCE 0 5|48 BASEFEE 0 2|49 BLOBHASH 1 3|4a BLOBBASEFEE 0 2|50 POP 1 2|51 MLOAD 1 3|52 MSTORE 2 3
53 MSTORE8 2 3|54 SLOAD 1 0|55 SSTORE 2 0|56 JUMP 1 8|57 JUMPI 2 10|58 PC 0 2|59 MSIZE 0 2|5a GAS 0 2
5b JUMPDEST 0 1|5c TLOAD 1 100|5d TSTORE 2 100|5e MCOPY 3 3|5f PUSH0 0 2|f0 CREATE 3 32000|f1 CALL 7 100
f2 CALLCODE 7 100|f3 RETURN 2 0|f4 DELEGATECALL 6 100|f5 CREATE2 4 32000|fa STATICCALL 6 100|fd REVERT 2 0
fe INVALID 0 0|ff SELFDESTRUCT 1 5000
"""


def _opcodes() -> tuple[Opcode, ...]:
    table = {op: Opcode(f"opcode {op:#x} not defined", 0, 0) for op in range(256)}
    for entry in _TABLE.replace("\n", "|").strip("|").split("|"):
        number, name, takes, gas = entry.split()
        table[int(number, 16)] = Opcode(name, int(takes), int(gas))
    for count in range(1, 33):
        table[0x5F + count] = Opcode(f"PUSH{count}", 0, 3)
    for count in range(1, 17):
        table[0x7F + count] = Opcode(f"DUP{count}", count, 3)
        table[0x8F + count] = Opcode(f"SWAP{count}", count + 1, 3)
    for topics in range(5):
        table[0xA0 + topics] = Opcode(f"LOG{topics}", topics + 2, 375 * (topics + 1))
    return tuple(table[op] for op in range(256))


OPCODES = _opcodes()
"""By number; a number that is no opcode is named as one that is not defined."""
