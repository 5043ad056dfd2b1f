"""JSON-RPC over HTTP to one node, question by question or in batches; nothing that it says is believed by itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from node.errors import GridpactError

DEFAULT_RPC = "http://127.0.0.1:8545"
TIMEOUT_S = 30.0  # for one answer, to its end
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # more than a node answers at once
MAX_BATCH = 100  # fewer than any node refuses
PIECE = 1 << 16
SAID = 1_000  # characters of what a node says that are shown
UNAUTHORIZED = -32001  # node.rpc.errors: the method needs a token


class NodeError(GridpactError):
    """A node's RPC did not say what was asked."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"node {url}: {reason}")
        self.url = url
        self.reason = reason


class NodeUnanswered(NodeError):
    """Nobody answers there, or what is said is no answer of a gridpact node."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, f"{reason}; expected a running gridpact node")


class NodeRefused(NodeError):
    """A node answered with an error, `code` and `message` being JSON-RPC's."""

    def __init__(self, url: str, method: str, code: int, message: str) -> None:
        advice = "; expected a token that it takes (--token-file)" if code == UNAUTHORIZED else ""
        super().__init__(url, f"{method}: {message}{advice}")
        self.code = code
        self.message = message


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: a token is for the node that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


class NodeClient:
    """Asks one node.

    Args:
        url: http://HOST:PORT.
        timeout_s: for one answer.
        token: opens guarded namespaces; None for the open ones alone.

    Raises:
        NodeUnanswered: that is no address.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, token: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise NodeUnanswered(url, "the address does not begin with http:// or https://")
        self.url = url
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of a method.

        Raises:
            NodeUnanswered: nobody answers in time, or what is said is no answer.
            NodeRefused: the node's own error.
        """
        return self._result(method, self._post(method, _request(0, method, params)))

    def ask_all(self, questions: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return the results of (method, parameters), in their order; they are asked in batches.

        Raises:
            NodeUnanswered, NodeRefused: as `ask`, for the first that has no result.
        """
        found = []
        for first in range(0, len(questions), MAX_BATCH):
            part = questions[first : first + MAX_BATCH]
            rows = [_request(number, method, params) for number, (method, params) in enumerate(part)]
            answers = self._post(part[0][0], rows)
            if not isinstance(answers, list):
                found.append(self._result(part[0][0], answers))  # an error of the batch as a whole
                raise NodeUnanswered(self.url, f"one answer to {len(part)} questions")
            by_id = {row["id"]: row for row in answers if isinstance(row, dict) and isinstance(row.get("id"), int)}
            found += [self._result(method, by_id.get(number)) for number, (method, _) in enumerate(part)]
        return found

    def quantity(self, method: str, *params: Any) -> int:
        """Return the number that a method gives.

        Raises:
            NodeUnanswered, NodeRefused: as `ask`; the first also for what is no number.
        """
        found = self.ask(method, *params)
        try:
            return int(found, 16)
        except (TypeError, ValueError):
            raise NodeUnanswered(self.url, f"to {method} it says {str(found)[:80]}, no number") from None

    def _post(self, method: str, content: Any) -> Any:
        try:
            request = urllib.request.Request(self.url, json.dumps(content).encode(), self._headers)
            try:
                with _OPENER.open(request, timeout=self._timeout_s) as response:
                    raw = self._read(response)
            except urllib.error.HTTPError as error:
                with error:  # a refusal has JSON-RPC's error in its body
                    raw = self._read(error)
                if not raw:
                    raise NodeUnanswered(self.url, f"HTTP status {error.code} to {method}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NodeUnanswered(self.url, f"no answer to {method} ({reason})") from None
        if len(raw) > MAX_ANSWER_BYTES:
            raise NodeUnanswered(self.url, f"more than {MAX_ANSWER_BYTES} bytes for {method}")
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(raw)
        raise NodeUnanswered(self.url, f"to {method} it says {raw[:80]!s}")

    def _read(self, response: Any) -> bytes:
        """Return the body, or a byte more than may be; whoever lets it drip is cut off."""
        parts, size, until = [], 0, time.monotonic() + self._timeout_s
        while size <= MAX_ANSWER_BYTES and (part := response.read1(min(PIECE, MAX_ANSWER_BYTES + 1 - size))):
            parts.append(part)
            size += len(part)
            if time.monotonic() > until:
                raise TimeoutError("timed out")
        return b"".join(parts)

    def _result(self, method: str, answer: Any) -> Any:
        if isinstance(answer, dict):
            if "result" in answer:
                return answer["result"]
            refusal = answer.get("error")
            if isinstance(refusal, dict) and isinstance(refusal.get("code"), int):
                raise NodeRefused(self.url, method, refusal["code"], str(refusal.get("message"))[:SAID])
        raise NodeUnanswered(self.url, f"to {method} it says {str(answer)[:80]}")


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
