"""What a member says of itself, and proves: that an action, or a note, is its own, or is not.

An action is told by its nullifier D = x·Hp(s): the member shows that D has the logarithm of its ring key to that base,
or that it has another. A note is told by its key: the member shows the point v·R that it shares with who made the note;
whether that makes the note's key of the member's spending key, everybody computes. Who confirms a note so tells its
amount as well. Each proof is bound to chain, account and the words of who asked, and says nothing to anybody else.
Source: Chaum and Pedersen 1992; Camenisch and Shoup 2003, section 6 (inequality); docs/private-window.md, "On record".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from agents.consortium_input import ACCOUNT_BYTES, InputError, parse_data
from agents.disclosure.parts import load_json, whole_number
from agents.errors import AgentError
from contracts.bindings.privacy_registry import POINT_BYTES
from contracts.system import PRIVACY_REGISTRY
from privacy.equality import (
    difference_from_bytes_checked,
    equality_from_bytes_checked,
    prove_different,
    prove_equal,
    verify_different,
    verify_equal,
)
from privacy.group import InvalidEncoding, Scalar
from privacy.ring import image, scope_base
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress, shared_key

FORM = "gridpact/statement/v1"
MAX_STATEMENT_BYTES = 16 * 1024
MAX_CHALLENGE_BYTES = 1024
_G = SECP256K1


class Subject(StrEnum):
    """What a statement is about."""

    ACTION = "action"
    NOTE = "note"


class NotTrue(AgentError):
    """What the member wants to say is not so, or not its own to say."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A member's statement, as it hands it to who asked.

    Args:
        chain_id: as in EIP-155.
        account: who says it, 20 bytes.
        subject: an action or a note.
        place: the action's window, or the note's index.
        point: the action's nullifier D, or the point v·R that the member shares with the note's maker.
        mine: whether it says that it is its own.
        challenge: the words of who asked.
        proof: of it.
    """

    chain_id: int
    account: bytes
    subject: Subject
    place: int
    point: bytes
    mine: bool
    challenge: str
    proof: bytes

    def as_json(self) -> dict[str, Any]:
        """Return what a statement's file says."""
        return {
            "form": FORM,
            "chain_id": self.chain_id,
            "account": f"0x{self.account.hex()}",
            "subject": str(self.subject),
            "place": self.place,
            "point": f"0x{self.point.hex()}",
            "mine": self.mine,
            "challenge": self.challenge,
            "proof": f"0x{self.proof.hex()}",
        }


def load_statement(path: Path) -> Statement:
    """Return the statement in a file.

    Raises:
        InputError: it cannot be read, or says something else.
    """
    row = load_json(path, FORM, MAX_STATEMENT_BYTES)
    mine, challenge = row.get("mine"), row.get("challenge")
    if row.get("subject") not in tuple(Subject) or type(mine) is not bool or not isinstance(challenge, str):
        raise InputError(str(path), "subject (action or note), mine (true or false) and challenge (a text)")
    proof = row.get("proof")
    return Statement(
        whole_number(row, "chain_id", path),
        parse_data(row.get("account"), ACCOUNT_BYTES, f"{path}: account"),
        Subject(row["subject"]),
        whole_number(row, "place", path),
        parse_data(row.get("point"), POINT_BYTES, f"{path}: point"),
        mine,
        challenge,
        parse_data(proof, max(len(str(proof)) - 2, 0) // 2, f"{path}: proof"),
    )


def said(chain_id: int, account: bytes, subject: Subject, place: int, challenge: str) -> bytes:
    """Return what a statement's proof is bound to, 32 bytes.

    Raises:
        InputError: the challenge is longer than 1,024 bytes.
    """
    if len(challenge.encode()) > MAX_CHALLENGE_BYTES:
        raise InputError("challenge", f"at most {MAX_CHALLENGE_BYTES} bytes")
    kinds = ["string", "uint256", "address", "address", "string", "uint64", "string"]
    rows = ["gridpact/statement/v1", chain_id, PRIVACY_REGISTRY, account, str(subject), place, challenge]
    return bytes(keccak(encode(kinds, rows)))


# -- actions


def state_action(
    chain_id: int,
    account: bytes,
    window: int,
    scope: bytes,
    nullifier: bytes,
    secret: Scalar,
    challenge: str,
    randomness: bytes,
) -> Statement:
    """Return the proved statement that the action with this nullifier is one's own, or is not: whichever is so.

    Args:
        chain_id: as in EIP-155.
        account: the member, 20 bytes.
        window: the action's.
        scope: of that window, 32 bytes.
        nullifier: D, 33 bytes.
        secret: x of the ring key that acts in that window.
        challenge: the words of who asked.
        randomness: at least 32 fresh random bytes.

    Raises:
        InputError: the nullifier is no point.
    """
    point = _point(nullifier, "nullifier")
    base, message = scope_base(_G, scope), said(chain_id, account, Subject.ACTION, window, challenge)
    mine = _G.equal(image(_G, secret, scope), point)
    if mine:
        proof = prove_equal(_G, Subject.ACTION, (_G.generator, base), secret, message, randomness).to_bytes(_G)
    else:
        different = prove_different(_G, Subject.ACTION, _G.generator, base, point, secret, message, randomness)
        proof = different.to_bytes(_G)
    return Statement(chain_id, account, Subject.ACTION, window, nullifier, mine, challenge, proof)


def action_holds(statement: Statement, ring_key: bytes, scope: bytes) -> bool:
    """Return whether a statement about an action is proved, for the member with this ring key; it raises nothing."""
    try:
        message = said(statement.chain_id, statement.account, statement.subject, statement.place, statement.challenge)
        key, point = _point(ring_key, "ring key"), _point(statement.point, "nullifier")
        if statement.subject is not Subject.ACTION:
            return False
        base = scope_base(_G, scope)
        if statement.mine:
            equal = equality_from_bytes_checked(_G, statement.proof)
            return verify_equal(_G, Subject.ACTION, (_G.generator, base), (key, point), message, equal)
        different = difference_from_bytes_checked(_G, statement.proof)
        return verify_different(_G, Subject.ACTION, _G.generator, base, key, point, message, different)
    except (InputError, InvalidEncoding):
        return False


# -- notes


@dataclass(frozen=True, slots=True)
class NotePlace:
    """A note as far as it tells whose it is: its index, its key and the ephemeral key R."""

    index: int
    key: Point
    ephemeral: Point


def note_place(index: int, note: bytes) -> NotePlace:
    """Return what the bytes of a published note (key ‖ commitment ‖ R ‖ …) say.

    Raises:
        InputError: a key is no point.
    """
    key, ephemeral = note[:POINT_BYTES], note[2 * POINT_BYTES : 3 * POINT_BYTES]
    return NotePlace(index, _point(key, "note's key"), _point(ephemeral, "note's ephemeral key"))


def parse_meta_address(keys: bytes) -> MetaAddress[Point]:
    """Return the stealth address S ‖ V at the end of registered keys; the contract saw that they are points."""
    spending, viewing = keys[-2 * POINT_BYTES : -POINT_BYTES], keys[-POINT_BYTES:]
    return MetaAddress(_G.point_from_bytes_checked(spending), _G.point_from_bytes_checked(viewing))


def state_note(
    chain_id: int,
    account: bytes,
    note: NotePlace,
    keys: MetaAddress[Point],
    viewing: Scalar,
    challenge: str,
    randomness: bytes,
) -> Statement:
    """Return the proved statement that a note is for one's stealth address, or is not: whichever is so.

    Args:
        chain_id: as in EIP-155.
        account: the member, 20 bytes.
        note: which.
        keys: the member's stealth address.
        viewing: v.
        challenge: the words of who asked.
        randomness: at least 32 fresh random bytes.

    Raises:
        NotTrue: v is not the secret of the address.
    """
    if not _G.equal(_G.multiply_generator(viewing), keys.viewing):
        raise NotTrue("the viewing key is not the one that the account registered")
    shared = _G.multiply(viewing, note.ephemeral)
    message = said(chain_id, account, Subject.NOTE, note.index, challenge)
    proof = prove_equal(_G, Subject.NOTE, (_G.generator, note.ephemeral), viewing, message, randomness)
    mine = _G.equal(shared_key(_G, shared, keys.spending), note.key)
    encoded = _G.point_to_bytes(shared)
    return Statement(chain_id, account, Subject.NOTE, note.index, encoded, mine, challenge, proof.to_bytes(_G))


def note_holds(statement: Statement, note: NotePlace, keys: MetaAddress[Point]) -> bool:
    """Return whether a statement about a note is proved, for the holder of this stealth address; it raises nothing."""
    try:
        message = said(statement.chain_id, statement.account, statement.subject, statement.place, statement.challenge)
        shared = _point(statement.point, "shared point")
        proof = equality_from_bytes_checked(_G, statement.proof)
    except (InputError, InvalidEncoding):
        return False
    bases, points = (_G.generator, note.ephemeral), (keys.viewing, shared)
    return (
        statement.subject is Subject.NOTE
        and statement.place == note.index
        and verify_equal(_G, Subject.NOTE, bases, points, message, proof)
        and _G.equal(shared_key(_G, shared, keys.spending), note.key) == statement.mine
    )


def _point(raw: bytes, what: str) -> Point:
    try:
        return _G.point_from_bytes_checked(raw)
    except InvalidEncoding as error:
        raise InputError(what, str(error)) from None
