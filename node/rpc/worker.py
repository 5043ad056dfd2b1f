"""The process that heavy reads run in: `python -m node.rpc.worker`, with a socket as its standard input.

A frame is four bytes of length and a pickle. The first that comes in is a `ReadOrder`; every further one is (function,
arguments). Each is answered by one: an empty one when the worker is ready, then (True, result) or (False, (class,
arguments, attributes of the exception)). The kernel ends the process when a read takes too long; it ends by itself when
the other side of the socket is closed, as it is when the node dies.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from typing import BinaryIO

from contracts import layout
from node.errors import GridpactError
from node.execution import Executor
from node.rpc.errors import RESPONSE_TOO_LARGE, RpcError
from node.rpc.reads import LENGTH_BYTES, OUT_OF_MEMORY, BlockCache, Reader, ReadOrder
from node.rules import RuleBook
from node.storage import Store

NICENESS = 5  # below the validator: where both want the processor, votes come first
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # more than the JSON of an answer may take


class Worker:
    """Reads what it is asked for.

    Args:
        order: from where, and by which rules.
    """

    def __init__(self, order: ReadOrder) -> None:
        rule_book = RuleBook(order.rules, order.chain_id)
        store = Store(order.database, readonly=True, map_bytes=order.map_bytes)
        self._reader = Reader(store, Executor(rule_book, order.loop), rule_book, BlockCache())
        self._learnt_height = -1

    def answer(self, frame: bytes) -> bytes:
        """Return the answer to a frame; both without their length.

        Raises:
            MemoryError: the read takes more than there is.
        """
        function, arguments = pickle.loads(frame)
        try:
            self._learn()
            found = pickle.dumps((True, function(self._reader, *arguments)), pickle.HIGHEST_PROTOCOL)
            if len(found) > MAX_ANSWER_BYTES:
                raise RpcError(RESPONSE_TOO_LARGE, f"response too large: at most {MAX_ANSWER_BYTES} bytes are read")
        except MemoryError:
            raise
        except Exception as error:
            if not isinstance(error, RpcError | GridpactError):
                error.add_note(f"in the reading process:\n{traceback.format_exc()}")
            return pickle.dumps((False, (type(error), error.args, vars(error))), pickle.HIGHEST_PROTOCOL)
        return found

    def _learn(self) -> None:
        """Take the rules that the newest committed state records."""
        with self._reader.store.read() as view:
            if view.head_height != self._learnt_height:
                self._reader.rule_book.learn(layout.rule_changes(view.state.storage))
                self._learnt_height = view.head_height


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the other side closes the connection."""
    order: ReadOrder = pickle.loads(_receive(questions))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (order.max_data_bytes, hard))
    worker = Worker(order)
    os.nice(NICENESS)
    _send(answers, b"")
    while frame := _receive(questions):
        signal.setitimer(signal.ITIMER_REAL, order.max_seconds)  # then SIGALRM, which ends the process
        try:
            answer = worker.answer(frame)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, answer)


def _send(stream: BinaryIO, frame: bytes) -> None:
    stream.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    stream.flush()


def _receive(stream: BinaryIO) -> bytes:
    """Return the next frame; empty when the other side is gone."""
    length = int.from_bytes(stream.read(LENGTH_BYTES), "big")
    frame = stream.read(length)
    return frame if len(frame) == length else b""


if __name__ == "__main__":
    try:
        connection = socket.socket(fileno=sys.stdin.fileno())
        serve(connection.makefile("rb"), connection.makefile("wb"))
    except ConnectionError:  # the node died before it heard the answer
        pass
