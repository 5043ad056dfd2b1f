"""The signer process: it answers on a Unix socket, one request after the other, and asks nobody anything.

Who may connect is the kernel's word (SO_PEERCRED), not the caller's. A vote is on the disk before its signature leaves.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import socket
import stat
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

from consensus.types import Domain
from node.driver.signer import Contradiction
from node.driver.wal import WriteAheadLogError
from node.errors import GridpactError
from node.signer.frames import (
    LENGTH,
    MAX_TEXT,
    VERSION,
    Answer,
    InvalidSignerFrame,
    Kind,
    length_of,
    pack,
    read_leaf,
    read_ready,
    read_report,
    read_vote,
    unpack,
)
from node.signer.holder import KeyHolder
from node.signer.journal import SignerJournal

MAX_CONNECTIONS = 8  # a node has one, its operator's commands another
FRAME_S = 5.0  # for the rest of a frame that has begun
CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: pid, uid, gid
OWNER_ONLY, ANYONE = 0o600, 0o666

log = logging.getLogger("signer")


class SocketTaken(GridpactError):
    """The signer's socket cannot be made: where, why, and what was expected."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; expected a place for the signer's socket")
        self.path = path


class SignerServer:
    """Serves one node key.

    Args:
        seed: the Ed25519 private seed, 32 bytes.
        domain: the only chain that it signs for.
        journal: remembers its votes; it is read here.
        uids: the users whose processes may ask, beside our own.

    Raises:
        WriteAheadLogError: the journal cannot be read.
    """

    def __init__(self, seed: bytes, domain: Domain, journal: SignerJournal, uids: Collection[int] = ()) -> None:
        self._holder = KeyHolder(seed, domain, journal.write)
        journal.read_into(self._holder.book)
        self._domain = domain
        self._uids = frozenset(uids)
        self._failed = asyncio.Event()
        self._failure: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, path: Path, ready: asyncio.Event | None = None) -> None:
        """Answer until cancelled.

        Args:
            path: of the socket; of a signer that is gone, it is replaced.
            ready: set when it can be connected to.

        Raises:
            SocketTaken: somebody answers there, or it cannot be made.
            WriteAheadLogError: the journal could not be written; nothing was signed.
        """
        listening = _listen(path, ANYONE if self._uids - {os.getuid()} else OWNER_ONLY)
        server = await asyncio.start_unix_server(self._accept, sock=listening)
        try:
            book = self._holder.book
            log.info("signer runs", extra={"node_key": self._holder.node_key, "height": book.height, "view": book.view})
            if ready is not None:
                ready.set()
            await self._failed.wait()
        finally:
            server.close()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - nothing is served any more
            for writer in self._writers:
                writer.close()  # which ends its task
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        pid, uid, _ = _peer(writer)
        if uid not in {os.getuid(), *self._uids} or len(self._writers) >= MAX_CONNECTIONS:
            log.warning("refused a connection", extra={"uid": uid, "pid": pid})
            writer.close()
            return
        self._writers.add(writer)
        try:
            while not self._failed.is_set():
                head = await reader.readexactly(LENGTH.size)
                async with asyncio.timeout(FRAME_S):
                    payload = await reader.readexactly(length_of(head))
                writer.write(self._answer(payload))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it went away
        except (InvalidSignerFrame, TimeoutError) as error:
            log.warning("hung up", extra={"uid": uid, "pid": pid, "reason": str(error) or "a frame that did not end"})
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, payload: bytes) -> bytes:
        try:
            return pack([Answer.DONE, *self._signed(*unpack(payload))])
        except Contradiction as error:
            log.warning("refused", extra={"reason": str(error)})
            return _refusal(Answer.CONTRADICTION, error.earlier)
        except InvalidSignerFrame as error:
            log.warning("refused", extra={"reason": error.reason})
            return _refusal(Answer.MALFORMED, error.reason)
        except ValueError as error:
            log.warning("refused", extra={"reason": str(error)})
            return _refusal(Answer.MALFORMED, str(error))
        except WriteAheadLogError as error:
            log.critical("cannot go on", extra={"reason": str(error)})
            self._failure = error
            self._failed.set()
            return _refusal(Answer.FAILED, str(error))

    def _signed(self, kind: int, fields: list[Any]) -> list[Any]:
        holder = self._holder
        match kind:
            case Kind.HELLO:
                domain = self._domain
                return [VERSION, holder.node_key, domain.chain_id, domain.genesis_hash, holder.reporter]
            case Kind.VOTE:
                return [holder.sign(read_vote(fields)).signature]
            case Kind.LEAF:
                return [holder.issue_leaf(read_leaf(fields), datetime.datetime.now(datetime.UTC))]
            case Kind.REPORT:
                return [holder.report(*read_report(fields))]
            case Kind.READY:
                return [holder.show_ready(*read_ready(fields))]
            case _:
                raise InvalidSignerFrame(f"nothing is known of kind {kind}")


def _refusal(answer: Answer, reason: str) -> bytes:
    return pack([int(answer), reason[:MAX_TEXT]])


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int, int]:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, gid = CREDENTIALS.unpack(raw)
    return pid, uid, gid


def _listen(path: Path, mode: int) -> socket.socket:
    """Return a listening socket that nobody could connect to before it had its mode."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists():
            _remove_stale(path)
        before = os.umask(0o777 & ~mode)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(MAX_CONNECTIONS)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise SocketTaken(path, error.strerror or str(error)) from None
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise SocketTaken(path, "something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SocketTaken(path, "a signer answers there already")
