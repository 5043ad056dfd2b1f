"""What a state admits without an account, and the attacks that it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak

from node import anonymity
from node.admission import Kind, Sponsor, check_admissible, intrinsic_gas
from node.anonymity import InvalidProof
from node.chain.header import Header
from node.chain.transaction import InvalidTransaction, Transaction
from node.rules import Rules
from privacy import envelopes, range_proof
from privacy.envelopes import ring_to_code, sign_call
from privacy.gas import call_gas, transfer_gas
from tests.execution.signing import signed
from tests.node.private_street import HEAD, Street, decoded, parent_in
from tests.node.samples import account_key, address_of
from tests.privacy import envelopes as made
from tests.privacy.keys import random_bytes

RULES = Rules(version=1, chain_id=made.CHAIN_ID)
CALL, TRANSFER = decoded(made.signed_call()), decoded(made.signed_transfer())
LOCKING = decoded(made.signed_transfer(((1, 2), (1, 3)), (0, 500, 1_500)))
NEW_RING = made.ring_rows(9, "new")
IMAGE = made.spent_row(0, made.own_spend(0, 3))[4:37]


def refusal(tx: Transaction, street: Street | None = None, parent: Header = HEAD) -> str:
    """Return why a transaction is not admitted; nothing if it is."""
    try:
        check_admissible(tx, (street or Street()).state(), RULES, parent)
    except InvalidTransaction as error:
        return error.reason
    return ""


def rebuilt(tx: Transaction, place: int, value: Any) -> Transaction:
    """Return a transaction with another field and the same proof."""
    fields = list(rlp.decode(tx.raw[1:]))
    fields[place] = value
    return decoded(tx.raw[:1] + rlp.encode(fields))


def test_a_call_and_transfers_are_admitted_without_an_account() -> None:
    state = Street().state()
    assert check_admissible(CALL, state, RULES, HEAD) == Sponsor(Kind.ANONYMOUS)
    assert check_admissible(TRANSFER, state, RULES, HEAD) == Sponsor(Kind.SHIELDED)
    assert check_admissible(LOCKING, state, RULES, HEAD) == Sponsor(Kind.SHIELDED)


def test_a_street_that_is_not_private_admits_neither() -> None:
    empty = Street().state()
    empty.holdings.clear()
    for tx, reason in ((CALL, "does not trade in private"), (TRANSFER, "bin 0 is not closed")):
        with pytest.raises(InvalidTransaction, match=reason):
            check_admissible(tx, empty, RULES, HEAD)


def test_proofs_are_paid_for_before_anything_runs() -> None:
    zeros = TRANSFER.data.count(0)
    assert intrinsic_gas(CALL) == 21_000 + 16 * 5 + call_gas(8) == 21_080 + 6_000 + 8 * 5_500
    assert intrinsic_gas(TRANSFER) == 21_000 + 4 * zeros + 16 * (len(TRANSFER.data) - zeros) + transfer_gas(2)
    assert transfer_gas(2) == 2 * (6_000 + 16 * 9_000) + 30_000 + 2_200 * 128
    assert intrinsic_gas(LOCKING) - transfer_gas(3) > 21_000
    assert transfer_gas(3) - transfer_gas(2) == 2_200 * 128
    assert "intrinsic gas too low" in refusal(decoded(made.signed_call(gas_limit=intrinsic_gas(CALL) - 1)))
    assert refusal(decoded(made.signed_call(gas_limit=intrinsic_gas(CALL)))) == ""


# -- windows and rings


@pytest.mark.parametrize(("window", "reason"), [(3, ""), (4, ""), (5, "not traded now"), (2, "not traded now")])
def test_a_window_is_traded_in_the_one_before_or_just_before_that(window: int, reason: str) -> None:
    assert reason in refusal(CALL, parent=parent_in(window))
    assert bool(reason) == bool(refusal(CALL, parent=parent_in(window)))


def test_the_ring_is_the_last_that_acts_from_that_window_or_before() -> None:
    old, new = made.ring_rows(8, "old"), NEW_RING
    rings = [(1, old), (4, made.ring_rows()), (6, new)]
    assert refusal(CALL, Street(rings)) == ""
    assert "not the ring of window 5" in refusal(CALL, Street([*rings, (5, old)]))
    assert "not the ring of window 5" in refusal(CALL, Street([(6, made.ring_rows())]))
    assert "not the ring of window 5" in refusal(CALL, Street([]))


def test_another_ring_is_refused_whoever_signed() -> None:
    for rows in (made.ring_rows(9), made.ring_rows()[::-1], made.ring_rows(8, "old")):
        epoch = "old" if rows == made.ring_rows(8, "old") else ""
        index = rows.index(made.ring_rows(9, epoch)[3])
        call = replace(made.call_of(rows, 3, epoch))
        raw = sign_call(call, made.REGISTRY, rows, made.member_secrets(3, epoch), index, random_bytes("call"))
        assert "not the ring" in refusal(decoded(raw))
        assert refusal(decoded(raw), Street([(0, rows)])) == ""


def test_a_ring_with_a_repeated_member_or_a_hostile_key_verifies_nothing() -> None:
    rows = (*made.ring_rows()[:7], replace(made.ring_rows()[0], account=b"\x99" * 20))
    root = keccak(ring_to_code(rows))
    assert "invalid ring signature" in refusal(rebuilt(CALL, 2, root), Street([(0, rows)]))
    good = ring_to_code(made.ring_rows())
    for wrong in (
        good[:21] + bytes(33) + good[54:],
        good[:21] + b"\2" + b"\xff" * 32 + good[54:],
        good[:-1],
        b"\1" + good[1:],
        b"\0",
    ):
        state = Street().state()
        address = next(address for address, held in state.holdings.items() if held.code == good)
        state.holdings[address] = replace(state.holdings[address], code=wrong)
        state._codes[keccak(wrong)] = wrong
        with pytest.raises(InvalidProof):
            check_admissible(rebuilt(CALL, 2, keccak(wrong)), state, RULES, HEAD)


def test_one_action_a_window_also_when_the_ring_changes_in_between() -> None:
    """The same keys in another ring: another proof, another transaction, the same nullifier and sender."""
    longer = made.ring_rows(9)
    again = decoded(made.signed_call(longer, data=b"another offer"))
    assert again.sender == CALL.sender
    street = Street([(0, longer)], nonces={CALL.sender: 1})
    assert "nullifier already used in window 5" in refusal(again, street)
    assert refusal(again, replace(street, nonces={})) == ""
    other = decoded(made.signed_call(longer, index=4))
    assert other.sender != CALL.sender
    assert refusal(other, street) == ""
    next_window = decoded(made.signed_call(longer, window=6))
    assert next_window.sender != CALL.sender
    assert refusal(next_window, street) == ""


# -- what a proof binds


CHANGES: list[tuple[int, Any]] = [(1, 6), (6, 400_001), (6, 399_999), (8, b"Offer"), (8, b""), (5, 41), (5, 39)]


@pytest.mark.parametrize(("place", "value"), CHANGES)
def test_a_call_is_not_run_ahead_of_with_its_own_proof(place: int, value: Any) -> None:
    changed = rebuilt(CALL, place, value)
    assert "invalid ring signature" in refusal(changed)
    assert (changed.sender == CALL.sender) == (place != 1)


@pytest.mark.parametrize("point", [made.G.point_to_bytes(made.G.generator), bytes(33), b"\2" + b"\xff" * 32, IMAGE])
@pytest.mark.parametrize("place", [3, 4])
def test_hostile_images_are_refused(place: int, point: bytes) -> None:
    changed = rebuilt(CALL, place, point)
    assert "invalid ring signature" in refusal(changed)
    assert (changed.sender == CALL.sender) == (place == 4)


def test_a_call_of_another_chain_or_market_is_refused() -> None:
    other = made.signed_call(chain_id=1)
    with pytest.raises(InvalidTransaction, match="invalid chain id"):
        decoded(other)
    fields = list(rlp.decode(other[1:]))
    fields[0] = made.CHAIN_ID
    assert "invalid ring signature" in refusal(decoded(other[:1] + rlp.encode(fields)))
    assert "an anonymous call goes to" in refusal(decoded(made.signed_call(to=made.POOL)))
    assert "a transfer goes to" in refusal(decoded(made.signed_transfer(to=made.MARKET)))


@pytest.mark.parametrize(("place", "value"), [(1, 41), (2, 1_500_001)])
def test_a_transfer_is_not_run_ahead_of_with_its_own_proofs(place: int, value: int) -> None:
    changed = rebuilt(TRANSFER, place, value)
    assert changed.sender == TRANSFER.sender
    assert "invalid CLSAG" in refusal(changed)


def test_every_byte_of_a_spend_is_bound() -> None:
    data = TRANSFER.data
    head = 4 + 7 * 32 + 32
    for at in (head + 3, head + 5, head + 38, head + 70 + 5, head + 160 + 40, head + 160 + 300, 4 + 3 * 32 + 31):
        altered = bytearray(data)
        altered[at] ^= 1
        changed = rebuilt(TRANSFER, 4, bytes(altered))
        assert changed.sender != TRANSFER.sender
        assert refusal(changed) != ""


def test_proofs_do_not_serve_another_transfer() -> None:
    proofs = list(rlp.decode(TRANSFER.raw[1:])[5])
    other = list(rlp.decode(decoded(made.signed_transfer(name="again")).raw[1:])[5])
    swapped = [
        ([proofs[1], proofs[0], proofs[2]], "invalid CLSAG"),
        ([other[0], *proofs[1:]], "invalid CLSAG"),
        ([*proofs[:2], other[2]], "invalid range proof"),
    ]
    for mixed, reason in swapped:
        assert reason in refusal(rebuilt(TRANSFER, 5, mixed))
    assert refusal(TRANSFER) == ""


@pytest.mark.parametrize("tx", [TRANSFER, LOCKING])
def test_each_of_two_spends_has_to_be_proved_also_from_one_bin(tx: Transaction) -> None:
    proofs = rlp.decode(tx.raw[1:])[5]
    for place in (0, 1):
        wrong = [*proofs]
        wrong[place] = wrong[place][:-1] + bytes((wrong[place][-1] ^ 1,))
        assert f"invalid CLSAG: spend {place}" in refusal(rebuilt(tx, 5, wrong))


# -- notes


def test_notes_are_spent_once_from_closed_bins() -> None:
    assert "note already spent" in refusal(TRANSFER, Street(spent=[IMAGE]))
    assert "transfer already executed" in refusal(TRANSFER, Street(nonces={TRANSFER.sender: 1}))
    twice = decoded(made.signed_transfer(((0, 3), (0, 3))))
    assert "one note spent twice" in refusal(twice)
    state = Street().state()
    pool = state.holdings[made.POOL]
    state.holdings[made.POOL] = replace(pool, storage={**pool.storage, 0: 1})
    with pytest.raises(InvalidTransaction, match="bin 1 is not closed"):
        check_admissible(TRANSFER, state, RULES, HEAD)


@pytest.mark.parametrize("amounts", [(2**64, 2_000 - 2**64), (2_001, -1), (2_500, -(2**64) - 507, 2**64 + 7)])
def test_amounts_beyond_the_range_are_refused(amounts: tuple[int, ...]) -> None:
    """Everything is signed as it should be, but what is shown to be in range is something else."""
    raw = made.signed_transfer(((1, 7), (2, 8)), amounts, proved=(0,) * len(amounts))
    assert "invalid range proof" in refusal(decoded(raw))


def test_a_lock_has_to_be_in_range_too() -> None:
    notes_alone = rlp.decode(made.signed_transfer(((1, 2), (1, 3)), (0, 500))[1:])[5][2]
    proofs = rlp.decode(LOCKING.raw[1:])[5]
    assert "invalid range proof" in refusal(rebuilt(LOCKING, 5, [*proofs[:2], notes_alone]))


def test_what_is_no_spend_is_refused() -> None:
    assert "not the one encoding of a spend" in refusal(rebuilt(TRANSFER, 4, b"\1\2\3\4" + TRANSFER.data[4:]))
    assert "not the one encoding of a spend" in refusal(rebuilt(TRANSFER, 4, TRANSFER.data + bytes(32)))


@pytest.mark.parametrize(
    ("amounts", "withdrawal", "reason"),
    [
        ((1_500, 500), 0, ""),
        ((1_000, 300), 700, ""),
        ((500, 500, 300), 700, ""),
        ((2_000, 1), 0, "unbalanced"),
        ((7, 500, 1_500), 0, "unbalanced"),
        ((1_500, 500), 1, "unbalanced"),
        ((1_000, 300), 0, "unbalanced"),
    ],
)
def test_a_transfer_makes_what_it_spends(
    amounts: tuple[int, ...], withdrawal: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not would revert and spend nothing, so two notes could fill blocks for ever."""
    tx = decoded(made.signed_transfer(((2, 1), (2, 2)), amounts, withdrawal=withdrawal))
    if reason:  # before any proof
        monkeypatch.setattr(envelopes, "spend_holds", None)
    assert reason in refusal(tx)
    assert bool(reason) == bool(refusal(tx))


# -- expiry


@pytest.mark.parametrize("sign", [made.signed_call, made.signed_transfer])
def test_what_expired_or_lives_too_long_is_refused(sign: Any) -> None:
    for expiry, reason in (
        (HEAD.number, "expired"),
        (HEAD.number + 1, ""),
        (HEAD.number + 1_000, ""),
        (HEAD.number + 1_001, "too far ahead"),
        (2**64 - 1, "too far ahead"),
    ):
        found = refusal(decoded(sign(expiry_height=expiry)))
        assert reason in found
        assert bool(reason) == bool(found)


# -- sessions


def test_a_session_sends_until_its_second() -> None:
    key = account_key("session")
    tx = decoded(signed(key, 2, gas=60_000))
    street = Street(sessions={address_of(key): HEAD.timestamp + 1})
    assert check_admissible(tx, street.state(), RULES, HEAD) == Sponsor(Kind.SESSION, address_of(key))
    assert "no member of the consortium vouches" in refusal(
        tx, replace(street, sessions={address_of(key): HEAD.timestamp})
    )
    assert "no member of the consortium vouches" in refusal(tx)
    assert "no member" in refusal(tx, street, parent_in(5))


# -- verdicts


def test_a_proof_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tx = decoded(made.signed_transfer(name="once"))
    call = decoded(made.signed_call(data=b"once"))
    assert refusal(tx) == refusal(call) == ""

    def never(*_: object) -> bool:
        raise AssertionError("it has a verdict")

    monkeypatch.setattr(envelopes, "spend_holds", never)
    monkeypatch.setattr(envelopes, "call_holds", never)
    monkeypatch.setattr(range_proof, "verify_each", never)
    assert refusal(tx) == refusal(call) == ""
    with pytest.raises(AssertionError):
        refusal(rebuilt(call, 8, b"other"))
    longer = Street([(0, made.ring_rows(9))])  # another ring is another question
    with pytest.raises(AssertionError):
        refusal(rebuilt(call, 2, keccak(ring_to_code(made.ring_rows(9)))), longer)


def test_what_was_proved_is_bounded_and_wrong_proofs_take_no_room() -> None:
    kept = anonymity._Proved(2)
    for name in (b"a", b"b", b"c", b"d"):
        assert kept.keep(name != b"d", name) == (name != b"d")
    assert [kept.has(name) for name in (b"a", b"b", b"c", b"d")] == [False, True, True, False]


def test_wrong_transfers_have_no_right_one_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anonymity, "_proved", kept := anonymity._Proved(3))
    assert refusal(TRANSFER) == ""
    proofs = rlp.decode(TRANSFER.raw[1:])[5]
    for at in range(3):
        wrong = rebuilt(LOCKING, 5, [bytes((at,)) + proofs[0][1:], *proofs[1:]])
        assert "invalid CLSAG" in refusal(wrong)
    assert len(kept._kept) == 3
    monkeypatch.setattr(envelopes, "spend_holds", lambda *_: False)
    assert refusal(TRANSFER) == ""


def test_a_blocks_range_proofs_are_checked_together_and_each_gets_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [decoded(made.signed_transfer(name=f"batch {at}")) for at in range(3)]
    proofs = list(rlp.decode(good[0].raw[1:])[5])
    bad = rebuilt(good[1], 5, [*rlp.decode(good[1].raw[1:])[5][:2], proofs[2]])
    unreadable = rebuilt(good[2], 5, [*rlp.decode(good[2].raw[1:])[5][:2], bytes(33) + proofs[2][33:]])
    batches: list[int] = []
    real = range_proof.verify_each

    def counted(group: Any, claims: Any, randomness: bytes, *rest: Any) -> list[bool]:
        batches.append(len(claims))
        return real(group, claims, randomness, *rest)

    monkeypatch.setattr(range_proof, "verify_each", counted)
    anonymity.check_ranges([CALL, *good[:2]])
    assert batches == [2]
    anonymity.check_ranges([*good, bad, unreadable])
    assert batches == [2, 2]
    assert [refusal(tx) for tx in good] == [""] * 3
    assert "invalid range proof" in refusal(bad)
    assert "invalid range proof" in refusal(unreadable)
    assert batches[:2] == [2, 2]
