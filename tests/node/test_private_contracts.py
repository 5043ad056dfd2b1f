"""Admission over what the real contracts keep: the registry's rings, the pool's bins and spent notes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from coincurve import PrivateKey
from eth_hash.auto import keccak

from agents.private.openings import consent
from contracts import private_window, system
from contracts.bindings import privacy_registry, private_market, shielded_pool
from contracts.bindings.private_market import Side
from node.admission import Kind, Sponsor, check_admissible
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.rules import Rules
from node.state import EMPTY_ROOT, Account
from privacy.clsag import Secrets
from privacy.commitment import commit
from privacy.envelopes import (
    AnonymousCall,
    OwnSpend,
    ShieldedTransfer,
    bin_from_code,
    call_images,
    ring_from_code,
    scope_of,
    sign_call,
    sign_transfer,
)
from privacy.group import Scalar
from privacy.notes import Spend, balancing_blindings, make_lock, spends_to_bytes
from privacy.secp256k1 import SECP256K1
from tests.contracts.pool import BIN, JOINT_KEY, SESSION, Owned, Purse, filled
from tests.contracts.registered import founded, keys_of, register
from tests.contracts.street import CHAIN_ID, ZERO_S, Street, account, key
from tests.execution.signing import signed
from tests.execution.states import header_at
from tests.privacy.keys import random_bytes

G = SECP256K1
RULES = Rules(version=1, chain_id=CHAIN_ID)
MEMBERS = tuple(f"house-{number}" for number in range(9))
NUMBER = 7


class StreetState:
    """The street's state as a node reads it."""

    def __init__(self, street: Street) -> None:
        self._street = street
        self._codes: dict[bytes, bytes] = {}

    def account(self, address: bytes) -> Account:
        """Return the account, whose code can be read from now on."""
        code = self._street.state.get_code(address)
        self._codes[keccak(code)] = code
        state = self._street.state
        return Account(state.get_nonce(address), state.get_balance(address), EMPTY_ROOT, keccak(code))

    def storage(self, address: bytes, slot: int) -> int:
        """Return a slot's value."""
        return self._street.storage(address, slot)

    def code(self, code_hash: bytes) -> bytes:
        """Return the code of an account that was read."""
        return self._codes[code_hash]

    def beginnings(self, code_hash: bytes) -> None:
        """Nothing is kept."""


def admitted(street: Street, tx: Transaction) -> Sponsor:
    return check_admissible(tx, StreetState(street), RULES, header_at(NUMBER, street.now_s))


def execute(street: Street, tx: Transaction) -> None:
    """Run a transaction as the chain does, its sender spent."""
    assert tx.to is not None
    street.send(tx.sender, tx.to, tx.data)
    street.state.set_nonce(tx.sender, 1)


# -- rings


def call_by(street: Street, house: str, window: int, generation: int = 0, data: bytes = b"offer") -> Transaction:
    """Return a house's anonymous call, with the ring as it is found on the chain."""
    code = street.state.get_code(street.view(privacy_registry.ring_of(window)).ring)
    rows, keys = ring_from_code(code), keys_of(house, generation)
    secrets = keys.ring, keys.trace
    index = next(at for at, row in enumerate(rows) if row.key == keys.points[0])
    call = AnonymousCall(CHAIN_ID, window, keccak(code), b"", b"", NUMBER + 50, 400_000, system.PRIVATE_MARKET, data)
    nullifier, trace_tag = call_images(call.scope(system.PRIVACY_REGISTRY), secrets)
    call = replace(call, nullifier=nullifier, trace_tag=trace_tag)
    raw = sign_call(call, system.PRIVACY_REGISTRY, rows, secrets, index, random_bytes("call"))
    return decode_transaction(raw, CHAIN_ID)


@pytest.fixture
def registered() -> Street:
    """Eight of nine houses are registered for window 2."""
    street = founded(MEMBERS).fresh()
    for house in MEMBERS[:8]:
        register(street, house)
    return street


def test_a_member_of_the_registrys_ring_calls(registered: Street) -> None:
    for house in (MEMBERS[0], MEMBERS[7]):
        assert admitted(registered, call_by(registered, house, 2)) == Sponsor(Kind.ANONYMOUS)
    with pytest.raises(InvalidTransaction, match="window 2 is not traded now: expected 3 or 4"):
        admitted(registered.at(2), call_by(registered, MEMBERS[0], 2))


def test_a_ring_changes_between_windows_and_gives_nobody_a_second_action(registered: Street) -> None:
    street = registered.at(1)
    first = call_by(street, MEMBERS[3], 3)
    assert admitted(street, first) == Sponsor(Kind.ANONYMOUS)
    register(street, MEMBERS[8])  # acts from 3: the ring of 3 is another one now, that of 2 is not
    with pytest.raises(InvalidTransaction, match="not the ring of window 3"):
        admitted(street, first)
    assert admitted(street, call_by(street, MEMBERS[8], 3)) == Sponsor(Kind.ANONYMOUS)
    again = call_by(street, MEMBERS[3], 3, data=b"again")
    assert again.sender == first.sender
    street.state.set_nonce(first.sender, 1)
    with pytest.raises(InvalidTransaction, match="nullifier already used in window 3"):
        admitted(street, again)
    assert admitted(street, call_by(street, MEMBERS[3], 2)) == Sponsor(Kind.ANONYMOUS)


def test_seven_are_no_ring() -> None:
    street = founded(MEMBERS).fresh()
    for house in MEMBERS[:7]:
        register(street, house)
    with pytest.raises(InvalidTransaction, match="expected the proof of a ring of 8 to 64 members"):
        call_by(street, MEMBERS[0], 2)


def test_an_offer_opens_a_session_that_is_let_in_as_long_as_the_market_says(registered: Street) -> None:
    """One call by a member whom nobody can name; from then on an account for which nobody vouches."""
    street = registered.at(1)
    session = account("a new session")
    ordinary = decode_transaction(
        signed(PrivateKey(key("a new session").to_bytes()), 2, chain_id=CHAIN_ID, gas=60_000), CHAIN_ID
    )
    assert ordinary.sender == session
    with pytest.raises(InvalidTransaction, match="no member of the consortium vouches"):
        admitted(street, ordinary)
    keys = keys_of(MEMBERS[5])
    scope = scope_of(CHAIN_ID, system.PRIVACY_REGISTRY, system.PRIVATE_MARKET, 2)
    nullifier, _ = call_images(scope, (keys.ring, keys.trace))
    signature = consent(key("a new session"), CHAIN_ID, 2, nullifier)
    offer = private_market.offer(2, nullifier, session, b"\x51" * 32, Side.NONE, 0, bytes(32), signature)
    call = call_by(street, MEMBERS[5], 2, data=offer)
    assert admitted(street, call) == Sponsor(Kind.ANONYMOUS)
    execute(street, call)
    assert admitted(street, ordinary) == Sponsor(Kind.SESSION, session)
    until = private_window.session_until(street.storage, session)
    street.at(0, until - 1 - ZERO_S)
    assert admitted(street, ordinary) == Sponsor(Kind.SESSION, session)
    street.at(0, until - ZERO_S)
    with pytest.raises(InvalidTransaction, match="no member of the consortium vouches"):
        admitted(street, ordinary)


# -- notes


@pytest.fixture
def purse() -> Purse:
    street, owner = filled()
    return owner.twin(street.fresh())


def transfer(
    purse: Purse, spent: tuple[Owned, Owned], amounts: tuple[int, int], *, lock: int | None = None, withdrawal: int = 0
) -> Transaction:
    """Return a signed transfer of two notes of a purse."""
    made = [purse.note(amount) for amount in amounts]
    openings = [opening for _, opening in made]
    values: dict[str, bytes | int] = {"notes": b"".join(note for note, _ in made), "withdrawal": withdrawal}
    if withdrawal:
        values["recipient"] = b"\x77" * 20
    if lock is not None:
        message = shielded_pool.lock_message(CHAIN_ID, SESSION, 1)
        hidden, opening = make_lock(G, lock, JOINT_KEY, message, purse.randomness())
        openings.append(opening)
        values |= {"lock": hidden.to_bytes(G), "session": SESSION, "window": 1}
    total = G.scalar(sum(opening.blinding for opening in openings))
    blindings = balancing_blindings(G, total, 2, spent[0].found.opening.blinding, purse.randomness())
    pseudo = [commit(G, each.amount, blinding) for each, blinding in zip(spent, blindings, strict=True)]
    values["spends"] = spends_to_bytes(
        G, [Spend(each.index // BIN, each.image, point) for each, point in zip(spent, pseudo, strict=True)]
    )
    own = [own_spend(purse.street, *row) for row in zip(spent, pseudo, blindings, strict=True)]
    data = shielded_pool.spend(**values)  # type: ignore[arg-type]
    said = ShieldedTransfer(CHAIN_ID, NUMBER + 50, 3_000_000, system.SHIELDED_POOL, data)
    raw = sign_transfer(said, own, [(each.amount, each.blinding) for each in openings], purse.randomness())
    return decode_transaction(raw, CHAIN_ID)


def own_spend(street: Street, note: Owned, pseudo_output: object, blinding: Scalar) -> OwnSpend:
    members = bin_from_code(b"\0" + street.view(shielded_pool.bin(note.index // BIN)))
    secrets = Secrets(note.key, G.scalar(note.found.opening.blinding - blinding))
    return OwnSpend(members, note.index % BIN, pseudo_output, secrets)  # type: ignore[arg-type]


def test_a_transfer_is_admitted_and_run_and_not_again(purse: Purse) -> None:
    street, notes = purse.street, purse.notes
    tx = transfer(purse, (notes[0], notes[1]), (900, 100))
    assert admitted(street, tx) == Sponsor(Kind.SHIELDED)
    execute(street, tx)
    with pytest.raises(InvalidTransaction, match="note already spent"):
        admitted(street, tx)
    with pytest.raises(InvalidTransaction, match="note already spent"):
        admitted(street, transfer(purse, (notes[2], notes[1]), (900, 100)))
    assert admitted(street, transfer(purse, (notes[2], notes[3]), (0, 1_000))) == Sponsor(Kind.SHIELDED)
    assert street.view(shielded_pool.balance()) == 8_000


def test_what_is_locked_or_withdrawn_is_admitted_and_run(purse: Purse) -> None:
    street, notes = purse.street, purse.notes
    for tx in (
        transfer(purse, (notes[4], notes[5]), (300, 100), lock=600),
        transfer(purse, (notes[6], notes[7]), (0, 1), withdrawal=999),
    ):
        assert admitted(street, tx) == Sponsor(Kind.SHIELDED)
        execute(street, tx)
    assert street.view(shielded_pool.balance()) == 7_001


def test_a_bin_that_is_open_is_not_spent_from(purse: Purse) -> None:
    purse.deposit("ida", [500, 500])
    notes, street = purse.notes, purse.street
    with pytest.raises(Exception, match="BinNotClosed"):
        transfer(purse, (notes[16], notes[17]), (500, 500))
    tx = transfer(purse, (notes[8], notes[9]), (900, 100))
    spends = tx.data.index((0).to_bytes(4, "big") + G.point_to_bytes(notes[8].image))
    data = tx.data[:spends] + (1).to_bytes(4, "big") + tx.data[spends + 4 :]
    assert tx.private is not None
    moved = replace(tx.private.transfer, data=data).to_bytes(tx.private.proofs)  # type: ignore[union-attr]
    with pytest.raises(InvalidTransaction, match="bin 1 is not closed"):
        admitted(street, decode_transaction(moved, CHAIN_ID))
