"""SealedMeters: attested quarters that nobody can read, and a window's balance that everybody can check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Event, Interface, View, one
from contracts.bindings.meter_registry import Schedule, WindowTime
from contracts.system import SEALED_METERS


@dataclass(frozen=True, slots=True)
class Sealed:
    """One direction of a quarter.

    Args:
        points: ciphertext R and M, then the commitment C, 33 bytes each.
        proof: that both hold the same amount, 128 bytes.
    """

    points: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class SealedReading:
    """Commitments to what a household's meter attested of a window so far, and how many quarters that is."""

    import_wh: bytes
    export_wh: bytes
    quarters: int


@dataclass(frozen=True, slots=True)
class Auditor:
    """Who gives parts of openings, and the public share behind them (33 bytes)."""

    account: bytes
    public_share: bytes


@dataclass(frozen=True, slots=True)
class AuditorSet:
    """Auditors from a window on.

    Args:
        from_window: the first window that is theirs.
        threshold: how many of them open a thing together.
        joint_key: what is of their windows is encrypted to it, 33 bytes.
        auditors: in the order of their numbers from 1.
    """

    from_window: int
    threshold: int
    joint_key: bytes
    auditors: tuple[Auditor, ...]

    @property
    def row(self) -> tuple[object, ...]:
        """The set as the contract takes it."""
        auditors = [(auditor.account, auditor.public_share) for auditor in self.auditors]
        return self.from_window, self.threshold, self.joint_key, auditors


@dataclass(frozen=True, slots=True)
class AuditorsVoted(Event):
    """A member voted for auditors to come."""

    set: bytes
    member: bytes
    votes: int
    needed: int


@dataclass(frozen=True, slots=True)
class AuditorsAppointed(Event):
    """Auditors act from a window on."""

    from_window: int
    number: int
    set: bytes


@dataclass(frozen=True, slots=True)
class Balance:
    """A window's sums over all meters beside the feeder's reading; losses count only where both are there."""

    quarters: int
    closed: bool
    opened: bool
    fed: bool
    import_wh: int
    export_wh: int
    feeder_import_wh: int
    feeder_export_wh: int
    losses_wh: int


@dataclass(frozen=True, slots=True)
class SealedAttested(Event):
    """A meter attested a quarter."""

    meter: bytes
    household: bytes
    quarter: int
    import_points: bytes
    export_points: bytes


@dataclass(frozen=True, slots=True)
class WindowClosed(Event):
    """Nothing is attested of this window any more; the sums are R, M of the imports, then R, M of the exports."""

    window: int
    quarters: int
    expected: int
    sums: bytes


@dataclass(frozen=True, slots=True)
class PartGiven(Event):
    """An auditor gave its parts of the opening of a window's sums."""

    window: int
    auditor: int
    import_part: bytes
    export_part: bytes


@dataclass(frozen=True, slots=True)
class BalanceOpened(Event):
    """Enough auditors opened a window's sums."""

    window: int
    import_wh: int
    export_wh: int
    auditors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FeederAttested(Event):
    """What the feeder of the street brought and took back in a window."""

    window: int
    import_wh: int
    export_wh: int


INTERFACE = Interface(
    "SealedMeters",
    SEALED_METERS,
    (SealedAttested, WindowClosed, PartGiven, BalanceOpened, FeederAttested, AuditorsVoted, AuditorsAppointed),
)


def attest(quarter: int, imported: Sealed, exported: Sealed) -> bytes:
    """Attest one quarter; sent by the meter itself, once the quarter is over."""
    rows = ((each.points, each.proof) for each in (imported, exported))
    return INTERFACE.call("attest", quarter, *rows)


def close_window(window: int) -> bytes:
    """Close a window: all quarters are there, or the deadline has passed. Anyone may."""
    return INTERFACE.call("closeWindow", window)


def give_part(window: int, auditor: int, parts: Sequence[bytes], proofs: Sequence[bytes]) -> bytes:
    """Give an auditor's parts of the opening of both sums, import first; sent by the auditor."""
    return INTERFACE.call("givePart", window, auditor, list(parts), list(proofs))


def open_balance(window: int, import_wh: int, export_wh: int, by: Sequence[int]) -> bytes:
    """Put the sums on record that the parts of these auditors open to. Anyone may."""
    return INTERFACE.call("openBalance", window, import_wh, export_wh, list(by))


def attest_feeder(window: int, import_wh: int, export_wh: int) -> bytes:
    """Attest what the feeder brought and took in a window that is over; sent by the feeder's meter."""
    return INTERFACE.call("attestFeeder", window, import_wh, export_wh)


def attested(data: bytes) -> tuple[int, Sealed, Sealed]:
    """Return quarter, import and export of the calldata that attested them; raises MalformedAnswer for any other."""
    quarter, imported, exported = INTERFACE.arguments("attest", data)
    return quarter, Sealed(**imported), Sealed(**exported)


def given_part(data: bytes) -> tuple[int, int, tuple[bytes, ...], tuple[bytes, ...]]:
    """Return window, auditor, parts and proofs of the calldata that gave them; raises MalformedAnswer."""
    window, auditor, parts, proofs = INTERFACE.arguments("givePart", data)
    return window, auditor, parts, proofs


def voted_for(data: bytes) -> AuditorSet:
    """Return the set that calldata voted for; raises MalformedAnswer."""
    (row,) = INTERFACE.arguments("voteForAuditors", data)
    return _auditor_set(row)


def balance_of(window: int) -> View[Balance]:
    """A window's sums beside the feeder's reading."""
    return INTERFACE.view(lambda row: Balance(**row), "balanceOf", window)


def sealed_reading(household: bytes, window: int) -> View[SealedReading]:
    """The commitments to what a household's meter attested of a window so far."""
    return INTERFACE.view(SealedReading, "sealedReading", household, window)


def next_quarter(meter: bytes) -> View[int]:
    """The first quarter that `meter` may still attest."""
    return INTERFACE.view(one, "nextQuarter", meter)


def sums(window: int) -> View[bytes]:
    """The encrypted sums of a window: R, M of the imports, then R, M of the exports."""
    return INTERFACE.view(one, "sums", window)


def vote_for_auditors(auditors: AuditorSet) -> bytes:
    """Vote for auditors to come; sent by a member of the consortium."""
    return INTERFACE.call("voteForAuditors", auditors.row)


def auditors_of(window: int) -> View[AuditorSet]:
    """The auditors of a window."""
    return INTERFACE.view(_auditor_set, "auditorsOf", window)


def is_auditor(account: bytes) -> View[bool]:
    """Whether an account is an auditor's of any window."""
    return INTERFACE.view(one, "isAuditor", account)


def meter_of(household: bytes) -> View[bytes]:
    """The meter of a household; zeros if it has none here."""
    return INTERFACE.view(one, "meterOf", household)


def auditor_set_count() -> View[int]:
    """The number of sets so far, that of the genesis file included."""
    return INTERFACE.view(one, "auditorSetCount")


def auditor_set(number: int) -> View[AuditorSet]:
    """A set by its number from 0, that of the genesis file."""
    return INTERFACE.view(_auditor_set, "auditorSet", number)


def joint_key_of(window: int) -> View[bytes]:
    """The key that what is of a window is encrypted to."""
    return INTERFACE.view(one, "jointKeyOf", window)


def auditors_id(auditors: AuditorSet) -> View[bytes]:
    """What members vote for: a hash of the set, the chain and the contract."""
    return INTERFACE.view(one, "auditorsId", auditors.row)


def feeder_meter() -> View[bytes]:
    """Who attests for the feeder."""
    return INTERFACE.view(one, "feederMeter")


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def request(chain_id: int, window: int, *, is_export: bool) -> bytes:
    """Return what an auditor's proof is bound to."""
    return _bound("gridpact/balance/v1", chain_id, ("uint64", window), is_export)


def seal_message(chain_id: int, meter: bytes, quarter: int, *, is_export: bool) -> bytes:
    """Return what a meter's proof is bound to."""
    return _bound("gridpact/reading/v1", chain_id, ("address", meter), ("uint64", quarter), is_export)


def _auditor_set(row: dict[str, Any]) -> AuditorSet:
    return AuditorSet(**{**row, "auditors": tuple(Auditor(**auditor) for auditor in row["auditors"])})


def _bound(label: str, chain_id: int, *parts: tuple[str, object] | bool) -> bytes:
    typed = [("bool", part) if isinstance(part, bool) else part for part in parts]
    rows = [("string", label), ("uint256", chain_id), ("address", SEALED_METERS), *typed]
    return bytes(keccak(encode([kind for kind, _ in rows], [value for _, value in rows])))
