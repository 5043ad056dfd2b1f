"""Calldata of transfers, and storage of the private window's contracts, read without a call."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from contracts.artifact import load_artifact
from contracts.layout import array_slot, mapping_slot
from contracts.private_window import (
    BINS_SLOT,
    LOCK_BYTES,
    NOTE_BYTES,
    SCHEDULE_SLOT,
    SPEND_CALL_BYTES,
    SPEND_SELECTOR,
    SPEND_TYPES,
    SPENT_BYTES,
    SPENT_SLOT,
    VERSIONS_SLOT,
    Spent,
    bin_address,
    decode_spend,
    is_spent,
    ring_address,
    session_until,
    window_of,
)
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL

SPENDS, NOTES, LOCK = (bytes(range(256)) * 3 for _ in range(3))


def calldata(spends: int = 2 * SPENT_BYTES, notes: int = 2 * NOTE_BYTES, lock: int = 0) -> bytes:
    values = SPENDS[:spends], NOTES[:notes], LOCK[:lock], b"\1" * 20, 7, 8, b"\2" * 20
    return SPEND_SELECTOR + encode(SPEND_TYPES, values)


def test_a_spend_is_read() -> None:
    found = decode_spend(calldata())
    assert found is not None
    assert found.spends == (
        Spent(0x00010203, SPENDS[4:37], SPENDS[37:70]),
        Spent(int.from_bytes(SPENDS[70:74], "big"), SPENDS[74:107], SPENDS[107:140]),
    )
    assert found.commitments == (NOTES[33:66], NOTES[334 + 33 : 334 + 66])
    locked = decode_spend(calldata(lock=LOCK_BYTES))
    assert locked is not None
    assert locked.commitments == (*found.commitments, LOCK[:33])
    assert (len(calldata()), len(calldata(lock=LOCK_BYTES))) == SPEND_CALL_BYTES == (1_156, 1_412)


def test_only_the_one_encoding_of_a_spend_is_one() -> None:
    good = calldata()
    wrong = [calldata(spends=n * SPENT_BYTES) for n in (0, 1, 3)] + [calldata(notes=n) for n in (0, 334, 667, 700)]
    wrong += [calldata(lock=n) for n in (1, LOCK_BYTES - 1, LOCK_BYTES + 1)]
    wrong += [b"", good[:3], good[:4], good[4:], good[:-1], good + b"\0", good + bytes(32), b"\0" + good[1:]]
    overlapping = bytearray(good)
    overlapping[4:36] = overlapping[36:68]  # spends and notes share their bytes
    gap = good[: 4 + 7 * 32] + bytes(32) + good[4 + 7 * 32 :]
    moved = bytearray(gap)
    for at in (4, 36, 68):
        moved[at : at + 32] = (int.from_bytes(gap[at : at + 32], "big") + 32).to_bytes(32, "big")
    wrong += [bytes(overlapping), gap, bytes(moved), good[:99] + b"\1" + good[100:]]  # and an address of 21 bytes
    assert [data.hex()[:80] for data in wrong if decode_spend(data) is not None] == []


@given(st.binary(max_size=900), st.integers(0, 1_200), st.integers(1, 255))
def test_any_calldata_is_read_or_not_without_an_error(junk: bytes, at: int, change: int) -> None:
    assert decode_spend(junk) is None
    assert decode_spend(SPEND_SELECTOR + junk) is None
    altered = bytearray(calldata())
    altered[at % len(altered)] ^= change
    found = decode_spend(bytes(altered))
    assert found is None or len(found.spends) == len(found.commitments) == 2


def test_slots_are_where_the_page_says() -> None:
    versions = array_slot(0)
    slots = {
        (PRIVACY_REGISTRY, 0): 2,
        (PRIVACY_REGISTRY, versions): int.from_bytes(b"\xaa" * 20, "big") << 64 | 1,
        (PRIVACY_REGISTRY, versions + 1): int.from_bytes(b"\xbb" * 20, "big") << 64 | 4,
        (PRIVACY_REGISTRY, 1): 3_600 << 64 | 1_000,
        (SHIELDED_POOL, 0): 1,
        (SHIELDED_POOL, array_slot(0)): int.from_bytes(b"\xcc" * 20, "big"),
        (SHIELDED_POOL, mapping_slot(1, keccak(b"image"))): 1,
        (PRIVATE_MARKET, mapping_slot(0, b"\xdd" * 20)): 77,
    }

    def read(address: bytes, slot: int) -> int:
        return slots.get((address, slot), 0)

    assert [ring_address(read, window) for window in (0, 1, 3, 4, 9)] == [
        None,
        *[b"\xaa" * 20] * 2,
        *[b"\xbb" * 20] * 2,
    ]
    assert [window_of(read, second) for second in (0, 999, 1_000, 4_599, 4_600)] == [-1, -1, 0, 0, 1]
    assert [bin_address(read, index) for index in (0, 1, 2**32 - 1)] == [b"\xcc" * 20, None, None]
    assert is_spent(read, b"image")
    assert not is_spent(read, b"other")
    assert session_until(read, b"\xdd" * 20) == 77
    assert session_until(read, b"\xde" * 20) == 0
    assert window_of(lambda *_: 0, 5) is None
    assert window_of(lambda *_: 3_600 << 64 | 100_000, 5) == -1


def test_the_compiler_put_what_is_read_where_it_is_read() -> None:
    layouts: dict[str, Any] = {name: load_artifact(name).storage_layout for name in ("PrivacyRegistry", "ShieldedPool")}
    places = {
        name: {
            entry["label"]: (int(entry["slot"]), entry["offset"], layout["types"][entry["type"]]["label"])
            for entry in layout["storage"]
        }
        for name, layout in layouts.items()
    }
    registry, pool = places["PrivacyRegistry"], places["ShieldedPool"]
    assert registry["_versions"][:2] == (VERSIONS_SLOT, 0)
    clock = sorted(place for place in registry.values() if place[0] == SCHEDULE_SLOT)
    assert clock == [(SCHEDULE_SLOT, 0, "uint64"), (SCHEDULE_SLOT, 8, "uint32")]
    types = layouts["PrivacyRegistry"]["types"]
    version = next(kind for name, kind in types.items() if "Version)" in name and "members" in kind)
    assert [(field["label"], field["offset"]) for field in version["members"]] == [("fromWindow", 0), ("ring", 8)]
    assert pool["_bins"] == (BINS_SLOT, 0, "address[]")
    assert pool["_spent"] == (SPENT_SLOT, 0, "mapping(bytes32 => bool)")
