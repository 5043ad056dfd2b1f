"""A wallet's notes: what came for it, what it spent, and transfers that spend two notes and make two.

It learns from the pool's events in the order of the chain, sends nothing and stores nothing itself. Nobody chooses
decoys: who might have spent a note is everyone with a note of its bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from eth_hash.auto import keccak

from agents.errors import AgentError
from agents.wallet.keys import WalletKeys, amount_text
from contracts.bindings import shielded_pool
from contracts.bindings.abi import Event
from contracts.bindings.shielded_pool import BinClosed, NoteMade, Spent
from contracts.system import SHIELDED_POOL
from privacy.clsag import Secrets, key_image
from privacy.commitment import commit
from privacy.envelopes import BIN_NOTES, OwnSpend, ShieldedTransfer, bin_from_code, sign_transfer
from privacy.gas import transfer_gas
from privacy.group import InvalidEncoding, Scalar
from privacy.notes import (
    MAX_AMOUNT,
    FoundNote,
    Hidden,
    Opening,
    Spend,
    balancing_blindings,
    make_lock,
    make_note,
    scan,
    spends_to_bytes,
)
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point
from privacy.stealth import MetaAddress, spending_secret
from privacy.transcript import Transcript

OUTPUTS = 2
EXPIRY_HEIGHTS = 40
CALL_GAS = 1_100_000
"""What a transfer costs beside its proofs, at most: it closes a bin and funds a session. All ask for the same."""
TRANSFER_GAS = transfer_gas(3) + CALL_GAS
_G = SECP256K1


class NotEnough(AgentError):
    """No two notes that can be spent now hold as much."""

    def __init__(self, amount: int, two: int, spendable: int, waiting: int) -> None:
        hint = ""
        if spendable >= amount:
            hint = "; pay it to your own address in parts first"
        elif spendable + waiting >= amount:
            hint = "; wait until the bins of the others are full"
        super().__init__(
            f"{amount_text(amount)}: expected at most {amount_text(two)}, which two notes hold together "
            f"({amount_text(spendable)} can be spent, {amount_text(waiting)} cannot yet){hint}"
        )
        self.amount = amount
        self.spendable = spendable


class AnotherBin(AgentError):
    """A node's bin is not the one that the wallet's note is in."""

    def __init__(self, number: int) -> None:
        super().__init__(f"bin {number}: expected {BIN_NOTES} notes, the wallet's own among them")
        self.number = number


@dataclass(slots=True)
class OwnedNote:
    """A note of the wallet.

    Args:
        index: its number in the pool; its bin is index // 16.
        height: of the block that made it.
        key, ephemeral, image: P, R and the key image, hexadecimal digits of 33 bytes.
        amount: micro-euro.
        blinding: of its commitment, hexadecimal digits.
        spent_height: of the block that spent it; None if it is not spent.
        reserved_until: the last height at which a transfer that spends it may come.
    """

    index: int
    height: int
    key: str
    ephemeral: str
    image: str
    amount: int
    blinding: str
    spent_height: int | None = None
    reserved_until: int = -1

    @property
    def bin_number(self) -> int:
        """Of the notes among which it is spent."""
        return self.index // BIN_NOTES


@dataclass(slots=True)
class Entry:
    """A line of the wallet's history: micro-euro that came, or went if negative."""

    height: int
    amount: int
    what: str


@dataclass(frozen=True, slots=True)
class Output:
    """A note to be made: for whom, and micro-euro."""

    recipient: MetaAddress[Point]
    amount: int


@dataclass(frozen=True, slots=True)
class Lock:
    """A budget for a session of the market.

    Args:
        amount: micro-euro.
        session: its address (20 bytes).
        window: that it trades.
        joint_key: the auditors' of that window (33 bytes).
    """

    amount: int
    session: bytes
    window: int
    joint_key: bytes


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What goes to an account (20 bytes) by name: micro-euro."""

    amount: int
    recipient: bytes


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that is ready to be sent.

    Args:
        raw: the transaction, of type 0x6f.
        call: what it signs.
        spent: the two notes that it spends.
        lock: what opens the session's budget; None if nothing is locked.
    """

    raw: bytes
    call: ShieldedTransfer
    spent: tuple[OwnedNote, OwnedNote]
    lock: Opening | None

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""
        return keccak(self.raw)


@dataclass(slots=True)
class Wallet:
    """What a wallet knows.

    Args:
        keys: its secrets.
        chain_id: of the chain that its notes are on.
        height: up to which it knows the chain.
        bins: how many are closed.
        notes: all that ever came, by index.
        history: what came and went, in the order of the chain.
        memos: what its own transfers and deposits were for, by a note's key or a key image (hexadecimal digits).
    """

    keys: WalletKeys
    chain_id: int
    height: int = -1
    bins: int = 0
    notes: dict[int, OwnedNote] = field(default_factory=dict)
    history: list[Entry] = field(default_factory=list)
    memos: dict[str, str] = field(default_factory=dict)
    _by_image: dict[str, OwnedNote] = field(default_factory=dict)
    _change: int = 0  # of the next notes, those that are made by a transfer of the wallet's own

    # -- what there is

    @property
    def balance(self) -> int:
        """Micro-euro in notes that are not spent."""
        return sum(note.amount for note in self.notes.values() if note.spent_height is None)

    def spendable(self) -> list[OwnedNote]:
        """Return the notes that can be spent now: of closed bins, and in no transfer that may still come."""
        return [
            note
            for note in self.notes.values()
            if note.spent_height is None and note.bin_number < self.bins and note.reserved_until <= self.height
        ]

    def choose(self, amount: int) -> tuple[OwnedNote, OwnedNote]:
        """Return the two spendable notes that hold the least that is enough.

        Args:
            amount: micro-euro.

        Raises:
            NotEnough: no two do.
        """
        notes = self.spendable()
        pairs = sorted(combinations(notes, 2), key=lambda pair: (pair[0].amount + pair[1].amount, pair[0].index))
        for pair in pairs:
            if pair[0].amount + pair[1].amount >= amount:
                return pair
        two = pairs[-1][0].amount + pairs[-1][1].amount if pairs else 0
        spendable = sum(note.amount for note in notes)
        raise NotEnough(amount, two, spendable, self.balance - spendable)

    # -- what comes

    def learn(self, height: int, event: Event) -> None:
        """Take in the next of the pool's events."""
        match event:
            case NoteMade(index, raw):
                self._change -= 1
                found = scan(_G, self.keys.viewing, self.keys.address.spending, raw)
                if found is not None:
                    self._keep(height, index, found)
            case Spent(images):
                self._spend(height, [images[at : at + POINT_BYTES].hex() for at in range(0, len(images), POINT_BYTES)])
            case BinClosed(number):
                self.bins = number + 1
            case _:
                pass

    def reserve(self, transfer: Transfer, what: str) -> None:
        """Note that a transfer is about to be sent: its notes are in no other until it has come or expired."""
        for note in transfer.spent:
            note.reserved_until = transfer.call.expiry_height
            self.memos[note.image] = what

    def release(self, transfer: Transfer) -> None:
        """Note that a transfer was refused and will not come."""
        for note in transfer.spent:
            note.reserved_until = -1
            self.memos.pop(note.image, None)

    def _keep(self, height: int, index: int, found: FoundNote[Point]) -> None:
        key, ephemeral = (_G.point_to_bytes(point).hex() for point in (found.output.key, found.output.ephemeral))
        secret = spending_secret(_G, self.keys.viewing, self.keys.spending, found.output.ephemeral)
        image = _G.point_to_bytes(key_image(_G, secret)).hex()
        opening = found.opening
        note = OwnedNote(
            index, height, key, ephemeral, image, opening.amount, _G.scalar_to_bytes(opening.blinding).hex()
        )
        self.notes[index] = self._by_image[image] = note
        if self._change >= 0:
            self.history[-1].amount += note.amount
        else:
            self.history.append(Entry(height, note.amount, self.memos.get(key, "received")))

    def _spend(self, height: int, images: Sequence[str]) -> None:
        own = [self._by_image[image] for image in images if image in self._by_image]
        self._change = OUTPUTS if own else 0
        for note in own:
            note.spent_height = height
        if own:
            what = next((self.memos[note.image] for note in own if note.image in self.memos), "spent")
            self.history.append(Entry(height, -sum(note.amount for note in own), what))

    # -- what goes

    def build_spend(
        self,
        spent: tuple[OwnedNote, OwnedNote],
        outputs: Sequence[Output],
        bins: Mapping[int, bytes],
        *,
        joint_key: bytes,
        randomness: bytes,
        lock: Lock | None = None,
        lock_randomness: bytes = b"",
        withdrawal: Withdrawal | None = None,
        expiry_heights: int = EXPIRY_HEIGHTS,
    ) -> Transfer:
        """Return a transfer of two notes; what is left of them becomes a note of the wallet's own.

        Args:
            spent: two notes, as `choose` returns them.
            outputs: one at most.
            bins: by number, the notes of the bins that they are in: 16 times key and commitment.
            joint_key: the auditors' of the current window (33 bytes).
            randomness: at least 32 fresh random bytes.
            lock: a session's budget.
            lock_randomness: what it is hidden with, where that was said before; else the same as all else.
            withdrawal: what goes to an account.
            expiry_heights: how many heights from now it may be in a block.

        Raises:
            NotEnough: the notes hold less.
            AnotherBin: a bin is not what it should be.
            ValueError: more than one output.
        """
        if len(outputs) >= OUTPUTS:
            raise ValueError(f"{len(outputs)} outputs: expected one at most, beside what is left")
        amounts = [
            *(each.amount for each in outputs),
            lock.amount if lock else 0,
            withdrawal.amount if withdrawal else 0,
        ]
        total, held = sum(amounts), sum(note.amount for note in spent)
        if min(amounts, default=0) < 0 or not 0 <= total <= min(held, MAX_AMOUNT):
            raise NotEnough(total, held, held, 0)
        rests = [Output(self.keys.address, held - total), Output(self.keys.address, 0)]
        made = _shuffled([*outputs, *rests][:OUTPUTS], self._drawn(randomness, "order of notes"))
        ordered = _shuffled(spent, self._drawn(randomness, "order of spends"))
        hidden = self.hide(lock, lock_randomness or randomness) if lock is not None else None
        expiry_height = self.height + expiry_heights
        return self._build(ordered, made, bins, joint_key, randomness, lock, hidden, withdrawal, expiry_height)

    def _build(
        self,
        spent: Sequence[OwnedNote],
        outputs: Sequence[Output],
        bins: Mapping[int, bytes],
        joint_key: bytes,
        randomness: bytes,
        lock: Lock | None,
        locked: tuple[Hidden[Point], Opening] | None,
        withdrawal: Withdrawal | None,
        expiry_height: int,
    ) -> Transfer:
        notes, openings = [], []
        for place, output in enumerate(outputs):
            note, opening = self.note(output, joint_key, self._drawn(randomness, f"note {place}"))
            notes.append(note)
            openings.append(opening)
        values: dict[str, Any] = {}
        if lock is not None and locked is not None:
            hidden, opening = locked
            openings.append(opening)
            values |= {"lock": hidden.to_bytes(_G), "session": lock.session, "window": lock.window}
        if withdrawal is not None and withdrawal.amount:
            values |= {"withdrawal": withdrawal.amount, "recipient": withdrawal.recipient}
        total = _G.scalar(sum(opening.blinding for opening in openings))
        pseudo = balancing_blindings(_G, total, OUTPUTS, _blinding(spent[0]), self._drawn(randomness, "pseudo-outputs"))
        own = [self._own_spend(note, bins, blinding) for note, blinding in zip(spent, pseudo, strict=True)]
        spends = [
            Spend(note.bin_number, _point(note.image), each.pseudo_output)
            for note, each in zip(spent, own, strict=True)
        ]
        data = shielded_pool.spend(spends_to_bytes(_G, spends), b"".join(notes), **values)
        call = ShieldedTransfer(self.chain_id, expiry_height, TRANSFER_GAS, SHIELDED_POOL, data)
        pairs = [(opening.amount, opening.blinding) for opening in openings]
        raw = sign_transfer(call, own, pairs, self._drawn(randomness, "proofs"))
        return Transfer(raw, call, (spent[0], spent[1]), locked[1] if locked is not None else None)

    def note(
        self, output: Output, joint_key: bytes, randomness: bytes, *, blinding: Scalar | None = None
    ) -> tuple[bytes, Opening]:
        """Return a new note (334 bytes) for this chain's pool, and what opens it.

        Args:
            output: for whom, and how much.
            joint_key: the auditors' of the current window (33 bytes).
            randomness: at least 32 fresh random bytes, used for this note alone.
            blinding: where it is given.
        """
        note, opening = make_note(
            _G,
            output.recipient,
            output.amount,
            _G.point_from_bytes_checked(joint_key),
            lambda key: shielded_pool.note_message(self.chain_id, key),
            randomness,
            blinding=blinding,
        )
        return note.to_bytes(_G), opening

    def hide(self, lock: Lock, randomness: bytes) -> tuple[Hidden[Point], Opening]:
        """Return a budget as a transfer with this randomness locks it, whichever notes it spends, and what opens it."""
        message = shielded_pool.lock_message(self.chain_id, lock.session, lock.window)
        key = _G.point_from_bytes_checked(lock.joint_key)
        return make_lock(_G, lock.amount, key, message, self._drawn(randomness, "lock"))

    def _own_spend(self, note: OwnedNote, bins: Mapping[int, bytes], pseudo: Scalar) -> OwnSpend:
        try:
            members = bin_from_code(b"\0" + bins[note.bin_number])
        except InvalidEncoding:
            raise AnotherBin(note.bin_number) from None
        own, place = members[note.index % BIN_NOTES], note.index % BIN_NOTES
        if own.key != _point(note.key) or own.commitment != commit(_G, note.amount, _blinding(note)):
            raise AnotherBin(note.bin_number)
        secret = spending_secret(_G, self.keys.viewing, self.keys.spending, _point(note.ephemeral))
        difference = _G.scalar(_blinding(note) - pseudo)
        return OwnSpend(members, place, commit(_G, note.amount, pseudo), Secrets(secret, difference))

    def _drawn(self, randomness: bytes, use: str) -> bytes:
        """Return 64 secret bytes for one use, from the wallet's secrets and the randomness together."""
        said = Transcript("wallet-randomness")
        said.append_scalar("spending", _G, self.keys.spending)
        said.append("randomness", randomness)
        return said.challenge_bytes(use)

    # -- stored

    def to_plain(self) -> dict[str, Any]:
        """Return all but the keys as plain values, for a file."""
        return {
            "chain_id": self.chain_id,
            "height": self.height,
            "bins": self.bins,
            "notes": [asdict(note) for note in self.notes.values()],
            "history": [asdict(entry) for entry in self.history],
            "memos": self.memos,
        }

    @classmethod
    def from_plain(cls, keys: WalletKeys, plain: Mapping[str, Any]) -> Wallet:
        """Return the wallet of plain values.

        Raises:
            KeyError, TypeError: they are not those of `to_plain`.
        """
        notes = [OwnedNote(**row) for row in plain["notes"]]
        return cls(
            keys,
            plain["chain_id"],
            plain["height"],
            plain["bins"],
            {note.index: note for note in notes},
            [Entry(**row) for row in plain["history"]],
            dict(plain["memos"]),
            {note.image: note for note in notes},
        )


def _shuffled(two: Iterable[Any], drawn: bytes) -> list[Any]:
    """Return two things in an order that tells nothing."""
    ordered = list(two)
    return ordered[::-1] if drawn[0] & 1 else ordered


def _point(digits: str) -> Point:
    return _G.point_from_bytes_checked(bytes.fromhex(digits))


def _blinding(note: OwnedNote) -> Scalar:
    return _G.scalar_from_bytes_checked(bytes.fromhex(note.blinding))
