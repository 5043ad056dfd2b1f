"""CALL, CALLCODE, DELEGATECALL and STATICCALL for the inlined loop, in the order of the yellow paper's appendix H.2.

py-evm spends thirty microseconds on a call; whoever calls empty accounts all block long would hold a node for three
seconds. A child frame's input is a view of its parent's memory, since a call costs the same whatever its size. A child
frame that wrote logs or earned refunds hands them to its parent when it succeeds; only one that created or destroyed
contracts is kept, for py-evm to look through.
"""

from __future__ import annotations

from typing import Any

from eth.exceptions import InsufficientStack, OutOfGas, VMError, WriteProtection
from eth.vm.message import Message

CALL, CALLCODE, DELEGATECALL, STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA
COLD_ACCOUNT, WARM_ACCOUNT = 2_600, 100  # EIP-2929
CALL_VALUE, CALL_STIPEND, NEW_ACCOUNT = 9_000, 2_300, 25_000
MAX_DEPTH = 1_024
ADDRESS = (1 << 160) - 1
DELEGATION = bytes.fromhex("ef0100")  # EIP-7702: code that stands for another account's
DELEGATION_BYTES = 23


class CallMessage(Message):
    """py-evm's message, without checks of what the opcode has just made."""

    def __init__(  # type: ignore[no-untyped-def]  # as many as py-evm's, which is untyped here
        self, gas, to, sender, value, data, code, depth, code_address, transfers, is_static, is_delegation
    ) -> None:
        self.gas, self.to, self.sender, self.value = gas, to, sender, value
        self.data, self.code, self.depth = data, code, depth
        self._storage_address, self._code_address = None, code_address
        self.should_transfer_value, self.is_static, self._is_delegation = transfers, is_static, is_delegation
        self.refund = 0


def call(frame: Any, op: int, gas: int) -> int:
    """Run a call: its operands are on the frame's stack, and so is its success afterwards. Return the gas left.

    Raises:
        VMError: the calling frame fails.
    """
    message, accounts = frame.msg, frame.state.accounts
    memory, stack = frame._memory._bytes, frame._stack.values
    push, pop = stack.append, stack.pop
    brings = op in (CALL, CALLCODE)
    if len(stack) < (7 if brings else 6):
        raise InsufficientStack("Too few stack items")
    requested, target = pop(), (pop() & ADDRESS).to_bytes(20, "big")
    value = pop() if brings else 0
    in_at, in_size, out_at, out_size = pop(), pop(), pop(), pop()
    if value and op == CALL and message.is_static:
        raise WriteProtection("Cannot modify state while inside of a STATICCALL context")
    if in_size:
        gas = extend(memory, in_at + in_size, gas)
    if out_size:
        gas = extend(memory, out_at + out_size, gas)
    precompiles = frame._precompiles  # always warm
    gas -= COLD_ACCOUNT if target not in precompiles and accounts.access_account(target) else WARM_ACCOUNT
    if gas < 0:
        raise OutOfGas("Out of gas")
    code, code_address, delegated = accounts.get_code(target), target, False
    if len(code) == DELEGATION_BYTES and code.startswith(DELEGATION):
        code_address, delegated = code[3:], True
        cold = code_address not in precompiles and accounts.access_account(code_address)
        gas -= COLD_ACCOUNT if cold else WARM_ACCOUNT
        if gas < 0:
            raise OutOfGas("Out of gas")
        code = accounts.get_code(code_address)
    if value:
        gas -= CALL_VALUE
        if op == CALL and accounts.account_is_empty(target):
            gas -= NEW_ACCOUNT
    if gas < 0:
        raise OutOfGas("Out of gas")
    given: int = min(requested, gas - gas // 64)  # EIP-150
    gas -= given
    if value:
        given += CALL_STIPEND
    own = message.storage_address
    frame.return_data = b""
    if message.depth >= MAX_DEPTH or (value and accounts.get_balance(own) < value):
        push(0)
        return gas + given
    precompile = None if delegated else precompiles.get(code_address)
    checkpoint = accounts.record()
    if value and op == CALL:
        accounts.set_balance(own, accounts.get_balance(own) - value)
        accounts.set_balance(target, accounts.get_balance(target) + value)
    if not code and precompile is None:
        push(1)
        return gas + given
    delegating = op == DELEGATECALL
    data = memoryview(memory)[in_at : in_at + in_size]
    child = frame.child(
        CallMessage(
            given,
            target if op in (CALL, STATICCALL) else own,
            message.sender if delegating else own,
            message.value if delegating else value,
            data,
            code,
            message.depth + 1,
            code_address,
            brings,
            message.is_static or op == STATICCALL,
            delegated,
        )
    )
    try:
        if precompile is None:
            child.run()
        else:
            precompile(child)
    except VMError as error:
        accounts.discard(checkpoint)
        push(0)
        if error.burns_gas:
            return gas
    else:
        push(1)
        _adopt(frame, child)
    finally:
        data.release()  # the caller's memory may grow again
    left: int = child._gas_meter.gas_remaining
    output = frame.return_data = child._output
    if out_size and output:
        size = min(out_size, len(output))
        memory[out_at : out_at + size] = output[:size]
    return gas + left


def _adopt(frame: Any, child: Any) -> None:
    """Let what a child frame did count with what its parent does."""
    if child.children or child.accounts_to_delete or child.beneficiaries:
        frame.children.append(child)
        return
    if child._log_entries:
        frame._log_entries.extend(child._log_entries)
    if child._gas_meter.gas_refunded:
        frame._gas_meter.refund_gas(child._gas_meter.gas_refunded)


def extend(memory: bytearray, end: int, gas: int) -> int:
    """Extend memory to hold `end` bytes, in words; return the gas that is left (yellow paper, equation 326).

    Raises:
        OutOfGas: there is too little, before or after.
    """
    before, after = len(memory) >> 5, (end + 31) >> 5
    if after > before:
        gas -= 3 * (after - before) + after * after // 512 - before * before // 512
        if gas < 0:
            raise OutOfGas("Out of gas: memory")
        memory.extend(bytes((after - before) << 5))
    elif gas < 0:
        raise OutOfGas("Out of gas")
    return gas
