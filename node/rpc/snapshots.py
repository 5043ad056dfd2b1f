"""Snapshots over plain HTTP, beside JSON-RPC: the newest manifest, and chunks of those that are kept.

GET /snapshot                  the newest manifest; 404 if there is none
GET /snapshot/HEIGHT           that of one height; 404 if it is not kept (any more)
GET /snapshot/HEIGHT/INDEX     a chunk of it
"""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from aiohttp import hdrs, web

from node.snapshot.shelf import Extent, Shelf

PIECE_BYTES = 64 * 1024  # held in memory for one client, however slow it reads
MAX_STREAMS = 16  # served at once; a newcomer asks for a few


class SnapshotRoutes:
    """Serves what stands on a shelf.

    Args:
        shelf: the snapshots; None if this node keeps none.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self._shelf = shelf
        self._streams = 0

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes."""
        router.add_get("/snapshot", self._get)
        router.add_get(r"/snapshot/{height:\d{1,12}}", self._get)
        router.add_get(r"/snapshot/{height:\d{1,12}}/{index:\d{1,9}}", self._get)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        extent = self._find(request.match_info.get("height"), request.match_info.get("index"))
        if extent is None:
            return web.Response(status=404, text="there is no such snapshot here (any more)\n")
        if self._streams >= MAX_STREAMS:
            return web.Response(status=503, text=f"{MAX_STREAMS} snapshots are being read; try again\n")
        self._streams += 1
        try:
            return await _stream(request, extent)
        finally:
            self._streams -= 1

    def _find(self, height: str | None, index: str | None) -> Extent | None:
        if self._shelf is None:
            return None
        found = self._shelf.newest if height is None else self._shelf.find(int(height))
        if found is None:
            return None
        if index is None:
            return found.manifest
        return found.chunks[int(index)] if int(index) < len(found.chunks) else None


async def _stream(request: web.Request, extent: Extent) -> web.StreamResponse:
    try:
        file = await asyncio.to_thread(extent.path.open, "rb")
    except FileNotFoundError:  # a newer one has taken its place this moment
        return web.Response(status=404, text="there is no such snapshot here (any more)\n")
    with file:
        headers = {hdrs.CONTENT_TYPE: "application/octet-stream", hdrs.CONTENT_LENGTH: str(extent.length)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        file.seek(extent.start)
        left = extent.length
        while left:
            piece = await asyncio.to_thread(_read, file, min(PIECE_BYTES, left))
            if not piece:
                break  # the file is shorter than it was: the client misses bytes, and asks elsewhere
            await response.write(piece)
            left -= len(piece)
        return response


def _read(file: BinaryIO, size: int) -> bytes:
    return file.read(size)
