"""A small assembler, and the programs that several tests run."""

from __future__ import annotations

from eth.vm import opcode_values

OPCODES: dict[str, int] = {name: value for name, value in vars(opcode_values).items() if name.isupper()}


def assemble(*parts: str | int | bytes) -> bytes:
    """Return bytecode: a name is an opcode, an integer is pushed, bytes are taken as they are."""
    code = b""
    for part in parts:
        if isinstance(part, str):
            code += bytes(OPCODES[name] for name in part.split())
        elif isinstance(part, int):
            raw = part.to_bytes(max(1, (part.bit_length() + 7) // 8), "big")
            code += bytes((OPCODES["PUSH1"] + len(raw) - 1,)) + raw
        else:
            code += part
    return code


def deploying(runtime: bytes) -> bytes:
    """Return init code that leaves `runtime` (up to 65,535 bytes)."""
    head = assemble(len(runtime), b"\x61\x00\x00", 0, "CODECOPY", len(runtime), 0, "RETURN")
    return head.replace(b"\x61\x00\x00", b"\x61" + len(head).to_bytes(2, "big"), 1) + runtime


def calling(target: bytes | int, kind: str = "CALL", value: int = 0, gas: int | str = "GAS") -> bytes:
    """Return code that passes all call data on to `target` and leaves success on the stack."""
    address = int.from_bytes(target, "big") if isinstance(target, bytes) else target
    head = assemble("CALLDATASIZE", 0, 0, "CALLDATACOPY", 0, 0, "CALLDATASIZE", 0)
    middle = assemble(value) if kind in ("CALL", "CALLCODE") else b""
    return head + middle + assemble(address, gas, kind)


RETURN_WORD = assemble(0, "MSTORE", 32, 0, "RETURN")
"""Return the word on top of the stack."""
