"""Heavy reads off the event loop, in a few processes with a bounded queue.

Processes, because threads share the interpreter lock with the votes. One starts with the first read that finds the
others busy and none starting, and is replaced at a later read when it has ended: too long a read, too much memory,
killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from node.rpc.errors import INTERNAL_ERROR, LimitExceeded, RpcError
from node.rpc.formats import Json
from node.rpc.protocol import Rendered
from node.rpc.reads import LENGTH_BYTES, OUT_OF_MEMORY, Reader, ReadOrder, rendered
from node.storage import Store

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

READERS = 2  # so that one long read does not hold all others
MAX_WAITING = 64  # reads in the queue; a caller beyond them hears at once that the node is busy
GRACE_S = 30  # for a process that cannot end itself: it is stopped, or hangs while it starts
ENDING_S = 5.0  # for one that has hung up: it lets go of its memory before its status is known
STREAM_BYTES = 1024 * 1024  # of an answer, read at once

log = logging.getLogger("rpc")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A read that waits for its answer, both as frames without their length."""

    frame: bytes
    answer: asyncio.Future[bytes]

    def settle(self, outcome: bytes | RpcError) -> None:
        """Answer the caller, if it still waits."""
        if self.answer.done():
            return
        if isinstance(outcome, RpcError):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class ReadPool:
    """Runs read functions in processes of their own.

    Args:
        store: the database; the processes open it themselves.
        order: what the processes are told.
        readers: how many processes at most.
        max_waiting: how many reads may wait.
    """

    def __init__(
        self, store: Store, order: ReadOrder, *, readers: int = READERS, max_waiting: int = MAX_WAITING
    ) -> None:
        self._processes = [_Process(store, order) for _ in range(readers)]
        self._idle = list(self._processes)
        self._waiting: deque[_Job] = deque()
        self._working: set[asyncio.Task[None]] = set()
        self._bound = readers + max_waiting
        self._reads = 0

    @property
    def size(self) -> int:
        """How many processes there are at most."""
        return len(self._processes)

    @property
    def busy(self) -> int:
        """How many of them are reading, or starting."""
        return len(self._processes) - len(self._idle)

    @property
    def waiting(self) -> int:
        """How many reads wait for one."""
        return len(self._waiting)

    async def run(self, function: Callable[[Reader, *Ts], T], *args: *Ts) -> T:
        """Return `function(reader, *args)`, with everything that is committed now in sight.

        A caller that is cancelled gives its place in the queue back; what is being read is read to its end.

        Args:
            function: of a module; it, its arguments and what it returns or raises are pickled.

        Raises:
            LimitExceeded: too many reads are waiting, or this one took too long or too much memory.
            RpcError: the process ended for another reason.
        """
        if self._reads >= self._bound:
            raise LimitExceeded(f"this node is busy with {self._reads} reads; try again")
        frame = pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL)
        job = _Job(frame, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._idle and (self._idle[-1].warm or self._busy_are_warm()):
            task = asyncio.create_task(self._work(self._idle.pop()))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        self._reads += 1
        try:
            done, found = pickle.loads(await job.answer)
        finally:
            self._reads -= 1
            if job in self._waiting:  # the caller was cancelled
                self._waiting.remove(job)
        if done:
            return found  # type: ignore[no-any-return]
        kind, arguments, attributes = found
        error = kind.__new__(kind, *arguments)  # as it was raised; its class may take other arguments
        vars(error).update(attributes)
        raise error

    async def render(self, function: Callable[[Reader, *Ts], Json], *args: *Ts) -> Rendered:
        """Return `function(reader, *args)` as JSON, which the process has encoded: for results that may be large.

        Raises:
            LimitExceeded, RpcError: as `run`.
        """
        return await self.run(rendered, function, args)

    def _busy_are_warm(self) -> bool:
        return all(process.warm for process in self._processes if process not in self._idle)

    async def _work(self, process: _Process) -> None:
        """Answer what waits with one process; while it starts, others may be quicker."""
        try:
            while self._waiting:
                await self._answer_one(process)
        finally:
            self._idle.append(process)  # taken first: it is warm

    async def _answer_one(self, process: _Process) -> None:
        job: _Job | None = None
        try:
            await process.ready()
            if self._waiting:
                job = self._waiting.popleft()
                job.settle(await process.ask(job.frame))
        except RpcError as error:
            if job is None and self._waiting:
                job = self._waiting.popleft()
            if job is not None:
                job.settle(error)
        finally:
            if job is not None:
                job.answer.cancel()  # nobody will answer it if this pool is being closed

    async def close(self) -> None:
        """End the processes; what is read or waits is cancelled."""
        for job in self._waiting:
            job.answer.cancel()
        self._waiting.clear()
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await asyncio.gather(*(process.end() for process in self._processes))


class _Process:
    """One process; it is started when it is needed and there is none."""

    def __init__(self, store: Store, order: ReadOrder) -> None:
        self._store = store
        self._order = order
        self._child: subprocess.Popen[bytes] | None = None
        self._answers = False

    @property
    def warm(self) -> bool:
        """Whether there is a process that has started."""
        return self._answers and self._child is not None and self._child.poll() is None

    async def ready(self) -> None:
        """Start the process, if there is none that lives.

        Raises:
            RpcError: it cannot start.
        """
        if self.warm:
            return
        await self.end()
        try:
            await self._start()
        except OSError as error:  # no descriptor or process left, for now
            raise RpcError(INTERNAL_ERROR, f"internal error: no reading process can start: {error}") from None
        await self.ask(pickle.dumps(self._order, pickle.HIGHEST_PROTOCOL))
        self._answers = True

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=STREAM_BYTES)
            try:
                self._child = _spawn(theirs)
            except OSError:
                self._writer.close()
                raise

    async def ask(self, frame: bytes) -> bytes:
        """Return the answer to a frame.

        Raises:
            LimitExceeded: it took too long, or too much memory.
            RpcError: the process ended.
        """
        try:
            async with asyncio.timeout(self._order.max_seconds + GRACE_S):
                self._writer.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
                await self._writer.drain()
                length = await self._reader.readexactly(LENGTH_BYTES)
                return await self._reader.readexactly(int.from_bytes(length, "big"))
        except TimeoutError:
            status = await self.end()
        except (OSError, EOFError):  # it is ending, and its status says why
            status = await self.end(ENDING_S)
        log.warning("a reading process ended", extra={"status": status})
        if status == -signal.SIGALRM:
            raise LimitExceeded(f"the read took longer than {self._order.max_seconds:g} s")
        if status == OUT_OF_MEMORY:
            raise LimitExceeded(f"the read took more memory than {self._order.max_data_bytes >> 20} MiB")
        raise RpcError(INTERNAL_ERROR, f"internal error: the reading process ended with status {status}; try again")

    async def end(self, patience_s: float = 0.0) -> int | None:
        """End the process, which only reads, and return its status as `subprocess` gives it; None if there is none.

        Args:
            patience_s: how long it may take to end by itself; then it is killed.
        """
        child, self._child = self._child, None
        self._answers = False
        if child is None:
            return None
        self._writer.close()
        status = await asyncio.to_thread(_reap, child, patience_s)
        self._store.release_dead_readers()
        return status


def _reap(child: subprocess.Popen[bytes], patience_s: float) -> int:
    """Return a process's own status if it ends in time; else kill it."""
    if patience_s:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(patience_s)
    child.kill()
    return child.wait()


def _spawn(connection: socket.socket) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own: a Ctrl-C is for the node, which then ends it."""
    return subprocess.Popen([sys.executable, "-m", "node.rpc.worker"], stdin=connection.fileno(), process_group=0)
