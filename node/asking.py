"""What commands ask a running node by RPC."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from node.errors import GridpactError

DEFAULT_RPC = "http://127.0.0.1:8545"
REQUEST_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # more than a node answers at once


class NodeUnanswered(GridpactError):
    """A node's RPC did not say what was asked."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"node {url}: {reason}; expected a running gridpact node")
        self.url = url
        self.reason = reason


class NodeRefused(GridpactError):
    """A node answered with an error, `code` and `message` being JSON-RPC's."""

    def __init__(self, url: str, code: int, message: str) -> None:
        super().__init__(f"node {url}: {message}")
        self.url = url
        self.code = code
        self.message = message


def ask(url: str, method: str, *params: object) -> Any:
    """Return a method's result.

    Raises:
        NodeUnanswered: there is no node there, or what it says is no answer.
        NodeRefused: it answered with an error.
    """
    if not url.startswith(("http://", "https://")):
        raise NodeUnanswered(url, "the address does not begin with http:// or https://")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
            answer = json.loads(response.read(MAX_ANSWER_BYTES))
    except urllib.error.URLError as error:
        raise NodeUnanswered(url, f"{method}: no answer ({error.reason})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NodeUnanswered(url, f"{method}: no answer ({error})") from None
    refusal = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(refusal, dict) and isinstance(refusal.get("code"), int):
        raise NodeRefused(url, refusal["code"], str(refusal.get("message"))[:1_000])
    if not isinstance(answer, dict) or "result" not in answer:
        raise NodeUnanswered(url, f"{method}: answered {str(answer)[:200]}")
    return answer["result"]
