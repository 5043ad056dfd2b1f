"""The pool's journal beside the event loop: what clients sent is gathered, written in a thread, and put back at start.

Nothing waits for the disk: a client has its answer before its transaction is in the journal, so what a power cut of
this one machine can cost is `GATHER_S` of transactions that no other validator has heard of either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool.journal import Found, Journal

GATHER_S: Final = 0.2
MAX_GATHERED_BYTES: Final = 16 * 1024 * 1024  # more than comes in while a slow disk writes; then all is written anew
ROTATE_BYTES: Final = 1024 * 1024  # a journal up to here is never rotated
ROTATE_FACTOR: Final = 4  # nor one that is at most so many times as large as what still waits

log = logging.getLogger("mempool")


class PoolJournal:
    """Keeps the journal. All of it runs on the event loop but for the file itself.

    Args:
        path: the file; None for none.
        local: the transactions of this node's own clients that wait.
    """

    def __init__(self, path: Path | None, local: Callable[[], Iterable[Transaction]]) -> None:
        self._journal = None if path is None else Journal(path)
        self._local = local
        self._gathered: list[bytes] = []
        self._bytes = 0
        self._anew = False  # what is in the file is not all that waits
        self._restored = False
        self._look_at = ROTATE_BYTES  # the size at which it is asked again whether to rotate
        self._restoring: asyncio.Task[int] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._disk: asyncio.Task[None] | None = None

    def start(self, take: Callable[[bytes], object]) -> None:
        """Put back what waited when the node was stopped, as `restore` does, beside everything else."""
        self._restoring = asyncio.create_task(self.restore(take))

    async def restore(self, take: Callable[[bytes], object]) -> int:
        """Put back into the pool what waited when the node was stopped; return how many were taken.

        Args:
            take: puts a raw transaction into the pool, or raises `InvalidTransaction`.
        """
        if self._journal is None:
            return 0
        found = await asyncio.to_thread(self._read, self._journal)
        taken = 0
        for raw in found.raws:
            try:
                take(raw)
                taken += 1
            except InvalidTransaction:
                pass  # committed, or no block can contain it any more
            await asyncio.sleep(0)  # proofs take tens of milliseconds, and there may be a thousand with some
        if found.raws:
            log.info("transactions put back", extra={"journalled": len(found.raws), "taken": taken})
        self._restored = self._anew = True
        self._wake()
        return taken

    def note(self, tx: Transaction) -> None:
        """Write down a client's transaction, soon."""
        if self._journal is None:
            return
        self._gathered.append(tx.raw)
        self._bytes += len(tx.raw)
        if self._bytes > MAX_GATHERED_BYTES:
            self._gathered, self._bytes, self._anew = [], 0, True
        self._wake()

    async def close(self) -> None:
        """Write down what is left, after anything that is being written; nothing is written from then on."""
        for task in (self._restoring, self._writing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._restoring = self._writing = None  # one that was cancelled before it began has not said so itself
        if self._disk is not None:  # a thread is not interrupted
            await asyncio.gather(self._disk, return_exceptions=True)
            self._disk = None
        if self._journal is not None and self._restored:
            self._anew, self._restored = True, False
            await self._write(self._journal)
            self._disk = None

    def _wake(self) -> None:
        if self._journal is not None and self._restored and self._writing is None:
            self._writing = asyncio.create_task(self._keep(self._journal))

    async def _keep(self, journal: Journal) -> None:
        try:
            while self._gathered or self._anew:
                await asyncio.sleep(GATHER_S)
                if not await self._write(journal):
                    return
        finally:
            self._writing = None

    async def _write(self, journal: Journal) -> bool:
        """Write what was gathered; False if the disk did not take it."""
        waiting = [tx.raw for tx in self._local()] if self._anew or self._grown(journal) else None
        gathered, self._gathered, self._bytes, self._anew = self._gathered, [], 0, False
        write, raws = (journal.append, gathered) if waiting is None else (journal.rewrite, waiting)
        try:
            self._disk = asyncio.create_task(asyncio.to_thread(write, raws))
            await asyncio.shield(self._disk)
        except OSError as error:
            self._anew = True  # the next transaction tries again, with all that waits
            log.warning("the pool's journal cannot be written", extra={"file": journal.path, "reason": str(error)})
            return False
        return True

    def _grown(self, journal: Journal) -> bool:
        if journal.size <= self._look_at:
            return False
        waiting = sum(len(tx.raw) for tx in self._local())
        self._look_at = max(ROTATE_BYTES, ROTATE_FACTOR * waiting)
        return journal.size > self._look_at

    def _read(self, journal: Journal) -> Found:
        try:
            found = journal.read()
        except OSError as error:
            log.warning("the pool's journal cannot be read", extra={"file": journal.path, "reason": str(error)})
            return Found([], 0)
        if found.damage:
            log.warning("the pool's journal is damaged", extra={"file": journal.path, "reason": found.damage})
        return found
