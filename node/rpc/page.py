"""The page at `/`: what a household sees of its node. Its files are in node/page/, served as they are.

The page may run its own script and connect to its own origin, and nothing else (Content-Security-Policy): what members
call themselves is shown as text, and could not run even if it were not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ETag, hdrs, web

DIRECTORY = Path(__file__).parents[1] / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str
    etag: str

    def answer(self, request: web.Request) -> web.Response:
        """Return the file, or that the browser has it already."""
        headers = {**SECURITY, hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: hdrs.ACCEPT}
        known = request.if_none_match or ()
        if any(tag.value in (self.etag, "*") for tag in known):
            response = web.Response(status=304, headers=headers)
        else:
            response = web.Response(body=self.content, content_type=self.content_type, charset="utf-8", headers=headers)
        response.etag = ETag(self.etag)
        return response


class Page:
    """The page's files, read once."""

    def __init__(self) -> None:
        self._files = {path.name: _read(path) for path in DIRECTORY.iterdir() if path.suffix in TYPES}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the routes of what the page is made of; `/` itself is JSON-RPC's, too."""
        router.add_get("/page/{name}", self._file)

    def front(self, request: web.Request) -> web.Response:
        """Return the page itself."""
        return self._files["index.html"].answer(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return found.answer(request)


def wanted(request: web.Request) -> bool:
    """Return whether a GET comes from a browser that wants to show something."""
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
