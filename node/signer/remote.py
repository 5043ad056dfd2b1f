"""The node's end of the signer's socket: a node key that another process holds.

A request is asked and answered synchronously, as the driver needs it: the answer comes within a millisecond or two, and
is waited for at most a second. After that the signer counts as away: everything asked is refused at once, without
waiting, while a task off the loop connects again.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from consensus.types import Domain, SignedVote, Vote, signature_holds
from contracts.bindings.consortium_votes import Equivocation
from node.config import SignerAddress
from node.driver.signer import Contradiction, SignerAway
from node.signer.frames import (
    LENGTH,
    Answer,
    Hello,
    InvalidSignerFrame,
    Kind,
    length_of,
    pack,
    read_hello,
    read_refusal,
    read_signed,
    report_fields,
    unpack,
    vote_fields,
)

ANSWER_S = 1.0  # for a signature: far above what a disk needs to sync, far below a view timeout
START_S = 30.0  # a machine that boots starts signer and node at once
BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 10.0
STEADY_S = 30.0  # a connection that lasted as long was a good one: the next attempt comes soon

log = logging.getLogger("signer")


class RemoteSigner:
    """Asks a signer process. Implements `NodeSigner`; used from one thread.

    Args:
        address: its socket, and the node key that it must hold.
        domain: the chain that this node is on.

    Raises:
        SignerAway: it does not answer, or holds another key or signs for another chain.
    """

    def __init__(self, address: SignerAddress, domain: Domain) -> None:
        self._path = address.socket
        self._domain = domain
        self.node_key = address.node_key
        self._away = ""
        self._lost = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None
        self._socket, hello = self._connect()
        self.reporter = hello.reporter

    @property
    def away(self) -> str:
        """Why the signer is away, in a line; empty if it is there."""
        return self._away

    # -- what is signed

    def restore(self, votes: Iterable[Vote]) -> None:
        """Nothing: it remembers by itself what it signed, better than we do."""

    def sign(self, vote: Vote) -> SignedVote:
        """Have a vote signed.

        Raises:
            Contradiction: it refuses.
            SignerAway: it does not answer, or what it answered is no signature of this vote.
        """
        answer, fields = self._ask(Kind.VOTE, *vote_fields(vote))
        if answer == Answer.CONTRADICTION:
            raise Contradiction(vote, read_refusal(fields))
        signed = SignedVote(vote, self.node_key, self._done(answer, fields))
        if not signature_holds(self._domain, signed):
            raise self._lose("it answered with a signature that does not hold")
        return signed

    def issue_leaf(self, public_key: bytes, now: datetime.datetime) -> bytes:
        """Have a TLS certificate (DER) issued for a public key (DER); its clock counts, not ours."""
        del now
        return self._done(*self._ask(Kind.LEAF, public_key))

    def report(self, equivocation: Equivocation, nonce: int) -> bytes:
        """Have the reporter's raw transaction made that proves an equivocation."""
        return self._done(*self._ask(Kind.REPORT, *report_fields(equivocation, nonce)))

    def show_ready(self, height: int, block_hash: bytes) -> bytes:
        """Have a block signed that this node has seen."""
        return self._done(*self._ask(Kind.READY, height, block_hash))

    # -- the connection

    def keep(self, on_back: Callable[[], None]) -> None:
        """Connect again, from the running loop, whenever the signer has been away, and call `on_back` then."""
        self._loop = asyncio.get_running_loop()
        self._watch()
        self._keeping = self._loop.create_task(self._keep(on_back))

    async def close(self) -> None:
        """Hang up, and do not connect again."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self.hang_up()

    async def _keep(self, on_back: Callable[[], None]) -> None:
        backoff, since = BACKOFF_FIRST_S, time.monotonic()
        while True:
            await self._lost.wait()
            if time.monotonic() - since > STEADY_S:
                backoff = BACKOFF_FIRST_S
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, BACKOFF_LAST_S)
            try:
                connected, _ = await asyncio.to_thread(self._connect)
            except SignerAway as error:
                self._away = error.reason
                continue
            self._socket, self._away, since = connected, "", time.monotonic()
            self._lost.clear()
            self._watch()
            log.info("the signer is back")
            on_back()

    def _watch(self) -> None:
        if self._loop is not None and self._socket is not None:
            # Between a request and its answer the loop does not run, so what comes here is the end, or was not asked.
            self._loop.add_reader(self._socket.fileno(), lambda: self._lose("it hung up"))

    def _connect(self) -> tuple[socket.socket, Hello]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(self._path))
            answer, fields = _exchange(connection, Kind.HELLO)
            hello = read_hello(fields) if answer == Answer.DONE else None
            if hello is None:
                raise InvalidSignerFrame(read_refusal(fields))
            self._check(hello)
        except (OSError, InvalidSignerFrame) as error:
            connection.close()
            raise SignerAway(self._path, _reason(error)) from None
        except SignerAway:
            connection.close()
            raise
        return connection, hello

    def _check(self, hello: Hello) -> None:
        domain = self._domain
        for what, theirs, ours in (
            ("node key", hello.node_key.hex(), self.node_key.hex()),
            ("chain id", str(hello.chain_id), str(domain.chain_id)),
            ("genesis block", hello.genesis_hash.hex(), domain.genesis_hash.hex()),
        ):
            if theirs != ours:
                raise SignerAway(self._path, f"its {what} is {theirs}; expected {ours}")

    def _ask(self, kind: Kind, *fields: Any) -> tuple[int, list[Any]]:
        if self._socket is None:
            raise SignerAway(self._path, self._away)
        try:
            return _exchange(self._socket, kind, *fields)
        except (OSError, InvalidSignerFrame) as error:
            raise self._lose(_reason(error)) from None

    def _done(self, answer: int, fields: list[Any]) -> bytes:
        try:
            if answer == Answer.DONE:
                return read_signed(fields)
            reason = read_refusal(fields)
        except InvalidSignerFrame as error:
            reason = error.reason
        raise self._lose(reason)

    def _lose(self, reason: str) -> SignerAway:
        """Hang up, and say why once; return what to raise."""
        self.hang_up()
        if not self._away:
            log.warning("the signer is away, so we abstain", extra={"reason": reason})
        self._away = reason
        self._lost.set()
        return SignerAway(self._path, reason)

    def hang_up(self) -> None:
        """End the connection; what is asked from then on is refused."""
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None


def greet(path: Path) -> Hello:
    """Return what a signer says of itself.

    Raises:
        SignerAway: it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(path))
            _, fields = _exchange(connection, Kind.HELLO)
            return read_hello(fields)
        except (OSError, InvalidSignerFrame) as error:
            raise SignerAway(path, _reason(error)) from None


async def await_signer(path: Path, wait_s: float = START_S) -> Hello:
    """Wait until a signer answers, and return what it says of itself.

    Raises:
        SignerAway: it has not answered for so long.
    """
    until, told = time.monotonic() + wait_s, False
    while True:
        try:
            return await asyncio.to_thread(greet, path)
        except SignerAway as error:
            if time.monotonic() >= until:
                raise
            if not told:
                log.warning("waiting for the signer", extra={"reason": error.reason, "seconds": wait_s})
            told = True
        await asyncio.sleep(BACKOFF_FIRST_S)


def _exchange(connection: socket.socket, kind: Kind, *fields: Any) -> tuple[int, list[Any]]:
    """Send a request and return its answer, all within `ANSWER_S`."""
    deadline = time.monotonic() + ANSWER_S
    connection.settimeout(ANSWER_S)
    connection.sendall(pack([int(kind), *fields]))
    head = _receive(connection, LENGTH.size, deadline)
    return unpack(_receive(connection, length_of(head), deadline))


def _receive(connection: socket.socket, wanted: int, deadline: float) -> bytes:
    received = b""
    while len(received) < wanted:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        part = connection.recv(wanted - len(received))
        if not part:
            raise ConnectionError("it hung up")
        received += part
    return received


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_S:g} s"
    if isinstance(error, InvalidSignerFrame):
        return error.reason
    return str(getattr(error, "strerror", None) or error)
