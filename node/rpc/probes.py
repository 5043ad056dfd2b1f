"""What supervisors and Prometheus ask over plain HTTP.

GET /metrics                   Prometheus text, or OpenMetrics if the Accept header names it
GET /health, /liveness         200 as long as the process lives and its event loop turns
GET /ready, /readiness         200 if this node is of use to clients; 503 with the reasons otherwise
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from aiohttp import hdrs, web

from node.metrics.registry import OPENMETRICS, Exposition, Metrics

FRESH_S = 0.5  # a scrape is answered with one so old: however many ask, making the text takes little of the loop
NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}


class Probes:
    """The routes of one node.

    Args:
        metrics: what there is to scrape.
        unready: gives the reasons why the node is not ready.
    """

    def __init__(self, metrics: Metrics, unready: Callable[[], Iterable[str]]) -> None:
        self._metrics = metrics
        self._unready = unready
        self._started_s = time.monotonic()
        self._making = asyncio.Lock()
        self._made: dict[bool, tuple[float, Exposition]] = {}  # whether it is OpenMetrics, and when it was made

    def add_metrics(self, router: web.UrlDispatcher) -> None:
        """Register the route of the metrics."""
        router.add_get("/metrics", self._scrape)

    def add_health(self, router: web.UrlDispatcher) -> None:
        """Register the routes of health and readiness; the second names are Besu's."""
        for path in ("/health", "/liveness"):
            router.add_get(path, self._health)
        for path in ("/ready", "/readiness"):
            router.add_get(path, self._ready)

    async def _scrape(self, request: web.Request) -> web.StreamResponse:
        exposed = await self._exposed(OPENMETRICS in request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=exposed.content, headers={hdrs.CONTENT_TYPE: exposed.content_type, **NO_STORE})

    async def _exposed(self, modern: bool) -> Exposition:
        async with self._making:
            made_s, exposed = self._made.get(modern, (-FRESH_S, None))
            if exposed is None or time.monotonic() - made_s > FRESH_S:
                exposed = await self._metrics.expose(modern=modern)
                self._made[modern] = time.monotonic(), exposed
            return exposed

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        up_s = round(time.monotonic() - self._started_s, 3)
        return web.json_response({"status": "UP", "uptime_s": up_s}, headers=NO_STORE)

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        reasons = list(self._unready())
        content = {"status": "DOWN" if reasons else "UP", "reasons": reasons}
        return web.json_response(content, status=503 if reasons else 200, headers=NO_STORE)
