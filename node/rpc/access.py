"""Who may call what: open namespaces for everybody, others for the bearer of a token.

A token is a static one from a file, or a JSON Web Token (RFC 7519) signed with HS256 by a secret of 32 bytes in a file.
Sources: execution-apis, src/engine/authentication.md (secret file, `iat` within 60 s); RFC 6750 (`Bearer`).
"""

from __future__ import annotations

import hmac
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt

from node.parsing import ConfigError
from node.rpc.errors import UNAUTHORIZED, RpcError
from node.rpc.settings import RpcConfig

ALL = "*"
MAX_SKEW_S = 60  # between the clocks of who issues a token and who takes it, as in the engine API
MIN_TOKEN_LENGTH = 32  # characters: 128 bits in hexadecimal
MAX_TOKEN_LENGTH = 4_096
SECRET_BYTES = 32
_PRINTABLE = range(0x21, 0x7F)


class Unauthorized(RpcError):
    """A credential that this node does not take, or a method that needs one."""

    def __init__(self, reason: str) -> None:
        super().__init__(UNAUTHORIZED, f"unauthorized: {reason}")


class Access:
    """Tells which namespaces a request may use.

    Args:
        config: what is open, and where tokens and secret are.
        clock: seconds since 1970.

    Raises:
        ConfigError: a file is missing, readable by others, or not what it should be.
    """

    def __init__(self, config: RpcConfig, clock: Callable[[], float]) -> None:
        self._open = frozenset(config.open)
        self._tokens = tuple((_token(entry.file), frozenset(entry.namespaces)) for entry in config.tokens)
        self._secret = None if config.jwt_secret is None else _secret(config.jwt_secret)
        self._clock = clock

    def namespaces(self, authorization: str | None) -> frozenset[str]:
        """Return the namespaces that an Authorization header opens, with those that are open to everybody.

        Raises:
            Unauthorized: a credential was given, and it is not valid.
        """
        if authorization is None:
            return self._open
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not 0 < len(credential) <= MAX_TOKEN_LENGTH or not credential.isascii():
            raise Unauthorized("expected Authorization: Bearer TOKEN")
        return self._open | self._opened_by(credential)

    def _opened_by(self, credential: str) -> frozenset[str]:
        given = credential.encode("ascii")
        found = [namespaces for token, namespaces in self._tokens if hmac.compare_digest(token, given)]
        if found:
            return found[0]
        if self._secret is None:
            raise Unauthorized("the token is not known here")
        return _claimed(credential, self._secret, self._clock())


def allowed(namespace: str, namespaces: frozenset[str]) -> bool:
    """Return whether a method's namespace is among those that a request may use."""
    return namespace in namespaces or ALL in namespaces


def _claimed(credential: str, secret: bytes, now_s: float) -> frozenset[str]:
    """Return the namespaces that a JSON Web Token claims.

    With `exp` it is good until then; without, for 60 s around `iat`, which must be there and not in the future.
    """
    unchecked = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
    try:
        claims = jwt.decode(credential, secret, algorithms=["HS256"], options=unchecked)  # type: ignore[arg-type]
    except jwt.InvalidTokenError as error:
        raise Unauthorized(f"the token is not known here, nor a JSON Web Token signed here ({error})") from None
    issued, expires, not_before = _time(claims, "iat"), _time(claims, "exp"), _time(claims, "nbf")
    if issued is None:
        raise Unauthorized("the token has no iat")
    if max(issued, not_before or issued) > now_s + MAX_SKEW_S:
        raise Unauthorized("the token is from the future; compare the clocks")
    if now_s > (issued + MAX_SKEW_S if expires is None else expires):
        raise Unauthorized("the token is stale")
    found = claims.get("namespaces")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise Unauthorized("the token has no list of namespaces")
    return frozenset(found)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    found = claims.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
        raise Unauthorized(f"the token's {name} is no time in seconds")
    return found


# -- files


def _token(path: Path) -> bytes:
    token = _private_text(path, "rpc.token.file").encode()
    if not MIN_TOKEN_LENGTH <= len(token) <= MAX_TOKEN_LENGTH or not _all_printable(token):
        raise ConfigError(path, "rpc.token.file", f"{MIN_TOKEN_LENGTH} or more printable characters, no spaces")
    return token


def _all_printable(token: Iterable[int]) -> bool:
    return all(byte in _PRINTABLE for byte in token)


def _secret(path: Path) -> bytes:
    text = _private_text(path, "rpc.jwt_secret").removeprefix("0x")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ConfigError(path, "rpc.jwt_secret", f"{2 * SECRET_BYTES} hexadecimal digits")
    return secret


def _private_text(path: Path, key: str) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(path, key, "a file that nobody else can read (chmod 600)")
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(path, key, f"a readable file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(path, key, "a file of ASCII text") from None
