"""No bytes make a decoder raise anything but its refusal, and whatever is accepted has one encoding.

`make fuzz` lets atheris look for much longer, guided by coverage, and stops at an input that takes over a second.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import attempt, decoders

NAMES = sorted(decoders())


def mutations(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return a valid input with bytes changed, cut out, doubled or put in."""
    places = st.integers(0, max(0, len(seed) - 1))
    edits = st.lists(st.tuples(places, st.sampled_from("scdi"), st.binary(min_size=1, max_size=8)), max_size=4)

    def mutate(changes: list[tuple[int, str, bytes]]) -> bytes:
        data = seed
        for at, kind, raw in changes:
            if kind == "s":
                data = data[:at] + raw + data[at + len(raw) :]
            elif kind == "c":
                data = data[:at] + data[at + len(raw) * 7 :]
            elif kind == "d":
                data = data[:at] + data[at : at + len(raw) * 9] * 2 + data[at + len(raw) * 9 :]
            else:
                data = data[:at] + raw + data[at:]
        return data

    return edits.map(mutate)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_valid_is_accepted(name: str) -> None:
    decoder = decoders()[name]
    for seed in decoder.seeds:
        if name != "proof":
            decoder.decode(seed)
            attempt(decoder, seed)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_break_it(name: str, data: st.DataObject) -> None:
    decoder = decoders()[name]
    seeds = decoder.seeds or (b"",)
    payload = data.draw(st.binary(max_size=300) | st.sampled_from(seeds).flatmap(mutations))
    attempt(decoder, payload)


HOSTILE = {
    "nested lists": b"\xc1" * 20_000,
    "deep lists of msgpack": b"\x91" * 20_000,
    "a list that says it has 4 G items": b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1_000,
    "a string that says it has 4 GB": b"\xdb\xff\xff\xff\xff",
    "a long string of long length": b"\xbf" + b"\xff" * 8,
    "deep JSON": b"[" * 100_000,
    "a long number": b"9" * 100_000,
    "empty lists": b"\xf9\x01\x00\x00" + b"\xc0" * 65_536,
    "zeros": bytes(1_000_000),
    "ones": b"\xff" * 1_000_000,
}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_shapes_are_refused_or_read(name: str) -> None:
    decoder = decoders()[name]
    tags = [bytes((tag,)) for tag in range(16)] if name in ("message", "record") else [b""]
    for payload in HOSTILE.values():
        for tag in tags:
            attempt(decoder, tag + payload)
