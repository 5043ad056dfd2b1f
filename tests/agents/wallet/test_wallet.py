"""A wallet's bookkeeping, and the transfers that it builds, against the pool's contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp

from agents.wallet.keys import keys_of
from agents.wallet.wallet import (
    AnotherBin,
    Lock,
    NotEnough,
    Output,
    OwnedNote,
    Transfer,
    Wallet,
    Withdrawal,
)
from contracts import private_window, system
from contracts.bindings import shielded_pool
from contracts.bindings.abi import Event
from privacy import range_proof
from privacy.commitment import opens
from privacy.envelopes import bin_from_code, range_claim_of, shielded_sender, spend_holds
from privacy.secp256k1 import SECP256K1
from tests.contracts.pool import JOINT_KEY, SESSION, Purse, founded
from tests.contracts.street import CHAIN_ID, Sent, Street, account, refused
from tests.privacy.keys import random_bytes

G = SECP256K1
JOINT = G.point_to_bytes(JOINT_KEY)


class Owner:
    """A wallet on a street of the contract's tests; the first of its notes are in bin 0."""

    def __init__(self, street: Street, name: str = "own") -> None:
        self.street = street
        self.wallet = Wallet(keys_of(name.encode().ljust(32, b"\0")), CHAIN_ID, height=0)
        self.others = Purse(street, "others")
        self.seen: list[Event] = []
        self.drawn = 0

    def randomness(self) -> bytes:
        self.drawn += 1
        return random_bytes(f"wallet {self.drawn}")

    def learn(self, sent: Sent) -> None:
        self.seen += sent.events
        self.wallet.height += 1
        for event in sent.events:
            self.wallet.learn(self.wallet.height, event)

    def be_paid(self, amount: int) -> None:
        """The market takes money in, and pays the wallet out."""
        collect = shielded_pool.collect(amount, account("cat"))
        self.street.send(system.PRIVATE_MARKET, system.SHIELDED_POOL, collect)
        note, _ = self.wallet.note(Output(self.wallet.keys.address, amount), JOINT, self.randomness())
        self.learn(self.street.send(system.PRIVATE_MARKET, system.SHIELDED_POOL, shielded_pool.pay_out(note[:206])))

    def fill(self) -> None:
        """Others' notes, until the bin is full."""
        while self.street.view(shielded_pool.note_count()) % 16:
            note = self.others.note(1)[0][:206]
            self.learn(self.street.send(system.PRIVATE_MARKET, system.SHIELDED_POOL, shielded_pool.pay_out(note)))

    def bins(self, *notes: OwnedNote) -> dict[int, bytes]:
        numbers = {note.bin_number for note in notes}
        return {number: self.street.view(shielded_pool.bin(number)) for number in numbers}

    def build(self, spent: tuple[OwnedNote, OwnedNote], *outputs: Output, **values: Any) -> Transfer:
        return self.wallet.build_spend(
            spent, outputs, self.bins(*spent), joint_key=JOINT, randomness=self.randomness(), **values
        )

    def send(self, transfer: Transfer) -> Sent:
        """Send it as the chain would: its proofs hold, so its caller is the hash of its calldata."""
        assert holds(self.street, transfer)
        sent = self.street.send(transfer.call.sender(), system.SHIELDED_POOL, transfer.call.data)
        self.learn(sent)
        return sent


def holds(street: Street, transfer: Transfer) -> bool:
    """Whether the proofs in a raw transfer are those that the chain asks for."""
    fields = rlp.decode(transfer.raw[1:])
    assert (transfer.raw[0], fields[4]) == (0x6F, transfer.call.data)
    spend, message = private_window.decode_spend(transfer.call.data), transfer.call.signing_hash()
    assert spend is not None
    clsags, ranges = fields[5][:2], fields[5][2]
    for each, proof in zip(spend.spends, clsags, strict=True):
        place = private_window.bin_address(street.storage, each.bin)
        assert place is not None
        members = bin_from_code(street.state.get_code(place))
        if not spend_holds(members, each.key_image, each.pseudo_output, message, proof):
            return False
    claim = range_claim_of(spend.commitments, message, ranges)
    return claim is not None and range_proof.verify(G, *claim)


@pytest.fixture
def owner() -> Owner:
    """With notes of 10, 20 and 300 in a closed bin."""
    made = Owner(founded().fresh())
    for amount in (10, 20, 300):
        made.be_paid(amount)
    made.fill()
    return made


def amounts(wallet: Wallet) -> list[int]:
    return [note.amount for note in wallet.notes.values() if note.spent_height is None]


def test_the_least_pair_that_is_enough_is_chosen(owner: Owner) -> None:
    def chosen(amount: int) -> set[int]:
        return {note.amount for note in owner.wallet.choose(amount)}

    assert [chosen(amount) for amount in (0, 30, 31, 310, 311, 320)] == [
        {10, 20},
        {10, 20},
        {10, 300},
        {10, 300},
        {20, 300},
        {20, 300},
    ]
    with pytest.raises(NotEnough, match="in parts first") as parts:
        owner.wallet.choose(321)
    assert (parts.value.amount, parts.value.spendable) == (321, 330)
    owner.be_paid(5)
    with pytest.raises(NotEnough, match="wait until"):
        owner.wallet.choose(335)
    with pytest.raises(NotEnough, match=r"cannot yet\)$"):
        owner.wallet.choose(336)


def test_notes_of_open_bins_wait(owner: Owner) -> None:
    owner.be_paid(5_000)
    assert owner.wallet.balance == 5_330
    assert sum(note.amount for note in owner.wallet.spendable()) == 330
    owner.fill()
    assert sum(note.amount for note in owner.wallet.spendable()) == 5_330


def test_a_payment_reaches_its_recipient_and_the_rest_comes_back(owner: Owner) -> None:
    neighbour = Owner(owner.street, "neighbour")
    transfer = owner.build(owner.wallet.choose(310), Output(neighbour.wallet.keys.address, 250))
    sent = owner.send(transfer)
    neighbour.learn(sent)
    assert amounts(neighbour.wallet) == [250]
    assert sorted(amounts(owner.wallet)) == [20, 60]
    assert [(entry.amount, entry.what) for entry in owner.wallet.history][-1] == (-250, "spent")
    assert [(entry.amount, entry.what) for entry in neighbour.wallet.history] == [(250, "received")]
    with refused("ImageSpent"):
        owner.street.send(transfer.call.sender(), system.SHIELDED_POOL, transfer.call.data)


def test_a_transfer_made_anew_has_new_notes_and_the_lock_that_was_named(owner: Owner) -> None:
    """Whoever copies the key of a note on its way does not bar a session from its budget."""
    lock, named = Lock(90, SESSION, 1, JOINT), random_bytes("named in the offer")
    spent = owner.wallet.choose(320)
    one, two = (owner.build(spent, lock=lock, lock_randomness=named) for _ in range(2))
    hidden, opening = owner.wallet.hide(lock, named)
    for transfer in (one, two):
        assert hidden.to_bytes(G) in transfer.call.data
        assert transfer.lock == opening
    made = [private_window.decode_spend(transfer.call.data) for transfer in (one, two)]
    assert made[0] is not None
    assert made[1] is not None
    assert not set(made[0].commitments[:2]) & set(made[1].commitments[:2])
    assert made[0].commitments[2] == made[1].commitments[2]


def test_what_leaves_and_what_is_locked_is_not_kept(owner: Owner) -> None:
    lock = Lock(90, SESSION, 1, JOINT)
    transfer = owner.build(owner.wallet.choose(320), lock=lock, withdrawal=Withdrawal(200, account("cat")))
    assert transfer.lock is not None
    assert transfer.lock.amount == 90
    commitments = private_window.decode_spend(transfer.call.data)
    assert commitments is not None
    locked = G.point_from_bytes_checked(commitments.commitments[2])
    assert opens(G, locked, 90, transfer.lock.blinding)
    owner.send(transfer)
    assert sorted(amounts(owner.wallet)) == [0, 10, 30]
    assert owner.wallet.history[-1].amount == -290


def test_a_transfer_that_may_come_keeps_its_notes(owner: Owner) -> None:
    transfer = owner.build(owner.wallet.choose(310))
    owner.wallet.reserve(transfer, "paid to somebody")
    assert [note.amount for note in owner.wallet.spendable()] == [20]
    with pytest.raises(NotEnough):
        owner.wallet.choose(1)
    owner.wallet.height = transfer.call.expiry_height - 1
    assert len(owner.wallet.spendable()) == 1
    owner.wallet.height += 1  # the last block that could have it was looked at
    assert len(owner.wallet.spendable()) == 3
    owner.wallet.reserve(transfer, "paid to somebody")
    owner.wallet.release(transfer)
    assert len(owner.wallet.spendable()) == 3
    owner.wallet.reserve(transfer, "paid to somebody")
    owner.send(transfer)
    assert owner.wallet.history[-1].what == "paid to somebody"


def test_no_more_is_spent_than_the_notes_hold(owner: Owner) -> None:
    spent = owner.wallet.choose(30)
    refused_ones: list[tuple[list[Output], dict[str, Any]]] = [
        ([Output(owner.wallet.keys.address, 31)], {}),
        ([Output(owner.wallet.keys.address, -1)], {}),
        ([], {"withdrawal": Withdrawal(31, account("cat"))}),
        ([], {"withdrawal": Withdrawal(-1, account("cat"))}),
        ([Output(owner.wallet.keys.address, 20)], {"lock": Lock(11, SESSION, 1, JOINT)}),
    ]
    for outputs, values in refused_ones:
        with pytest.raises(NotEnough):
            owner.build(spent, *outputs, **values)
    with pytest.raises(ValueError, match="one at most"):
        owner.build(spent, *[Output(owner.wallet.keys.address, 1)] * 2)


def test_a_bin_without_the_own_note_is_refused(owner: Owner) -> None:
    spent = owner.wallet.choose(30)
    (rows,) = owner.bins(*spent).values()
    place = 66 * spent[0].index
    for bad in (rows[66:] + rows[:66], rows[:-1], b"", rows[:place] + bytes(66) + rows[place + 66 :]):
        with pytest.raises(AnotherBin):
            owner.wallet.build_spend(spent, [], {0: bad}, joint_key=JOINT, randomness=owner.randomness())
    owner.wallet.notes[spent[0].index] = replace(spent[0], amount=11)
    with pytest.raises(AnotherBin):
        owner.build((owner.wallet.notes[spent[0].index], spent[1]))


def test_randomness_is_used_for_one_transfer_alone(owner: Owner) -> None:
    """Two notes to one address, of one amount, are two notes; and the same seed again builds the same transfer."""
    spent = owner.wallet.choose(30)
    built = [
        owner.wallet.build_spend(spent, [], owner.bins(*spent), joint_key=JOINT, randomness=random_bytes(name))
        for name in ("one", "one", "two")
    ]
    assert built[0].raw == built[1].raw != built[2].raw
    assert len({shielded_sender(each.call.data) for each in built}) == 2
    owner.wallet.keys = keys_of(b"\2" * 32)
    assert owner.wallet._drawn(random_bytes("one"), "lock") != Owner(owner.street).wallet._drawn(
        random_bytes("one"), "lock"
    )


def test_all_transfers_look_alike(owner: Owner) -> None:
    """Length, gas and the rest are the same, whether it pays or keeps, and wherever the payment stands."""
    spent = owner.wallet.choose(30)
    neighbour = keys_of(b"\3" * 32).address
    built = [owner.build(spent, *outputs) for outputs in ([Output(neighbour, 7)], []) for _ in range(8)]
    assert len({(len(each.raw), each.call.gas_limit, each.call.expiry_height, each.call.to) for each in built}) == 1
    firsts = [private_window.decode_spend(each.call.data) for each in built]
    assert len({spend.spends[0].key_image for spend in firsts if spend}) == 2


def test_what_is_stored_is_the_wallet(owner: Owner) -> None:
    plain = owner.wallet.to_plain()
    again = Wallet.from_plain(owner.wallet.keys, plain)
    assert again.to_plain() == plain
    again.keys = owner.wallet.keys
    twin = Owner(owner.street)
    twin.wallet = again
    twin.send(twin.build(again.choose(310)))
    assert again.balance == 330
    assert [note.spent_height is None for note in again.notes.values()].count(False) == 2


def test_a_wallet_made_anew_finds_the_same(owner: Owner) -> None:
    seen = list(owner.seen)
    sent = owner.send(owner.build(owner.wallet.choose(310), Output(keys_of(b"\4" * 32).address, 100)))
    late = Wallet(owner.wallet.keys, CHAIN_ID)
    for height, event in enumerate([*seen, *sent.events], start=1):
        late.learn(height, event)
    assert late.balance == owner.wallet.balance == 230
    assert late.bins == owner.wallet.bins == 1
    assert [entry.amount for entry in late.history] == [entry.amount for entry in owner.wallet.history]
