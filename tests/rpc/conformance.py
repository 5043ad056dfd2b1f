"""Which methods of execution-apis answer as its result schemas say: asked of a node, and kept in a page.

Run `python -m tests.rpc.conformance` to renew docs/json-rpc-conformance.md. The schemas are made by schemas/make.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from node.chain.address import checksummed
from node.rpc.absent import ABSENT
from node.rpc.render import contract_address
from node.wallet import Wallet
from tests.execution.programs import RETURN_WORD, assemble, deploying
from tests.node.samples import seed
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode

PAGE = Path(__file__).parents[2] / "docs" / "json-rpc-conformance.md"
SPECIFICATION: Mapping[str, Any] = json.loads(
    Path(__file__).with_name("schemas").joinpath("execution_apis.json").read_text(encoding="utf-8")
)
OTHER, NOBODY = "0x" + "77" * 20, "0x" + "66" * 20
CONTRACT = (
    assemble("CALLDATASIZE", 15, "JUMPI", 0, "SLOAD")
    + RETURN_WORD
    + assemble("JUMPDEST", "CALLDATASIZE", 1, "EQ", 38, "JUMPI", 5, 0, "SSTORE", 9, 8, 32, 0, "LOG2", "STOP")
    + assemble("JUMPDEST", 0, 0, "REVERT")
)
"""Without input it returns slot 0; one byte reverts; more of it stores and logs."""
DIFFERENT: Mapping[str, str] = {
    "eth_getTransactionByHash": "one that waits has no block: `blockHash`, `blockNumber`, `blockTimestamp` and "
    "`transactionIndex` are null, as go-ethereum has them; the schema knows committed ones only",
    "eth_getLogs": "an empty list fits two of the schema's alternatives at once, of which it asks for exactly one",
    "eth_getFilterLogs": "as `eth_getLogs`",
    "eth_getFilterChanges": "as `eth_getLogs`",
}
"""Answers that do not fit, by method, and why they stay as they are."""
BEYOND = (
    "Blocks have `totalDifficulty` (zero) beside what the schema names; it allows for more fields.",
    "Transactions of types 0x6e and 0x6f, which have no account, show their proofs in the place of a signature; they "
    "were not asked for here.",
    "`pending` names the head's state in the next block. As a block it is the newest: nobody knows the next one before "
    "it is final. `eth_getTransactionCount` counts what waits in this node's pool.",
    "A call without a price sees a base fee of zero, whatever its block overrides say, as in go-ethereum.",
    "Where a precompiled contract was moved to is a warm address; in go-ethereum a first call costs 2,500 more.",
    "In a failed call of `eth_simulateV1` the message begins with `vm execution error`, as the schema says; "
    "go-ethereum leaves that out. Its codes -38022 and -38023 are the specification's.",
    "`eth_simulateV1` gives blocks without a time one second each; the first after `latest` has the chain's time now.",
    "State and block overrides with a misspelt name are refused, not ignored.",
)
"""What the schemas do not say, for who compares."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request whose answer is judged; `differs` where it deliberately does not fit."""

    method: str
    params: Sequence[Any]
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about a method: how many answers fit, and what the others had wrong."""

    method: str
    fitting: int
    faults: Sequence[str]


def prepared(path: Path) -> tuple[RunningNode, list[Question]]:
    """Return a node with a chain of every kind of transaction, and what to ask it."""
    node = RunningNode(path, open_accounts=True)
    node.backend.wallet = Wallet([seed("account household 1")])
    account, keeper = funded(0), funded(1).address.lower()
    filters = [node.result("eth_newFilter", {"fromBlock": "earliest"})]
    filters += [node.result("eth_newBlockFilter"), node.result("eth_newPendingTransactionFilter")]
    sender = account.address.lower()
    base: dict[str, Any] = {"chainId": 2016, "gas": 200_000, "value": 0, "data": "0x"}
    contract = "0x" + contract_address(bytes.fromhex(sender[2:]), 0).hex()
    listed = [{"address": checksummed(bytes.fromhex(contract[2:])), "storageKeys": ["0x" + "00" * 32]}]
    node.backend.mining = False

    def send(**fields: Any) -> str:
        if "to" in fields:
            fields["to"] = checksummed(bytes.fromhex(fields["to"][2:]))
        raw = account.sign_transaction(base | fields).raw_transaction
        return str(node.result("eth_sendRawTransaction", "0x" + raw.hex()))

    deployed = send(nonce=0, gasPrice=0, data="0x" + deploying(CONTRACT).hex())
    node.mine()
    kinds = [
        send(nonce=1, gasPrice=1, to=contract, data="0x" + "01" * 8),
        send(nonce=2, gasPrice=0, to=contract, data="0x0102", accessList=listed, type=1),
        send(nonce=3, maxFeePerGas=2, maxPriorityFeePerGas=1, to=contract, data="0x01", accessList=listed),
        send(nonce=4, maxFeePerGas=0, maxPriorityFeePerGas=0, to=OTHER, value=5),
    ]
    node.mine()
    node.mine()
    waiting = [send(nonce=5, maxFeePerGas=0, maxPriorityFeePerGas=0, to=OTHER), send(nonce=9, gasPrice=0, to=OTHER)]
    last = account.sign_transaction(base | {"nonce": 6, "gasPrice": 0, "to": OTHER}).raw_transaction
    block = node.result("eth_getBlockByNumber", "0x2", False)["hash"]
    word = "0x" + "00" * 32
    call = {"from": sender, "to": contract}
    writing = call | {"input": "0x" + "01" * 4}
    transfer = {"from": keeper, "to": OTHER, "value": "0x1", "gas": "0x5208", "gasPrice": "0x1", "nonce": "0x0"}
    blocks = ["latest", "earliest", "pending", "0x1", "0x2", "0xffff"]
    asked: dict[str, list[list[Any]]] = {
        "debug_getBadBlocks": [[]],
        "debug_getRawBlock": [["0x2"]],
        "debug_getRawHeader": [["0x2"]],
        "debug_getRawReceipts": [["0x2"]],
        "debug_getRawTransaction": [[kinds[0]]],
        "debug_traceBlockByHash": [[block], [block, {"tracer": "callTracer"}]],
        "debug_traceBlockByNumber": [["0x2"], ["0x2", {"tracer": "callTracer"}]],
        "debug_traceTransaction": [[kinds[0]], [kinds[2]], [kinds[0], {"tracer": "prestateTracer"}]],
        "eth_call": [[call], [call, "0x1"], [call, {"blockHash": block}], [call, "latest", {contract: {"code": "0x"}}]],
        "eth_createAccessList": [[writing], [call | {"input": "0x01"}]],
        "eth_estimateGas": [[writing], [{"from": sender, "to": OTHER}, "latest"]],
        "eth_feeHistory": [["0x2", "latest", [5, 50, 95]], ["0x400", "0x2", []], ["0x0", "latest", []]],
        "eth_fillTransaction": [[{"from": sender, "to": OTHER}], [{"from": sender, "to": OTHER, "gasPrice": "0x0"}]],
        "eth_getBalance": [[sender], [NOBODY, "0x1"]],
        "eth_getBlockByHash": [[block, full] for full in (True, False)] + [[word, False]],
        "eth_getBlockByNumber": [[ref, full] for ref in blocks for full in (True, False)],
        "eth_getBlockReceipts": [[ref] for ref in [*blocks, block, {"blockHash": block}]],
        "eth_getBlockTransactionCountByHash": [[block], [word]],
        "eth_getBlockTransactionCountByNumber": [[ref] for ref in blocks],
        "eth_getCode": [[contract, "latest"], [NOBODY]],
        "eth_getFilterChanges": [[each] for each in filters],
        "eth_getFilterLogs": [[filters[0]]],
        "eth_getLogs": [[{"fromBlock": "earliest"}], [{"blockHash": block}]],
        "eth_getProof": [[contract, [word, "0x0"]], [NOBODY, [], "0x1"]],
        "eth_getStorageAt": [[contract, "0x0"], [NOBODY, word, "0x1"]],
        "eth_getStorageValues": [[{contract: [word], NOBODY: [word]}]],
        "eth_getTransactionByBlockHashAndIndex": [[block, hex(at)] for at in range(5)],
        "eth_getTransactionByBlockNumberAndIndex": [["0x2", hex(at)] for at in range(5)] + [["0x1", "0x0"]],
        "eth_getTransactionByHash": [[each] for each in [deployed, *kinds, word]],
        "eth_getTransactionCount": [[sender, "pending"], [NOBODY]],
        "eth_getTransactionReceipt": [[each] for each in [deployed, *kinds, *waiting, word]],
        "eth_newFilter": [[{}]],
        "eth_sendRawTransaction": [["0x" + last.hex()]],
        "eth_sendTransaction": [[transfer]],
        "eth_sign": [[keeper, "0x1234"]],
        "eth_signTransaction": [[transfer]],
        "eth_simulateV1": [
            [{"blockStateCalls": [{"calls": [writing, call | {"input": "0x01"}, {"data": "0xfe"}]}, {}]}],
            [{"blockStateCalls": [{"calls": [transfer]}], "returnFullTransactions": True, "traceTransfers": True}],
        ],
        "eth_uninstallFilter": [[filters[0]], ["0x1234"]],
        "txpool_contentFrom": [[sender], [NOBODY]],
    }
    questions = [Question(method, params) for method, rows in asked.items() for params in rows]
    empty = node.result("eth_newBlockFilter")
    nothing = node.result("eth_newFilter", {"address": NOBODY})
    questions += [
        Question("eth_getTransactionByHash", [waiting[0]], differs=True),
        Question("eth_getLogs", [{"address": NOBODY}], differs=True),
        Question("eth_getFilterLogs", [nothing], differs=True),
        Question("eth_getFilterChanges", [empty], differs=True),
    ]
    rest = sorted(SPECIFICATION["methods"].keys() - asked.keys() - ABSENT.keys())
    return node, [Question(method, []) for method in rest] + questions


def judged(node: RunningNode, questions: Sequence[Question]) -> dict[str, Verdict]:
    """Return what was found, by method."""
    found: dict[str, Verdict] = {}
    for question in questions:
        schema = SPECIFICATION["methods"][question.method]
        check = Draft202012Validator({**schema, "components": SPECIFICATION["components"]})
        answer = node.ask(question.method, *question.params)
        if "error" in answer:
            faults = [str(answer["error"])]
        else:
            faults = [f"{error.json_path}: {error.message}"[:300] for error in check.iter_errors(answer["result"])]
        before = found.get(question.method, Verdict(question.method, 0, ()))
        if bool(faults) == question.differs:
            found[question.method] = Verdict(question.method, before.fitting + 1, before.faults)
        else:
            shown = [
                f"{json.dumps(question.params)[:100]} {fault}" for fault in faults or ["fits, against expectation"]
            ]
            found[question.method] = Verdict(question.method, before.fitting, [*before.faults, *shown])
    return found


def page(found: Mapping[str, Verdict]) -> str:
    """Return docs/json-rpc-conformance.md."""
    rows = []
    for method in sorted(SPECIFICATION["methods"]):
        if method in found:
            verdict = "; ".join(found[method].faults) or "fits"
            if method in DIFFERENT:
                verdict += f", but for this: {DIFFERENT[method]}"
        else:
            verdict = f"absent: {ABSENT[method]}"
        rows.append(f"| `{method}` | {verdict} |")
    source = SPECIFICATION["source"].replace(" ", ", commit ")
    beyond = "\n".join(f"- {line}" for line in BEYOND)
    return f"""# Conformance with execution-apis

Every method of {source}, in its namespaces
`eth`, `debug`, `txpool` and `net`, is asked of a node with deployed code, logs, transactions of types 0, 1 and 2,
failed and waiting ones; each answer has to validate against the method's result schema. A test keeps this table true
(tests/rpc/test_schemas.py; `python -m tests.rpc.conformance` renews it).

| method | answers |
|---|---|
{chr(10).join(rows)}

What the schemas do not decide:

{beyond}
"""


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        node, questions = prepared(Path(folder) / "chain")
        try:
            PAGE.write_text(page(judged(node, questions)), encoding="utf-8")
        finally:
            node.close()


if __name__ == "__main__":
    main()
