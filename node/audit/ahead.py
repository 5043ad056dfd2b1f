"""Transactions decoded and their senders recovered by a process of its own, some heights ahead of the audit.

Recovering senders takes a third of an audit's time and needs nothing but the bytes, so another core does it meanwhile.
Run as `python -m node.audit.ahead CHAIN_ID`; it reads raw transactions and writes what became of them until its input
ends, so it never outlives the audit.
"""

from __future__ import annotations

import marshal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import fields
from operator import attrgetter
from typing import IO, Any

from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.storage import CorruptValue, View

HEIGHTS_AHEAD = 8  # keeps the other process busy; a block takes at most some MB
WORTH_IT = 2_000  # transactions from which on the other process saves more time than it takes to start
LENGTH_BYTES = 4

Decoded = Transaction | str
"""A transaction, or why it is none."""

_values = attrgetter(*(field.name for field in fields(Transaction)))


def decode(raws: Sequence[bytes], chain_id: int) -> list[Decoded]:
    """Return every raw transaction decoded, with its sender, or why it is none."""
    return [_decode(raw, chain_id) for raw in raws]


def _decode(raw: bytes, chain_id: int) -> Decoded:
    try:
        return decode_transaction(raw, chain_id)
    except InvalidTransaction as error:
        return error.reason


class Ahead:
    """Hands out the decoded transactions of height after height.

    Args:
        view: the database.
        chain_id: of its transactions.
        heights: in the order in which they will be asked for.
        reached: told of every height before it is read: a damaged page may kill who reads it.
        ask: decodes the transactions of a height elsewhere; None if that is done here, when they are asked for.
    """

    def __init__(
        self,
        view: View,
        chain_id: int,
        heights: range,
        reached: Callable[[int], None],
        ask: Callable[[tuple[bytes, ...]], Future[list[Decoded]]] | None,
    ) -> None:
        self._view = view
        self._chain_id = chain_id
        self._heights = iter(heights)
        self._reached = reached
        self._ask = ask
        self._asked: deque[tuple[int, tuple[bytes, ...], Future[list[Decoded]]]] = deque()

    def take(self, height: int, raws: tuple[bytes, ...]) -> list[Decoded]:
        """Return the decoded transactions of a height, whose raw ones are these."""
        self._read_on()
        if self._asked and self._asked[0][:2] == (height, raws):
            return self._asked.popleft()[2].result()
        return decode(raws, self._chain_id)

    def _read_on(self) -> None:
        """Ask for further heights; one that cannot be read is left to who checks it, and says so."""
        while self._ask is not None and len(self._asked) < HEIGHTS_AHEAD:
            height = next(self._heights, None)
            if height is None:
                return
            self._reached(height)
            try:
                raws = self._view.transactions(height)
            except CorruptValue:
                return
            self._asked.append((height, raws, self._ask(raws)))


@contextmanager
def reading_ahead(view: View, chain_id: int, heights: range, reached: Callable[[int], None]) -> Iterator[Ahead]:
    """Decode the transactions of these heights ahead, in another process if there are enough of them.

    Args:
        view: the database.
        chain_id: of its transactions.
        heights: in the order in which they will be asked for.
        reached: told of every height before it is read.
    """
    if view.count("transactions") < WORTH_IT:
        yield Ahead(view, chain_id, heights, reached, None)
        return
    words = [sys.executable, "-m", "node.audit.ahead", str(chain_id)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        there, back = process.stdin, process.stdout

        def ask(raws: tuple[bytes, ...]) -> list[Decoded]:
            try:
                _write(there, raws)
                rows = _read(back)
            except (EOFError, BrokenPipeError):  # it was killed; it reads no database, so that says nothing about it
                return decode(raws, chain_id)
            return [_made(row, chain_id) for row in rows]

        with ThreadPoolExecutor(1) as thread:
            try:
                yield Ahead(view, chain_id, heights, reached, lambda raws: thread.submit(ask, raws))
            finally:
                thread.shutdown(cancel_futures=True)
                with suppress(BrokenPipeError):  # what it was not told any more
                    there.close()


def _write(stream: IO[bytes], content: Any) -> None:
    data = marshal.dumps(content)
    stream.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    """Return what the other side wrote.

    Raises:
        EOFError: it has ended.
    """
    head = stream.read(LENGTH_BYTES)
    data = stream.read(int.from_bytes(head, "big"))
    if not data:
        raise EOFError("the process at the other end has ended")
    return marshal.loads(data)


def _serve(chain_id: int) -> None:
    while True:
        try:
            raws = _read(sys.stdin.buffer)
        except EOFError:
            return
        _write(sys.stdout.buffer, [_row(each) for each in decode(raws, chain_id)])


def _row(decoded: Decoded) -> Any:
    """Return what is sent of a transaction: one without an account as it is, as nothing of it takes long to decode."""
    if isinstance(decoded, str):
        return decoded
    return _values(decoded) if decoded.private is None else decoded.raw


def _made(row: Any, chain_id: int) -> Decoded:
    if isinstance(row, bytes):
        return _decode(row, chain_id)
    return row if isinstance(row, str) else Transaction(*row)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
