"""Keys of members and the ring of every window: what is registered, what is refused, and when it acts."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from eth_hash.auto import keccak

from contracts import system
from contracts.artifact import load_artifact
from contracts.bindings import privacy_registry, sealed_meters
from contracts.bindings.privacy_registry import (
    Barred,
    BoxKeyChanged,
    Complained,
    Left,
    Readmitted,
    Registration,
    Ring,
    RingChanged,
    Row,
)
from contracts.bindings.sealed_meters import Auditor, AuditorSet
from contracts.layout import array_slot
from privacy.auditors import deal
from privacy.boxes import open_share
from privacy.secp256k1 import SECP256K1
from tests.contracts.registered import (
    BOX_KEYS,
    BOX_SECRETS,
    Keys,
    founded,
    genesis,
    keys_of,
    possession,
    register,
    registration,
    send,
)
from tests.contracts.street import CHAIN_ID, HOUR_S, HOUSES, ZERO_S, Refused, Sent, Street, account, hexed, refused
from tests.contracts.test_sealed_meters import AUDITORS
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
MAX_GAS = 6_000_000
POINTS = [G.point_to_bytes(G.multiply_generator(secret(f"share {name}"))) for name in AUDITORS]


@pytest.fixture
def street() -> Street:
    return founded().fresh()


def give(street: Street, house: str, given: Registration, from_window: int = 2) -> Sent:
    return send(street, house, privacy_registry.register(from_window, given))


def row_of(house: str, generation: int = 0) -> Row:
    ring, trace = map(G.point_to_bytes, keys_of(house, generation).points[:2])
    return Row(account(house), ring, trace)


def rows(street: Street, window: int) -> list[Row]:
    found = street.view(privacy_registry.rows_of(window))
    return list(found)


# -- registering


def test_who_registers_is_in_the_ring_of_the_window_after_the_next(street: Street) -> None:
    street.at(4, HOUR_S - 1)
    given = registration("ann", 6)
    sent = give(street, "ann", given, 6)
    changed = sent.only(RingChanged)
    assert street.view(privacy_registry.ring_of(5)) == Ring(bytes(20), 0, 0)
    assert street.view(privacy_registry.ring_of(6)) == Ring(changed.ring, 6, 1)
    assert street.view(privacy_registry.ring_of(1000)) == Ring(changed.ring, 6, 1)
    assert rows(street, 6) == [row_of("ann")]
    code = street.state.get_code(changed.ring)
    assert code == b"\0" + b"".join(astuple(row_of("ann")))
    assert keccak(code) == changed.root
    member = street.view(privacy_registry.member_of(account("ann")))
    assert (member.from_window, member.keys, member.commitments) == (6, given.keys, given.commitments)
    assert (member.relay_key, member.endpoint) == (given.relay_key, "ann.street:30500")
    assert member.meta_address == given.keys[66:]
    assert street.view(privacy_registry.member_of(account("bob"))).keys == b""


def test_before_the_first_window_what_is_registered_acts_from_window_1(street: Street) -> None:
    street.state.execution_context._timestamp = ZERO_S - 1
    assert register(street, "ann").from_window == 1
    assert street.view(privacy_registry.ring_of(0)).members == 0
    assert street.view(privacy_registry.ring_of(1)).members == 1


def test_each_auditor_finds_its_share_on_the_chain(street: Street) -> None:
    event = register(street, "ann")
    assert event.trace_key == row_of("ann").trace_key
    commitments = [G.point_from_bytes_checked(event.commitments[at : at + 33]) for at in (0, 33)]
    for auditor, own in enumerate(BOX_SECRETS, start=1):
        assert open_share(G, own, event.box_of(auditor), commitments, auditor, threshold=2) is not None
        assert open_share(G, own, event.box_of(auditor % 3 + 1), commitments, auditor, threshold=2) is None


def test_only_a_household_with_a_sealed_meter_registers(street: Street) -> None:
    for sender in ("eve", "ann-meter", "ann-member"):
        with refused("NoSealedMeter", sender=hexed(account(sender))):
            give(street, sender, registration(sender, 2))
    assert street.view(sealed_meters.meter_of(account("ann"))) == account("ann-meter")
    assert street.view(sealed_meters.meter_of(account("eve"))) == bytes(20)
    data = privacy_registry.register(2, registration("ann", 2))
    with refused("CalledThroughContract"):
        street.send("ann", system.PRIVACY_REGISTRY, data, origin=account("bob"))


def test_only_the_next_window_is_registered_for(street: Street) -> None:
    street.at(3)
    for given in (0, 3, 4, 6):
        with refused("AnotherFirstWindow", given=given, next=5):
            give(street, "ann", registration("ann", given), given)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("keys", {"keys": b""}),
        ("keys", {"keys": bytes(131)}),
        ("proofs", {"proofs": bytes(255)}),
        ("commitments", {"commitments": registration("ann", 2).commitments[:33]}),
        ("commitments", {"commitments": registration("ann", 2).commitments + POINTS[0]}),
        ("commitments", {"commitments": registration("bob", 2).commitments}),
        ("commitments", {"commitments": registration("ann", 2).commitments[:33] + bytes(33)}),
        ("commitments", {"commitments": registration("ann", 2).commitments[:33] + b"\x02" + b"\xff" * 32}),
        ("shares", {"shares": bytes(160)}),
        ("shares", {"shares": bytes(241)}),
        ("relay key", {"relay_key": bytes(32)}),
        ("endpoint", {"endpoint": ""}),
        ("endpoint", {"endpoint": "x" * 260}),
        ("endpoint", {"endpoint": "ann street:1"}),
        ("endpoint", {"endpoint": "ann.street:1\n"}),
    ],
)
def test_a_registration_of_another_form_names_its_part(street: Street, part: str, change: dict[str, object]) -> None:
    with refused("InvalidRegistration", account=hexed(account("ann")), part=part):
        give(street, "ann", replace(registration("ann", 2), **change))  # type: ignore[arg-type]
    assert street.view(privacy_registry.member_of(account("ann"))).keys == b""


# -- possession


def test_a_proof_for_another_account_window_chain_or_role_is_refused(street: Street) -> None:
    good, keys = registration("ann", 2), keys_of("ann")
    swapped = Keys(keys.trace, keys.ring, keys.spending, keys.viewing)
    for proofs in (
        possession("bob", keys, 2),
        possession("ann", keys, 3),
        possession("ann", keys, 2, chain_id=CHAIN_ID + 1),
        possession("ann", swapped, 2),
        bytes(256),
        b"\xff" * 256,
    ):
        with refused("NotPossessed", account=hexed(account("ann")), role=0):
            give(street, "ann", replace(good, proofs=proofs))
    give(street, "ann", good)


@pytest.mark.parametrize("role", range(4))
def test_every_key_needs_its_own_proof(street: Street, role: int) -> None:
    good = registration("ann", 2)
    at = 64 * role
    damaged = bytes((good.proofs[at + 63] ^ 1,))
    with refused("NotPossessed", role=role):
        give(street, "ann", replace(good, proofs=good.proofs[: at + 63] + damaged + good.proofs[at + 64 :]))
    for point in (bytes(33), b"\x05" + good.keys[33 * role + 1 : 33 * role + 33], b"\x02" + b"\xff" * 32):
        keys = good.keys[: 33 * role] + point + good.keys[33 * role + 33 :]
        commitments = point + good.commitments[33:] if role == 1 else good.commitments
        with pytest.raises(Refused) as refusal:
            give(street, "ann", replace(good, keys=keys, commitments=commitments))
        assert refusal.value.error == ("InvalidRegistration" if role == 1 else "NotPossessed")


def test_a_victims_trace_key_cannot_be_registered_with_an_own_ring_key(street: Street) -> None:
    """Whoever got to know k would sign with the victim's exact tag; and would need to know k to register."""
    register(street, "ann")
    victim, rogue = keys_of("ann"), keys_of("bob")
    mixed = Keys(rogue.ring, victim.trace, rogue.spending, rogue.viewing)
    dealing = deal(G, victim.trace, 2, 3, random_bytes("rogue"))
    given = replace(
        registration("bob", 2),
        keys=mixed.encoded,
        commitments=b"".join(map(G.point_to_bytes, dealing.commitments)),
    )
    with refused("NotPossessed", account=hexed(account("bob")), role=1):
        give(street, "bob", given)
    with refused("KeySeenBefore", key=row_of("ann").trace_key):
        give(street, "bob", replace(given, proofs=possession("bob", mixed, 2)))


# -- no key twice


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("of_column", [0, 1])
@pytest.mark.parametrize("negated", [False, True])
def test_no_key_comes_again_in_either_column_by_whomever(
    street: Street, column: int, of_column: int, negated: bool
) -> None:
    register(street, "ann")
    street.at(7)
    send(street, "ann", privacy_registry.leave())
    street.at(30)
    again = keys_of("ann").secrets[of_column]
    secrets = list(keys_of("bob").secrets)
    secrets[column] = G.scalar(-again) if negated else again
    for house in ("bob", "ann"):
        keys = Keys(*secrets)
        dealing = deal(G, keys.trace, 2, 3, random_bytes("again"))
        given = replace(
            registration(house, 32),
            keys=keys.encoded,
            proofs=possession(house, keys, 32),
            commitments=b"".join(map(G.point_to_bytes, dealing.commitments)),
        )
        with refused("KeySeenBefore", key=G.point_to_bytes(keys.points[column])):
            give(street, house, given, 32)
    assert rows(street, 32) == []


def test_one_key_in_both_columns_is_refused(street: Street) -> None:
    own = keys_of("ann")
    keys = Keys(own.trace, own.trace, own.spending, own.viewing)
    given = replace(registration("ann", 2), keys=keys.encoded, proofs=possession("ann", keys, 2))
    with refused("KeySeenBefore", key=G.point_to_bytes(own.points[1])):
        give(street, "ann", given)


# -- the ring of a window stands


def test_the_ring_of_a_window_is_not_changed_by_what_comes_in_it_or_in_the_one_before(street: Street) -> None:
    for house in ("ann", "bob", "cat"):
        register(street, house)
    ring = street.view(privacy_registry.ring_of(2))
    assert rows(street, 2) == [row_of("ann"), row_of("bob"), row_of("cat")]
    for window in (1, 2):  # window 2 is traded in window 1
        street.at(window)
        register(street, "ann", generation=window)
        if window == 1:
            register(street, "dan")
            send(street, "bob", privacy_registry.leave())
        assert street.view(privacy_registry.ring_of(2)) == ring
    assert rows(street, 2) == [row_of("ann"), row_of("bob"), row_of("cat")]
    assert rows(street, 3) == [row_of("ann", 1), row_of("cat"), row_of("dan")]
    assert rows(street, 4) == [row_of("ann", 2), row_of("cat"), row_of("dan")]


def test_several_changes_in_a_window_are_one_version(street: Street) -> None:
    for house in HOUSES:
        register(street, house)
    street.at(1)
    register(street, "cat", 1)
    assert street.storage(system.PRIVACY_REGISTRY, 0) == 2
    assert rows(street, 2) == [row_of(house) for house in HOUSES]
    assert rows(street, 3) == [row_of("ann"), row_of("bob"), row_of("cat", 1), row_of("dan")]


def test_every_window_has_its_ring_among_many_versions(street: Street) -> None:
    generations = range(1, 6)
    for generation in generations:
        street.at(3 * generation)
        register(street, "ann", generation)
    for generation in generations:
        for window in range(3 * generation + 2, 3 * generation + 5):
            assert rows(street, window) == [row_of("ann", generation)]
    assert rows(street, 4) == []


def test_who_leaves_is_out_of_the_next_ring_and_may_come_back_with_other_keys(street: Street) -> None:
    for house in ("ann", "bob", "cat"):
        register(street, house)
    street.at(1)
    assert send(street, "ann", privacy_registry.leave()).only(Left) == Left(account("ann"), 3)
    assert rows(street, 3) == [row_of("bob"), row_of("cat")]
    with refused("NotInTheRing", account=hexed(account("ann"))):
        send(street, "ann", privacy_registry.leave())
    register(street, "ann", 1)
    assert rows(street, 3) == [row_of("bob"), row_of("cat"), row_of("ann", 1)]
    assert rows(street, 2) == [row_of("ann"), row_of("bob"), row_of("cat")]
    for house in ("cat", "ann", "bob"):
        send(street, house, privacy_registry.leave())
    assert street.view(privacy_registry.ring_of(3)).members == 0
    register(street, "bob", 1)
    assert rows(street, 3) == [row_of("bob", 1)]


def test_a_ring_of_64_is_full_and_registering_stays_cheap() -> None:
    houses = tuple(f"house-{number}" for number in range(65))
    street = founded(houses).fresh()
    used = {}
    for number, house in enumerate(houses[:64], start=1):
        data = privacy_registry.register(2, registration(house, 2))
        gas = send(street, house, data).gas_used
        used[number] = gas + 21_000 + sum(16 if byte else 4 for byte in data)
    assert street.view(privacy_registry.ring_of(2)).members == 64
    assert used[41] < used[64] < MAX_GAS
    with refused("RingIsFull", limit=64):
        register(street, houses[64])
    register(street, houses[20], 1)  # a change of keys takes no place
    assert rows(street, 2)[20] == row_of(houses[20], 1)
    send(street, houses[0], privacy_registry.leave())
    register(street, houses[64])
    assert [row.account for row in rows(street, 2)] == [account(house) for house in houses[1:]]


# -- complaints


def complain(street: Street, auditor: str, house: str, generation: int = 0) -> Sent:
    trace_key = row_of(house, generation).trace_key
    return send(street, auditor, privacy_registry.complain(account(house), trace_key))


def test_who_deals_badly_is_out_once_enough_auditors_say_so(street: Street) -> None:
    register(street, "ann")
    register(street, "bob")
    street.at(5)
    key = row_of("ann").trace_key
    assert complain(street, "eve", "ann").only(Complained) == Complained(account("ann"), account("eve"), key)
    assert street.view(privacy_registry.complaints(key)) == 1
    with refused("ComplainedBefore", account=hexed(account("ann")), auditor=hexed(account("eve"))):
        complain(street, "eve", "ann")
    assert rows(street, 7) == [row_of("ann"), row_of("bob")]
    assert complain(street, "gus", "ann").only(Left) == Left(account("ann"), 7)
    assert rows(street, 6) == [row_of("ann"), row_of("bob")]
    assert rows(street, 7) == [row_of("bob")]
    with refused("NotInTheRing"):
        send(street, "ann", privacy_registry.leave())


def test_complaints_of_one_trace_key_do_not_count_for_another(street: Street) -> None:
    register(street, "ann")
    register(street, "bob")
    complain(street, "eve", "ann")
    register(street, "ann", 1)
    complain(street, "fay", "ann", 1)
    assert rows(street, 2) == [row_of("ann", 1), row_of("bob")]
    assert not street.view(privacy_registry.is_barred(account("ann")))
    for house, of, generation in (("ann", "ann", 2), ("bob", "ann", 1), ("ann", "bob", 0), ("cat", "cat", 0)):
        key = row_of(of, generation).trace_key
        with refused("AnotherTraceKey", account=hexed(account(house)), trace_key=key):
            send(street, "gus", privacy_registry.complain(account(house), key))
    with refused("AnotherTraceKey", account=hexed(bytes(20))):
        send(street, "gus", privacy_registry.complain(bytes(20), row_of("cat").trace_key))


def test_only_auditors_complain(street: Street) -> None:
    register(street, "ann")
    for sender in ("bob", "ann", "ann-meter"):
        with refused("NotAnAuditor", sender=hexed(account(sender))):
            complain(street, sender, "ann")


# -- barred and readmitted


def bar(street: Street, house: str, generation: int = 0) -> Sent:
    complain(street, "eve", house, generation)
    return complain(street, "gus", house, generation)


def readmit(street: Street, auditor: str, house: str) -> Sent:
    return send(street, auditor, privacy_registry.readmit(account(house)))


def barred(street: Street, house: str) -> bool:
    return street.view(privacy_registry.is_barred(account(house)))


def test_a_barred_account_is_out_of_the_next_ring_and_cannot_register(street: Street) -> None:
    register(street, "ann")
    register(street, "bob")
    street.at(5)
    complain(street, "eve", "ann")
    assert not barred(street, "ann")
    sent = complain(street, "gus", "ann")
    assert sent.only(Barred) == Barred(account("ann"), row_of("ann").trace_key)
    assert sent.only(Left) == Left(account("ann"), 7)
    assert (barred(street, "ann"), barred(street, "bob")) == (True, False)
    for window in (5, 6, 20):
        street.at(window)
        with refused("AccountBarred", account=hexed(account("ann"))):
            register(street, "ann", window)
        assert rows(street, window + 2) == [row_of("bob")]
    complain(street, "fay", "ann")  # the third says so too, for the record
    assert street.view(privacy_registry.complaints(row_of("ann").trace_key)) == 3
    with refused("NotInTheRing"):
        send(street, "ann", privacy_registry.leave())


def test_who_registers_anew_before_the_complaints_is_barred_all_the_same(street: Street) -> None:
    register(street, "ann")
    register(street, "bob")
    street.at(1)
    register(street, "ann", 1)
    complain(street, "eve", "ann")
    register(street, "ann", 2)
    assert complain(street, "gus", "ann").only(Left) == Left(account("ann"), 3)
    assert rows(street, 3) == [row_of("bob")]
    with refused("AccountBarred"):
        register(street, "ann", 3)


def test_who_leaves_before_the_last_complaint_cannot_come_back(street: Street) -> None:
    register(street, "ann")
    complain(street, "eve", "ann")
    send(street, "ann", privacy_registry.leave())
    sent = complain(street, "gus", "ann")
    assert (sent.only(Barred).account, sent.all(Left), sent.all(RingChanged)) == (account("ann"), [], [])
    with refused("AccountBarred"):
        register(street, "ann", 1)
    assert rows(street, 2) == []


def test_enough_auditors_of_the_window_readmit_and_one_alone_does_not(street: Street) -> None:
    register(street, "ann")
    bar(street, "ann")
    assert readmit(street, "fay", "ann").events == ()
    with refused("ReadmittedBefore", account=hexed(account("ann")), auditor=hexed(account("fay"))):
        readmit(street, "fay", "ann")
    assert barred(street, "ann")
    with refused("AccountBarred"):
        register(street, "ann", 1)
    said = readmit(street, "eve", "ann").only(Readmitted)
    assert said == Readmitted(account("ann"), (account("fay"), account("eve")))
    assert not barred(street, "ann")
    with refused("KeySeenBefore"):
        register(street, "ann")
    register(street, "ann", 1)
    assert rows(street, 2) == [row_of("ann", 1)]


def test_counts_start_anew_after_a_readmission(street: Street) -> None:
    register(street, "ann")
    complain(street, "eve", "ann")
    register(street, "ann", 1)
    bar(street, "ann", 1)
    for auditor in ("eve", "fay"):
        readmit(street, auditor, "ann")
    for generation in (0, 1):  # what was dealt before is forgiven
        with refused("AnotherTraceKey"):
            complain(street, "fay", "ann", generation)
    register(street, "ann", 2)
    complain(street, "eve", "ann", 2)
    assert rows(street, 2) == [row_of("ann", 2)]
    complain(street, "fay", "ann", 2)
    assert (barred(street, "ann"), rows(street, 2)) == (True, [])
    readmit(street, "eve", "ann")
    assert barred(street, "ann")
    readmit(street, "gus", "ann")
    assert not barred(street, "ann")


def test_only_auditors_of_the_window_readmit_and_only_who_is_barred(street: Street) -> None:
    register(street, "ann")
    with refused("NotBarred", account=hexed(account("ann"))):
        readmit(street, "eve", "ann")
    bar(street, "ann")
    for sender in ("ann", "bob", "issuer"):
        with refused("NotAnAuditorNow", sender=hexed(account(sender)), window=0):
            readmit(street, sender, "ann")
    appoint(street, ("fay", "hal"), 3)
    readmit(street, "eve", "ann")
    with refused("NotAnAuditorNow", sender=hexed(account("hal"))):
        readmit(street, "hal", "ann")
    street.at(3)
    with refused("NotAnAuditorNow", sender=hexed(account("gus")), window=3):
        readmit(street, "gus", "ann")
    readmit(street, "fay", "ann")  # eve's no longer counts
    assert barred(street, "ann")
    assert readmit(street, "hal", "ann").only(Readmitted).account == account("ann")


# -- auditors to come


def appoint(street: Street, names: tuple[str, ...], from_window: int) -> None:
    """Let the consortium appoint other auditors; their keys do not matter here."""
    auditors = tuple(Auditor(account(name), point) for name, point in zip(names, POINTS, strict=False))
    later = AuditorSet(from_window, len(names), POINTS[0], auditors)
    for house in HOUSES[:3]:
        street.send(f"{house}-member", system.SEALED_METERS, sealed_meters.vote_for_auditors(later))


def test_keys_are_dealt_to_the_auditors_of_the_first_window_for_which_they_act(street: Street) -> None:
    register(street, "ann")
    appoint(street, ("fay", "hal"), 3)
    with refused("NotAnAuditor"):
        send(street, "ian", privacy_registry.set_box_key(BOX_KEYS[1]))
    with refused("InvalidBoxKeys", reason="zero"):
        send(street, "hal", privacy_registry.set_box_key(bytes(32)))
    said = send(street, "hal", privacy_registry.set_box_key(BOX_KEYS[0])).only(BoxKeyChanged)
    assert said == BoxKeyChanged(account("hal"), BOX_KEYS[0])
    assert street.view(privacy_registry.box_key_of(account("hal"))) == BOX_KEYS[0]
    assert street.view(privacy_registry.box_keys(2)) == BOX_KEYS
    assert street.view(privacy_registry.box_keys(3)) == (BOX_KEYS[1], BOX_KEYS[0])
    street.at(1)
    for_three = registration("bob", 3)
    with refused("InvalidRegistration", part="shares"):
        give(street, "bob", for_three, 3)
    give(street, "bob", replace(for_three, shares=for_three.shares[:160]), 3)
    with refused("NotDealtTo", account=hexed(account("bob")), auditor=hexed(account("eve"))):
        complain(street, "eve", "bob")
    with refused("NotDealtTo", account=hexed(account("ann")), auditor=hexed(account("hal"))):
        complain(street, "hal", "ann")
    complain(street, "hal", "bob")
    assert complain(street, "fay", "bob").only(Left).account == account("bob")


# -- genesis and storage


def test_the_chain_reads_slots_0_and_1(street: Street) -> None:
    street.at(3)
    register(street, "ann")
    ring = int.from_bytes(street.view(privacy_registry.ring_of(5)).ring, "big")
    slots = [street.storage(system.PRIVACY_REGISTRY, slot) for slot in (0, array_slot(0), 1)]
    assert slots == [1, 5 | ring << 64, ZERO_S | HOUR_S << 64]
    layout = load_artifact("PrivacyRegistry").storage_layout
    assert layout is not None
    first = [(entry["label"], entry["slot"], entry["offset"]) for entry in layout["storage"]]
    assert first[:3] == [("_versions", "0", 0), ("_clockZeroS", "1", 0), ("_clockLengthS", "1", 8)]


def test_what_the_genesis_file_says_can_be_read(street: Street) -> None:
    assert street.view(privacy_registry.box_keys(0)) == BOX_KEYS
    assert street.view(privacy_registry.sealed_meters()) == system.SEALED_METERS
    assert street.view(privacy_registry.schedule()).window_zero_s == ZERO_S
    assert street.at(3, 5).view(privacy_registry.current_window()).window == 3
    assert street.view(privacy_registry.next_window()) == 5
    answer = street.view(privacy_registry.INTERFACE.view(lambda value: value, "domain"))
    assert answer == privacy_registry.domain(CHAIN_ID)


@pytest.mark.parametrize(
    ("box_keys", "reason"),
    [([hexed(b"\1" * 32)] * 2, "not one for each auditor"), ([hexed(bytes(32))] * 3, "zero")],
)
def test_box_keys_that_do_not_fit_are_refused(box_keys: list[str], reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        Street({**genesis(), "privacy": {"box_keys": box_keys}})
    assert (refusal.value.error, refusal.value.values["reason"]) == ("InvalidBoxKeys", reason)


def test_a_genesis_file_without_a_part_of_privacy_says_which() -> None:
    wrong: list[object] = [{}, {"box_keys": 5}, {"box_keys": ["0x12"]}, []]
    for bad in wrong:
        with pytest.raises(system.GenesisContractError, match="privacy"):
            system.genesis_deployments({**genesis(), "privacy": bad})
    without = genesis()
    del without["sealing"]
    with pytest.raises(system.GenesisContractError, match="sealing: expected a table, since there is `privacy`"):
        system.genesis_deployments(without)
