"""All connections of a node: listens, dials, and keeps exactly one live connection to every member.

Of two members the one with the lower node key dials, so that a pair never races; a new connection of a peer replaces
the old one, which it has given up.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp import web

from node.driver.signer import SignerAway
from node.p2p.certificates import (
    LEAF_LIFETIME,
    IssueLeaf,
    UnknownPeer,
    make_context,
    make_leaf,
    peer_key,
    watch_handshakes,
)
from node.p2p.frames import MAX_FRAME_BYTES, WIRE_MAJOR, Channel, Hello, InvalidFrame, decode_hello
from node.p2p.gate import Gate
from node.p2p.peer import Peer, PeerInfo, Socket
from node.p2p.traffic import Traffic

KEEPALIVE_S = 15.0  # a connection that has not become a WebSocket by then is closed
HANDSHAKE_S = 5.0  # TLS, WebSocket and hello together
HEARTBEAT_S = 10.0  # ping; a peer that does not answer within half of it is gone
BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 2.0  # for one who does not answer: it may be back at any moment
REFUSED_LAST_S = 60.0  # for one who answers and does not want us: we may have been removed, or be on another chain
QUIET_S = 60.0  # the same complaint about the same remote is logged once in this time
MAX_COMPLAINTS = 1024
SOFTWARE = f"gridpact/{version('gridpact')}"

log = logging.getLogger("p2p")

OnMessage = Callable[[bytes, Channel, bytes], None]
OnPeer = Callable[[bytes], None]


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, slots=True)
class NetworkIdentity:
    """Who we are (node key, 32 bytes, and what issues leaves with it), on which chain (its id, genesis hash)."""

    node_key: bytes
    issue_leaf: IssueLeaf
    chain_id: int
    genesis_hash: bytes


class PeerNetwork:
    """Connections to the members of the consortium.

    Args:
        identity: who we are, on which chain.
        members: end point (host, port) of every member by node key; our own may be among them.
        listen: where to listen, (host, port); port 0 takes any free one.
        on_message: called with (node key, channel, payload) for everything that arrives; an `Offence` that it raises
            ends the connection.
        on_connect: called with the node key when a connection is up.
        jitter: spreads reconnections; injected for tests.
        now: UTC time, for certificates; injected for tests.
    """

    def __init__(
        self,
        identity: NetworkIdentity,
        members: Mapping[bytes, tuple[str, int]],
        listen: tuple[str, int],
        on_message: OnMessage,
        *,
        on_connect: OnPeer | None = None,
        jitter: random.Random | None = None,
        now: Callable[[], datetime.datetime] = _utc_now,
    ) -> None:
        self.node_key = identity.node_key
        self._identity = identity
        self._members = {key: endpoint for key, endpoint in members.items() if key != self.node_key}
        self._listen = listen
        self._on_message = on_message
        self._on_connect = on_connect
        self._jitter = jitter or random.Random()
        self._now = now
        self._hello = Hello(WIRE_MAJOR, identity.chain_id, identity.genesis_hash, SOFTWARE)
        self._peers: dict[bytes, Peer] = {}
        self.traffic = Traffic()
        self._dialling: dict[bytes, asyncio.Task[None]] = {}
        self._complaints: dict[str, float] = {}
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
        self._leaf = b""
        self._leaf_renewed = self._leaf_until = now()
        self._runner: web.AppRunner | None = None
        self._gate: Gate | None = None
        self._session: aiohttp.ClientSession | None = None

    # -- life

    async def start(self) -> None:
        """Listen and begin to dial.

        Raises:
            OSError: the port is in use.
        """
        application = web.Application()
        application.router.add_get("/", self._accept)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=1.0, keepalive_timeout=KEEPALIVE_S
        )
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the web runner has not been set up")
        self._gate = Gate(self._listen, server, self._context(server=True), HANDSHAKE_S)
        self._session = aiohttp.ClientSession()
        for key in sorted(self._members):
            self._dial(key)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._gate is None:
            raise RuntimeError("not started")
        return self._gate.port

    async def close(self) -> None:
        """End all connections and stop listening."""
        for task in self._dialling.values():
            task.cancel()
        await asyncio.gather(*self._dialling.values(), return_exceptions=True)
        await asyncio.gather(*(peer.close("going away") for peer in list(self._peers.values())), return_exceptions=True)
        if self._gate is not None:
            await self._gate.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def update_members(self, members: Mapping[bytes, tuple[str, int]]) -> None:
        """Trust these members from now on: connections of removed ones end, new ones are dialled."""
        self._members = {key: endpoint for key, endpoint in members.items() if key != self.node_key}
        self._contexts = None
        for key in sorted(self._dialling.keys() - self._members.keys()):
            self._dialling.pop(key).cancel()
        gone = [peer for key, peer in self._peers.items() if key not in self._members]
        await asyncio.gather(*(peer.close("no longer a member") for peer in gone))
        for key in sorted(self._members):
            self._dial(key)

    # -- sending

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        """Queue a message for a member; False if it is not connected or its queue is full."""
        peer = self._peers.get(node_key)
        return peer is not None and peer.send(channel, payload)

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Queue a message for every connected member."""
        for key in sorted(self._peers):
            self._peers[key].send(channel, payload)

    def waiting_bytes(self, node_key: bytes, channel: Channel) -> int:
        """Return how much waits to be sent to a member on a channel; nothing if it is not connected."""
        peer = self._peers.get(node_key)
        return 0 if peer is None else peer.waiting_bytes(channel)

    def connected(self) -> list[PeerInfo]:
        """Return the live connections, sorted by node key."""
        return [self._peers[key].info for key in sorted(self._peers)]

    @property
    def known(self) -> int:
        """How many others are trusted."""
        return len(self._members)

    # -- TLS

    def _context(self, *, server: bool) -> ssl.SSLContext:
        self._renew_leaf(self._now())
        if self._contexts is None:
            leaf, keys = self._leaf, list(self._members) or [self.node_key]
            accepting = make_context(leaf, keys, server=True)
            accepting.sni_callback = self._swap_context
            watch_handshakes(accepting, lambda reason: self.complain("a stranger", f"refused: TLS handshake: {reason}"))
            self._contexts = (accepting, make_context(leaf, keys, server=False))
        return self._contexts[0 if server else 1]

    def _renew_leaf(self, now: datetime.datetime) -> None:
        """Take a new leaf when half the life of the old one is over; while the signer is away the old one serves.

        Raises:
            SignerAway: there is none that is still good.
        """
        if now < self._leaf_renewed:
            return
        try:
            self._leaf = make_leaf(self._identity.issue_leaf, now)
        except SignerAway as error:
            if now >= self._leaf_until:
                raise
            self.complain("our certificate", f"cannot be renewed: {error}")
            return
        self._leaf_renewed, self._leaf_until = now + LEAF_LIFETIME / 2, now + LEAF_LIFETIME
        self._contexts = None

    def _swap_context(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        """Give a new connection the current context: current members, a leaf that has not expired."""
        connection.context = self._context(server=True)

    # -- connections

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, heartbeat=HEARTBEAT_S, compress=False)
        transport = request.transport
        remote = str(request.remote)
        try:
            leaf = None if transport is None else _leaf_of(transport.get_extra_info("ssl_object"))
            key = peer_key(leaf, self._members)
        except UnknownPeer as error:
            self.complain(remote, f"refused: {error}")
            return web.Response(status=403, text=f"refused: {error}")
        await socket.prepare(request)
        await self._serve(key, socket, remote, accepted=transport)
        return socket

    def _dial(self, node_key: bytes) -> None:
        if self.node_key < node_key and node_key not in self._dialling:
            self._dialling[node_key] = asyncio.create_task(self._keep_dialling(node_key))

    async def _keep_dialling(self, node_key: bytes) -> None:
        backoff = BACKOFF_FIRST_S
        while True:
            started = time.monotonic()
            last = REFUSED_LAST_S
            try:
                await self._dial_once(node_key)
            except Exception as error:  # whatever a peer does must not end the task that dials it
                self.traffic.failed_dials += 1
                host, port = self._members[node_key]
                self.complain(f"{host}:{port}", f"cannot connect: {type(error).__name__}: {error}")
                if _is_absence(error):
                    last = BACKOFF_LAST_S
            if time.monotonic() - started > HANDSHAKE_S + 1:  # it was connected for a while
                backoff = BACKOFF_FIRST_S
            backoff = min(backoff, last)
            await asyncio.sleep(backoff * self._jitter.uniform(0.5, 1.0))
            backoff *= 2

    async def _dial_once(self, node_key: bytes) -> None:
        host, port = self._members[node_key]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if self._session is None:
            raise RuntimeError("not started")
        async with asyncio.timeout(HANDSHAKE_S):
            socket = await self._session.ws_connect(
                f"https://{authority}/",
                ssl=self._context(server=False),
                server_hostname="gridpact",  # so that the other side's SNI callback runs
                heartbeat=HEARTBEAT_S,
                max_msg_size=MAX_FRAME_BYTES,
                compress=0,
            )
        found = peer_key(_leaf_of(socket.get_extra_info("ssl_object")), self._members)
        if found != node_key:
            await socket.close()
            raise UnknownPeer(f"another member, {found.hex()[:16]}, answers there")
        await self._serve(node_key, socket, f"{host}:{port}", accepted=None)

    async def _serve(
        self, node_key: bytes, socket: Socket, remote: str, *, accepted: asyncio.BaseTransport | None
    ) -> None:
        try:
            await self._greet(socket)
        except (InvalidFrame, TimeoutError, ConnectionError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}" if not isinstance(error, InvalidFrame) else str(error)
            self.complain(remote, f"refused: {reason}")
            await socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION, message=reason.encode()[:120])
            return
        if node_key not in self._members:  # removed while it said hello
            await socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION, message=b"no longer a member")
            return
        if self._gate is not None and accepted is not None:
            self._gate.known(accepted)
        peer = Peer(node_key, socket, remote, self.traffic, dialled=accepted is None)
        old = self._peers.get(node_key)
        self._peers[node_key] = peer
        if old is not None:
            await old.close("replaced by a newer connection")
        log.info("connected", extra={"peer": node_key.hex()[:16], "remote": remote})
        reason = "stopped"
        try:
            if self._on_connect is not None:
                self._on_connect(node_key)
            reason = await peer.run(self._on_message)
        except Exception:  # our own bug in handling a message must not cost us the peer for good
            log.exception("a message could not be handled", extra={"peer": node_key.hex()[:16]})
            await peer.close("internal error")
        finally:
            if self._peers.get(node_key) is peer:
                del self._peers[node_key]
            log.info("disconnected", extra={"peer": node_key.hex()[:16], "reason": reason})

    async def _greet(self, socket: Socket) -> None:
        """Exchange hellos.

        Raises:
            InvalidFrame: the other side is on another chain or speaks another version.
        """
        async with asyncio.timeout(HANDSHAKE_S):
            await socket.send_bytes(self._hello.encode())
            hello = decode_hello(await socket.receive_bytes())
        if hello.major != self._hello.major:
            both = f"it speaks wire version {hello.wire} ({hello.software}), this node {self._hello.wire}"
            newer = "this node" if hello.major > self._hello.major else "the other one"
            raise InvalidFrame(f"{both}: another major version; upgrade {newer}")
        for name in ("chain_id", "genesis_hash"):
            ours, theirs = getattr(self._hello, name), getattr(hello, name)
            if ours != theirs:
                shown = [value.hex() if isinstance(value, bytes) else value for value in (ours, theirs)]
                raise InvalidFrame(f"{name}: expected {shown[0]}, found {shown[1]}")

    def complain(self, remote: str, reason: str) -> None:
        """Log a complaint about a remote address, at most once a minute."""
        now = time.monotonic()
        key = f"{remote} {reason[:24]}"
        if now - self._complaints.get(key, -QUIET_S) < QUIET_S:
            return
        if len(self._complaints) >= MAX_COMPLAINTS:
            self._complaints.clear()
        self._complaints[key] = now
        log.warning("peer complaint", extra={"remote": remote, "reason": reason})


def _is_absence(error: Exception) -> bool:
    """Return whether nobody answered at all."""
    answered = isinstance(error, aiohttp.ClientSSLError)
    return isinstance(error, (aiohttp.ClientConnectorError, TimeoutError)) and not answered


def _leaf_of(connection: Any) -> bytes | None:
    return None if connection is None else connection.getpeercert(binary_form=True)
