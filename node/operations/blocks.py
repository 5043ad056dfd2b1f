"""A certified block on its way from one node's data to another's, and where such blocks come from."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from node.errors import GridpactError
from node.storage import Store

READ_AT_ONCE = 64  # heights of one read transaction: a long one would hold back the reuse of pages
RANGE = 256  # of a request; the node bounds the bytes
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # as the follower: a MiB and a largest block in hexadecimal, large certificates
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """A height as it was decided: body (RLP of header and transactions), certificate, round record; all encoded."""

    height: int
    body: bytes
    certificate: bytes
    record: bytes


class BadBlock(GridpactError):
    """A block does not hold: at which height, what of it (header, body, certificate, record), and why."""

    def __init__(self, height: int, kind: str, reason: str) -> None:
        super().__init__(f"height {height}: {kind}: {reason}")
        self.height = height
        self.kind = kind
        self.reason = reason


class NoAnswer(GridpactError):
    """A node does not answer, or not what it was asked."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}; expected the answer of a gridpact node")
        self.url = url
        self.reason = reason


def stored_blocks(store: Store, first: int, last: int) -> Iterator[Block]:
    """Yield the blocks of a database from height `first` to `last`.

    Raises:
        NotKept: the database begins above `first`.
        CorruptValue: a stored value is damaged.
    """
    for start in range(first, last + 1, READ_AT_ONCE):
        with store.read() as view:
            part = [
                Block(height, view.body(height), view.certificate(height) or b"", view.record(height).encode())
                for height in range(start, min(start + READ_AT_ONCE, last + 1))
            ]
        yield from part


class Remote:
    """A node's RPC, asked one question after the other; nothing that it says is believed by itself.

    Args:
        url: http://HOST:PORT.
        timeout_s: for one answer.
        token: opens a guarded namespace; None for the open ones alone.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, token: str | None = None) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of a method.

        Raises:
            NoAnswer: nobody answers, too long an answer, no JSON, or the node's own error.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        try:
            request = urllib.request.Request(self.url, body, self._headers)
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:
                raw = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise NoAnswer(self.url, f"no answer to {method} ({reason})") from None
        if len(raw) > MAX_ANSWER_BYTES:
            raise NoAnswer(self.url, f"more than {MAX_ANSWER_BYTES} bytes for {method}")
        answer: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(raw)
        if not isinstance(answer, dict) or "result" not in answer:
            refusal = answer.get("error") if isinstance(answer, dict) else None
            said = refusal.get("message") if isinstance(refusal, dict) else raw[:80]
            raise NoAnswer(self.url, f"to {method} it says {str(said)[:200]}")
        return answer["result"]

    def quantity(self, method: str, *params: Any) -> int:
        """Return the number that a method gives.

        Raises:
            NoAnswer: as `ask`, or no number.
        """
        found = self.ask(method, *params)
        try:
            return int(found, 16)
        except (TypeError, ValueError):
            raise NoAnswer(self.url, f"to {method} it says {str(found)[:80]}, no number") from None

    def blocks(self, first: int, last: int) -> Iterator[Block]:
        """Yield the blocks from height `first` to `last`, the next range fetched while the present one is used.

        Raises:
            NoAnswer: as `ask`, or it gives none though it should have them.
            BadBlock: what stands in the place of a height is no block.
        """
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._range, first)
            height = first
            while height <= last:
                rows = coming.result()
                if not rows:
                    raise NoAnswer(self.url, f"it gives no block of height {height}, of {last}")
                if height + len(rows) <= last:
                    coming = thread.submit(self._range, height + len(rows))
                for row in rows[: last + 1 - height]:
                    yield _block(row, height)
                    height += 1

    def _range(self, first: int) -> list[Any]:
        rows = self.ask("grid_getCertifiedBlocks", hex(first), RANGE)
        if not isinstance(rows, list):
            raise NoAnswer(self.url, "to grid_getCertifiedBlocks it says no list")
        return rows[:RANGE]


def _block(row: Any, height: int) -> Block:
    try:
        parts = [bytes.fromhex(row[name].removeprefix("0x")) for name in ("body", "certificate", "record")]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBlock(height, "body", f"no body, certificate and record ({type(error).__name__}: {error})") from None
    return Block(height, *parts)
