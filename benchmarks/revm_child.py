"""Runs in pyrevm's own environment: requests as lines of JSON in, answers as lines of JSON out.

The first names the owner, contracts and init code, and is answered by the address of the contract made from it; each
further one is a block of calls, answered by their CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pyrevm


def prepared(request: dict[str, Any]) -> tuple[Any, str]:
    """Return an EVM with the contracts placed, and the address of the one it made."""
    evm = pyrevm.EVM()
    for address, code in request["contracts"].items():
        evm.insert_account_info(address, pyrevm.AccountInfo(nonce=1, code=bytes.fromhex(code)))
    evm.set_balance(request["owner"], 10**30)
    return evm, evm.deploy(request["owner"], bytes.fromhex(request["init_code"]))


def timed(evm: Any, request: dict[str, Any]) -> float:
    """Run a block of calls; pyrevm raises if one fails."""
    calls = [(sender, to, bytes.fromhex(data)) for sender, to, data in request["calls"]]
    gas, call = request["gas"], evm.message_call
    started = time.process_time()
    for sender, to, data in calls:
        call(sender, to, calldata=data, gas=gas)
    return time.process_time() - started


def main() -> None:
    """Serve until the input ends."""
    evm, created = prepared(json.loads(sys.stdin.readline()))
    print(json.dumps(created), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(evm, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
