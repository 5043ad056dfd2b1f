"""The EVM behind our own seams: the only room that knows py-evm.

| module | replaces |
|---|---|
| `accounts.py` | py-evm's account database: flat dictionaries and an undo log over a `StateReader` |
| `machine.py` | its state and transaction executor: Prague's rules, the sender already known |
| `computation.py` | its computation: one message call or contract creation |
| `loop.py`, `calls.py` | its opcode loop, the functions of the cheap opcodes, and calls |
| `code.py` | its code stream |
| `precompiles.py`, `proofs.py` | its table of precompiled contracts, with our prices, `ed25519_verify` and claims |
| `overrides.py`, `unsigned.py`, `access.py` | nothing: calls over another state, unsigned, what they touch |
| `transfers.py` | nothing: transfers as logs, for simulations |
| `imports.py` | nothing: a pairing library that is slow to import is loaded when it is needed |
| `executor.py` | its chain: blocks, calls, estimates, genesis |
"""

import sys

from node.execution.imports import defer_pairing

defer_pairing()

from node.execution.executor import VOID, Executor, GenesisError, genesis_changes  # noqa: E402
from node.execution.results import (  # noqa: E402
    BlockEnvironment,
    BlockResult,
    CallFailed,
    CallResult,
    CallReverted,
    InvalidBlock,
    Loop,
    OutOfGasEstimate,
)

__all__ = [
    "VOID",
    "BlockEnvironment",
    "BlockResult",
    "CallFailed",
    "CallResult",
    "CallReverted",
    "Executor",
    "GenesisError",
    "InvalidBlock",
    "Loop",
    "OutOfGasEstimate",
    "genesis_changes",
]

# py-evm raises the recursion limit so far that deeply nested input to a C parser (JSON) would overflow the stack and
# end the process. A thousand and twenty-four nested EVM calls need fewer than this many frames.
RECURSION_LIMIT = 16_000
sys.setrecursionlimit(RECURSION_LIMIT)
