"""ethereum/tests' state tests through our seams: a fixed sample of every folder, by Cancun's rules.

Cancun differs from Prague, for these tests, in the calldata floor (EIP-7623) and in BLS12-381's precompiles, which the
tests switch off. Left out: blobs, which this chain refuses, and five files about an account state that it cannot have,
storage without code or nonce (EIP-7610), where our collision rule (code or nonce) gives another root.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.computation import CancunComputation
from eth_hash.auto import keccak

from node import admission
from node.chain import rlp
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction, recover_sender
from node.execution import BlockEnvironment, machine
from node.execution.machine import Machine, apply_transaction
from node.rules import Rules
from node.state import StateChanges
from tests.execution.states import DictState, Holding

ROOT = Path(os.environ.get("GRIDPACT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
ARCHIVE = ROOT / "ethereum_tests" / "general_state_tests.tar.xz"
EVERY = 12  # one file in so many; all of them take about a minute
STORAGE_ALONE = (
    "RevertInCreateInInitCreate2Paris",
    "create2collisionStorageParis",
    "dynamicAccountOverwriteEmpty_Paris",
    "RevertInCreateInInit_Paris",
    "InitCollisionParis",
)

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no vectors at {ARCHIVE}")


@cache
def vectors() -> Mapping[str, Any]:
    """Return the sampled files' content by name."""
    found: dict[str, Any] = {}
    with tarfile.open(ARCHIVE) as archive:
        members = sorted((m for m in archive if m.name.endswith(".json")), key=lambda member: member.name)
        for member in members[::EVERY]:
            path = Path(member.name)
            stream = archive.extractfile(member)
            if path.parent.name != "vmPerformance" and path.stem not in STORAGE_ALONE and stream is not None:
                found[f"{path.parent.name}/{path.stem}"] = json.load(stream)
    return found


def number(text: str) -> int:
    return int(text, 16)


def data(text: str) -> bytes:
    digits = text.removeprefix("0x")
    return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))


def holdings(pre: Mapping[str, Any]) -> dict[bytes, Holding]:
    return {
        data(address): Holding(
            number(row["balance"]),
            number(row["nonce"]),
            data(row["code"]),
            {number(slot): number(value) for slot, value in row["storage"].items() if number(value)},
        )
        for address, row in pre.items()
    }


def decode(raw: bytes) -> Transaction:
    """Decode as this chain does, and the unprotected legacy transactions too, in which most of these tests come."""
    try:
        return decode_transaction(raw, 1)
    except InvalidTransaction as error:
        if "replay-protected" not in error.reason:
            raise
    nonce, price, gas, to, value, payload, v, r, s = rlp.decode_list(rlp.decode(raw), 9)
    digest = keccak(rlp.encode([nonce, price, gas, to, value, payload]))
    parity, r_number, s_number = rlp.decode_int(v) - 27, rlp.decode_int(r), rlp.decode_int(s)
    fee = rlp.decode_int(price)
    return Transaction(
        raw=raw,
        hash=keccak(raw),
        type=0,
        chain_id=1,
        nonce=rlp.decode_int(nonce, 64),
        max_priority_fee_per_gas=fee,
        max_fee_per_gas=fee,
        gas_limit=rlp.decode_int(gas, 64),
        to=rlp.decode_data(to, 0, 20) or None,
        value=rlp.decode_int(value),
        data=rlp.decode_data(payload),
        access_list=(),
        y_parity=parity,
        r=r_number,
        s=s_number,
        sender=recover_sender(digest, parity, r_number, s_number),
    )


def make_machine(env: Mapping[str, str], state: DictState) -> Machine:
    """Return a machine with the block that a test describes, by Cancun's rules."""
    height, gas = number(env["currentNumber"]), number(env["currentGasLimit"])
    fee = number(env["currentBaseFee"])
    environment = BlockEnvironment(
        height,
        number(env["currentTimestamp"]),
        gas,
        bytes(32),
        1,
        lambda n: keccak(str(n).encode()) if n < height else None,
    )
    made = Machine(state, environment, Rules(1, 1, base_fee=fee, precompiles="ethereum"))
    made.computation_class = type(
        "CancunFrame", (made.computation_class,), {"_precompiles": CancunComputation.get_precompiles()}
    )
    made.execution_context = ExecutionContext(
        coinbase=data(env["currentCoinbase"]),
        timestamp=environment.timestamp,
        block_number=height,
        difficulty=0,
        mix_hash=number(env["currentRandom"]).to_bytes(32, "big"),
        gas_limit=gas,
        prev_hashes=(),
        chain_id=1,
        base_fee_per_gas=fee,
        excess_blob_gas=number(env["currentExcessBlobGas"]),
    )
    return made


def check(tx: Transaction, state: DictState, env: Mapping[str, str]) -> None:
    """Apply the rules of validity, all but who vouches and that creations carry no value."""
    limits = Rules(1, 1, block_gas_limit=number(env["currentGasLimit"]), base_fee=number(env["currentBaseFee"]))
    if tx.value and tx.to is None:  # a rule of this chain's own
        values = {name: getattr(tx, name) for name in tx.__slots__} | {"value": 0}
        admission.check_form(Transaction(**values), limits)
    else:
        admission.check_form(tx, limits)
    held = state.holdings.get(tx.sender, Holding())
    if held.code:
        raise InvalidTransaction("sender not an eoa")
    admission.check_nonce(tx, held.nonce)
    admission.check_payable(tx, held.balance)


def apply(case: Mapping[str, Any], env: Mapping[str, str], state: DictState) -> tuple[StateChanges, bytes]:
    """Return what a case changes, and the hash of its logs."""
    tx = decode(data(case["txbytes"]))
    check(tx, state, env)
    made = make_machine(env, state)
    logs = apply_transaction(made, tx).logs
    return made.accounts.changes(), keccak(rlp.encode([[log.address, log.topics, log.data] for log in logs]))


def test_a_sample_of_the_state_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "calldata_floor", lambda _: 0)
    monkeypatch.setattr(admission, "calldata_floor", lambda _: 0)
    passed, failed = 0, []
    for name, content in vectors().items():
        for test in content.values():
            coinbase = data(test["env"]["currentCoinbase"])
            monkeypatch.setattr(machine, "NO_COINBASE", coinbase)
            for index, case in enumerate(test["post"].get("Cancun", [])):
                if data(case["txbytes"])[:1] == b"\3":
                    continue
                before = DictState(holdings(test["pre"]))
                try:
                    changes, logs = apply(case, test["env"], before)
                    right = (before.after(changes).root(), logs) == (data(case["hash"]), data(case["logs"]))
                    right = right and "expectException" not in case
                except (InvalidTransaction, rlp.InvalidRlp):
                    right = "expectException" in case
                passed += right
                failed += [] if right else [f"{name} #{index}"]
    assert failed == []
    assert passed > 500
