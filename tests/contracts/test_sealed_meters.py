"""Meters whose readings nobody can read: the street's balance is opened together, checked, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from contracts import system
from contracts.bindings import sealed_meters
from contracts.bindings.sealed_meters import (
    Auditor,
    AuditorsAppointed,
    AuditorSet,
    AuditorsVoted,
    BalanceOpened,
    PartGiven,
    Sealed,
    SealedAttested,
    WindowClosed,
)
from privacy.auditors import (
    Ciphertext,
    Partial,
    combine_shares,
    deal,
    decrypt_partially,
    encrypt,
    find_amount,
    open_together,
    prove_same_amount,
    public_share,
)
from privacy.commitment import commit, opens
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point
from tests.contracts.street import CHAIN_ID, DEADLINE, HOUSES, QUARTER_S, Refused, Sent, Street, account, hexed, refused
from tests.contracts.street import genesis as street_genesis
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
AUDITORS = ("eve", "fay", "gus")
DEALINGS = [deal(G, secret(f"dealer {name}"), 2, 3, random_bytes(name)) for name in AUDITORS]
JOINT_KEY = G.sum(dealing.commitments[0] for dealing in DEALINGS)
SHARES = [G.scalar(sum(dealing.shares[at] for dealing in DEALINGS)) for at in range(3)]
PUBLIC = [G.sum(public_share(G, dealing.commitments, at) for dealing in DEALINGS) for at in (1, 2, 3)]


def sealing() -> dict[str, Any]:
    """What a genesis file says of the auditors."""
    return {
        "joint_key": hexed(G.point_to_bytes(JOINT_KEY)),
        "threshold": 2,
        "feeder_meter": hexed(account("feeder")),
        "auditors": [
            {"account": hexed(account(name)), "public_share": hexed(G.point_to_bytes(public))}
            for name, public in zip(AUDITORS, PUBLIC, strict=True)
        ],
    }


GENESIS_AUDITORS = AuditorSet(
    0,
    2,
    G.point_to_bytes(JOINT_KEY),
    tuple(Auditor(account(name), G.point_to_bytes(public)) for name, public in zip(AUDITORS, PUBLIC, strict=True)),
)


@cache
def founded() -> Street:
    return Street({**street_genesis(), "sealing": sealing()})


@pytest.fixture
def street() -> Street:
    return founded().fresh()


def blinding(house: str, quarter: int, *, is_export: bool) -> Scalar:
    return secret(f"reading {house} {quarter} {is_export}")


def seal(house: str, quarter: int, amount: int, *, is_export: bool = False) -> Sealed:
    """What a house's meter makes of a reading."""
    rho, gamma = secret(f"rho {house} {quarter} {is_export}"), blinding(house, quarter, is_export=is_export)
    message = sealed_meters.seal_message(CHAIN_ID, account(f"{house}-meter"), quarter, is_export=is_export)
    proof = prove_same_amount(G, JOINT_KEY, amount, rho, gamma, message, random_bytes("seal"))
    ciphertext = encrypt(G, JOINT_KEY, amount, rho)
    points = ciphertext.to_bytes(G) + G.point_to_bytes(commit(G, amount, gamma))
    return Sealed(points, proof.to_bytes(G))


def send(street: Street, sender: str, data: bytes) -> Sent:
    return street.send(sender, system.SEALED_METERS, data)


def attest(street: Street, house: str, quarter: int, imported: int, exported: int = 0) -> Sent:
    data = sealed_meters.attest(quarter, seal(house, quarter, imported), seal(house, quarter, exported, is_export=True))
    return send(street, f"{house}-meter", data)


def attest_all(street: Street, window: int = 0) -> None:
    """Every house imports 100 Wh a quarter and its number more; bob exports 40."""
    street.at(window + 1)
    for number, house in enumerate(HOUSES):
        for quarter in range(4 * window, 4 * window + 4):
            attest(street, house, quarter, 100 + number, 40 if house == "bob" else 0)


IMPORT_WH, EXPORT_WH = 4 * (100 + 101 + 102 + 103), 4 * 40


def sums_of(street: Street, window: int = 0) -> list[Ciphertext[Point]]:
    raw = street.view(sealed_meters.sums(window))
    points = [G.point_from_bytes_checked(raw[at : at + 33]) for at in range(0, 132, 33)]
    return [Ciphertext(*points[:2]), Ciphertext(*points[2:])]


def parts_of(street: Street, auditor: int, window: int = 0) -> list[Partial[Point]]:
    """An auditor's parts of both sums."""
    return [
        decrypt_partially(
            G,
            auditor,
            SHARES[auditor - 1],
            ciphertext.ephemeral,
            sealed_meters.request(CHAIN_ID, window, is_export=is_export),
            random_bytes(f"part {auditor}"),
        )
        for is_export, ciphertext in zip((False, True), sums_of(street, window), strict=True)
    ]


def give(street: Street, auditor: int, window: int = 0) -> Sent:
    parts = parts_of(street, auditor, window)
    data = sealed_meters.give_part(
        window, auditor, [G.point_to_bytes(each.point) for each in parts], [each.proof.to_bytes(G) for each in parts]
    )
    return send(street, AUDITORS[auditor - 1], data)


# -- the balance


@pytest.mark.parametrize("by", [(1, 2), (1, 3), (2, 3)])
def test_two_auditors_open_the_sums_and_losses_are_what_the_feeder_brought_more(
    street: Street, by: tuple[int, int]
) -> None:
    attest_all(street)
    closed = send(street, "anyone", sealed_meters.close_window(0)).only(WindowClosed)
    assert (closed.quarters, closed.expected, closed.sums) == (16, 16, street.view(sealed_meters.sums(0)))
    for auditor in by:
        assert give(street, auditor).only(PartGiven).auditor == auditor
    found = [
        find_amount(
            G,
            open_together(G, ciphertext, {at: parts_of(street, at)[direction].point for at in by}),
            1 << 16,
        )
        for direction, ciphertext in enumerate(sums_of(street))
    ]
    assert found == [IMPORT_WH, EXPORT_WH]
    opened = send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, by)).only(BalanceOpened)
    assert opened == BalanceOpened(0, IMPORT_WH, EXPORT_WH, by)
    assert street.view(sealed_meters.balance_of(0)).losses_wh == 0
    send(street, "feeder", sealed_meters.attest_feeder(0, IMPORT_WH + 55, EXPORT_WH + 5))
    balance = street.view(sealed_meters.balance_of(0))
    assert (balance.import_wh, balance.export_wh, balance.losses_wh) == (IMPORT_WH, EXPORT_WH, 50)


def test_one_auditor_opens_nothing(street: Street) -> None:
    attest_all(street)
    send(street, "anyone", sealed_meters.close_window(0))
    give(street, 1)
    alone = open_together(G, sums_of(street)[0], {1: parts_of(street, 1)[0].point})
    assert find_amount(G, alone, 1 << 16) is None
    with refused("NotEnoughParts", given=1, needed=2):
        send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, [1]))
    with refused("NotEnoughParts", given=1, needed=2):
        send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, [1, 2]))
    for by in ([1, 1], [2, 1]):
        with refused("NotEnoughParts"):
            send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, by))


def test_another_sum_than_the_parts_open_is_refused(street: Street) -> None:
    attest_all(street)
    send(street, "anyone", sealed_meters.close_window(0))
    give(street, 1)
    give(street, 3)
    for wrong, is_export in (
        ((IMPORT_WH + 1, EXPORT_WH), False),
        ((IMPORT_WH - 1, EXPORT_WH), False),
        ((0, EXPORT_WH), False),
        ((IMPORT_WH, EXPORT_WH + 1), True),
        ((IMPORT_WH, 1 << 32), True),
    ):
        with refused("AnotherSum", is_export=is_export):
            send(street, "anyone", sealed_meters.open_balance(0, *wrong, [1, 3]))
    send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, [1, 3]))


def test_a_household_opens_its_own_window_and_neighbours_cannot(street: Street) -> None:
    attest_all(street)
    reading = street.view(sealed_meters.sealed_reading(account("cat"), 0))
    own = G.scalar(sum(blinding("cat", quarter, is_export=False) for quarter in range(4)))
    commitment = G.point_from_bytes_checked(reading.import_wh)
    assert reading.quarters == 4
    assert opens(G, commitment, 4 * 102, own)
    assert not opens(G, commitment, 4 * 101, own)
    assert find_amount(G, commitment, 1 << 12) is None


# -- attesting


def test_an_attested_quarter_is_on_record_without_its_amount(street: Street) -> None:
    street.at(0, QUARTER_S)
    event = attest(street, "ann", 0, 123).only(SealedAttested)
    assert (event.meter, event.household, event.quarter) == (account("ann-meter"), account("ann"), 0)
    assert event.import_points == seal("ann", 0, 123).points
    assert len(event.import_points) == len(event.export_points) == 99


def test_only_a_certified_meter_attests_once_and_when_the_quarter_is_over(street: Street) -> None:
    street.at(0, QUARTER_S - 1)
    with refused("SealedQuarterNotOver", quarter=0):
        attest(street, "ann", 0, 1)
    street.at(0, QUARTER_S)
    data = sealed_meters.attest(0, seal("ann", 0, 1), seal("ann", 0, 0, is_export=True))
    with refused("NotASealedMeter", sender=hexed(account("ann"))):
        send(street, "ann", data)
    with refused("CalledThroughContract"):
        street.send("ann-meter", system.SEALED_METERS, data, origin=account("bob"))
    assert street.view(sealed_meters.next_quarter(account("ann-meter"))) == 0
    attest(street, "ann", 0, 1)
    assert street.view(sealed_meters.next_quarter(account("ann-meter"))) == 1
    with refused("SealedQuarterNotNew", quarter=0, next_quarter=1):
        attest(street, "ann", 0, 1)


def test_what_is_not_shown_to_be_the_same_amount_is_refused(street: Street) -> None:
    street.at(1)
    good, zero = seal("ann", 0, 10), seal("ann", 0, 0, is_export=True)
    other = G.point_to_bytes(commit(G, 11, blinding("ann", 0, is_export=False)))
    for bad in (
        Sealed(good.points[:66] + other, good.proof),
        Sealed(good.points, good.proof[:-1] + bytes((good.proof[-1] ^ 1,))),
        Sealed(good.points, b""),
        Sealed(b"", good.proof),
        Sealed(good.points[:-1], good.proof),
        Sealed(bytes(99), good.proof),
        seal("bob", 0, 10),
        seal("ann", 1, 10),
        seal("ann", 0, 10, is_export=True),
    ):
        with refused("NotSealed", quarter=0, is_export=False):
            send(street, "ann-meter", sealed_meters.attest(0, bad, zero))
    with refused("NotSealed", quarter=0, is_export=True):
        send(street, "ann-meter", sealed_meters.attest(0, good, good))
    send(street, "ann-meter", sealed_meters.attest(0, good, zero))


# -- closing


def test_a_window_closes_when_all_is_there_or_the_deadline_has_passed(street: Street) -> None:
    street.at(1)
    attest(street, "ann", 0, 10)
    with refused("WindowIsOpen", quarters=1, expected=16, closable_from_window=1 + DEADLINE):
        send(street, "anyone", sealed_meters.close_window(0))
    street.at(DEADLINE)
    with refused("WindowIsOpen"):
        send(street, "anyone", sealed_meters.close_window(0))
    with refused("WindowIsOpen"):
        give(street, 1)
    street.at(1 + DEADLINE)
    with refused("WindowIsOpen", quarters=0):
        send(street, "anyone", sealed_meters.close_window(1))  # its deadline has not passed
    assert send(street, "anyone", sealed_meters.close_window(0)).only(WindowClosed).quarters == 1


def test_a_window_that_nobody_read_closes_too_and_opens_to_nothing(street: Street) -> None:
    """What is locked for it could never be settled otherwise."""
    street.at(1 + DEADLINE)
    assert send(street, "anyone", sealed_meters.close_window(0)).only(WindowClosed).quarters == 0
    assert street.view(sealed_meters.sums(0)) == bytes(4 * 33)
    with refused("InvalidPart", window=0, auditor=1):
        data = sealed_meters.give_part(0, 1, [bytes(33)] * 2, [bytes(64)] * 2)
        send(street, AUDITORS[0], data)


def test_a_late_reading_counts_as_zero_for_good(street: Street) -> None:
    """A second sum with one reading more would tell that reading."""
    street.at(1 + DEADLINE)
    attest(street, "ann", 0, 10)
    send(street, "anyone", sealed_meters.close_window(0))
    before = street.view(sealed_meters.sums(0))
    with refused("WindowIsClosed", window=0):
        attest(street, "bob", 0, 10)
    with refused("WindowIsClosed", window=0):
        send(street, "anyone", sealed_meters.close_window(0))
    assert street.view(sealed_meters.sums(0)) == before
    attest(street, "bob", 4, 10)


# -- parts


def test_a_part_is_an_auditors_own_for_these_sums(street: Street) -> None:
    attest_all(street)
    attest_all(street, 1)
    for window in (0, 1):
        send(street, "anyone", sealed_meters.close_window(window))

    def given(sender: str, auditor: int, parts: list[Partial[Point]]) -> None:
        points = [G.point_to_bytes(each.point) for each in parts]
        proofs = [each.proof.to_bytes(G) for each in parts]
        send(street, sender, sealed_meters.give_part(0, auditor, points, proofs))

    own = parts_of(street, 1)
    for sender, auditor in (("ann", 1), ("fay", 1), ("eve", 2), ("eve", 0), ("eve", 4)):
        with refused("NotAnAuditor", sender=hexed(account(sender))):
            given(sender, auditor, own)
    for bad, is_export in (
        (own[::-1], False),
        (parts_of(street, 2), False),
        (parts_of(street, 1, 1), False),
        ([own[0], own[0]], True),
    ):
        with refused("InvalidPart", auditor=1, is_export=is_export):
            given("eve", 1, bad)
    for points, proofs in (([b"", b""], [b"", b""]), ([bytes(33)] * 2, [bytes(64)] * 2)):
        with refused("InvalidPart", auditor=1, is_export=False):
            send(street, "eve", sealed_meters.give_part(0, 1, points, proofs))
    given("eve", 1, own)


def test_the_contracts_weights_are_those_of_the_shares(street: Street) -> None:
    """Interpolation by any two gives the joint secret's multiple; the contract opened all pairs above."""
    base = G.multiply_generator(secret("base"))
    joint = G.multiply(G.scalar(sum(secret(f"dealer {name}") for name in AUDITORS)), base)
    for pair in ((1, 2), (1, 3), (2, 3)):
        assert combine_shares(G, {at: G.multiply(SHARES[at - 1], base) for at in pair}) == joint


# -- the feeder


def test_the_feeder_attests_once_a_window_that_is_over(street: Street) -> None:
    with refused("SealedQuarterNotOver"):
        send(street, "feeder", sealed_meters.attest_feeder(0, 1, 0))
    street.at(1)
    with refused("NotTheFeeder", sender=hexed(account("ann"))):
        send(street, "ann", sealed_meters.attest_feeder(0, 1, 0))
    send(street, "feeder", sealed_meters.attest_feeder(0, 7, 2))
    with refused("NotTheFeeder", window=0):
        send(street, "feeder", sealed_meters.attest_feeder(0, 1, 0))
    balance = street.view(sealed_meters.balance_of(0))
    assert (balance.fed, balance.feeder_import_wh, balance.feeder_export_wh) == (True, 7, 2)


# -- genesis


def test_what_the_genesis_file_says_can_be_read(street: Street) -> None:
    assert street.view(sealed_meters.auditors_of(0)) == GENESIS_AUDITORS
    assert street.view(sealed_meters.auditors_of(2**64 - 1)) == GENESIS_AUDITORS
    assert street.view(sealed_meters.auditor_set(0)) == GENESIS_AUDITORS
    assert street.view(sealed_meters.auditor_set_count()) == 1
    assert street.view(sealed_meters.joint_key_of(7)) == G.point_to_bytes(JOINT_KEY)
    assert street.view(sealed_meters.schedule()).quarter_length_s == QUARTER_S
    assert street.at(3, 5).view(sealed_meters.current_window()).window == 3
    assert street.view(sealed_meters.feeder_meter()) == account("feeder")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("threshold", 1, "threshold"),
        ("threshold", 4, "threshold"),
        ("auditors", [], "threshold"),
        ("auditors", [sealing()["auditors"][0]] * 17, "too many auditors"),
        ("auditors", [{**sealing()["auditors"][0], "account": hexed(bytes(20))}] * 3, "an auditor without account"),
        ("auditors", [sealing()["auditors"][0]] * 3, "an auditor twice"),
    ],
)
def test_auditors_that_do_not_add_up_are_refused(key: str, value: object, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        Street({**street_genesis(), "sealing": {**sealing(), key: value}})
    assert refusal.value.error == "InvalidAuditors"
    assert refusal.value.values["reason"] == reason


def test_a_street_without_meters_has_nothing_to_seal() -> None:
    with pytest.raises(Refused) as refusal:
        Street({**street_genesis(), "sealing": sealing(), "meters": []})
    assert refusal.value.error == "InvalidSealing"


@pytest.mark.parametrize("key", ["joint_key", "threshold", "feeder_meter", "auditors"])
def test_a_genesis_file_without_a_part_of_sealing_says_which(key: str) -> None:
    content = sealing()
    del content[key]
    with pytest.raises(system.GenesisContractError, match=f"sealing.{key}"):
        system.genesis_deployments({**street_genesis(), "sealing": content})
    for bad in ("0x", 17, {"not": "a list"}):
        with pytest.raises(system.GenesisContractError, match=rf"sealing\.{key}"):
            system.genesis_deployments({**street_genesis(), "sealing": {**sealing(), key: bad}})


# -- later auditors

SETS_SLOT = 0
LATER_DEALINGS = [
    deal(G, secret(f"later dealer {name}"), 2, 2, random_bytes(f"later {name}")) for name in ("hal", "ivy")
]
LATER_KEY = G.sum(dealing.commitments[0] for dealing in LATER_DEALINGS)


def later(from_window: int) -> AuditorSet:
    """Two other auditors, both needed."""
    shares = [G.sum(public_share(G, dealing.commitments, at) for dealing in LATER_DEALINGS) for at in (1, 2)]
    auditors = tuple(
        Auditor(account(name), G.point_to_bytes(share)) for name, share in zip(("hal", "ivy"), shares, strict=True)
    )
    return AuditorSet(from_window, 2, G.point_to_bytes(LATER_KEY), auditors)


def vote(street: Street, member: str, auditors: AuditorSet) -> Sent:
    return send(street, member, sealed_meters.vote_for_auditors(auditors))


def test_more_than_half_of_the_members_appoint_auditors_from_a_window_on(street: Street) -> None:
    street.at(1)
    name = street.view(sealed_meters.auditors_id(later(3)))
    for number, member in enumerate(("ann-member", "bob-member"), start=1):
        sent = vote(street, member, later(3))
        assert sent.only(AuditorsVoted) == AuditorsVoted(name, account(member), number, 3)
        assert street.view(sealed_meters.auditors_of(3)) == GENESIS_AUDITORS
    assert vote(street, "cat-member", later(3)).only(AuditorsAppointed) == AuditorsAppointed(3, 1, name)
    assert street.view(sealed_meters.auditors_of(2)) == GENESIS_AUDITORS
    assert street.view(sealed_meters.auditors_of(3)) == street.view(sealed_meters.auditor_set(1)) == later(3)
    assert street.view(sealed_meters.joint_key_of(3)) == G.point_to_bytes(LATER_KEY)


def test_a_window_is_sealed_to_and_opened_by_its_own_auditors(street: Street) -> None:
    street.at(0)
    for member in ("ann-member", "bob-member", "cat-member"):
        vote(street, member, later(2))
    attest_all(street, 0)
    attest_all(street, 1)
    street.at(3)
    with refused("NotSealed", quarter=8):
        attest(street, "ann", 8, 10)
    for window in (0, 1):
        send(street, "anyone", sealed_meters.close_window(window))
    with refused("NotAnAuditor", sender=hexed(account("hal"))):
        send(street, "hal", sealed_meters.give_part(0, 1, [b"", b""], [b"", b""]))
    give(street, 1)
    give(street, 3)
    send(street, "anyone", sealed_meters.open_balance(0, IMPORT_WH, EXPORT_WH, [1, 3]))


def test_votes_for_auditors_are_members_own_in_time_and_count_while_they_are_members(street: Street) -> None:
    street.at(1)
    for stranger in ("eve", "ann"):
        with refused("NoVoteForAuditors", sender=hexed(account(stranger))):
            vote(street, stranger, later(3))
    with refused("CalledThroughContract"):
        data = sealed_meters.vote_for_auditors(later(3))
        street.send("ann-member", system.SEALED_METERS, data, origin=account("bob"))
    vote(street, "ann-member", later(3))
    with refused("NoVoteForAuditors", sender=hexed(account("ann-member"))):
        vote(street, "ann-member", later(3))
    for soon in (0, 1, 2):
        with refused("AuditorsTooSoon", earliest_window=3):
            vote(street, "ann-member", later(soon))
    vote(street, "bob-member", later(3))
    street.at(2)
    with refused("AuditorsTooSoon", from_window=3, earliest_window=4):
        vote(street, "cat-member", later(3))
    for member in ("ann-member", "bob-member", "cat-member"):
        vote(street, member, later(5))
    with refused("AuditorsTooSoon", from_window=5, earliest_window=6):
        vote(street, "dan-member", later(5))
    with refused("InvalidAuditors", reason="threshold"):
        vote(street, "dan-member", replace(later(6), threshold=1))


def test_the_number_of_auditor_sets_is_bounded(street: Street) -> None:
    street.state.set_storage(system.SEALED_METERS, SETS_SLOT, 256)
    street.at(1)
    with refused("InvalidAuditors", reason="too many sets"):
        vote(street, "ann-member", later(2**63))
