"""What a wallet's view key shows of its money: every note that ever came for it, and what its accounts put in by name.

A view key makes no key image, so which of the notes are spent stays hidden: what is held now is at most their sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from agents.chain import LoggedEvent
from contracts.bindings.privacy_registry import Registered
from contracts.bindings.private_market import SessionFunded, SessionSettled
from contracts.bindings.shielded_pool import Deposited, NoteMade, Spent, Withdrawn
from privacy.group import Scalar
from privacy.notes import scan
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point

_G = SECP256K1
OUTPUTS = 2  # notes of a transfer


class Kind(StrEnum):
    """What a line of a statement is."""

    DEPOSITED = "deposited"
    NOTE_OF_DEPOSIT = "note of a deposit"
    NOTE_OF_TRANSFER = "note of a transfer"
    NOTE_OF_BUDGET = "note beside a budget"
    NOTE_OF_SETTLEMENT = "note of a settlement"
    WITHDRAWN = "withdrawn"


NOTES = (Kind.NOTE_OF_DEPOSIT, Kind.NOTE_OF_TRANSFER, Kind.NOTE_OF_BUDGET, Kind.NOTE_OF_SETTLEMENT)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line.

    Args:
        height: of the block.
        kind: what it is.
        window: of the session that it is about, else of the block; None before window 0.
        note: the note's index, None if it is none.
        microeur: the amount.
    """

    height: int
    kind: Kind
    window: int | None
    note: int | None
    microeur: int

    def in_window(self, window: int | None) -> StatementLine:
        """Return the line with the window of its block, if it is of no session."""
        return self if self.window is not None else replace(self, window=window)

    def as_json(self) -> dict[str, Any]:
        """Return the line for JSON."""
        return {
            "height": self.height,
            "kind": self.kind.value,
            "window": self.window,
            "note": self.note,
            "microeur": self.microeur,
        }


def accounts_of(events: Iterable[LoggedEvent], viewing: Scalar, spending: Point) -> tuple[bytes, ...]:
    """Return the members' accounts that registered the wallet's address, in the order of the chain."""
    address = _G.point_to_bytes(spending) + _G.point_to_bytes(_G.multiply_generator(viewing))
    found = [
        logged.event.account
        for logged in events
        if isinstance(logged.event, Registered) and logged.event.keys[2 * POINT_BYTES :] == address
    ]
    return tuple(dict.fromkeys(found))


def statement_lines(
    events: Iterable[LoggedEvent],
    viewing: Scalar,
    spending: Point,
    accounts: Iterable[bytes],
) -> list[StatementLine]:
    """Return what came for a wallet and what its accounts put in and took out, in the order of the chain.

    Args:
        events: of pool and private market, in order.
        viewing, spending: v and S.
        accounts: of the wallet's household.
    """
    rows, own = list(events), set(accounts)
    settled = {logged.event.key: logged.event for logged in rows if isinstance(logged.event, SessionSettled)}
    found: list[StatementLine] = []
    left, of_transfer = 0, list[int]()  # notes of the transfer that are still to come, and places of its own in `found`
    for logged in rows:
        height = logged.height
        match logged.event:
            case Spent():
                left, of_transfer = OUTPUTS, []
            case NoteMade(index, raw):
                left -= 1
                note = scan(_G, viewing, spending, raw)
                if note is None:
                    continue
                session = settled.get(raw[:POINT_BYTES])
                window = session.window if session else None
                kind = Kind.NOTE_OF_TRANSFER if left >= 0 else Kind.NOTE_OF_DEPOSIT
                if left >= 0:
                    of_transfer.append(len(found))
                kind = Kind.NOTE_OF_SETTLEMENT if session else kind
                found.append(StatementLine(height, kind, window, index, note.opening.amount))
            case SessionFunded(window=window):  # by the transfer whose notes came just before
                for place in of_transfer:
                    found[place] = replace(found[place], kind=Kind.NOTE_OF_BUDGET, window=window)
            case Deposited(account, amount) if account in own:
                found.append(StatementLine(height, Kind.DEPOSITED, None, None, amount))
            case Withdrawn(recipient, amount) if recipient in own:
                found.append(StatementLine(height, Kind.WITHDRAWN, None, None, amount))
            case _:
                pass
    return found
