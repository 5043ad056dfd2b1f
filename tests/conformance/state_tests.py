"""Running one file of state tests: its transactions over its accounts, by Cancun's rules."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from node import admission
from node.chain import rlp
from node.chain.transaction import InvalidTransaction
from node.execution import BlockEnvironment, Loop
from node.execution.machine import Machine, apply_transaction
from node.execution.tracing import TracedBlock
from node.rules import Rules
from node.state import StateChanges
from tests.conformance.transactions import CHAIN_ID, Sent, decode
from tests.execution.bookkeeper import Bookkeeper
from tests.execution.states import DictState, Holding

ROOT = Path(os.environ.get("GRIDPACT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
ARCHIVE = ROOT / "ethereum_tests" / "general_state_tests.tar.xz"
FORK = "Cancun"


class Way(StrEnum):
    """How a case is run: by one of the loops, or under a tracer that looks at every opcode."""

    INLINED = Loop.INLINED
    STOCK = Loop.STOCK
    TRACED = "traced"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case: its folder, file and number, and why it failed (empty: it passed)."""

    folder: str
    name: str
    reason: str


def members(archive: Path = ARCHIVE) -> Iterator[tuple[str, str, bytes]]:
    """Yield (folder, file, content) of all files of the archive, in the order of their names."""
    with tarfile.open(archive) as opened:
        for member in sorted((m for m in opened if m.name.endswith(".json")), key=lambda member: member.name):
            stream, path = opened.extractfile(member), Path(member.name)
            if stream is not None:
                yield path.parent.name, path.stem, stream.read()


def run_file(folder: str, file: str, content: bytes, way: Way, part: int = 0, parts: int = 1) -> list[Outcome]:
    """Run the cases of a file; of several equal parts, those of one."""
    outcomes = []
    for name, test in json.loads(content).items():
        for number, case in enumerate(test["post"].get(FORK, [])):
            if number % parts == part:
                reason = run_case(test, case, way)
                label = f"{file}/{name}#{number}" if name != file else f"{file}#{number}"
                outcomes.append(Outcome(folder, label, reason))
    return outcomes


def run_case(test: Mapping[str, Any], case: Mapping[str, Any], way: Way) -> str:
    """Return why a case fails; empty if it passes."""
    before = DictState(_holdings(test["pre"]))
    expected = case.get("expectException", "")
    try:
        changes, logs = _apply(case, test["env"], before, way)
    except (InvalidTransaction, rlp.InvalidRlp) as error:
        refused = "" if before.root() == _data(case["hash"]) else "refused, and the expected state is another one"
        return refused if expected else f"refused: {error}"
    if expected:
        return f"applied, expected {expected}"
    root = before.after(changes).root()
    if root != _data(case["hash"]):
        return f"state root 0x{root.hex()}, expected {case['hash']}"
    return "" if logs == _data(case["logs"]) else f"logs 0x{logs.hex()}, expected {case['logs']}"


def _apply(case: Mapping[str, Any], env: Mapping[str, str], state: DictState, way: Way) -> tuple[StateChanges, bytes]:
    """Return what a case changes, and the hash of its logs.

    Raises:
        InvalidTransaction: no valid block contains its transaction.
    """
    gas_limit, base_fee = _int(env["currentGasLimit"]), _int(env["currentBaseFee"])
    machine = _machine(env, state, Rules(1, CHAIN_ID, gas_limit, base_fee=base_fee, fork="cancun"), way)
    sent = decode(_data(case["txbytes"]))
    _check(sent, state, machine)
    sender = sent.tx.sender
    machine.accounts.set_balance(sender, machine.accounts.get_balance(sender) - sent.blob_gas * machine.blob_base_fee)
    if isinstance(machine, TracedBlock):
        logs = machine.apply(sent.tx, Bookkeeper(), sent.blobs).logs
    else:
        logs = apply_transaction(machine, sent.tx, sent.blobs).logs
    return machine.accounts.changes(), keccak(rlp.encode([[log.address, log.topics, log.data] for log in logs]))


def _check(sent: Sent, state: DictState, machine: Machine) -> None:
    """Apply the rules of validity, all but who vouches."""
    tx, held = sent.tx, state.holdings.get(sent.tx.sender, Holding())
    admission.check_form(tx, machine.rules)
    if held.code:
        raise InvalidTransaction("sender not an eoa")
    admission.check_nonce(tx, held.nonce)
    admission.check_payable(tx, held.balance - sent.blob_gas * sent.max_fee_per_blob_gas)
    if sent.blobs and sent.max_fee_per_blob_gas < machine.blob_base_fee:
        raise InvalidTransaction("max fee per blob gas less than the block's")


def _machine(env: Mapping[str, str], state: DictState, rules: Rules, way: Way) -> Machine:
    height = _int(env["currentNumber"])
    environment = BlockEnvironment(
        height,
        _int(env["currentTimestamp"]),
        rules.block_gas_limit,
        bytes(32),
        CHAIN_ID,
        lambda number: keccak(str(number).encode()) if number < height else None,
        _data(env["currentCoinbase"]),
        _int(env["currentRandom"]).to_bytes(32, "big"),
        _int(env["currentExcessBlobGas"]),
    )
    if way is Way.TRACED:
        return TracedBlock(state, environment, rules)
    return Machine(state, environment, rules, Loop(way))


def _holdings(pre: Mapping[str, Any]) -> dict[bytes, Holding]:
    return {
        _data(address): Holding(
            _int(row["balance"]),
            _int(row["nonce"]),
            _data(row["code"]),
            {_int(slot): _int(value) for slot, value in row["storage"].items() if _int(value)},
        )
        for address, row in pre.items()
    }


def _int(text: str) -> int:
    return int(text, 16)


def _data(text: str) -> bytes:
    digits = text.removeprefix("0x")
    return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
