"""Makes simulations.json: execution-apis' tests of eth_simulateV1 that do not depend on the chain beneath.

Run `python tests/rpc/schemas/make_simulations.py CLONE`: it reads tests/eth_simulateV1/*.io of the clone's HEAD and
keeps requests and answers without what the base block decides (hashes and state roots). What is written is CC0, as its
source.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("simulations.json")
MAX_BYTES = 7_000  # of a test: the longer ones show nothing more
OF_THE_BASE = ("hash", "parentHash", "stateRoot", "blockHash", "logsBloom")
LEFT_OUT = {
    "blobs": "no blobs here",
    "blockhash-simple": "asks for the base's hash",
    "blockhash-complex": "asks for the base's hash",
    "blockhash-start-before-head": "asks for the base's hash",
    "check-invalid-nonce": "the base has a base fee",
    "contract-calls-itself": "returns a block's hash",
    "empty-validation": "the base has a base fee",
    "empty-with-block-num-set-firstblock": "another base",
    "empty-with-block-num-set-minusone": "another base",
    "empty-with-block-num-set-plus1": "another base",
    "gas-fees-and-value-error-38014-with-validation": "the base has a base fee",
    "get-block-properties": "returns a block's hash",
    "make-call-with-future-block": "another base",
    "move-two-accounts-to-same-38023": "refused here, as the specification says",
    "overflow-nonce": "refused here",
    "overflow-nonce-validation": "another code here: -32603 is for faults of ours",
    "override-ecrecover": "where a precompiled contract was moved to is warm here",
    "overwrite-existing-contract": "returns a block's hash",
    "self-destructive-contract-produces-logs": "the beneficiary has an account in the base",
    "simple-no-funds-with-validation": "the base has a base fee",
    "simple-no-funds-with-validation-without-nonces": "the base has a base fee",
    "simple-send-from-contract-with-validation": "the base has a base fee",
    "use-as-many-features-as-possible": "most of the above",
}


def comparable(value: Any) -> Any:
    """Return an answer without what the base block decides."""
    if isinstance(value, list):
        return [comparable(part) for part in value]
    if isinstance(value, dict):
        return {key: comparable(part) for key, part in value.items() if key not in OF_THE_BASE}
    return value


def git(clone: str, *arguments: str) -> str:
    """Return what git prints about a clone."""
    return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True, text=True).stdout


def main(clone: str) -> None:
    """Write the file."""
    kept = {}
    for path in git(clone, "ls-tree", "--name-only", "HEAD", "tests/eth_simulateV1/").split():
        name = Path(path).stem.removeprefix("ethSimulate-")
        text = git(clone, "show", f"HEAD:{path}")
        lines = [line for line in text.splitlines() if line.startswith((">> ", "<< "))]
        if name in LEFT_OUT or len(text) > MAX_BYTES or len(lines) != 2:
            continue
        question, answer = (json.loads(line[3:]) for line in lines)
        shown = {key: answer[key] for key in ("result", "error") if key in answer}
        kept[name] = {"payload": question["params"][0], **comparable(shown)}
    source = f"ethereum/execution-apis {git(clone, 'rev-parse', 'HEAD').strip()}"
    document = {"source": source, "licence": "CC0-1.0", "tests": kept}
    OUT.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
