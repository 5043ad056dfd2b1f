"""The pool of fiat notes: what goes in is what its notes and locks hold, whatever is sent; nothing is spent twice."""

from __future__ import annotations

from itertools import cycle
from random import Random
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_hash.auto import keccak

from contracts import private_window, system
from contracts.artifact import load_artifact
from contracts.bindings import fiat_token, shielded_pool
from contracts.bindings.shielded_pool import (
    BinClosed,
    Collected,
    Deposited,
    NoteMade,
    Released,
    Spent,
    Withdrawn,
)
from privacy.auditors import encrypt, prove_same_amount
from privacy.commitment import commit, value_base
from privacy.envelopes import bin_from_code, shielded_sender
from privacy.group import Scalar
from privacy.notes import Opening, make_lock, scan
from privacy.secp256k1 import Point
from tests.contracts.pool import (
    DEPOSITORS,
    JOINT_KEY,
    SESSION,
    G,
    Owned,
    Purse,
    filled,
    founded,
    message_of,
    private_genesis,
    send_spend,
)
from tests.contracts.street import CHAIN_ID, DEADLINE, HOUR_S, ZERO_S, Refused, Sent, Street, account, hexed, refused
from tests.privacy.keys import random_bytes, secret

POOL = system.SHIELDED_POOL


@pytest.fixture
def purse() -> Purse:
    """A purse on a street with a closed bin of its sixteen notes, 700 and 300 by turns."""
    street, owner = filled()
    return owner.twin(street.fresh())


def held(street: Street) -> int:
    return street.view(fiat_token.balance_of(POOL))


def as_market(street: Street, data: bytes) -> Sent:
    return street.send(system.PRIVATE_MARKET, POOL, data)


# -- deposits


def test_a_deposit_becomes_notes_that_their_owner_finds() -> None:
    street = founded().fresh()
    purse = Purse(street)
    before = street.view(fiat_token.balance_of(account("ann")))
    sent = purse.deposit("ann", [5_000_123, 0])
    assert sent.only(Deposited) == Deposited(account("ann"), 5_000_123)
    assert [event.index for event in sent.all(NoteMade)] == [0, 1]
    assert [note.amount for note in purse.notes] == [5_000_123, 0]
    assert street.view(shielded_pool.balance()) == held(street) == 5_000_123
    assert street.view(fiat_token.balance_of(account("ann"))) == before - 5_000_123
    assert street.view(shielded_pool.note_count()) == 2
    assert street.view(shielded_pool.open_bin()) == b"".join(event.note[:66] for event in sent.all(NoteMade))
    assert scan(G, secret("other"), purse.address.spending, sent.all(NoteMade)[0].note) is None


def test_an_account_deposits_few_notes_of_a_bin(purse: Purse) -> None:
    """Or it would know all notes of a bin but one, and that one when it is spent."""
    street = purse.street
    assert street.view(shielded_pool.deposits_left(account("hal"))) == 2  # its notes are in the bin before
    with refused("TooManyDeposits", account=hexed(account("ann")), number=1):
        purse.deposit("ann", [1, 2, 3])
    purse.deposit("ann", [1])
    assert street.view(shielded_pool.deposits_left(account("ann"))) == 1
    with refused("TooManyDeposits"):
        purse.deposit("ann", [1, 2])
    purse.deposit("ann", [1])
    assert street.view(shielded_pool.deposits_left(account("ann"))) == 0
    street.at(1)
    with refused("TooManyDeposits"):
        purse.deposit("ann", [1])
    for name in DEPOSITORS[1:7]:
        purse.deposit(name, [1, 1])
    purse.deposit("hal", [1, 1, 1, 1])  # the last two of a bin, the first two of the next
    assert street.view(shielded_pool.bin_count()) == 2
    with refused("TooManyDeposits", number=2):
        purse.deposit("hal", [1])
    purse.deposit("ann", [1, 1])


def test_before_the_first_window_notes_are_made_for_it() -> None:
    street = founded().fresh()
    street.state.execution_context._timestamp = ZERO_S - 1
    assert Purse(street).deposit("ann", [1, 2]).only(Deposited).amount == 3


def test_a_deposit_is_of_its_amount_in_range_and_its_senders(purse: Purse) -> None:
    street = purse.street
    for total in (999, 1_001, 0):
        with refused("Unbalanced"):
            street.send("cat", POOL, purse.deposit_data("cat", [600, 400], total))
    with refused("NotInRange", account=hexed(account("cat"))):
        street.send("cat", POOL, purse.deposit_data("cat", [600, 400], bits=32))
    data = purse.deposit_data("cat", [600, 400])
    with refused("NotInRange", account=hexed(account("dan"))):
        street.send("dan", POOL, data)
    street.send("cat", POOL, data)
    with refused("ERC20InsufficientAllowance"):
        street.send("zoe", POOL, purse.deposit_data("zoe", [600, 400]))


def test_an_amount_below_zero_is_not_in_range(purse: Purse) -> None:
    """Notes of 1,001 and −1: they add up to what is paid, and one is worth more than that."""
    blinding, minus = secret("blinding"), G.scalar(-secret("blinding"))
    good, bad = purse.note(1_001, blinding)[0], purse.note(0, minus)[0]
    rho, message = secret("rho"), message_of(bad[:33])
    proof = prove_same_amount(G, JOINT_KEY, -1, rho, minus, message, random_bytes("below")).to_bytes(G)
    commitment, sealed = G.point_to_bytes(commit(G, -1, minus)), encrypt(G, JOINT_KEY, -1, rho).to_bytes(G)
    notes = good + bad[:33] + commitment + bad[66:140] + sealed + proof
    (_, _, other) = decode(("uint64", "bytes", "bytes"), purse.deposit_data("cat", [600, 400])[4:])
    with refused("NotInRange"):
        purse.street.send("cat", POOL, shielded_pool.deposit(1_000, notes, other))


@pytest.mark.parametrize("length", [0, 1, 333, 335, 667])
def test_a_deposit_is_of_whole_notes(purse: Purse, length: int) -> None:
    with refused("WrongLength", what="notes", length=length):
        purse.street.send("cat", POOL, shielded_pool.deposit(1, bytes(length), b""))


def test_a_note_is_made_of_points_and_proved_for_this_pool_and_its_key(purse: Purse) -> None:
    good, _ = purse.note(5, Scalar(0))
    for place in (0, 33, 66, 140, 173):
        for point in (bytes(33), b"\4" + good[place + 1 : place + 33], b"\2" + b"\xff" * 32):
            bad = good[:place] + point + good[place + 33 :]
            with refused("NotANote", key=bad[:33]):
                purse.street.send("cat", POOL, shielded_pool.deposit(5, bad, b""))
    other, _ = purse.note(6, Scalar(0))
    for bad in (
        other[:33] + good[33:],  # another key
        good[:33] + other[33:66] + good[66:],  # another commitment
        good[:140] + other[140:206] + good[206:],  # another ciphertext
        good[:206] + other[206:],  # another proof
        good[:206] + bytes(128),
        good[:206] + b"\xff" * 128,
        purse.note(5, Scalar(0), G.multiply_generator(secret("not the auditors")))[0],
    ):
        with refused("NoteNotSealed", key=bad[:33]):
            purse.street.send("cat", POOL, shielded_pool.deposit(5, bad, b""))


def test_a_note_of_another_pool_or_chain_is_refused(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> None:
    data = purse.deposit_data("cat", [600, 400])
    monkeypatch.setattr(shielded_pool, "SHIELDED_POOL", account("another pool"))
    elsewhere = purse.deposit_data("cat", [600, 400])
    monkeypatch.undo()
    monkeypatch.setattr("tests.contracts.pool.CHAIN_ID", CHAIN_ID + 1)
    other_chain = purse.deposit_data("cat", [600, 400])
    for bad in (elsewhere, other_chain):
        with refused("NoteNotSealed"):
            purse.street.send("cat", POOL, bad)
    purse.street.send("cat", POOL, data)


def test_a_key_is_a_notes_once(purse: Purse) -> None:
    """Two notes of one key have one key image: the second could never be spent (the burning bug)."""
    with refused("KeyUsed"):
        two = purse.note(5, secret("a"))[0]
        purse.street.send("cat", POOL, shielded_pool.deposit(5, two + two, b""))
    data = purse.deposit_data("cat", [1_000])
    purse.street.send("cat", POOL, data)
    with refused("KeyUsed"):
        purse.street.send("cat", POOL, data)
    event = purse.deposit("cat", [9]).only(NoteMade)
    with refused("KeyUsed", key=event.note[:33]):
        as_market(purse.street, shielded_pool.pay_out(event.note))


# -- bins


def test_every_sixteen_notes_are_a_bin_that_the_chain_reads(purse: Purse) -> None:
    street = purse.street
    assert street.view(shielded_pool.bin_count()) == 1
    assert street.view(shielded_pool.open_bin()) == b""
    rows = street.view(shielded_pool.bin(0))
    place = private_window.bin_address(street.storage, 0)
    assert place is not None
    code = street.state.get_code(place)
    assert code == b"\0" + rows
    members = bin_from_code(code)
    for note in purse.notes:
        assert members[note.index].key == note.found.output.key == G.multiply_generator(note.key)
        assert members[note.index].commitment == note.found.commitment
    with refused("BinNotClosed", number=1):
        street.view(shielded_pool.bin(1))
    sent = [purse.deposit(name, [1, 2]) for name in DEPOSITORS[1:]]
    closed = sent[-1].only(BinClosed)
    assert (closed.number, closed.bin) == (1, private_window.bin_address(street.storage, 1))
    assert not any(each.all(BinClosed) for each in sent[:-1])
    made = b"".join(event.note[:66] for each in sent for event in each.all(NoteMade))
    assert street.view(shielded_pool.bin(1)) == made
    assert street.view(shielded_pool.bin(0)) == rows


def test_the_chain_reads_slots_that_are_where_it_looks() -> None:
    storage: Any = load_artifact("ShieldedPool").storage_layout
    slots = {entry["label"]: int(entry["slot"]) for entry in storage["storage"]}
    assert (slots["_bins"], slots["_spent"]) == (private_window.BINS_SLOT, private_window.SPENT_SLOT) == (0, 1)


# -- spending


def test_two_notes_become_two_others(purse: Purse) -> None:
    street, spent = purse.street, [purse.notes[0], purse.notes[15]]
    images = [G.point_to_bytes(each.image) for each in spent]
    assert not any(street.view(shielded_pool.is_spent(image)) for image in images)
    sent = purse.spend(spent, [950, 50])
    assert sent.only(Spent).images == b"".join(images)
    assert [note.amount for note in purse.notes[-2:]] == [950, 50]
    for image in images:
        assert street.view(shielded_pool.is_spent(image))
        assert private_window.is_spent(street.storage, image)
    assert held(street) == street.view(shielded_pool.balance()) == 8_000


def test_what_is_withdrawn_goes_to_its_recipient_by_name(purse: Purse) -> None:
    before = purse.street.view(fiat_token.balance_of(account("cat")))
    sent = purse.spend(purse.notes[:2], [0, 1], withdrawal=999)
    assert sent.only(Withdrawn) == Withdrawn(account("cat"), 999)
    assert purse.street.view(fiat_token.balance_of(account("cat"))) == before + 999
    assert held(purse.street) == purse.street.view(shielded_pool.balance()) == 7_001


def test_what_is_locked_is_handed_to_the_market(purse: Purse) -> None:
    values = purse.parts(purse.notes[:2], [400, 0], lock=600)
    send_spend(purse.street, values)
    selector = keccak(b"fund(address,uint64,bytes)")[:4]
    told = SESSION.rjust(32, b"\0") + (1).to_bytes(32, "big") + (96).to_bytes(32, "big")
    lock = values["lock"][:99]
    told += len(lock).to_bytes(32, "big") + lock.ljust(128, b"\0")
    assert purse.street.storage(system.PRIVATE_MARKET, 0) == int.from_bytes(keccak(selector + told), "big")


def test_what_the_market_does_not_take_stays_in_its_notes(purse: Purse) -> None:
    street = purse.street
    street.state.set_code(system.PRIVATE_MARKET, bytes.fromhex("60045ffd"))  # refuses
    with refused(""):
        send_spend(street, purse.parts(purse.notes[:2], [400, 0], lock=600))
    assert not street.view(shielded_pool.is_spent(G.point_to_bytes(purse.notes[0].image)))
    purse.spend(purse.notes[:2], [400, 600])


def test_only_the_hash_of_a_spend_sends_it(purse: Purse) -> None:
    data = shielded_pool.spend(**purse.parts(purse.notes[:2], [950, 50]))
    expected = shielded_sender(data)
    for sender in (account("cat"), system.PRIVATE_MARKET, bytes(20)):
        with refused("NotProved", sender=hexed(sender), expected=hexed(expected)):
            purse.street.send(sender, POOL, data)
    with refused("NotProved", sender=hexed(expected)):
        purse.street.send(expected, POOL, data + b"\0")
    purse.street.send(expected, POOL, data)


def test_a_note_is_spent_once(purse: Purse) -> None:
    first, second, third = purse.notes[:3]
    with refused("ImageSpent", image=G.point_to_bytes(first.image)):
        send_spend(purse.street, purse.parts([first, first], [1_400, 0]))
    purse.spend([first, second], [1_000, 0])
    for again in ([first, third], [third, first]):
        with refused("ImageSpent", image=G.point_to_bytes(first.image)):
            send_spend(purse.street, purse.parts(again, [1_400, 0]))
    purse.spend([third, purse.notes[3]], [0, 0], withdrawal=1_000)


def test_only_closed_bins_are_spent_from(purse: Purse) -> None:
    purse.deposit("cat", [5, 5])
    with refused("BinNotClosed", number=1):
        send_spend(purse.street, purse.parts([purse.notes[0], purse.notes[-1]], [705, 0]))
    values = purse.parts(purse.notes[:2], [1_000, 0])
    for number in (1, 2**32 - 1):
        with refused("BinNotClosed", number=number):
            send_spend(purse.street, {**values, "spends": number.to_bytes(4, "big") + values["spends"][4:]})


@pytest.mark.parametrize(
    ("amounts", "more"),
    [
        ([1_000, 1], {}),
        ([999, 0], {}),
        ([1_000, 0], {"lock": 1}),
        ([1_000, 0], {"withdrawal": 1}),
        ([0, 0], {"lock": 400, "withdrawal": 601}),
        ([0, 2**64 - 1], {"withdrawal": 1_001}),
    ],
)
def test_what_does_not_add_up_is_refused(purse: Purse, amounts: list[int], more: dict[str, int]) -> None:
    with refused("Unbalanced"):
        send_spend(purse.street, purse.parts(purse.notes[:2], amounts, **more))


def test_what_is_half_given_is_refused(purse: Purse) -> None:
    plain = purse.parts(purse.notes[:2], [1_000, 0])
    locked = purse.parts(purse.notes[:2], [400, 0], lock=600)
    for bad in ({"session": SESSION}, {"window": 1}):
        with refused("HalfGiven", what="lock"):
            send_spend(purse.street, {**plain, **bad})
    with refused("HalfGiven", what="lock"):
        send_spend(purse.street, {**locked, "session": bytes(20)})
    for bad in ({"withdrawal": 1}, {"recipient": account("cat")}):
        with refused("HalfGiven", what="withdrawal"):
            send_spend(purse.street, {**plain, **bad})


def test_spends_notes_and_locks_have_their_lengths(purse: Purse) -> None:
    values = purse.parts(purse.notes[:2], [400, 0], lock=600)
    for what in ("spends", "notes", "lock"):
        good = values[what]
        for bad in (good[:-1], good + b"\0", good[: len(good) // 2], good + good):
            with refused("WrongLength", what=what, length=len(bad)):
                send_spend(purse.street, {**values, what: bad})
    send_spend(purse.street, values)


def test_a_lock_is_proved_for_its_session_and_window(purse: Purse) -> None:
    values = purse.parts(purse.notes[:2], [400, 0], lock=600)
    good = values["lock"]
    other, _ = make_lock(G, 600, JOINT_KEY, bytes(32), random_bytes("other"))
    for bad in (
        {"session": account("another")},
        {"window": 2},
        {"lock": other.to_bytes(G)},
        {"lock": good[:33] + other.to_bytes(G)[33:99] + good[99:]},
        {"lock": bytes(33) + good[33:]},
    ):
        with refused("LockNotSealed"):
            send_spend(purse.street, {**values, **bad})
    send_spend(purse.street, values)


def test_every_byte_of_a_spend_counts(purse: Purse) -> None:
    """Whatever is changed in it, nothing moves: its sender is another, and what it says does not hold."""
    random = Random(7)
    values = purse.parts(purse.notes[:2], [300, 0], lock=600, withdrawal=100)
    data = shielded_pool.spend(**values)
    before = held(purse.street)
    for what in ("spends", "notes", "lock"):
        for _ in range(12):
            raw = bytearray(values[what])
            at = random.randrange(len(raw))
            if (what == "spends" and 4 <= at % 70 < 37) or (what == "notes" and 99 <= at % 334 < 140):
                continue  # key image: the CLSAG's; view tag and opening: the proofs sign them, nobody can check them
            raw[at] ^= 1 << random.randrange(8)
            with pytest.raises(Refused):
                send_spend(purse.street, {**values, what: bytes(raw)})
    for at in range(0, len(data), 97):
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        with pytest.raises((Refused, AssertionError)):
            purse.street.send(shielded_sender(data), POOL, changed)
    assert held(purse.street) == before
    send_spend(purse.street, values)


# -- the market's


def test_only_the_market_pays_out_releases_and_collects(purse: Purse) -> None:
    note = purse.note(5)[0][:206]
    for data in (
        shielded_pool.pay_out(note),
        shielded_pool.release(1, account("cat")),
        shielded_pool.collect(1, account("operator")),
    ):
        with refused("NotTheMarket", sender=hexed(account("operator"))):
            purse.street.send("operator", POOL, data)


def test_the_market_pays_out_what_was_locked(purse: Purse) -> None:
    street = purse.street
    sent = purse.take(as_market(street, shielded_pool.pay_out(purse.note(5)[0][:206])))
    assert (purse.notes[-1].amount, purse.notes[-1].index) == (5, 16)
    assert sent.only(NoteMade).index == 16
    good = purse.note(5)[0]
    for length in (0, 205, 207, 334):
        with refused("WrongLength", what="note", length=length):
            as_market(street, shielded_pool.pay_out(good[:length].ljust(length, b"\0")))
    with refused("NotANote"):
        as_market(street, shielded_pool.pay_out(bytes(33) + good[33:206]))
    assert as_market(street, shielded_pool.release(600, account("cat"))).only(Released).amount == 600
    assert held(street) == street.view(shielded_pool.balance()) == 7_400
    with pytest.raises(Refused):
        as_market(street, shielded_pool.release(7_401, account("cat")))
    street.send("ann", system.FIAT_TOKEN, fiat_token.transfer(account("operator"), 100))
    sent = as_market(street, shielded_pool.collect(100, account("operator")))
    assert sent.only(Collected) == Collected(account("operator"), 100)
    assert held(street) == street.view(shielded_pool.balance()) == 7_500


# -- the invariant


def books(purse: Purse, locks: list[tuple[Point, Opening]], paid: int) -> bool:
    """Whether the commitments of unspent notes and locks add up to the balance, as points."""
    street = purse.street
    balance = street.view(shielded_pool.balance())
    both = [*((note.found.commitment, note.found.opening) for note in purse.notes), *locks]
    blinding = G.scalar(sum(opening.blinding for _, opening in both))
    total = G.subtract(G.sum(commitment for commitment, _ in both), G.multiply_generator(blinding))
    return total == G.multiply(G.scalar(balance), value_base(G)) and balance == held(street) == paid


@pytest.mark.parametrize("seed", range(3))
def test_notes_and_locks_add_up_to_the_balance(purse: Purse, seed: int) -> None:
    """Any sequence of deposits, transfers, locks, withdrawals, and attempts at what is refused."""
    random, street = Random(seed), purse.street
    paid, depositors = 8_000, cycle(DEPOSITORS)
    locks: list[tuple[Point, Opening]] = []
    gone: list[Owned] = []
    for _ in range(20):
        spendable = [note for note in purse.notes if note.index // 16 < street.view(shielded_pool.bin_count())]
        kind = random.choice(("deposit", "move", "move", "lock", "withdraw", "again", "more"))
        if kind == "deposit" or len(spendable) < 2:
            amounts = [random.randrange(10**6), random.choice((0, 1))]
            paid += sum(amounts)
            purse.deposit(next(depositors), amounts)
            continue
        spent = random.sample(spendable, 2)
        total = sum(note.amount for note in spent)
        if kind == "again" and gone:
            with refused("ImageSpent"):
                send_spend(street, purse.parts([random.choice(gone), spent[0]], [0, 0]))
            continue
        out = random.randint(0, total) if kind in ("lock", "withdraw") else 0
        first = random.randint(0, total - out)
        amounts = [first, total - out - first]
        if kind in ("again", "more"):
            with refused("Unbalanced"):
                send_spend(street, purse.parts(spent, [amounts[0], amounts[1] + random.randint(1, 10**6)]))
            continue
        values = purse.parts(
            spent, amounts, lock=out if kind == "lock" else None, withdrawal=out * (kind == "withdraw")
        )
        purse.take(send_spend(street, values))
        purse.notes = [note for note in purse.notes if note not in spent]
        gone += spent
        paid -= out * (kind == "withdraw")
        if kind == "lock":
            locks.append((G.point_from_bytes_checked(values["lock"][:33]), purse.locked[-1]))
        assert books(purse, locks, paid), f"seed {seed}: {kind}"
    assert books(purse, locks, paid)


# -- genesis


def test_what_the_genesis_file_says_can_be_read(purse: Purse) -> None:
    schedule = purse.street.view(shielded_pool.schedule())
    assert (schedule.window_length_s, schedule.settlement_deadline_windows) == (HOUR_S, DEADLINE)
    assert purse.street.at(3, 5).view(shielded_pool.current_window()).window == 3


def test_a_street_without_privacy_has_no_pool() -> None:
    content = private_genesis()
    del content["privacy"]
    assert POOL not in [address for address, _ in system.genesis_deployments(content)]
    assert POOL in [address for address, _ in system.genesis_deployments(private_genesis())]
