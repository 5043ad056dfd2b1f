"""P4: execution alone, beside pyrevm (Rust) on the same calls: token transfers, a storage loop, a hash loop.

Our side applies whole transactions (nonce, gas, receipt, bloom), pyrevm runs message calls.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from eth_abi.abi import default_codec
from eth_hash.auto import keccak

import contracts
from benchmarks import machine
from benchmarks.results import Result, show
from benchmarks.revm import Revm
from benchmarks.worst_programs import code_of
from node.chain.transaction import Transaction
from node.execution import BlockEnvironment, Executor, Loop
from node.rules import RuleBook
from node.state import EMPTY_CODE_HASH, EMPTY_ROOT, Account, StateChanges, slot_key
from node.state.code import beginnings

CHAIN_ID = 1
BLOCK, BLOCKS, ROUNDS = 250, 4, 5
TOKEN, STORES, HASHES = b"\xc0" * 20, b"\xc1" * 20, b"\xc2" * 20
OWNER = keccak(b"owner")[:20]
PEOPLE = [keccak(b"person %d" % i)[:20] for i in range(50)]
GAS = 3_000_000
TRANSFERS = "token transfers"

_TURN = code_of("JUMPDEST")
STORES_CODE = (
    code_of(0)
    + _TURN
    + code_of("DUP1", "DUP1", "SLOAD", 1, "ADD", b"\x90", "SSTORE", 1, "ADD", 20, "DUP2", "LT", 1, "JUMPI")
)
HASHES_CODE = code_of(0) + _TURN + code_of(64, 0, "KECCAK256", 0, "MSTORE", 1, "ADD", 200, "DUP2", "LT", 1, "JUMPI")


class Memory:
    """A `StateReader` in dictionaries."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Account] = {}
        self._slots: dict[bytes, int] = {}
        self._codes: dict[bytes, bytes] = {EMPTY_CODE_HASH: b""}
        self._beginnings: dict[bytes, bytes] = {}

    def account(self, address: bytes) -> Account | None:
        """Return the account."""
        return self._accounts.get(address)

    def storage(self, address: bytes, slot: int) -> int:
        """Return a slot's value."""
        return self._slots.get(slot_key(address, slot), 0)

    def code(self, code_hash: bytes) -> bytes:
        """Return code by its hash."""
        return self._codes[code_hash]

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where instructions begin in it."""
        return self._beginnings.get(code_hash)

    def place(self, address: bytes, code: bytes) -> None:
        """Put a contract somewhere."""
        self._codes[keccak(code)] = code
        self._beginnings[keccak(code)] = beginnings(code)
        self._accounts[address] = Account(1, 0, EMPTY_ROOT, keccak(code))

    def apply(self, changes: StateChanges) -> None:
        """Become the state after a block."""
        for address, account in changes.accounts.items():
            if account is not None:
                self._accounts[address] = Account(account.nonce, account.balance, EMPTY_ROOT, account.code_hash)
        self._slots.update(changes.storage)
        self._codes.update(changes.codes)


def init_code() -> bytes:
    """Return the test token's constructor with its arguments."""
    compiled = json.loads(
        (Path(contracts.__file__).parent / "artifacts" / "TestToken.json").read_text(encoding="utf-8")
    )
    inputs = next(entry["inputs"] for entry in compiled["abi"] if entry["type"] == "constructor")
    values = {"string": "Bench", "uint256": 10**24, "address": "0x" + OWNER.hex()}
    types = [str(item["type"]) for item in inputs]
    return bytes.fromhex(compiled["bytecode"][2:]) + bytes(
        default_codec.encode(types, [values[kind] for kind in types])
    )


def transfer(to: bytes, amount: int) -> bytes:
    """Return the calldata of ERC-20 `transfer`."""
    return bytes.fromhex("a9059cbb") + to.rjust(32, b"\0") + amount.to_bytes(32, "big")


def calls(workload: str, block: int) -> list[tuple[bytes, bytes, bytes]]:
    """Return (sender, destination, calldata) of a block's calls."""
    if workload == TRANSFERS:
        return [(PEOPLE[i % 50], TOKEN, transfer(PEOPLE[(i * 7 + block + 1) % 50], 1)) for i in range(BLOCK)]
    target = STORES if workload == "20 slots rewritten" else HASHES
    return [(PEOPLE[i % 50], target, b"") for i in range(BLOCK // 10)]


class Ours:
    """Our executor with either loop."""

    def __init__(self, loop: Loop) -> None:
        self._state = Memory()
        self._nonces: dict[bytes, int] = {}
        self._height = 0
        rules = RuleBook({"version": 1, "open_accounts": True, "block_gas_limit": 1 << 39}, CHAIN_ID)
        self._executor = Executor(rules, loop)
        self._state.place(STORES, STORES_CODE)
        self._state.place(HASHES, HASHES_CODE)
        self.run([(OWNER, None, init_code())])
        created = keccak(b"\xd6\x94" + OWNER + b"\x80")[12:]
        account = self._state.account(created)
        if account is None:
            raise RuntimeError("the token was not deployed")
        self._token = created
        self.run([(OWNER, TOKEN, transfer(person, 10**9)) for person in PEOPLE])

    def run(self, messages: list[tuple[bytes, bytes | None, bytes]]) -> float:
        """Execute a block of calls; return its CPU seconds."""
        self._height += 1
        txs = []
        for sender, to, data in messages:
            nonce = self._nonces.get(sender, 0)
            self._nonces[sender] = nonce + 1
            target = self._token if to == TOKEN else to
            txs.append(Transaction(b"", bytes(32), 2, CHAIN_ID, nonce, 0, 0, GAS, target, 0, data, (), 0, 1, 1, sender))
        environment = BlockEnvironment(self._height, self._height, 1 << 39, bytes(32), CHAIN_ID, lambda _: None)
        started = time.process_time()
        result = self._executor.execute(self._state, environment, txs)
        seconds = time.process_time() - started
        if not all(receipt.status for receipt in result.receipts):
            raise RuntimeError("a call failed")
        self._state.apply(result.changes)
        return seconds


class Theirs:
    """pyrevm."""

    def __init__(self, revm: Revm) -> None:
        self._revm = revm
        self.run([(OWNER, TOKEN, transfer(person, 10**9)) for person in PEOPLE])

    def run(self, messages: list[tuple[bytes, bytes, bytes]]) -> float:
        """Run the calls; return their CPU seconds."""
        called = [(sender, self._revm.created if to == TOKEN else to, data) for sender, to, data in messages]
        return self._revm.run(called, GAS)


def compare(workload: str) -> dict[str, list[float]]:
    """Return microseconds a call by engine, the median of each round; the engines take turns block by block."""
    taken: dict[str, list[float]] = {}
    with Revm(OWNER, {STORES: STORES_CODE, HASHES: HASHES_CODE}, init_code()) as revm:
        ours = {"inlined": Ours(Loop.INLINED), "stock": Ours(Loop.STOCK)}
        engines: dict[str, Ours | Theirs] = {**ours, "pyrevm": Theirs(revm)}
        for number in range(ROUNDS * BLOCKS):
            block = calls(workload, number)
            for name, engine in engines.items():
                taken.setdefault(name, []).append(engine.run(list(block)) / len(block) * 1e6)
    return {
        name: [statistics.median(values[at : at + BLOCKS]) for at in range(0, len(values), BLOCKS)]
        for name, values in taken.items()
    }


def ratios(micro: dict[str, list[float]], loop: str) -> list[float]:
    """Return how many times pyrevm's time a loop took, for each round."""
    return [ours / theirs for ours, theirs in zip(micro[loop], micro["pyrevm"], strict=True)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    found = {workload: compare(workload) for workload in (TRANSFERS, "20 slots rewritten", "200 hashes")}
    beside = {}
    for workload, micro in found.items():
        times = ", ".join(f"{name} {statistics.median(values):.1f} µs" for name, values in micro.items())
        inlined, stock = (statistics.median(ratios(micro, loop)) for loop in ("inlined", "stock"))
        beside[workload] = f"{times}: inlined {inlined:.1f}×, stock {stock:.1f}× pyrevm"
    each = ratios(found[TRANSFERS], "inlined")
    what = "execution of a token transfer over pyrevm's time, inlined loop"
    bar, about = "≤ 15 × (stock loop ≤ 20 ×)", machine.describe(Path.cwd())
    show(Result("P4", what, statistics.median(each), "×", bar, each, beside, about), keep=options.keep)


if __name__ == "__main__":
    main()
