"""Read functions for the tests of the pool: a reading process imports them from here."""

from __future__ import annotations

import itertools
import os
import signal
from collections import deque
from pathlib import Path

from node.rpc.errors import InvalidParams, LimitExceeded, Reverted
from node.rpc.reads import Reader
from node.storage import StateNotKept

ERRORS: dict[str, Exception] = {
    "limit": LimitExceeded("too much"),
    "params": InvalidParams("0 (address)", "an address", "nothing"),
    "reverted": Reverted(bytes.fromhex("08c379a0")),
    "not kept": StateNotKept(3, 7),
    "own fault": KeyError("a", 1),
}


def process_id(_reader: Reader) -> int:
    """Return who reads."""
    return os.getpid()


def niceness(_reader: Reader) -> int:
    """Return how nice the process is to others."""
    return os.nice(0)


def head_height(reader: Reader) -> int:
    """Return the height that is seen."""
    with reader.store.read() as view:
        return view.head_height


def gas_limit_at(reader: Reader, height: int) -> int:
    """Return a rule."""
    return reader.rule_book.rules_at(height).block_gas_limit


def wait_for(_reader: Reader, fifo: Path) -> str:
    """Return what is written into a named pipe, once it is."""
    return fifo.read_text()


def hold_the_interpreter(_reader: Reader) -> None:
    """Never return, nor let another thread of this process run: one loop in C."""
    deque(itertools.repeat(None), maxlen=0)


def die_while_reading(reader: Reader, number: int) -> None:
    """End by a signal, with a read transaction open."""
    with reader.store.read() as view:
        os.kill(os.getpid(), signal.Signals(number))
        view.header(0)


def hang_up_and_end(_reader: Reader, status: int) -> None:
    """End with a status, a while after the node has heard that there will be no answer."""
    os.close(0)
    deque(itertools.repeat(None, 20_000_000), maxlen=0)
    os._exit(status)


def allocate(_reader: Reader, length: int) -> bytes:
    """Return so many bytes."""
    return bytes(length)


def fail(_reader: Reader, kind: str) -> None:
    """Raise one of ERRORS."""
    raise ERRORS[kind]
