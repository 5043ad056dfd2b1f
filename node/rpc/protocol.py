"""JSON-RPC 2.0 without I/O: bytes in, requests out; results in, bytes out.

Source: https://www.jsonrpc.org/specification. Parameters are positional only, as everywhere in Ethereum.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from node.rpc.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError, shown
from node.rpc.formats import Json

RequestId = str | int | None

MAX_METHOD_LENGTH = 128  # characters; the longest method has 40
MAX_ID_LENGTH = 256  # characters of a string id, which every answer repeats
MAX_ID_BITS = 128
MAX_VALUES = 200_000  # in a message, counted by what begins or separates them: decoding holds up the event loop


@dataclass(frozen=True, slots=True)
class Request:
    """A sound request; a notification wants no answer."""

    id: RequestId
    method: str
    params: list[object]
    notification: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry that is no request, and the error that answers it."""

    id: RequestId
    error: RpcError


@dataclass(frozen=True, slots=True)
class Message:
    """What a client sent at once: one entry, or a batch of them."""

    entries: tuple[Request | Malformed, ...]
    batch: bool


def decode_message(raw: bytes | str, max_batch: int) -> Message:
    """Return the requests that a client sent.

    Args:
        raw: JSON in UTF-8.
        max_batch: the most requests in a batch.

    Raises:
        RpcError: not JSON, or an empty or oversized batch; nothing of it is executed then.
    """
    content = _decode_json(raw)
    if not isinstance(content, list):
        return Message((_entry(content),), batch=False)
    if not content:
        raise RpcError(INVALID_REQUEST, "invalid request: empty batch")
    if len(content) > max_batch:
        raise RpcError(INVALID_REQUEST, f"batch too large: expected at most {max_batch} requests, found {len(content)}")
    return Message(tuple(_entry(item) for item in content), batch=True)


def _decode_json(raw: bytes | str) -> object:
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RpcError(PARSE_ERROR, f"parse error: not UTF-8 at byte {error.start}") from None
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise RpcError(INVALID_REQUEST, f"invalid request: expected at most {MAX_VALUES} values in a message")
    try:
        content: object = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RpcError(PARSE_ERROR, f"parse error: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise RpcError(PARSE_ERROR, "parse error: nested too deeply") from None
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"parse error: {str(error)[:120]}") from None
    return content


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _entry(content: object) -> Request | Malformed:
    if not isinstance(content, dict):
        return Malformed(
            None, RpcError(INVALID_REQUEST, f"invalid request: expected an object, found {shown(content)}")
        )
    identifier = content.get("id")
    if not _valid_id(identifier):
        reason = f"invalid request: expected id as a short string, a whole number or null, found {shown(identifier)}"
        return Malformed(None, RpcError(INVALID_REQUEST, reason))
    if content.get("jsonrpc") != "2.0":
        reason = f'invalid request: expected "jsonrpc": "2.0", found {shown(content.get("jsonrpc"))}'
        return Malformed(identifier, RpcError(INVALID_REQUEST, reason))
    method = content.get("method")
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD_LENGTH:
        reason = f"invalid request: expected method as a string of 1 to {MAX_METHOD_LENGTH} characters"
        return Malformed(identifier, RpcError(INVALID_REQUEST, f"{reason}, found {shown(method)}"))
    params = content.get("params")
    if params is not None and not isinstance(params, list):
        return Malformed(
            identifier, RpcError(INVALID_PARAMS, f"non-array args: expected a list, found {shown(params)}")
        )
    return Request(identifier, method, params or [], "id" not in content)


def _valid_id(identifier: object) -> bool:
    if isinstance(identifier, str):
        return len(identifier) <= MAX_ID_LENGTH
    if isinstance(identifier, int):
        return not isinstance(identifier, bool) and identifier.bit_length() <= MAX_ID_BITS
    return identifier is None


class Rendered(str):
    """A result that is JSON already (ASCII): a method that returns one has it put into the answer as it is.

    What may be large (blocks, receipts, logs, traces) is made in a reading process: `context.reads.render(function, …)`
    in place of `run`, so that the event loop never encodes megabytes.
    """

    __slots__ = ()


def encode_result(identifier: RequestId, result: Json) -> str:
    """Return the answer that carries a result; ASCII."""
    if isinstance(result, Rendered):
        return f'{{"jsonrpc":"2.0","id":{json.dumps(identifier)},"result":{result}}}'
    return _encode({"jsonrpc": "2.0", "id": identifier, "result": result})


def encode_error(identifier: RequestId, error: RpcError) -> str:
    """Return the answer that carries an error; ASCII."""
    content: dict[str, Json] = {"code": error.code, "message": error.message}
    if error.data is not None:
        content["data"] = error.data
    return _encode({"jsonrpc": "2.0", "id": identifier, "error": content})


def encode_json(value: Json) -> Rendered:
    """Return a value as JSON; ASCII."""
    return Rendered(_encode(value))


def encode_notification(subscription: str, result: str) -> str:
    """Return the message that carries one subscription's result, which is JSON already."""
    return (
        '{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"' + subscription + '","result":'
        f"{result}}}}}"
    )


def _encode(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
