"""The RPC's door: HTTP POST and WebSocket on one port, and who may come in.

A browser's page must not reach a node on the same machine: the Host header names this node (against DNS rebinding),
CORS is off unless configured, a WebSocket's Origin is held against the same list, and a POST must be JSON.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from node.errors import GridpactError
from node.metrics.registry import Metrics
from node.rpc.backend import Backend
from node.rpc.context import Context
from node.rpc.dispatch import Dispatcher, all_methods
from node.rpc.errors import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError
from node.rpc.feed import Feed
from node.rpc.filters import FilterTable
from node.rpc.limits import RateLimits
from node.rpc.metrics import RpcMetrics, watch_server
from node.rpc.pool import ReadPool
from node.rpc.probes import Probes
from node.rpc.protocol import encode_error
from node.rpc.reads import BlockCache, ReadOrder
from node.rpc.session import MAX_QUEUED_BYTES, Session
from node.rpc.snapshots import SnapshotRoutes
from node.snapshot.shelf import Shelf

log = logging.getLogger("rpc")

BODY_TIMEOUT_S = 20  # for a client to send its body
KEEPALIVE_S = 75
HEARTBEAT_S = 30  # a WebSocket client that does not answer a ping for so long is gone
SHUTDOWN_S = 2
MAX_READER_BYTES = 512 * 1024 * 1024  # a reading process takes about 50 MB, and the logs of a query
JSON_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """Where and what the RPC serves; the bounds are those of Ethereum clients where they have any.

    Args:
        host, port: where to listen; port 0 takes any free one.
        hosts: names that a Host header may have, without port; "*" for any.
        cors_origins: origins that browsers may call from; "*" for any.
        max_body_bytes, max_response_bytes, max_batch: of one message.
        max_concurrent: HTTP requests that are worked on at once.
        max_websockets: open at once.
        rate_per_s, burst: requests of one connection.
        timeout_s: for one request.
        max_read_s: for what one request reads at once; at most as long as a read transaction may live.
        max_queued_bytes: waiting for one slow WebSocket.
        metrics_listen: where the metrics are served, (host, port), instead of beside JSON-RPC; None for beside it.
    """

    host: str = "127.0.0.1"
    port: int = 8545
    hosts: tuple[str, ...] = LOOPBACK
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 5 * 1024 * 1024
    max_response_bytes: int = 25 * 1024 * 1024
    max_batch: int = 1_000
    max_concurrent: int = 256
    max_websockets: int = 1_024
    rate_per_s: float = 5_000.0
    burst: float = 10_000.0
    timeout_s: float = 30.0
    max_read_s: float = 5.0
    max_queued_bytes: int = MAX_QUEUED_BYTES
    metrics_listen: tuple[str, int] | None = None


class RpcListenError(GridpactError):
    """The RPC cannot listen where it was told to."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"RPC cannot listen on {host}:{port}: {reason}; expected a free port on this machine")
        self.host = host
        self.port = port


class RpcServer:
    """Serves a backend.

    Args:
        backend: the node.
        config: where, for whom, how much.
        shelf: the snapshots to serve to newcomers, if any.
        metrics: of the node; the server adds its own.
    """

    def __init__(
        self, backend: Backend, config: RpcConfig, shelf: Shelf | None = None, metrics: Metrics | None = None
    ) -> None:
        self._backend = backend
        self._config = config
        self._reads = ReadPool(backend.store, _read_order(backend, config))
        self._metrics = metrics or Metrics()
        self._counts = RpcMetrics(self._metrics)
        self._dispatcher = Dispatcher(
            all_methods(), config.max_batch, config.max_response_bytes, config.timeout_s, self._counts.answered
        )
        self._probes = Probes(self._metrics, backend.unready)
        self._snapshots = SnapshotRoutes(shelf)
        self._runners: list[web.AppRunner] = []
        self._context: Context | None = None
        self._end_pending: Callable[[], None] | None = None
        self._hosts = frozenset(name.lower() for name in config.hosts)
        self._origins = frozenset(origin.lower() for origin in config.cors_origins)
        self._busy = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self.port = config.port
        self.metrics_port = config.port if config.metrics_listen is None else config.metrics_listen[1]

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            RpcListenError: the port is taken, or the address is not this machine's.
        """
        clock = asyncio.get_running_loop().time
        self._rates = RateLimits(self._config.rate_per_s, self._config.burst, clock)
        blocks = BlockCache()
        feed = Feed(self._backend, blocks)
        filters = FilterTable(clock)
        self._context = Context(self._backend, blocks, self._reads, filters, feed)
        application = web.Application(middlewares=[self._guard], client_max_size=self._config.max_body_bytes)
        application.router.add_post("/", self._post)
        application.router.add_get("/", self._get)
        application.router.add_options("/", self._preflight)
        self._snapshots.add_to(application.router)
        self._probes.add_health(application.router)
        apart = self._config.metrics_listen
        if apart is None:
            self._probes.add_metrics(application.router)
        self.port = self.metrics_port = await self._listen(application, self._config.host, self._config.port)
        if apart is not None:
            scraped = web.Application(middlewares=[self._guard])
            self._probes.add_metrics(scraped.router)
            self._probes.add_health(scraped.router)
            self.metrics_port = await self._listen(scraped, *apart)
        feed.start()
        self._end_pending = self._backend.on_pending(lambda transaction: filters.add_pending(transaction.hash))
        watch_server(
            self._metrics,
            websockets=lambda: len(self._sockets),
            busy=lambda: self._busy,
            feed=feed,
            reads=self._reads,
        )
        log.info("RPC listens", extra={"host": self._config.host, "port": self.port})
        return self.port

    async def _listen(self, application: web.Application, host: str, port: int) -> int:
        runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, OverflowError) as error:
            for opened in self._runners:
                await opened.cleanup()
            raise RpcListenError(host, port, str(error)) from None
        return int(runner.addresses[0][1])

    async def close(self) -> None:
        """Close every connection and end the readers."""
        if self._end_pending is not None:
            self._end_pending()
        goodbye = b"the node is shutting down"
        closing = [opened.close(code=WSCloseCode.GOING_AWAY, message=goodbye) for opened in self._sockets]
        await asyncio.gather(*closing, return_exceptions=True)
        if self._context is not None:
            await self._context.feed.close()
        for runner in self._runners:
            await runner.cleanup()
        await self._reads.close()

    # -- who may come in

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        name = request.headers.get(hdrs.HOST, "")
        if not self._known_host(name):
            return _refusal(403, INVALID_REQUEST, f"invalid host specified: {name[:80]!r}; see rpc.hosts")
        try:
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            limit = self._config.max_body_bytes
            response = _refusal(413, INVALID_REQUEST, f"request too large: expected at most {limit} bytes")
        except web.HTTPException as error:
            response = _refusal(error.status, INVALID_REQUEST, f"{error.reason}: POST JSON-RPC to /")
            response.headers.update({hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {})
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not response.prepared and self._known_origin(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        return response

    def _known_host(self, header: str) -> bool:
        name = header.rpartition(":")[0] if ":" in header.rpartition("]")[2] else header
        return "*" in self._hosts or name.lower() in self._hosts

    def _known_origin(self, origin: str) -> bool:
        return "*" in self._origins or origin.lower() in self._origins

    # -- HTTP

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type not in JSON_TYPES:
            return _refusal(
                415, INVALID_REQUEST, f"content type {request.content_type[:80]!r}: expected {JSON_TYPES[0]}"
            )
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            return _refusal(415, INVALID_REQUEST, "content encoding: expected none")
        if self._busy >= self._config.max_concurrent:
            return _refusal(
                503, LIMIT_EXCEEDED, f"limit exceeded: {self._busy} requests are being worked on; try again"
            )
        self._busy += 1
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                raw = await request.read()
            bucket = self._rates.of(_remote(request))
            answer = await self._dispatcher.answer(raw, self._serving(), bucket.take)
        except TimeoutError:
            return _refusal(408, INVALID_REQUEST, f"the body did not arrive within {BODY_TIMEOUT_S} s")
        except HttpProcessingError as error:
            return _refusal(400, INVALID_REQUEST, f"malformed HTTP: {error.message[:80]}")
        finally:
            self._busy -= 1
        if answer is None:
            return web.Response(status=204)
        return web.Response(text=answer, content_type="application/json")

    async def _preflight(self, request: web.Request) -> web.StreamResponse:
        if not self._known_origin(request.headers.get(hdrs.ORIGIN, "")):
            return _refusal(403, INVALID_REQUEST, "CORS is off for this origin; see rpc.cors_origins")
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST, GET",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: "600",
        }
        return web.Response(status=204, headers=headers)

    # -- WebSocket

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            return _refusal(
                426, INVALID_REQUEST, "POST JSON-RPC here, or open a WebSocket", {hdrs.UPGRADE: "websocket"}
            )
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not self._known_origin(origin):
            return _refusal(403, INVALID_REQUEST, f"origin not allowed: {origin[:80]!r}; see rpc.cors_origins")
        if len(self._sockets) >= self._config.max_websockets:
            return _refusal(503, LIMIT_EXCEEDED, f"limit exceeded: {len(self._sockets)} WebSockets are open")
        opened = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=self._config.max_body_bytes, compress=False, timeout=SHUTDOWN_S
        )
        await opened.prepare(request)
        bucket = self._rates.of(_remote(request))
        session = Session(opened, self._serving(), self._dispatcher, bucket, self._config.max_queued_bytes)
        self._sockets.add(opened)
        try:
            await session.run(request.transport)
        finally:
            self._sockets.discard(opened)
            if session.dropped:
                self._counts.dropped_subscribers.inc()
        return opened

    def _serving(self) -> Context:
        if self._context is None:
            raise RuntimeError("the server was not started")
        return self._context


def _read_order(backend: Backend, config: RpcConfig) -> ReadOrder:
    store = backend.store
    return ReadOrder(
        database=store.path,
        map_bytes=store.map_bytes,
        rules=backend.genesis["rules"],
        chain_id=backend.rule_book.rules_at(0).chain_id,
        loop=backend.loop,
        max_seconds=config.max_read_s,
        max_data_bytes=MAX_READER_BYTES,
    )


def _remote(request: web.Request) -> object:
    return None if request.transport is None else request.transport.get_extra_info("peername")


def _refusal(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    text = encode_error(None, RpcError(code, message))
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
