"""What a member says of itself holds for it, for who asked and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.consortium_input import InputError
from agents.disclosure.statements import (
    NotePlace,
    NotTrue,
    Statement,
    Subject,
    action_holds,
    load_statement,
    note_holds,
    note_place,
    parse_meta_address,
    state_action,
    state_note,
)
from contracts import system
from privacy.envelopes import call_images, scope_of
from privacy.group import Scalar
from privacy.notes import make_note
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress
from tests.contracts.registered import keys_of
from tests.contracts.street import CHAIN_ID, account
from tests.contracts.test_sealed_meters import JOINT_KEY
from tests.privacy.keys import random_bytes

G = SECP256K1
WINDOW = 7
ASKED = "the court, 3 May"
ANN, BOB = keys_of("ann"), keys_of("bob")


def scope(window: int = WINDOW) -> bytes:
    return scope_of(CHAIN_ID, system.PRIVACY_REGISTRY, system.PRIVATE_MARKET, window)


def nullifier(house: str, window: int = WINDOW) -> bytes:
    keys = keys_of(house)
    return call_images(scope(window), (keys.ring, keys.trace))[0]


def of_action(house: str, of: str) -> Statement:
    """What a house says of an action of a house."""
    return state_action(
        CHAIN_ID, account(house), WINDOW, scope(), nullifier(of), keys_of(house).ring, ASKED, random_bytes(house)
    )


def ring_key(house: str) -> bytes:
    return G.point_to_bytes(keys_of(house).points[0])


# -- actions


def test_a_member_confirms_its_own_action_and_denies_all_others() -> None:
    own, other = of_action("ann", "ann"), of_action("ann", "bob")
    assert (own.mine, other.mine) == (True, False)
    assert action_holds(own, ring_key("ann"), scope())
    assert action_holds(other, ring_key("ann"), scope())


@pytest.mark.parametrize("of", ["ann", "bob"])
def test_a_statement_of_an_action_holds_for_nothing_else(of: str) -> None:
    good = of_action("ann", of)
    for bad in (
        replace(good, mine=not good.mine),
        replace(good, challenge="another court"),
        replace(good, account=account("bob")),
        replace(good, place=WINDOW + 1),
        replace(good, chain_id=CHAIN_ID + 1),
        replace(good, subject=Subject.NOTE),
        replace(good, point=nullifier("cat")),
        replace(good, point=bytes(33)),
        replace(good, point=b"\x02" + b"\xff" * 32),
        replace(good, proof=good.proof[:-1] + bytes((good.proof[-1] ^ 1,))),
        replace(good, proof=good.proof[:-1]),
        replace(good, proof=good.proof + b"\0"),
        replace(good, proof=b""),
        replace(good, proof=b"\xff" * len(good.proof)),
        replace(good, challenge="x" * 1025),
    ):
        assert not action_holds(bad, ring_key("ann"), scope())
    assert not action_holds(good, ring_key("bob"), scope())
    assert not action_holds(good, bytes(33), scope())
    assert not action_holds(good, ring_key("ann"), scope(WINDOW + 1))


def test_nobody_confirms_the_action_of_another_or_denies_an_own_one() -> None:
    """Proofs that a cheat would hand over: of its own logarithm, relabelled."""
    own, other = of_action("ann", "ann"), of_action("bob", "ann")
    assert not action_holds(replace(own, account=account("bob")), ring_key("bob"), scope())
    assert not action_holds(replace(other, account=account("ann")), ring_key("ann"), scope())
    assert not action_holds(replace(of_action("ann", "bob"), point=nullifier("ann")), ring_key("ann"), scope())


def test_what_is_no_nullifier_is_not_spoken_of() -> None:
    for point in (bytes(33), b"\x02" + b"\xff" * 32, b""):
        with pytest.raises(InputError, match="nullifier"):
            state_action(CHAIN_ID, account("ann"), WINDOW, scope(), point, ANN.ring, ASKED, random_bytes("x"))
    args = CHAIN_ID, account("ann"), WINDOW, scope(), nullifier("ann"), ANN.ring
    with pytest.raises(InputError, match="at most 1024 bytes"):
        state_action(*args, "x" * 1025, random_bytes("x"))


# -- notes


def address(house: str) -> MetaAddress[Point]:
    return parse_meta_address(keys_of(house).encoded)


def note_for(house: str, index: int = 3) -> NotePlace:
    made, _ = make_note(G, address(house), 500, JOINT_KEY, lambda _: bytes(32), random_bytes(f"note {house}"))
    return note_place(index, made.public_bytes(G))


def of_note(house: str, of: str) -> Statement:
    """What a house says of a note for a house."""
    return state_note(
        CHAIN_ID, account(house), note_for(of), address(house), keys_of(house).viewing, ASKED, random_bytes(house)
    )


def test_a_member_confirms_its_own_note_and_denies_all_others() -> None:
    own, other = of_note("ann", "ann"), of_note("ann", "bob")
    assert (own.mine, other.mine) == (True, False)
    assert note_holds(own, note_for("ann"), address("ann"))
    assert note_holds(other, note_for("bob"), address("ann"))


@pytest.mark.parametrize("of", ["ann", "bob"])
def test_a_statement_of_a_note_holds_for_nothing_else(of: str) -> None:
    good, note = of_note("ann", of), note_for(of)
    for bad in (
        replace(good, mine=not good.mine),
        replace(good, challenge="another court"),
        replace(good, account=account("bob")),
        replace(good, place=4),
        replace(good, chain_id=CHAIN_ID + 1),
        replace(good, subject=Subject.ACTION),
        replace(good, point=G.point_to_bytes(G.generator)),
        replace(good, point=bytes(33)),
        replace(good, proof=good.proof[:-1] + bytes((good.proof[-1] ^ 1,))),
        replace(good, proof=good.proof + b"\0"),
        replace(good, proof=bytes(64)),
    ):
        assert not note_holds(bad, note, address("ann"))
    assert not note_holds(good, note, address("bob"))
    assert not note_holds(good, note_for("cat"), address("ann"))
    assert not note_holds(good, replace(note, index=4), address("ann"))


def test_only_the_viewing_key_of_the_address_speaks_of_notes() -> None:
    with pytest.raises(NotTrue, match="the viewing key is not the one"):
        state_note(CHAIN_ID, account("ann"), note_for("ann"), address("ann"), BOB.viewing, ASKED, random_bytes("x"))
    with pytest.raises(InputError, match="note's key"):
        note_place(0, bytes(206))


# -- files


@pytest.mark.parametrize("made", [of_action("ann", "ann"), of_action("ann", "bob"), of_note("ann", "ann")])
def test_a_statement_goes_through_a_file(tmp_path: Path, made: Statement) -> None:
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(made.as_json()))
    assert load_statement(path) == made


@pytest.mark.parametrize(
    "change",
    [
        {"form": "gridpact/part/v1"},
        {"chain_id": None},
        {"account": "0x12"},
        {"subject": "window"},
        {"subject": []},
        {"place": 1.5},
        {"point": "0x"},
        {"mine": "yes"},
        {"challenge": 5},
        {"proof": "no"},
        {"proof": None},
        {"proof": "0x1"},
    ],
)
def test_a_file_that_is_no_statement_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(of_action("ann", "ann").as_json() | change))
    with pytest.raises(InputError, match="expected"):
        load_statement(path)


def test_the_randomness_does_not_repeat_a_nonce() -> None:
    """One seed for two challenges gives two proofs that do not tell the key."""
    args = CHAIN_ID, account("ann"), WINDOW, scope(), nullifier("ann"), ANN.ring
    one, two = (state_action(*args, asked, random_bytes("same")) for asked in ("one", "two"))
    (c1, z1), (c2, z2) = (
        (int.from_bytes(each.proof[:32], "big"), int.from_bytes(each.proof[32:], "big")) for each in (one, two)
    )
    guess = G.scalar((z1 - z2) * G.inverse(Scalar((c2 - c1) % G.order)))
    assert guess != ANN.ring
