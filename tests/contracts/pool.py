"""A street with a shielded pool, and a purse that deposits, finds and spends notes by its contract alone.

What the chain checks before a `spend` runs (CLSAGs, range) is not checked here: the caller is computed as it would be.
In the private market's place stands a contract that keeps the hash of what it was told last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from contracts import system
from contracts.bindings import fiat_token, shielded_pool
from contracts.bindings.shielded_pool import NoteMade
from privacy import range_proof
from privacy.auditors import deal
from privacy.clsag import key_image
from privacy.commitment import commit
from privacy.envelopes import shielded_sender
from privacy.group import Scalar
from privacy.notes import (
    FoundNote,
    Opening,
    Spend,
    balancing_blindings,
    make_lock,
    make_note,
    scan,
    spends_to_bytes,
)
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress, spending_secret
from tests.contracts.street import CHAIN_ID, Sent, Street, account, hexed
from tests.contracts.street import genesis as street_genesis
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
DEALING = deal(G, secret("auditors"), 2, 2, random_bytes("auditors"))
JOINT_KEY = DEALING.commitments[0]
SESSION = account("a session")
KEEP_HASH = bytes.fromhex("365f5f37365f205f5500")  # keccak of the calldata, stored at slot 0
BIN = 16
DEPOSITORS = ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ida")
"""Who lets the pool take their money; eight fill a bin."""


def private_genesis(**values: Any) -> dict[str, Any]:
    """A genesis file of a street with a pool; its auditors are two accounts."""
    auditors = [
        {"account": hexed(account(name)), "public_share": hexed(G.point_to_bytes(G.multiply_generator(share)))}
        for name, share in zip(("eve", "fay"), DEALING.shares, strict=True)
    ]
    sealing = {
        "joint_key": hexed(G.point_to_bytes(JOINT_KEY)),
        "threshold": 2,
        "feeder_meter": hexed(account("feeder")),
        "auditors": auditors,
    }
    boxes = {"box_keys": [hexed(random_bytes(name)[:32]) for name in ("eve", "fay")]}
    return {**street_genesis(), "sealing": sealing, "privacy": boxes, **values}


@cache
def founded() -> Street:
    """The street after genesis, with money, and a contract in the market's place."""
    street = Street(private_genesis()).fund(*DEPOSITORS, "zoe")
    for name in (*DEPOSITORS, "operator"):
        street.send(name, system.FIAT_TOKEN, fiat_token.approve(system.SHIELDED_POOL))
    street.state.set_code(system.PRIVATE_MARKET, KEEP_HASH)
    return street.keep()


@cache
def filled() -> tuple[Street, Purse]:
    """The same with a closed bin of sixteen notes, and the purse that owns them."""
    purse = Purse(founded().fresh())
    for sender in DEPOSITORS[:8]:
        purse.deposit(sender, [700, 300])
    return purse.street.keep(), purse


@dataclass
class Owned:
    """A note of the purse: where it is, and what spends it."""

    index: int
    found: FoundNote[Point]
    key: Scalar

    @property
    def amount(self) -> int:
        """Its micro-euro."""
        return self.found.opening.amount

    @property
    def image(self) -> Point:
        """Its key image."""
        return key_image(G, self.key)


@dataclass
class Purse:
    """One stealth address, and the notes that were found for it."""

    street: Street
    seed: str = "purse"
    notes: list[Owned] = field(default_factory=list)
    made: int = 0
    locked: list[Opening] = field(default_factory=list)

    @property
    def view(self) -> Scalar:
        """The viewing secret."""
        return secret(f"{self.seed} view")

    @property
    def address(self) -> MetaAddress[Point]:
        """Where notes are sent to."""
        return MetaAddress(G.multiply_generator(secret(f"{self.seed} spend")), G.multiply_generator(self.view))

    def twin(self, street: Street) -> Purse:
        """The same purse on a copy of the street."""
        return Purse(street, self.seed, list(self.notes), self.made)

    def randomness(self) -> bytes:
        """Other bytes every time."""
        self.made += 1
        return random_bytes(f"{self.seed} {self.made}")

    def note(self, amount: int, blinding: Scalar | None = None, joint_key: Point = JOINT_KEY) -> tuple[bytes, Opening]:
        """A new note for this purse."""
        note, opening = make_note(G, self.address, amount, joint_key, message_of, self.randomness(), blinding=blinding)
        return note.to_bytes(G), opening

    def take(self, sent: Sent) -> Sent:
        """Find what came for this purse."""
        for event in sent.all(NoteMade):
            found = scan(G, self.view, self.address.spending, event.note)
            if found is not None:
                key = spending_secret(G, self.view, secret(f"{self.seed} spend"), found.output.ephemeral)
                self.notes.append(Owned(event.index, found, key))
        return sent

    def deposit_data(self, sender: str, amounts: Sequence[int], total: int | None = None, *, bits: int = 64) -> bytes:
        """The call that makes notes of these amounts from the sender's money."""
        blindings = balancing_blindings(G, Scalar(0), len(amounts), Scalar(1), self.randomness())
        made = [self.note(amount, blinding) for amount, blinding in zip(amounts, blindings, strict=True)]
        notes = b"".join(note for note, _ in made)
        message = shielded_pool.deposit_message(CHAIN_ID, account(sender), notes)
        openings = [(opening.amount, opening.blinding) for _, opening in made]
        statement = range_proof.Statement(tuple(commit(G, *opening) for opening in openings), bits, message)
        proof = range_proof.prove(G, statement, openings, self.randomness()).to_bytes(G)
        return shielded_pool.deposit(sum(amounts) if total is None else total, notes, proof)

    def deposit(self, sender: str, amounts: Sequence[int]) -> Sent:
        """Deposit, and find the notes."""
        return self.take(self.street.send(sender, system.SHIELDED_POOL, self.deposit_data(sender, amounts)))

    def parts(
        self, spent: Sequence[Owned], amounts: Sequence[int], *, lock: int | None = None, withdrawal: int = 0
    ) -> dict[str, Any]:
        """The arguments of a spend of two notes into two; a lock is for `SESSION` in window 1, money for cat."""
        made = [self.note(amount) for amount in amounts]
        openings = [opening for _, opening in made]
        values: dict[str, Any] = {"notes": b"".join(note for note, _ in made)}
        if lock is not None:
            message = shielded_pool.lock_message(CHAIN_ID, SESSION, 1)
            hidden, opening = make_lock(G, lock, JOINT_KEY, message, self.randomness())
            openings.append(opening)
            self.locked.append(opening)
            values |= {"lock": hidden.to_bytes(G), "session": SESSION, "window": 1}
        if withdrawal:
            values |= {"withdrawal": withdrawal, "recipient": account("cat")}
        total = G.scalar(sum(opening.blinding for opening in openings))
        blindings = balancing_blindings(G, total, 2, spent[0].found.opening.blinding, self.randomness())
        values["spends"] = spends_to_bytes(
            G,
            [
                Spend(each.index // BIN, each.image, commit(G, each.amount, blinding))
                for each, blinding in zip(spent, blindings, strict=True)
            ],
        )
        return values

    def spend(self, spent: Sequence[Owned], amounts: Sequence[int], **values: Any) -> Sent:
        """Spend, and find what comes back."""
        sent = self.take(send_spend(self.street, self.parts(spent, amounts, **values)))
        self.notes = [each for each in self.notes if each not in spent]
        return sent


def message_of(key: bytes) -> bytes:
    """What a note's proof is bound to."""
    return shielded_pool.note_message(CHAIN_ID, key)


def send_spend(street: Street, values: dict[str, Any]) -> Sent:
    """Send a spend from the address that the chain gives to its sender."""
    data = shielded_pool.spend(**values)
    return street.send(shielded_sender(data), system.SHIELDED_POOL, data)
