"""Auditors together: two of three open one named action, or one amount; one cannot; all else stays closed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest

from agents.consortium_input import InputError
from agents.disclosure.parts import (
    NotEnoughParts,
    Part,
    WrongPart,
    check_parts,
    load_part,
    make_part,
    opened_amount,
    trace_tag,
)
from agents.disclosure.question import (
    NotOnRecord,
    Question,
    amount_question,
    any_dealt_share,
    ciphertext_of,
    dealt_share,
    question_of_set,
    question_of_share,
    trace_question,
)
from contracts import system
from contracts.bindings import disclosures, sealed_meters
from contracts.bindings.disclosures import Kind, Request
from contracts.bindings.privacy_registry import Registered
from contracts.bindings.sealed_meters import AuditorSet
from privacy.auditors import combine_shares, encrypt, find_amount, open_together
from privacy.boxes import seal_share
from privacy.envelopes import call_images, scope_of
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1
from tests.contracts.registered import BOX_KEYS, BOX_SECRETS, founded, keys_of, register
from tests.contracts.street import CHAIN_ID, Street, account
from tests.contracts.test_sealed_meters import AUDITORS, JOINT_KEY, SHARES
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
WINDOW = 7
REASON = b"r" * 32
AMOUNT = 1_234_567
CIPHERTEXT = encrypt(G, JOINT_KEY, AMOUNT, secret("rho"))


@cache
def registered() -> tuple[Street, dict[str, Registered]]:
    """A street whose houses are in the ring of window 2 and of all later ones."""
    street = founded().fresh()
    return street, {house: register(street, house) for house in ("ann", "bob")}


def scope(window: int) -> bytes:
    return scope_of(CHAIN_ID, system.PRIVACY_REGISTRY, system.PRIVATE_MARKET, window)


def asked(kind: Kind, subject: bytes, behind: Sequence[str]) -> tuple[bytes, Request]:
    """A request on the chain, by the first of these auditors, approved by the others."""
    street, _ = registered()
    made = street.send(behind[0], system.DISCLOSURES, disclosures.request(kind, subject, REASON)).output
    for name in behind[1:]:
        street.send(name, system.DISCLOSURES, disclosures.approve(made))
    return made, street.view(disclosures.request_of(made))


def auditors() -> AuditorSet:
    return registered()[0].view(sealed_meters.auditors_of(2))


@cache
def tracing(house: str = "ann", window: int = WINDOW, behind: tuple[str, ...] = AUDITORS) -> Question:
    """The question which action of a house was made for a window."""
    request_id, request = asked(Kind.TRACE, disclosures.trace_subject(account(house), window), behind)
    return trace_question(CHAIN_ID, request_id, request, registered()[1][house], auditors(), scope(window))


@cache
def opening(behind: tuple[str, ...] = AUDITORS) -> Question:
    """The question what amount the ciphertext holds."""
    request_id, request = asked(Kind.AMOUNT, CIPHERTEXT.to_bytes(G), behind)
    assert ciphertext_of(request) == CIPHERTEXT
    return amount_question(CHAIN_ID, request_id, request, auditors())


def dealt(house: str, number: int) -> Scalar:
    """What an auditor finds in its box."""
    found = dealt_share(registered()[1][house], BOX_SECRETS[number - 1], number, auditors())
    assert found is not None
    return found


def part(question: Question, number: int, share: Scalar) -> Part:
    return make_part(question, share, random_bytes(f"part {number}"))


def trace_parts(question: Question, numbers: Sequence[int], house: str = "ann") -> list[Part]:
    return [part(question, number, dealt(house, number)) for number in numbers]


def amount_parts(numbers: Sequence[int]) -> list[Part]:
    return [part(opening(), number, SHARES[number - 1]) for number in numbers]


def tag_of(house: str, window: int) -> bytes:
    """The tag that a house's call has in a window."""
    keys = keys_of(house)
    return call_images(scope(window), (keys.ring, keys.trace))[1]


# -- tracing


@pytest.mark.parametrize("pair", list(permutations((1, 2, 3), 2)))
def test_any_two_trace_exactly_one_member_in_one_window(pair: tuple[int, int]) -> None:
    tag = trace_tag(tracing(), trace_parts(tracing(), pair))
    assert tag == tag_of("ann", WINDOW)
    assert tag not in {tag_of("ann", WINDOW + 1), tag_of("ann", WINDOW - 1), tag_of("bob", WINDOW)}


def test_all_three_trace_the_same() -> None:
    assert trace_tag(tracing(), trace_parts(tracing(), (1, 2, 3))) == tag_of("ann", WINDOW)


def test_other_windows_and_members_stay_closed() -> None:
    """Parts that were given say nothing of another window, also to who ignores the request that they are bound to."""
    given = trace_parts(tracing(), (1, 2))
    points = {each.partial.auditor: each.partial.point for each in given}
    closed = {tag_of(house, window) for house in ("ann", "bob") for window in range(WINDOW - 3, WINDOW + 4)}
    closed -= {tag_of("ann", WINDOW)}
    assert G.point_to_bytes(combine_shares(G, points)) not in closed
    for other in (tracing("ann", WINDOW + 1), tracing("bob", WINDOW)):
        with pytest.raises(WrongPart, match="it is for request"):
            trace_tag(other, given)
        rebound = [replace(each, request=other.request) for each in given]
        with pytest.raises(WrongPart, match="the proof does not hold"):
            trace_tag(other, rebound)


def test_one_of_three_opens_nothing() -> None:
    for number in (1, 2, 3):
        (alone,) = trace_parts(tracing(), (number,))
        with pytest.raises(NotEnoughParts, match="parts of 1 auditors: expected 2; fewer open nothing") as refusal:
            trace_tag(tracing(), [alone])
        assert (refusal.value.found, refusal.value.threshold) == (1, 2)
        assert G.point_to_bytes(combine_shares(G, {number: alone.partial.point})) != tag_of("ann", WINDOW)
    with pytest.raises(NotEnoughParts):
        trace_tag(tracing(), [])


def test_a_wrong_part_is_refused_by_its_auditors_name() -> None:
    first, second = trace_parts(tracing(), (1, 2))
    fay = f"auditor 2 (0x{account('fay').hex()})"
    point = G.sum((second.partial.point, G.generator))
    for partial in (
        replace(second.partial, point=point),
        replace(second.partial, proof=first.partial.proof),
        replace(second.partial, point=first.partial.point),
        replace(second.partial, proof=replace(second.partial.proof, response=Scalar(0))),
        replace(first.partial, auditor=2),
    ):
        with pytest.raises(WrongPart, match="the proof does not hold") as refusal:
            trace_tag(tracing(), [first, replace(second, partial=partial)])
        assert refusal.value.auditor == 2
        assert str(refusal.value).startswith(f"the part of {fay}: ")
    for number in (0, 4, 65):
        stranger = replace(second, partial=replace(second.partial, auditor=number))
        with pytest.raises(WrongPart, match=f"the part of auditor {number}: there is no such auditor"):
            trace_tag(tracing(), [first, stranger])
    with pytest.raises(WrongPart, match="it is there twice"):
        trace_tag(tracing(), [first, first])
    for other in (replace(second, chain_id=CHAIN_ID + 1), replace(second, auditors_from=5)):
        with pytest.raises(WrongPart):
            trace_tag(tracing(), [first, other])


def test_who_stands_not_behind_a_request_gives_no_part_and_its_part_does_not_count() -> None:
    question = tracing("ann", WINDOW, ("eve", "fay"))
    with pytest.raises(NotOnRecord, match=r"auditor 3 .* neither requested nor approved request 0x"):
        part(question, 3, dealt("ann", 3))
    smuggled = part(replace(question, behind=tuple(map(account, AUDITORS))), 3, dealt("ann", 3))
    with pytest.raises(WrongPart, match=r"auditor 3 .*: it neither requested nor approved"):
        trace_tag(question, [*trace_parts(question, (1,)), smuggled])
    assert trace_tag(question, trace_parts(question, (1, 2))) == tag_of("ann", WINDOW)


def test_a_share_of_something_else_gives_no_part() -> None:
    for share in (dealt("bob", 1), SHARES[0], Scalar(0), secret("guess")):
        with pytest.raises(NotOnRecord, match="this share is of none of the auditors"):
            part(tracing(), 1, share)


def test_an_auditor_finds_its_own_box_and_notices_a_wrong_share() -> None:
    event = registered()[1]["ann"]
    for number, own in enumerate(BOX_SECRETS, start=1):
        assert any_dealt_share(event, own, auditors()) == dealt("ann", number)
    wrong = seal_share(G, BOX_KEYS[0], G.scalar(dealt("ann", 1) + 1))
    damaged = replace(event, shares=wrong + event.shares[80:])
    assert dealt_share(damaged, BOX_SECRETS[0], 1, auditors()) is None
    with pytest.raises(NotOnRecord, match="or the member dealt badly"):
        any_dealt_share(damaged, BOX_SECRETS[0], auditors())


# -- amounts


@pytest.mark.parametrize("pair", list(combinations((1, 2, 3), 2)))
def test_any_two_open_one_amount(pair: tuple[int, int]) -> None:
    assert opened_amount(opening(), CIPHERTEXT, amount_parts(pair), (1 << 10, 1 << 24)) == AMOUNT


def test_one_opens_no_amount_and_other_amounts_stay_closed() -> None:
    with pytest.raises(NotEnoughParts):
        opened_amount(opening(), CIPHERTEXT, amount_parts((3,)))
    given = amount_parts((1, 2))
    other = encrypt(G, JOINT_KEY, 5, secret("another rho"))
    points = {each.partial.auditor: each.partial.point for each in given}
    assert find_amount(G, open_together(G, other, points), 1 << 16) is None
    assert opened_amount(opening(), other, given, (1 << 16,)) is None


def test_shares_of_a_trace_key_open_no_amount() -> None:
    with pytest.raises(NotOnRecord):
        part(opening(), 1, dealt("ann", 1))


def test_the_set_of_auditors_is_found_by_share_or_by_its_first_window() -> None:
    later = replace(opening(), auditors_from=9, public_shares=opening().public_shares[1:])
    assert question_of_share([opening(), later], SHARES[0]) == opening()
    assert question_of_share([opening(), later], SHARES[2]) == later
    with pytest.raises(NotOnRecord):
        question_of_share([opening(), later], secret("guess"))
    assert question_of_set([opening(), later], 9) == later
    with pytest.raises(NotOnRecord, match="from window 4 on"):
        question_of_set([opening(), later], 4)


def test_a_subject_that_is_no_ciphertext_is_no_question() -> None:
    for subject in (bytes(66), b"\x02" + b"\xff" * 65):
        request_id, request = asked(Kind.AMOUNT, subject, ("eve",))
        with pytest.raises(NotOnRecord, match="what is requested"):
            amount_question(CHAIN_ID, request_id, request, auditors())


# -- files


def test_a_part_goes_through_a_file(tmp_path: Path) -> None:
    (given,) = trace_parts(tracing(), (2,))
    path = tmp_path / "part.json"
    path.write_text(json.dumps(given.as_json()))
    assert load_part(path) == given
    assert check_parts(replace(tracing(), threshold=1), [load_part(path)]) == {2: given.partial.point}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"form": "gridpact/part/v2"}, "whose form is gridpact/part/v1"),
        ({"chain_id": "2016"}, "chain_id: expected a whole number"),
        ({"chain_id": True}, "chain_id: expected a whole number"),
        ({"auditor": -1}, "auditor: expected a whole number"),
        ({"auditors_from_window": 1 << 64}, "auditors_from_window: expected a whole number"),
        ({"request": "0x12"}, "request: expected 0x and 64"),
        ({"request": None}, "request: expected 0x and 64"),
        ({"point": "0x" + "00" * 33}, "expected a part: point"),
        ({"point": "0x05" + "11" * 32}, "expected a part: point"),
        ({"proof": "0x" + "ff" * 64}, "expected a part: scalar"),
        ({"proof": "0x" + "ff" * 63}, "proof: expected 0x and 128"),
        ({"proof": 5}, "proof: expected 0x and 128"),
    ],
)
def test_a_file_that_is_no_part_says_why(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "part.json"
    path.write_text(json.dumps(trace_parts(tracing(), (2,))[0].as_json() | change))
    with pytest.raises(InputError, match=reason):
        load_part(path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 3000, "nonsense", "{" + " " * 5000 + "}"])
def test_a_file_of_anything_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "part.json"
    path.write_text(text)
    with pytest.raises(InputError):
        load_part(path)
    with pytest.raises(InputError, match="a readable file"):
        load_part(tmp_path / "nowhere.json")
