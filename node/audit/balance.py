"""The balance of a window of sealed meters, checked from the transactions that made it: every proof, every sum.

Nothing that the contract says of them is believed: that it took a proof, that these are the sums, that the parts open
to this amount. What is believed is that these are the chain's transactions and logs; `gridpact audit verify` shows it.
Source: docs/privacy.md, "Meters that nobody can read".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.bindings import sealed_meters
from contracts.bindings.abi import Event, MalformedAnswer
from contracts.bindings.sealed_meters import (
    Auditor,
    AuditorsAppointed,
    AuditorSet,
    BalanceOpened,
    FeederAttested,
    PartGiven,
    Sealed,
    SealedAttested,
    WindowClosed,
)
from contracts.system import SEALED_METERS
from privacy.auditors import (
    Ciphertext,
    Partial,
    ciphertext_from_bytes_checked,
    combine_shares,
    open_together,
    partial_is_right,
    same_amount_from_bytes_checked,
    same_amount_holds,
)
from privacy.commitment import value_base
from privacy.equality import equality_from_bytes_checked
from privacy.group import InvalidEncoding
from privacy.secp256k1 import SECP256K1, Point

_G = SECP256K1
_POINT = _G.point_bytes
_DIRECTIONS = ("import", "export")


@dataclass(frozen=True, slots=True)
class Logged:
    """A log of the sealed meters with the transaction that it is of.

    Args:
        event: what was logged.
        sender, to: of the transaction, 20 bytes each.
        data: its calldata.
    """

    event: Event
    sender: bytes
    to: bytes | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Street:
    """What the genesis file says: chain, meters, quarters of a window, the feeder's meter, the first auditors."""

    chain_id: int
    meters: frozenset[bytes]
    quarters: int
    feeder_meter: bytes
    auditors: AuditorSet


@dataclass(slots=True)
class BalanceReport:
    """What was checked of a window, and the first thing that is wrong.

    Args:
        window: which.
        expected: quarters that all meters together attest.
        readings: quarters attested, each with two proofs that were checked.
        parts: auditors whose parts were checked, two each.
        opened_by: whose parts open the sums.
        sums: import and export over all meters, in Wh; None before they are opened.
        feeder: what the feeder brought and took, in Wh; None before it is attested.
        closed: whether the window is closed.
        offence: what is wrong; nothing if all holds.
    """

    window: int
    expected: int
    readings: int = 0
    parts: list[int] = field(default_factory=list)
    opened_by: tuple[int, ...] = ()
    sums: tuple[int, int] | None = None
    feeder: tuple[int, int] | None = None
    closed: bool = False
    offence: str = ""

    @property
    def losses_wh(self) -> int | None:
        """What the feeder brought more than all meters took; None while one of both is unknown."""
        if self.sums is None or self.feeder is None:
            return None
        return self.feeder[0] - self.feeder[1] - (self.sums[0] - self.sums[1])

    @property
    def verdict(self) -> str:
        """One line: failed and why, still open, or ok and what was checked."""
        if self.offence:
            return f"balance: FAILED window {self.window}: {self.offence}"
        if not self.closed:
            return f"balance: window {self.window} is still open: {self.readings} of {self.expected} quarters attested"
        if self.sums is None:
            return f"balance: window {self.window} is not opened yet: parts of {len(self.parts)} auditors"
        return (
            f"balance: ok window {self.window}: {2 * self.readings} sealed readings, 2 sums, "
            f"{2 * len(self.parts)} parts and the opening by auditors {', '.join(map(str, self.opened_by))}"
        )

    @property
    def ok(self) -> bool:
        """Whether the sums are opened and everything holds."""
        return not self.offence and self.sums is not None

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        names = ("import_wh", "export_wh")
        return {
            "ok": self.ok,
            "window": self.window,
            "closed": self.closed,
            "quarters": self.readings,
            "expected_quarters": self.expected,
            "sums": None if self.sums is None else dict(zip(names, self.sums, strict=True)),
            "feeder": None if self.feeder is None else dict(zip(names, self.feeder, strict=True)),
            "losses_wh": self.losses_wh,
            "checked": {"same_amount_proofs": 2 * self.readings, "parts": 2 * len(self.parts)},
            "auditors": self.parts,
            "opened_by": list(self.opened_by),
            "offence": self.offence or None,
        }


class _Wrong(Exception):
    """Something does not hold."""


def street_of(genesis: Mapping[str, Any]) -> Street | None:
    """Return what a genesis file says of sealed meters; None if it has none. Its other parts were checked before."""
    sealing = genesis.get("sealing")
    if sealing is None:
        return None
    schedule = genesis["schedule"]
    auditors = tuple(Auditor(_bytes(row["account"]), _bytes(row["public_share"])) for row in sealing["auditors"])
    return Street(
        chain_id=genesis["chain_id"],
        meters=frozenset(_bytes(row["meter"]) for row in genesis["meters"]),
        quarters=schedule["window_length_s"] // schedule["quarter_length_s"],
        feeder_meter=_bytes(sealing["feeder_meter"]),
        auditors=AuditorSet(0, sealing["threshold"], _bytes(sealing["joint_key"]), auditors),
    )


def check_balance(street: Street, window: int, logs: Sequence[Logged]) -> BalanceReport:
    """Check a window from its logs, those of other windows left out, in the order of the chain.

    Args:
        street: what the genesis file says.
        window: which.
        logs: of the sealed meters: readings, closing, parts, openings, feeder, and who was appointed an auditor.
    """
    report = BalanceReport(window, len(street.meters) * street.quarters)
    try:
        _check(street, report, logs)
    except _Wrong as wrong:
        report.offence = str(wrong)
    except (InvalidEncoding, MalformedAnswer) as error:
        report.offence = f"something cannot be read: {error}"
    return report


def _check(street: Street, report: BalanceReport, logs: Sequence[Logged]) -> None:
    for entry in logs:
        if entry.to != SEALED_METERS:
            raise _Wrong(f"{type(entry.event).__name__} by a transaction to another account")
    auditors = _auditors_of(street, report.window, logs)
    joint_key = _G.point_from_bytes_checked(auditors.joint_key)
    sums = [_G.identity] * 4
    seen: set[tuple[bytes, int]] = set()
    parts: dict[int, tuple[Point, Point]] = {}
    for entry in logs:
        match entry.event:
            case SealedAttested(quarter=quarter) as event if quarter // street.quarters == report.window:
                if report.closed:
                    raise _Wrong(f"meter 0x{event.meter.hex()}, quarter {quarter}: attested after the closing")
                if (event.meter, quarter) in seen:
                    raise _Wrong(f"meter 0x{event.meter.hex()}, quarter {quarter}: attested twice")
                seen.add((event.meter, quarter))
                sums = [_G.sum(pair) for pair in zip(sums, _reading(street, joint_key, entry, event), strict=True)]
                report.readings += 1
            case WindowClosed(window=report.window) as event:
                _check_closing(report, event, sums)
            case PartGiven(window=report.window) as event:
                parts[event.auditor] = _part(street, auditors, entry, event, sums)
                report.parts = sorted(parts)
            case BalanceOpened(window=report.window) as event:
                _check_opening(report, auditors, event, sums, parts)
            case FeederAttested(window=report.window) as event:
                if entry.sender != street.feeder_meter:
                    raise _Wrong(f"the feeder's reading is by 0x{entry.sender.hex()}, not by the feeder's meter")
                report.feeder = event.import_wh, event.export_wh
            case _:
                pass


def _auditors_of(street: Street, window: int, logs: Sequence[Logged]) -> AuditorSet:
    """Return a window's auditors: those appointed last from it or an earlier one on, else the genesis file's."""
    found = street.auditors
    for entry in logs:
        if isinstance(entry.event, AuditorsAppointed) and entry.event.from_window <= window:
            found = sealed_meters.voted_for(entry.data)
            if found.from_window != entry.event.from_window:
                raise _Wrong(f"auditors from window {entry.event.from_window} on: the vote is for others")
    return found


def _reading(street: Street, joint_key: Point, entry: Logged, event: SealedAttested) -> list[Point]:
    """Check what a meter attested of a quarter; return R, M of its import, then of its export."""
    where = f"meter 0x{event.meter.hex()}, quarter {event.quarter}"
    if event.meter not in street.meters:
        raise _Wrong(f"{where}: not certified by the genesis file")
    if entry.sender != event.meter:
        raise _Wrong(f"{where}: sent by 0x{entry.sender.hex()}")
    quarter, *directions = sealed_meters.attested(entry.data)
    if quarter != event.quarter:
        raise _Wrong(f"{where}: the transaction attests quarter {quarter}")
    points: list[Point] = []
    for is_export, (sealed, logged) in enumerate(
        zip(directions, (event.import_points, event.export_points), strict=True)
    ):
        what = f"{where}, {_DIRECTIONS[is_export]}"
        if sealed.points != logged:
            raise _Wrong(f"{what}: the log has other points than the transaction")
        message = sealed_meters.seal_message(street.chain_id, event.meter, quarter, is_export=bool(is_export))
        ciphertext = _same_amount(joint_key, sealed, message)
        if ciphertext is None:
            raise _Wrong(f"{what}: the proof of the same amount does not hold")
        points += [ciphertext.ephemeral, ciphertext.masked]
    return points


def _same_amount(joint_key: Point, sealed: Sealed, message: bytes) -> Ciphertext[Point] | None:
    """Return the ciphertext if ciphertext and commitment are shown to hold the same amount."""
    try:
        ciphertext = ciphertext_from_bytes_checked(_G, sealed.points[: 2 * _POINT])
        commitment = _G.point_from_bytes_checked(sealed.points[2 * _POINT :])
        proof = same_amount_from_bytes_checked(_G, sealed.proof)
    except InvalidEncoding:
        return None
    return ciphertext if same_amount_holds(_G, joint_key, ciphertext, commitment, message, proof) else None


def _check_closing(report: BalanceReport, event: WindowClosed, sums: Sequence[Point]) -> None:
    if report.closed:
        raise _Wrong("closed twice")
    if event.quarters != report.readings:
        raise _Wrong(f"closed with {event.quarters} quarters, but {report.readings} were attested")
    for is_export, what in enumerate(_DIRECTIONS):
        own = b"".join(map(_G.point_to_bytes, sums[2 * is_export : 2 * is_export + 2]))
        if event.sums[2 * _POINT * is_export : 2 * _POINT * (is_export + 1)] != own:
            raise _Wrong(f"the sum of the {what}s is not that of the readings")
    report.closed = True


def _part(
    street: Street, auditors: AuditorSet, entry: Logged, event: PartGiven, sums: Sequence[Point]
) -> tuple[Point, Point]:
    """Check an auditor's parts of both sums and return them."""
    where = f"part of auditor {event.auditor}"
    if not 1 <= event.auditor <= len(auditors.auditors):
        raise _Wrong(f"{where}: there are {len(auditors.auditors)}")
    auditor = auditors.auditors[event.auditor - 1]
    window, number, parts, proofs = sealed_meters.given_part(entry.data)
    if (window, number, entry.sender) != (event.window, event.auditor, auditor.account):
        raise _Wrong(f"{where}: the transaction is another's, or of another window")
    if parts != (event.import_part, event.export_part):
        raise _Wrong(f"{where}: the log has other points than the transaction")
    public = _G.point_from_bytes_checked(auditor.public_share)
    found = []
    for is_export, what in enumerate(_DIRECTIONS):
        request = sealed_meters.request(street.chain_id, window, is_export=bool(is_export))
        try:
            point = _G.point_from_bytes_checked(parts[is_export])
            partial = Partial(number, point, equality_from_bytes_checked(_G, proofs[is_export]))
        except InvalidEncoding:
            raise _Wrong(f"{where}, {what}: no part can be read") from None
        if not partial_is_right(_G, public, sums[2 * is_export], request, partial):
            raise _Wrong(f"{where}, {what}: the proof does not hold")
        found.append(point)
    return found[0], found[1]


def _check_opening(
    report: BalanceReport,
    auditors: AuditorSet,
    event: BalanceOpened,
    sums: Sequence[Point],
    parts: Mapping[int, tuple[Point, Point]],
) -> None:
    """Check that parts open both sums: enough of them, of shares that make the joint key, to these amounts."""
    if not report.closed:
        raise _Wrong("opened before it was closed")
    by = event.auditors
    if len(set(by)) != auditors.threshold or not set(by) <= set(parts):
        raise _Wrong(f"opened by auditors {', '.join(map(str, by))}, of whom not enough gave parts")
    shares = {number: _G.point_from_bytes_checked(auditors.auditors[number - 1].public_share) for number in by}
    if _G.point_to_bytes(combine_shares(_G, shares)) != auditors.joint_key:
        raise _Wrong(f"the shares of auditors {', '.join(map(str, by))} do not make the joint key")
    for is_export, (what, amount) in enumerate(zip(_DIRECTIONS, (event.import_wh, event.export_wh), strict=True)):
        ciphertext = Ciphertext(*sums[2 * is_export : 2 * is_export + 2])
        point = open_together(_G, ciphertext, {number: parts[number][is_export] for number in by})
        if not _G.equal(point, _G.multiply(_G.scalar(amount), value_base(_G))):
            raise _Wrong(f"the parts do not open the {what}s to {amount} Wh")
    report.sums, report.opened_by = (event.import_wh, event.export_wh), by


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
