"""Strict parsing of hexadecimal quantities, data and block references."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc import formats
from node.rpc.calls import call_request
from node.rpc.errors import InvalidParams, RpcError
from node.rpc.formats import Tag
from node.rpc.logs import log_query


@given(st.integers(0, 2**256 - 1))
def test_quantities_round_trip(value: int) -> None:
    assert formats.quantity(formats.to_quantity(value), "0") == value


@given(st.binary(max_size=300))
def test_data_round_trips(value: bytes) -> None:
    assert formats.data(formats.to_data(value), "0") == value


def test_megabytes_are_parsed_in_no_time() -> None:
    text = "0x" + "5f" * 2_500_000
    started = time.thread_time()
    assert len(formats.data(text, "0")) == 2_500_000
    assert time.thread_time() - started < 0.1  # on the event loop; digit by digit it was half a second


ADDRESS = "0x" + "Ab" * 20
HASH = "0x" + "cd" * 32


@pytest.mark.parametrize(
    ("parse", "values"),
    [
        (
            formats.quantity,
            ["", "0x", "0x00", "0x01", "1", "0xg", "0x1 ", "0x1\n", "0X1", 1, 1.0, None, True, [], hex(2**256)],
        ),
        (formats.number, [hex(2**64), "-0x1", "0x" + "f" * 10_000]),
        (formats.count, [-1, 1.5, True, 2**64, "1"]),
        (
            formats.data,
            ["", "0", "0x0", "0xzz", "ab", "0x\u0661\u0661", "0x00 00 ", "0x 0", "0X00", 5, None, {}, b"0x00"],
        ),
        (formats.address, ["0x", ADDRESS + "00", ADDRESS[:-2], ADDRESS[2:], 0, None]),
        (formats.hash32, [ADDRESS, HASH + "00", HASH[:-1] + "g"]),
        (formats.slot, ["0x", "", 0, "0x" + "0" * 65]),
        (formats.boolean, [0, 1, "true", None]),
        (formats.text, [0, None, []]),
        (formats.block_ref, ["Latest", "", "0x01", 5, [], {}, {"blockHash": HASH, "blockNumber": "0x1"}, HASH + "0"]),
        (
            formats.block_ref,
            [{"blockNumber": HASH}, {"blockHash": "latest"}, {"blockHash": HASH, "requireCanonical": 1}],
        ),
        (formats.block_number, [HASH, {}, 0, "head"]),
        (call_request, [[], "x", {"from": "x"}, {"to": 5}, {"gas": "0x00"}, {"value": "-0x1"}, {"data": "0x1"}]),
        (call_request, [{"data": "0x01", "input": "0x02"}]),
        (call_request, [{"accessList": {}}, {"nonce": 1}]),
        (call_request, [{"accessList": [{"address": ADDRESS, "storageKeys": ["x"]}]}, {"accessList": [{}]}]),
        (log_query, [[], {"address": 5}, {"address": ["x"]}, {"topics": HASH}, {"topics": [5]}, {"topics": [[5]]}]),
        (log_query, [{"topics": [None] * 5}, {"fromBlock": 1}, {"toBlock": "0x01"}, {"blockHash": "0x1"}]),
        (log_query, [{"address": [ADDRESS] * 1_001}, {"blockHash": HASH, "fromBlock": "0x1"}]),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(parse: Any, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(RpcError) as caught:
            parse(value, "3 (it)")
        assert caught.value.code == -32602, value
        assert "3 (it)" in caught.value.message, value


def test_errors_name_the_path_inside_a_parameter() -> None:
    with pytest.raises(InvalidParams) as caught:
        call_request({"accessList": [{"address": ADDRESS, "storageKeys": ["0x0", "zero"]}]}, "0 (transaction)")
    assert caught.value.message == (
        "invalid argument 0 (transaction).accessList[0].storageKeys[1]: "
        "expected a storage slot as 0x and 1 to 64 hexadecimal digits, found 'zero'"
    )


def test_blocks_are_named_in_every_form() -> None:
    assert formats.block_ref("latest", "0") is Tag.LATEST
    assert formats.block_ref("0x1f", "0") == 31
    assert formats.block_ref(HASH, "0") == bytes.fromhex("cd" * 32)
    assert formats.block_ref({"blockHash": HASH, "requireCanonical": True}, "0") == bytes.fromhex("cd" * 32)
    assert formats.block_ref({"blockNumber": "0x0"}, "0") == 0
    assert formats.block_ref({"blockNumber": "earliest"}, "0") is Tag.EARLIEST


def test_ids_are_quantities_of_their_own() -> None:
    ids = {formats.random_id() for _ in range(20)}
    assert len(ids) == 20
    assert all(formats.quantity(each, "id", 128) >= 1 << 127 for each in ids)


def test_a_call_is_read() -> None:
    request = call_request(
        {
            "to": ADDRESS,
            "data": "0x01",
            "input": "0x01",
            "gas": "0x5208",
            "accessList": [{"address": ADDRESS}],
            "odd": 1,
        },
        "0",
    )
    assert request.to == bytes.fromhex("ab" * 20)
    assert request.data == b"\x01"
    assert request.gas == 21_000
    assert request.access_list == ((bytes.fromhex("ab" * 20), ()),)
    assert call_request({"to": None, "gasPrice": "0x5"}, "0").cap == 5
    assert call_request({}, "0").gas is None
