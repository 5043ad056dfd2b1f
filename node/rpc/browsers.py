"""What keeps a web page from reaching a node through its visitor's browser: the Host header and CORS.

A name that an attacker lets point to this machine (DNS rebinding) stands in the Host header, and is not on the list.
Sources: the Fetch standard (CORS); go-ethereum's virtual hosts, for which an IP address is always known.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from aiohttp import hdrs

MAX_AGE_S = 600  # that a browser remembers a preflight
MAX_HEADER_LENGTH = 1_024
SIMPLE_HEADERS = ("accept", "accept-encoding", "authorization", "content-type")
_OWN_HEADER = re.compile(r"x-[a-z0-9-]+\Z")
PRIVATE_NETWORK = "Access-Control-{}-Private-Network"


class Browsers:
    """The names that this node answers to, and the origins whose pages may call it.

    Args:
        hosts: without port; "*" for any.
        origins: with at most one "*" each; "*" alone for any.
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(name.lower() for name in hosts)
        self._origins = [origin.lower().partition("*") for origin in origins]

    def known_host(self, header: str) -> bool:
        """Return whether a Host header names this node."""
        name = header.rpartition(":")[0] if ":" in header.rpartition("]")[2] else header
        return "*" in self._hosts or name.lower() in self._hosts or _is_address(name)

    def known_origin(self, origin: str) -> bool:
        """Return whether the pages of an origin may call this node."""
        return any(_fits(origin.lower(), *pattern) for pattern in self._origins)

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that answer the preflight of a known origin."""
        wanted = headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")[:MAX_HEADER_LENGTH]
        names = [name.strip().lower() for name in wanted.split(",")]
        answer: dict[str, str] = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST, GET",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(
                dict.fromkeys(["content-type", *(name for name in names if _is_header(name))])
            ),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(MAX_AGE_S),
        }
        if headers.get(PRIVATE_NETWORK.format("Request")) == "true":
            answer[PRIVATE_NETWORK.format("Allow")] = "true"
        return answer


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether an origin is that of the page which this node serves itself.

    Args:
        origin: the Origin header.
        host: the Host header, which must be known already: a name that was rebound to this machine is not.
    """
    scheme, separator, name = origin.lower().partition("://")
    return scheme in ("http", "https") and bool(separator) and bool(host) and name == host.lower()


def _fits(origin: str, start: str, star: str, end: str) -> bool:
    if not star:
        return origin == start
    return len(origin) >= len(start) + len(end) and origin.startswith(start) and origin.endswith(end)


def _is_header(name: str) -> bool:
    return name in SIMPLE_HEADERS or _OWN_HEADER.match(name) is not None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
