"""JSON-RPC errors: the standard's codes, Ethereum's, and the texts that clients match on.

Sources: JSON-RPC 2.0 §5.1; EIP-1474 (codes from -32000 down); go-ethereum for code 3, "execution reverted".
"""

from __future__ import annotations

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
UNAUTHORIZED = -32001
TIMEOUT = -32002
RESPONSE_TOO_LARGE = -32003
LIMIT_EXCEEDED = -32005
EXECUTION_REVERTED = 3
NOT_MINED_YET = 4  # EIP-7966
PRUNED = 4444  # as EIP-4444 proposes for history that a node does not keep

MAX_SHOWN = 80  # characters of a client's value that an error repeats

_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
_PANIC_REASONS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}


class RpcError(Exception):
    """What a client gets in place of a result: code, message and, for a revert, data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class InvalidParams(RpcError):
    """A parameter is not what the method takes: which one, what was expected, what was found."""

    def __init__(self, where: str, expected: str, found: object) -> None:
        super().__init__(INVALID_PARAMS, f"invalid argument {where}: expected {expected}, found {shown(found)}")
        self.where = where
        self.expected = expected


class LimitExceeded(RpcError):
    """The request is sound, but asks for more than this node gives at once."""

    def __init__(self, message: str) -> None:
        super().__init__(LIMIT_EXCEEDED, f"limit exceeded: {message}")


class BlockNotFound(RpcError):
    """A block that does not exist (yet) was named where a state or a block is needed."""

    def __init__(self, what: str) -> None:
        super().__init__(SERVER_ERROR, f"header not found: {what}")


class Reverted(RpcError):
    """A call was reverted by the contract; its output is passed through unchanged."""

    def __init__(self, output: bytes) -> None:
        reason = revert_reason(output)
        message = "execution reverted" if reason is None else f"execution reverted: {reason}"
        super().__init__(EXECUTION_REVERTED, message, "0x" + output.hex())


def shown(value: object) -> str:
    """Return a client's value as an error shows it: short, and of a kind rather than whole when it is a container."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 256 bits"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def revert_reason(output: bytes) -> str | None:
    """Return the reason that Solidity put into a revert's output; None if there is none to be read."""
    selector, arguments = output[:4], output[4:]
    try:
        if selector == _ERROR_SELECTOR:
            (text,) = decode(["bytes"], arguments)
            return str(text.decode("utf-8", "replace"))
        if selector == _PANIC_SELECTOR:
            (code,) = decode(["uint256"], arguments)
            return _PANIC_REASONS.get(code, f"unknown panic code: {code:#x}")
    except DecodingError:
        return None
    return None
