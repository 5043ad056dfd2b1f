"""The RPC's door: HTTP POST and WebSocket on one port, and who may come in.

A browser's page must not reach a node on the same machine: the Host header names this node (against DNS rebinding),
CORS is off unless configured, a WebSocket's Origin is held against the same list (that of the node's own page may open
one), and a POST must be JSON.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import WSCloseCode, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from node.errors import GridpactError
from node.metrics.registry import Metrics
from node.rpc import page
from node.rpc.access import Access, Unauthorized
from node.rpc.backend import Backend
from node.rpc.browsers import Browsers, is_own_origin
from node.rpc.context import Context
from node.rpc.dispatch import Dispatcher, all_methods
from node.rpc.errors import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError
from node.rpc.feed import Feed
from node.rpc.filters import FilterTable
from node.rpc.gate import Gate, file_room
from node.rpc.limits import RateLimits
from node.rpc.metrics import RpcMetrics, watch_server
from node.rpc.packing import MIN_PACKED_BYTES, TooLarge, pack, takes_gzip, unpack
from node.rpc.pool import ReadPool
from node.rpc.probes import Probes
from node.rpc.protocol import encode_error
from node.rpc.reads import BlockCache, ReadOrder
from node.rpc.session import Backlog, Session
from node.rpc.settings import RpcConfig as RpcConfig
from node.rpc.snapshots import SnapshotRoutes
from node.rpc.streets import Streets
from node.snapshot.shelf import Shelf

log = logging.getLogger("rpc")
http_log = logging.getLogger("rpc.http")

BODY_TIMEOUT_S = 20  # for a client to send its body
KEEPALIVE_S = 75
HEARTBEAT_S = 30  # a WebSocket client that does not answer a ping for so long is gone
SHUTDOWN_S = 2
MAX_READER_BYTES = 512 * 1024 * 1024  # a reading process takes about 50 MB, and the logs of a query
BACKLOG = 1_024  # connections that wait to be accepted
CHALLENGE: dict[str, str] = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="gridpact"'}
JSON_TYPES = ("application/json", "application/json-rpc", "application/jsonrequest")


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

    Raises:
        ConfigError: a file with a token or a secret is not what it should be.
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
        self._page = page.Page() if config.page else None
        self._runners: list[web.AppRunner] = []
        self._context: Context | None = None
        self._end_pending: Callable[[], None] | None = None
        self._access = Access(config, time.time)
        self._browsers = Browsers(config.hosts, config.cors_origins)
        self._listeners: list[asyncio.Server] = []
        self.gates: list[Gate] = []
        self._busy = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self._backlog = Backlog()
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
        streets = Streets(self._backend, self._reads)
        self._context = Context(self._backend, blocks, self._reads, filters, feed, streets)
        application = web.Application(middlewares=[self._guard], client_max_size=self._config.max_body_bytes)
        application.router.add_post("/", self._post)
        application.router.add_get("/", self._get)
        application.router.add_options("/", self._preflight)
        self._snapshots.add_to(application.router)
        if self._page is not None:
            self._page.add_to(application.router)
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
            logger=http_log,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
            auto_decompress=False,  # see `unpack`: bounded, and not on the event loop
        )
        await runner.setup()
        self._runners.append(runner)
        assert runner.server is not None
        gate = Gate(runner.server, min(self._config.max_connections, file_room()))
        try:
            listener = await asyncio.get_running_loop().create_server(gate, host, port, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            self._stop_listening()
            for opened in self._runners:
                await opened.cleanup()
            raise RpcListenError(host, port, str(error)) from None
        self._listeners.append(listener)
        self.gates.append(gate)
        return int(listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close every connection and end the readers."""
        self._stop_listening()
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

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()

    # -- who may come in

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        name = request.headers.get(hdrs.HOST, "")
        if not self._browsers.known_host(name):
            return _refusal(403, INVALID_REQUEST, f"invalid host specified: {name[:80]!r}; see rpc.hosts")
        try:
            response = await handler(request)
        except Unauthorized as error:
            response = _refusal(401, error.code, error.message, CHALLENGE)
        except (web.HTTPRequestEntityTooLarge, TooLarge):
            limit = self._config.max_body_bytes
            response = _refusal(413, INVALID_REQUEST, f"request too large: expected at most {limit} bytes")
        except web.HTTPException as error:
            response = _refusal(error.status, INVALID_REQUEST, f"{error.reason}: POST JSON-RPC to /")
            response.headers.update({hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {})
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not response.prepared and self._browsers.known_origin(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        return response

    # -- HTTP

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type not in JSON_TYPES:
            return _refusal(
                415, INVALID_REQUEST, f"content type {request.content_type[:80]!r}: expected {JSON_TYPES[0]}"
            )
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
        if encoding not in ("identity", "gzip"):
            return _refusal(415, INVALID_REQUEST, "content encoding: expected gzip or none")
        context = self._serving(request)
        if self._busy >= self._config.max_concurrent:
            return _refusal(
                503, LIMIT_EXCEEDED, f"limit exceeded: {self._busy} requests are being worked on; try again"
            )
        self._busy += 1
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                raw = await request.read()
            if encoding == "gzip":
                raw = await unpack(raw, self._config.max_body_bytes)
            bucket = self._rates.of(_remote(request))
            answer = await self._dispatcher.answer(raw, context, bucket.take)
            return await _answered(request, answer, context)
        except TimeoutError:
            return _refusal(408, INVALID_REQUEST, f"the body did not arrive within {BODY_TIMEOUT_S} s")
        except RpcError as error:
            return _refusal(400, error.code, error.message)
        except HttpProcessingError as error:
            return _refusal(400, INVALID_REQUEST, f"malformed HTTP: {error.message[:80]}")
        finally:
            self._busy -= 1

    async def _preflight(self, request: web.Request) -> web.StreamResponse:
        if not self._browsers.known_origin(request.headers.get(hdrs.ORIGIN, "")):
            return _refusal(403, INVALID_REQUEST, "CORS is off for this origin; see rpc.cors_origins")
        return web.Response(status=204, headers=self._browsers.preflight(request.headers))

    # -- WebSocket

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            if self._page is not None and page.wanted(request):
                return self._page.front(request)
            return _refusal(
                426, INVALID_REQUEST, "POST JSON-RPC here, or open a WebSocket", {hdrs.UPGRADE: "websocket"}
            )
        origin = request.headers.get(hdrs.ORIGIN)
        own = self._page is not None and is_own_origin(origin or "", request.headers.get(hdrs.HOST, ""))
        if origin is not None and not own and not self._browsers.known_origin(origin):
            return _refusal(403, INVALID_REQUEST, f"origin not allowed: {origin[:80]!r}; see rpc.cors_origins")
        if len(self._sockets) >= self._config.max_websockets:
            return _refusal(503, LIMIT_EXCEEDED, f"limit exceeded: {len(self._sockets)} WebSockets are open")
        context = self._serving(request)
        opened = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=self._config.max_body_bytes, compress=False, timeout=SHUTDOWN_S
        )
        await opened.prepare(request)
        bucket = self._rates.of(_remote(request))
        session = Session(opened, context, self._dispatcher, bucket, self._config.max_queued_bytes, self._backlog)
        self._sockets.add(opened)
        try:
            await session.run(request.transport)
        finally:
            self._sockets.discard(opened)
            if session.dropped:
                self._counts.dropped_subscribers.inc()
        return opened

    def _serving(self, request: web.Request) -> Context:
        """Return what a request's methods work with.

        Raises:
            Unauthorized: the request bears a credential that is not valid.
        """
        if self._context is None:
            raise RuntimeError("the server was not started")
        namespaces = self._access.namespaces(request.headers.get(hdrs.AUTHORIZATION))
        return replace(self._context, namespaces=namespaces, denied=[])


def _is_no_client_fault(record: logging.LogRecord) -> bool:
    """Return whether a record of aiohttp's tells of more than bytes that are no HTTP: everybody can send those."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


http_log.addFilter(_is_no_client_fault)


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


async def _answered(request: web.Request, answer: str | None, context: Context) -> web.Response:
    """Return the response that carries an answer: 401 if a right was lacking, packed if the client takes it so."""
    if answer is None:
        return web.Response(status=204)
    lone_refusal = context.denied and not answer.startswith("[")
    status, headers = (401, dict(CHALLENGE)) if lone_refusal else (200, {})
    headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    body = answer.encode("ascii")
    if len(body) >= MIN_PACKED_BYTES and takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = await pack(body)
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _remote(request: web.Request) -> object:
    return None if request.transport is None else request.transport.get_extra_info("peername")


def _refusal(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    text = encode_error(None, RpcError(code, message))
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
