"""Consortium: founding, vouching, refusals, and its storage read without calls."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from contracts import layout, system
from contracts.artifact import load_artifact
from contracts.bindings import consortium, consortium_events
from tests.contracts.street import HOUSES, Refused, Street, account, genesis, hexed, refused


def vouch(street: Street, member: str, address: bytes) -> None:
    street.send(member, system.CONSORTIUM, consortium.vouch(address))


def read_storage(street: Street) -> layout.ReadStorage:
    return lambda address, slot: int(street.state.get_storage(address, slot))


def test_founders_are_members_in_the_genesis_order(street: Street) -> None:
    members = street.view(consortium.get_members(0, 10))
    assert [member.name for member in members] == list(HOUSES)
    assert [member.account for member in members] == [account(f"{house}-member") for house in HOUSES]
    assert members[2] == street.view(consortium.member_at(2)) == street.view(consortium.member_of(members[2].account))
    assert members[2].node_key == bytes([3]) * 32
    assert members[2].endpoint == "127.0.0.1:30302"
    assert street.view(consortium.member_by_node_key(bytes([3]) * 32)) == members[2].account
    assert street.view(consortium.member_by_node_key(bytes([9]) * 32)) is None
    assert street.view(consortium.member_count()) == 4
    assert street.view(consortium.current_epoch()) == 0
    assert street.view(consortium.member_of(account("eve"))) is None
    assert [m.name for m in street.view(consortium.get_members(3, 10))] == ["dan"]
    assert street.view(consortium.get_members(9, 10)) == ()
    with refused("NoSuchMember", index=4, count=4):
        street.view(consortium.member_at(4))


def test_founders_vouch_for_their_own_and_their_listed_accounts(street: Street) -> None:
    ann = account("ann-member")
    for name in ("ann-member", "ann", "ann-meter"):
        assert street.view(consortium.vouching_member(account(name))) == ann
    assert street.view(consortium.vouching_member(account("eve"))) is None
    assert street.view(consortium.vouched_count(ann)) == 3
    assert street.view(consortium.is_member(ann))
    assert not street.view(consortium.is_member(account("ann")))


def test_a_member_vouches_and_ends_it(street: Street) -> None:
    eve = account("eve")
    sent = street.send("ann-member", system.CONSORTIUM, consortium.vouch(eve))
    assert sent.only(consortium_events.Vouched) == consortium_events.Vouched(account("ann-member"), eve)
    assert layout.vouching_member(read_storage(street), eve) == account("ann-member")
    with refused("AlreadyVouched", account=hexed(eve)):
        vouch(street, "bob-member", eve)
    with refused("NotVouchedByYou"):
        street.send("bob-member", system.CONSORTIUM, consortium.end_vouching(eve))
    sent = street.send("ann-member", system.CONSORTIUM, consortium.end_vouching(eve))
    assert sent.only(consortium_events.VouchingEnded).account == eve
    assert layout.vouching_member(read_storage(street), eve) is None
    vouch(street, "bob-member", eve)


def test_who_may_not_vouch(street: Street) -> None:
    with refused("NotAMember", sender=hexed(account("ann"))):
        vouch(street, "ann", account("eve"))
    with refused("OwnAccount"):
        street.send("ann-member", system.CONSORTIUM, consortium.end_vouching(account("ann-member")))
    with refused("ZeroAccount"):
        vouch(street, "ann-member", bytes(20))
    with refused("CalledThroughContract", caller=hexed(account("ann-member")), origin=hexed(account("eve"))):
        street.send("ann-member", system.CONSORTIUM, consortium.vouch(account("eve")), origin=account("eve"))


def test_a_member_vouches_for_a_bounded_number(street: Street) -> None:
    for i in range(64 - 3):
        vouch(street, "ann-member", bytes([i + 1]) * 20)
    with refused("TooManyVouched", limit=64):
        vouch(street, "ann-member", account("eve"))


def test_a_member_moves_its_endpoint(street: Street) -> None:
    host = "a" * 60 + ".example:30303"
    sent = street.send("bob-member", system.CONSORTIUM, consortium.set_endpoint(host))
    assert sent.only(consortium_events.EndpointChanged).endpoint == host
    assert layout.members(read_storage(street))[1].endpoint == host
    for wrong in ("", "a" * 260):
        with refused("InvalidEndpoint", length_bytes=len(wrong)):
            street.send("bob-member", system.CONSORTIUM, consortium.set_endpoint(wrong))
    with refused("NotAMember"):
        street.send("eve", system.CONSORTIUM, consortium.set_endpoint(host))


def test_an_endpoint_is_printable_and_what_is_not_stops_no_reader(street: Street) -> None:
    for byte in (0x00, 0x20, 0x7F, 0xFF):
        data = consortium.set_endpoint("abc:1").replace(b"abc:1", b"abc" + bytes((byte,)) + b"1")
        with refused("InvalidEndpointByte", index=3, found=bytes((byte,))):
            street.consortium("bob-member", data)
    street.consortium("bob-member", consortium.set_endpoint("!~:"))
    for length, wrong in ((5, b"\xff" * 5), (40, b"\xff" * 40)):  # in one word of storage, and in several
        member = forged_endpoint(street, account("bob-member"), wrong)
        assert member.endpoint == "\N{REPLACEMENT CHARACTER}" * length
        assert street.view(consortium.member_of(account("bob-member"))) == member


def forged_endpoint(street: Street, member: bytes, endpoint: bytes) -> consortium.Member:
    """Write an end point into storage that the contract refuses, and return the member as a node reads it."""
    storage: Any = load_artifact("Consortium").storage_layout
    slots = {entry["label"]: int(entry["slot"]) for entry in storage["storage"]}
    slot = layout.mapping_slot(slots["_members"], member) + 3
    short = int.from_bytes(endpoint.ljust(31, b"\0") + bytes((2 * len(endpoint),)), "big")
    street.state.set_storage(system.CONSORTIUM, slot, short if len(endpoint) < 32 else 2 * len(endpoint) + 1)
    for i in range(0, len(endpoint) if len(endpoint) > 31 else 0, 32):
        word = int.from_bytes(endpoint[i : i + 32].ljust(32, b"\0"), "big")
        street.state.set_storage(system.CONSORTIUM, layout.array_slot(slot) + i // 32, word)
    return next(each for each in layout.members(street.storage) if each.account == member)


def test_storage_says_what_the_views_say(street: Street) -> None:
    assert tuple(layout.members(read_storage(street))) == street.view(consortium.get_members(0, 100))
    for name in ("ann", "ann-meter", "dan-member"):
        found = layout.vouching_member(read_storage(street), account(name))
        assert found == street.view(consortium.vouching_member(account(name)))


def founding(change: dict[str, Any]) -> dict[str, Any]:
    content = genesis()
    content["members"][1] |= change
    return content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"account": hexed(bytes(20))}, "a member account is zero"),
        ({"account": hexed(account("ann-member"))}, "a member account twice"),
        ({"node_key": hexed(bytes(32))}, "a node key is zero"),
        ({"node_key": hexed(bytes([1]) * 32)}, "a node key twice"),
    ],
)
def test_wrong_founders_are_refused(change: dict[str, Any], reason: str) -> None:
    with refused("InvalidConsortium", reason=reason, index=1):
        Street(founding(change))


def test_no_or_too_many_founders_and_stray_accounts_are_refused() -> None:
    content = genesis()
    content["members"] = []
    with refused("InvalidConsortium", index=0):
        Street(content)
    code = load_artifact("Consortium").bytecode
    founder = (account("ann"), 2, bytes([1]) * 32, b"ann", "h:1")
    street = Street()
    for vouched, reason in (([], "vouched accounts missing"), ([account("x")] * 3, "")):
        with pytest.raises(Refused, match=reason or "AlreadyVouched"):
            street.deploy(code + system.constructor_arguments("Consortium", [founder], vouched), bytes([7]) * 20)
    three = [account("x"), account("y"), account("z")]
    with refused("InvalidConsortium", reason="vouched accounts of nobody"):
        street.deploy(code + system.constructor_arguments("Consortium", [founder], three), bytes([7]) * 20)


def test_a_hundred_founders_fit() -> None:
    content = genesis()
    first = content["members"][0]
    rows = []
    for i in range(100):
        row = copy.deepcopy(first)
        row |= {"node_key": hexed((i + 1).to_bytes(32, "big")), "account": hexed((i + 1000).to_bytes(20, "big"))}
        row |= {"name": f"house {i:03}", "p2p": "validator-of-a-long-name.example.org:30303"}
        row["vouched"] = [hexed((10_000 + 10 * i + j).to_bytes(20, "big")) for j in range(3)]
        rows.append(row)
    content["members"] = rows
    content["meters"] = [
        {
            "meter": hexed((20_000 + i).to_bytes(20, "big")),
            "household": hexed((30_000 + i).to_bytes(20, "big")),
            "connection": f"LV4.101-{i}",
            "max_power_w": 20_000,
        }
        for i in range(100)
    ]
    street = Street(content)
    assert len(layout.members(read_storage(street))) == 100
    assert layout.members(read_storage(street))[99].name == "house 099"
