"""JSON-RPC messages without a node: what is read, what is refused and how."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.errors import RpcError, revert_reason, shown
from node.rpc.formats import text
from node.rpc.methods import MethodTable, Parameter
from node.rpc.protocol import (
    Malformed,
    Rendered,
    Request,
    decode_message,
    encode_error,
    encode_json,
    encode_notification,
    encode_result,
)


def _one(content: object) -> Request | Malformed:
    (entry,) = decode_message(json.dumps(content), 10).entries
    return entry


def test_a_request_is_read() -> None:
    message = decode_message(b'{"jsonrpc":"2.0","id":"7","method":"m","params":[1],"more":0}', 10)
    assert not message.batch
    assert message.entries == (Request("7", "m", [1], notification=False),)
    assert _one({"jsonrpc": "2.0", "method": "m"}) == Request(None, "m", [], notification=True)
    assert _one({"jsonrpc": "2.0", "id": None, "method": "m", "params": None}) == Request(None, "m", [], False)


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (b"", -32700, "parse error: Expecting value at character 0"),
        (b"{", -32700, "parse error"),
        (b'{"jsonrpc": "2.0" "id": 1}', -32700, "parse error: Expecting ',' delimiter"),
        (b"\xff\xfe{}", -32700, "parse error: not UTF-8 at byte 0"),
        (b'{"id": "\xc3"}', -32700, "parse error: not UTF-8 at byte 8"),
        (b"\xef\xbb\xbf{}", -32700, "parse error"),
        (b'{"id": NaN}', -32700, "parse error: NaN is no JSON"),
        (b"[-Infinity]", -32700, "parse error: -Infinity is no JSON"),
        (b"[" * 100_000, -32700, "parse error: nested too deeply"),
        (b'{"a":' * 50_000, -32700, "parse error: nested too deeply"),
        (b"1" * 10_000, -32700, "parse error"),
        (b"[]", -32600, "invalid request: empty batch"),
        (b"[" + b"0," * 10 + b"0]", -32600, "batch too large: expected at most 10 requests, found 11"),
    ],
)
def test_what_is_no_message_is_refused_whole(raw: bytes, code: int, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        decode_message(raw, 10)
    assert caught.value.code == code
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (7, -32600, "invalid request: expected an object, found 7"),
        (None, -32600, "invalid request: expected an object, found null"),
        ({}, -32600, 'invalid request: expected "jsonrpc": "2.0", found null'),
        (
            {"jsonrpc": "1.0", "id": 1, "method": "m"},
            -32600,
            'invalid request: expected "jsonrpc": "2.0", found \'1.0\'',
        ),
        ({"jsonrpc": 2.0, "id": 1, "method": "m"}, -32600, "invalid request: expected"),
        ({"jsonrpc": "2.0", "id": 1}, -32600, "invalid request: expected method"),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600, "invalid request: expected method"),
        ({"jsonrpc": "2.0", "id": 1, "method": ""}, -32600, "invalid request: expected method"),
        ({"jsonrpc": "2.0", "id": 1, "method": "m" * 129}, -32600, "invalid request: expected method"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "m"}, -32600, "invalid request: expected id"),
        ({"jsonrpc": "2.0", "id": True, "method": "m"}, -32600, "invalid request: expected id"),
        ({"jsonrpc": "2.0", "id": [1], "method": "m"}, -32600, "invalid request: expected id"),
        ({"jsonrpc": "2.0", "id": "x" * 257, "method": "m"}, -32600, "invalid request: expected id"),
        ({"jsonrpc": "2.0", "id": 2**128, "method": "m"}, -32600, "invalid request: expected id"),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": 1}}, -32602, "non-array args: expected a list"),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "params": "x"}, -32602, "non-array args"),
    ],
)
def test_what_is_no_request_says_why(content: object, code: int, message: str) -> None:
    entry = _one(content)
    assert isinstance(entry, Malformed)
    assert entry.error.code == code
    assert entry.error.message.startswith(message)


@pytest.mark.parametrize("identifier", [None, 7, 'a "quoted" é'])
def test_what_is_rendered_already_is_put_into_the_answer_as_it_is(identifier: str | int | None) -> None:
    value = {"a": [1, '\\ " é', None]}
    assert encode_result(identifier, encode_json(value)) == encode_result(identifier, value)
    assert json.loads(encode_result(1, Rendered("[]")))["result"] == []
    assert json.loads(encode_result(1, "[]"))["result"] == "[]"


def test_answers_are_ascii_and_carry_data_only_when_there_is_some() -> None:
    assert encode_result("ä", 1) == '{"jsonrpc":"2.0","id":"\\u00e4","result":1}'
    assert json.loads(encode_error(None, RpcError(3, "no ☀", "0x"))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": 3, "message": "no ☀", "data": "0x"},
    }
    assert "data" not in encode_error(1, RpcError(-32000, "m"))
    assert json.loads(encode_notification("0xab", '{"a":1}')) == {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": "0xab", "result": {"a": 1}},
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_error(raw: bytes) -> None:
    try:
        decode_message(raw, 10)
    except RpcError as error:
        json.loads(encode_error(None, error))


@given(st.binary(max_size=200))
def test_any_revert_data_has_a_reason_or_none(raw: bytes) -> None:
    for prefix in ("08c379a0", "4e487b71"):
        assert isinstance(revert_reason(bytes.fromhex(prefix) + raw), str | None)


def test_values_are_shown_short() -> None:
    assert len(shown("x" * 1_000)) < 100
    assert shown({"a": 1}) == "an object"
    assert shown([1, 2]) == "a list of 2"
    assert shown(10**4000) == "a number of more than 256 bits"


def test_a_method_needs_documentation_and_a_name_of_its_own() -> None:
    table = MethodTable()

    @table.method("m", Parameter("a", text), Parameter("b", text, "x"))
    async def handler(_context: object, _a: str, _b: str) -> None:
        """Say nothing.

        And more of it.
        """

    assert table.find("m").summary == "Say nothing."
    with pytest.raises(ValueError, match="registered twice"):
        table.method("m")(handler)
    with pytest.raises(ValueError, match="registered twice"):
        table.extend(table)
