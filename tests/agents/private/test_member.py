from __future__ import annotations

from eth_keys.datatypes import PrivateKey
from nacl.public import PrivateKey as BoxKey

from agents.private.member import keys_behind, make_registration, member_keys, relays_of
from agents.private.packets import open_box
from contracts.bindings import privacy_registry
from contracts.bindings.privacy_registry import BOX_BYTES, POINT_BYTES, Member
from privacy.auditors import share_is_right
from privacy.equality import equality_from_bytes_checked
from privacy.possession import Registration, Role, possession_holds
from privacy.secp256k1 import SECP256K1 as G

KEY = PrivateKey(b"\x05" * 32)
ACCOUNT = KEY.public_key.to_canonical_address()
AUDITORS = [BoxKey(bytes([number]) * 32) for number in (1, 2, 3)]
WALLET = (G.scalar(11), G.scalar(12))


def registered(from_window: int = 4) -> privacy_registry.Registration:
    return make_registration(
        member_keys(KEY, 7, from_window),
        WALLET,
        chain_id=7,
        account=ACCOUNT,
        from_window=from_window,
        threshold=2,
        box_keys=[bytes(key.public_key) for key in AUDITORS],
        endpoint="127.0.0.1:9000",
        randomness=b"r" * 32,
    )


def points(raw: bytes) -> list[bytes]:
    return [raw[at : at + POINT_BYTES] for at in range(0, len(raw), POINT_BYTES)]


def test_a_registration_proves_all_of_its_keys_for_its_window_alone() -> None:
    given, place = registered(), Registration(privacy_registry.domain(7), ACCOUNT, 4)
    other = Registration(privacy_registry.domain(7), ACCOUNT, 5)
    for number, role in enumerate((Role.RING, Role.TRACE, Role.SPENDING, Role.VIEWING)):
        key = G.point_from_bytes_checked(points(given.keys)[number])
        proof = equality_from_bytes_checked(G, given.proofs[64 * number : 64 * number + 64])
        assert possession_holds(G, role, place, key, proof)
        assert not possession_holds(G, role, other, key, proof)


def test_each_auditor_opens_its_share_of_the_trace_key_and_no_other() -> None:
    given = registered()
    commitments = [G.point_from_bytes_checked(raw) for raw in points(given.commitments)]
    assert points(given.commitments)[0] == points(given.keys)[1]
    for number, auditor in enumerate(AUDITORS, start=1):
        box = given.shares[(number - 1) * BOX_BYTES : number * BOX_BYTES]
        share = open_box(auditor, box)
        assert share is not None
        assert share_is_right(G, commitments, number, G.scalar_from_bytes_checked(share), threshold=2)
        assert open_box(AUDITORS[number % 3], box) is None


def test_keys_of_another_registration_are_others_but_for_the_relays() -> None:
    one, two = registered(4), registered(5)
    assert points(one.keys)[2:] == points(two.keys)[2:], "the wallet stays"
    assert not set(points(one.keys)[:2]) & set(points(two.keys)[:2])
    assert one.relay_key == two.relay_key
    assert member_keys(KEY, 7, 4).ring_key == points(one.keys)[0]
    assert member_keys(KEY, 8, 4).ring_key != points(one.keys)[0]


def test_keys_of_a_ring_are_found_whenever_they_were_registered() -> None:
    keys = member_keys(KEY, 7, 4)
    assert keys_behind(KEY, 7, 40, keys.ring_key) == keys
    assert keys_behind(KEY, 7, 4, keys.ring_key) == keys
    for window, chain_id, ring_key in ((3, 7, keys.ring_key), (40, 8, keys.ring_key), (40, 7, bytes(33))):
        assert keys_behind(KEY, chain_id, window, ring_key) is None


def test_the_relays_of_members_are_those_with_an_endpoint() -> None:
    there, away = Member(4, b"k" * 32, b"", b"", "127.0.0.1:9000"), Member(0, bytes(32), b"", b"", "")
    relays = relays_of([(b"a" * 20, there), (b"b" * 20, away)])
    assert list(relays) == [b"a" * 20]
    assert (relays[b"a" * 20].key, relays[b"a" * 20].endpoint) == (b"k" * 32, "tcp://127.0.0.1:9000")
