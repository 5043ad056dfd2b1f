"""The opcodes of Prague in one loop over local variables: py-evm calls a Python function or four for each.

What costs little gas is done here, after the yellow paper's appendix H.2, and calls in `calls.py`; what creates or
destroys, or reads other accounts, is left to py-evm's own functions. The oracle is py-evm's own loop: the same state,
gas, logs, output and class of error for every program (tests/execution, tests/conformance).

Three things make it short. Code is followed by zeros, which read as STOP, so that no read can run off its end. The
stack holds numbers only. And too short a stack shows as Python's own IndexError, too little gas as a negative number:
either fails the whole frame, so it does not matter what a failing opcode had done already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    Revert,
    WriteProtection,
)
from sha3 import keccak_256

from node.execution.calls import CALL, CALLCODE, DELEGATECALL, STATICCALL, call, extend
from node.state.code import Instructions

JUMPDEST = 0x5B
PADDING = bytes(33)
"""Zeros behind code read as STOP, also those behind a PUSH32 that is its last byte."""
WORD = 1 << 256
MAX = WORD - 1
SIGN = 1 << 255
STACK_LIMIT = 1024
CALLS = (CALL, STATICCALL, DELEGATECALL, CALLCODE)
COLD_SLOAD, WARM_READ = 2_100, 100  # EIP-2929
SSTORE_SENTRY = 2_300  # EIP-2200
SSTORE_SET, SSTORE_RESET = 20_000, 5_000 - COLD_SLOAD
SSTORE_CLEARS = 4_800  # EIP-3529

_BLOCK_CONSTANTS: dict[int, Callable[[Any], int | bytes]] = {
    0x30: lambda frame: frame.msg.storage_address,  # ADDRESS
    0x32: lambda frame: frame.transaction_context.origin,  # ORIGIN
    0x33: lambda frame: frame.msg.sender,  # CALLER
    0x34: lambda frame: frame.msg.value,  # CALLVALUE
    0x36: lambda frame: len(frame.msg.data),  # CALLDATASIZE
    0x38: lambda frame: len(frame.msg.code),  # CODESIZE
    0x3A: lambda frame: frame.transaction_context.gas_price,  # GASPRICE
    0x41: lambda frame: frame.state.coinbase,  # COINBASE
    0x42: lambda frame: frame.state.timestamp,  # TIMESTAMP
    0x43: lambda frame: frame.state.block_number,  # NUMBER
    0x44: lambda frame: frame.state.mix_hash,  # PREVRANDAO
    0x45: lambda frame: frame.state.gas_limit,  # GASLIMIT
    0x46: lambda frame: frame.state.execution_context.chain_id,  # CHAINID
    0x48: lambda frame: frame.state.base_fee,  # BASEFEE
    0x4A: lambda frame: frame.state.blob_base_fee,  # BLOBBASEFEE
}
"""What costs 2 gas and does not change within a frame."""


def run(frame: Any) -> None:
    """Run the code of a py-evm computation until it halts.

    Raises:
        VMError: it fails or reverts.
    """
    message, meter, accounts = frame.msg, frame._gas_meter, frame.state.accounts
    stack, memory = frame._stack.values, frame._memory._bytes
    push, pop = stack.append, stack.pop
    gas = meter.gas_remaining
    data, address = message.data, message.storage_address
    data_size = len(data)
    code = message.code + PADDING
    begins: Instructions | None = None
    constants: dict[int, int] = {}
    number = int.from_bytes
    pc = op = 0
    try:
        while True:
            op = code[pc]
            pc += 1
            if op >= 0x60:
                if op < 0x80:  # PUSH1 to PUSH32
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    if op == 0x60:
                        push(code[pc])
                        pc += 1
                    else:
                        end = pc + op - 0x5F
                        push(number(code[pc:end], "big"))
                        pc = end
                elif op < 0x90:  # DUP1 to DUP16
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(stack[0x7F - op])
                elif op < 0xA0:  # SWAP1 to SWAP16
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = 0x8E - op
                    stack[-1], stack[at] = stack[at], stack[-1]
                elif op < 0xA5:  # LOG0 to LOG4
                    gas -= 375
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if message.is_static:
                        raise WriteProtection("Cannot modify state while inside of a STATICCALL context")
                    at, size = pop(), pop()
                    topics = tuple([pop() for _ in range(op - 0xA0)])
                    gas -= 8 * size + 375 * len(topics)
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if size:
                        gas = extend(memory, at + size, gas)
                    entry = bytes(memory[at : at + size])
                    frame._log_entries.append(
                        (frame.transaction_context.get_next_log_counter(), address, topics, entry)
                    )
                elif op == 0xF3 or op == 0xFD:  # RETURN, REVERT
                    at, size = pop(), pop()
                    if size:
                        gas = extend(memory, at + size, gas)
                    frame._output = bytes(memory[at : at + size])
                    if op == 0xFD:
                        meter.gas_remaining = gas
                        raise Revert(frame._output)
                    break
                elif op in CALLS:
                    gas = call(frame, op, gas)
                else:
                    meter.gas_remaining = gas
                    frame.run_stock(op)
                    gas = meter.gas_remaining
                    memory = frame._memory._bytes
                    if stack and stack[-1].__class__ is bytes:
                        stack[-1] = number(stack[-1], "big")
            elif op >= 0x50:
                if op == 0x5B:  # JUMPDEST
                    gas -= 1
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                elif op == 0x51:  # MLOAD
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = stack[-1]
                    end = at + 32
                    if end > len(memory):
                        gas = extend(memory, end, gas)
                    stack[-1] = number(memory[at:end], "big")
                elif op == 0x52:  # MSTORE
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = pop()
                    end = at + 32
                    value = pop()
                    if end > len(memory):
                        gas = extend(memory, end, gas)
                    memory[at:end] = value.to_bytes(32, "big")
                elif op == 0x5F:  # PUSH0
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(0)
                elif op == 0x50:  # POP
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    pop()
                elif op == 0x57:  # JUMPI
                    gas -= 10
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = pop()
                    if pop():
                        if at >= len(message.code) or code[at] != JUMPDEST:
                            raise InvalidJumpDestination("Invalid Jump Destination")
                        begins = begins or accounts.instructions(message.code)
                        if not begins.begin_at(at):
                            raise InvalidInstruction("Jump resulted in invalid instruction")
                        pc = at
                elif op == 0x56:  # JUMP
                    gas -= 8
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = pop()
                    if at >= len(message.code) or code[at] != JUMPDEST:
                        raise InvalidJumpDestination("Invalid Jump Destination")
                    begins = begins or accounts.instructions(message.code)
                    if not begins.begin_at(at):
                        raise InvalidInstruction("Jump resulted in invalid instruction")
                    pc = at
                elif op == 0x54:  # SLOAD
                    slot = pop()
                    gas -= COLD_SLOAD if accounts.access_storage(address, slot) else WARM_READ
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    push(accounts.get_storage(address, slot))
                elif op == 0x55:  # SSTORE (EIP-2200, EIP-2929, EIP-3529)
                    if message.is_static:
                        raise WriteProtection("Cannot modify state while inside of a STATICCALL context")
                    if gas <= SSTORE_SENTRY:
                        raise OutOfGas("Net-metered SSTORE always fails below 2300 gas, per EIP-2200")
                    slot, value = pop(), pop()
                    current = accounts.get_storage(address, slot)
                    if accounts.access_storage(address, slot):
                        gas -= COLD_SLOAD
                    if current == value:
                        gas -= WARM_READ
                    else:
                        original = accounts.get_storage(address, slot, False)
                        if original != current:
                            gas -= WARM_READ
                            refund = 0
                            if original:
                                if not current:
                                    refund -= SSTORE_CLEARS
                                if not value:
                                    refund += SSTORE_CLEARS
                            if original == value:
                                refund += (SSTORE_RESET if original else SSTORE_SET) - WARM_READ
                            if refund:
                                meter.refund_gas(refund)
                        elif not original:
                            gas -= SSTORE_SET
                        else:
                            gas -= SSTORE_RESET
                            if not value:
                                meter.refund_gas(SSTORE_CLEARS)
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if current != value:
                        accounts.set_storage(address, slot, value)
                elif op == 0x5A:  # GAS
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(gas)
                elif op == 0x53:  # MSTORE8
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = pop()
                    value = pop() & 0xFF
                    if at >= len(memory):
                        gas = extend(memory, at + 1, gas)
                    memory[at] = value
                elif op == 0x58 or op == 0x59:  # PC, MSIZE
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(pc - 1 if op == 0x58 else len(memory))
                elif op == 0x5E:  # MCOPY
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    to, at, size = pop(), pop(), pop()
                    if size:
                        gas = extend(memory, max(to, at) + size, gas - 3 * ((size + 31) >> 5))
                        memory[to : to + size] = memory[at : at + size]
                elif op == 0x5C:  # TLOAD
                    gas -= WARM_READ
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    stack[-1] = number(accounts.get_transient(address, stack[-1]), "big")
                else:  # TSTORE
                    gas -= WARM_READ
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if message.is_static:
                        raise WriteProtection("Cannot modify state while inside of a STATICCALL context")
                    slot, value = pop(), pop()
                    accounts.set_transient(address, slot, value.to_bytes(32, "big"))
            elif op >= 0x20:
                if op == 0x35:  # CALLDATALOAD
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at = stack[-1]
                    if at + 32 <= data_size:
                        stack[-1] = number(data[at : at + 32], "big")
                    else:
                        stack[-1] = number(data[at:], "big") << 8 * (32 - data_size + at) if at < data_size else 0
                elif op in _BLOCK_CONSTANTS:
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    known = constants.get(op)
                    if known is None:
                        found = _BLOCK_CONSTANTS[op](frame)
                        known = constants[op] = found if isinstance(found, int) else number(found, "big")
                    push(known)
                elif op == 0x20:  # KECCAK256
                    gas -= 30
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    at, size = pop(), pop()
                    if size:
                        gas = extend(memory, at + size, gas - 6 * ((size + 31) >> 5))
                    push(number(keccak_256(memory[at : at + size]).digest(), "big"))
                elif op == 0x3D:  # RETURNDATASIZE
                    gas -= 2
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(len(frame.return_data))
                elif op == 0x37 or op == 0x39:  # CALLDATACOPY, CODECOPY
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    to, at, size = pop(), pop(), pop()
                    if size:
                        gas = extend(memory, to + size, gas - 3 * ((size + 31) >> 5))
                        source = data if op == 0x37 else message.code
                        memory[to : to + size] = bytes(source[at : at + size]).ljust(size, b"\0")
                elif op == 0x3E:  # RETURNDATACOPY
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    to, at, size = pop(), pop(), pop()
                    if at + size > len(frame.return_data):
                        raise OutOfBoundsRead("Return data length is not sufficient to satisfy request.")
                    if size:
                        gas = extend(memory, to + size, gas - 3 * ((size + 31) >> 5))
                        memory[to : to + size] = frame.return_data[at : at + size]
                elif op == 0x40:  # BLOCKHASH
                    gas -= 20
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    stack[-1] = number(frame.state.get_ancestor_hash(stack[-1]), "big")
                elif op == 0x47:  # SELFBALANCE
                    gas -= 5
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    if len(stack) >= STACK_LIMIT:
                        raise FullStack("Stack limit reached")
                    push(accounts.get_balance(address))
                elif op == 0x49:  # BLOBHASH
                    gas -= 3
                    if gas < 0:
                        raise OutOfGas("Out of gas")
                    hashes = frame.transaction_context.blob_versioned_hashes
                    stack[-1] = number(hashes[stack[-1]], "big") if stack[-1] < len(hashes) else 0
                else:
                    meter.gas_remaining = gas
                    frame.run_stock(op)
                    gas = meter.gas_remaining
                    memory = frame._memory._bytes
                    if stack and stack[-1].__class__ is bytes:
                        stack[-1] = number(stack[-1], "big")
            elif op >= 0x10:
                gas -= 3
                if gas < 0 and op < 0x1E:
                    raise OutOfGas("Out of gas")
                if op == 0x15:  # ISZERO
                    stack[-1] = 0 if stack[-1] else 1
                elif op == 0x14:  # EQ
                    a = pop()
                    stack[-1] = 1 if a == stack[-1] else 0
                elif op == 0x10:  # LT
                    a = pop()
                    stack[-1] = 1 if a < stack[-1] else 0
                elif op == 0x11:  # GT
                    a = pop()
                    stack[-1] = 1 if a > stack[-1] else 0
                elif op == 0x16:  # AND
                    a = pop()
                    stack[-1] &= a
                elif op == 0x17:  # OR
                    a = pop()
                    stack[-1] |= a
                elif op == 0x19:  # NOT
                    stack[-1] ^= MAX
                elif op == 0x1B:  # SHL
                    a, b = pop(), stack[-1]
                    stack[-1] = (b << a) & MAX if a < 256 else 0
                elif op == 0x1C:  # SHR
                    a, b = pop(), stack[-1]
                    stack[-1] = b >> a if a < 256 else 0
                elif op == 0x12:  # SLT
                    a = pop()
                    stack[-1] = 1 if a ^ SIGN < stack[-1] ^ SIGN else 0
                elif op == 0x13:  # SGT
                    a = pop()
                    stack[-1] = 1 if a ^ SIGN > stack[-1] ^ SIGN else 0
                elif op == 0x18:  # XOR
                    a = pop()
                    stack[-1] ^= a
                elif op == 0x1A:  # BYTE
                    a, b = pop(), stack[-1]
                    stack[-1] = b >> 8 * (31 - a) & 0xFF if a < 32 else 0
                elif op == 0x1D:  # SAR
                    a = pop()
                    stack[-1] = (_signed(stack[-1]) >> min(a, 256)) & MAX
                else:
                    frame.run_stock(op)
            elif op == 0x01:  # ADD
                gas -= 3
                if gas < 0:
                    raise OutOfGas("Out of gas")
                a = pop()
                stack[-1] = (a + stack[-1]) & MAX
            elif op == 0x03:  # SUB
                gas -= 3
                if gas < 0:
                    raise OutOfGas("Out of gas")
                a = pop()
                stack[-1] = (a - stack[-1]) & MAX
            elif op == 0x00:  # STOP
                break
            elif op < 0x08 or op == 0x0B:  # MUL, DIV, SDIV, MOD, SMOD, SIGNEXTEND
                gas -= 5
                if gas < 0:
                    raise OutOfGas("Out of gas")
                a = pop()
                b = stack[-1]
                if op == 0x02:
                    stack[-1] = (a * b) & MAX
                elif op == 0x04:
                    stack[-1] = a // b if b else 0
                elif op == 0x06:
                    stack[-1] = a % b if b else 0
                elif op == 0x0B:
                    if a < 31:
                        sign = 1 << 8 * a + 7
                        stack[-1] = (b | WORD - sign if b & sign else b & sign - 1) & MAX
                elif b:
                    x, y = _signed(a), _signed(b)
                    if op == 0x05:
                        quotient = abs(x) // abs(y)
                        stack[-1] = (quotient if (x < 0) == (y < 0) else -quotient) & MAX
                    else:
                        rest = abs(x) % abs(y)
                        stack[-1] = (rest if x >= 0 else -rest) & MAX
            elif op < 0x0A:  # ADDMOD, MULMOD
                gas -= 8
                if gas < 0:
                    raise OutOfGas("Out of gas")
                a, b = pop(), pop()
                modulus = stack[-1]
                if modulus:
                    stack[-1] = (a + b if op == 0x08 else a * b) % modulus
            elif op == 0x0A:  # EXP
                gas -= 10
                if gas < 0:
                    raise OutOfGas("Out of gas")
                a = pop()
                exponent = stack[-1]
                gas -= 50 * ((exponent.bit_length() + 7) >> 3)
                if gas < 0:
                    raise OutOfGas("Out of gas")
                stack[-1] = pow(a, exponent, WORD)
            else:
                frame.run_stock(op)
    except IndexError:
        if (stack and op < 0x80) or (op >= 0xF0 and op not in (0xF3, 0xFD)):  # a fault of ours, or of a frame below
            raise
        raise InsufficientStack("Too few stack items") from None
    except Halt:
        return
    meter.gas_remaining = gas


def _signed(value: int) -> int:
    return value - WORD if value & SIGN else value
