"""PrivacyRegistry: the keys of members that act without a name, and the ring of every window."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Event, Interface, View, one
from contracts.bindings.meter_registry import Schedule, WindowTime
from contracts.system import PRIVACY_REGISTRY

POINT_BYTES = 33
ROW_BYTES = 86
BOX_BYTES = 80


@dataclass(frozen=True, slots=True)
class Registration:
    """What an account registers.

    Args:
        keys: ring key P, trace key K, stealth spending key S and viewing key V, 33 bytes each.
        proofs: of their possession, in that order, 64 bytes each.
        commitments: to the polynomial that deals the secret of K; the threshold × 33 bytes, the first is K.
        shares: of it, in a sealed box for each auditor, 80 bytes each.
        relay_key: X25519, of its relay.
        endpoint: of its relay, HOST:PORT.
    """

    keys: bytes
    proofs: bytes
    commitments: bytes
    shares: bytes
    relay_key: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class Member:
    """What an account registered last, whether or not it has left since; from window 0 and empty if it never did."""

    from_window: int
    relay_key: bytes
    keys: bytes
    commitments: bytes
    endpoint: str

    @property
    def meta_address(self) -> bytes:
        """The stealth meta-address S ‖ V, 66 bytes."""
        return self.keys[2 * POINT_BYTES :]


@dataclass(frozen=True, slots=True)
class Ring:
    """The ring of a window: its data contract, the first window that it is for, the number of its members."""

    ring: bytes
    from_window: int
    members: int


@dataclass(frozen=True, slots=True)
class Row:
    """A member of a ring: account (20 bytes), ring key P and trace key K (33 bytes each)."""

    account: bytes
    ring_key: bytes
    trace_key: bytes


@dataclass(frozen=True, slots=True)
class Registered(Event):
    """An account registered, or changed its keys."""

    account: bytes
    from_window: int
    keys: bytes
    commitments: bytes
    shares: bytes
    relay_key: bytes
    endpoint: str

    @property
    def trace_key(self) -> bytes:
        """The trace key K, 33 bytes."""
        return self.keys[POINT_BYTES : 2 * POINT_BYTES]

    def box_of(self, auditor: int) -> bytes:
        """Return the sealed share of an auditor, by its number from 1; 80 bytes."""
        return self.shares[(auditor - 1) * BOX_BYTES : auditor * BOX_BYTES]


@dataclass(frozen=True, slots=True)
class Left(Event):
    """An account is in no ring from this window on."""

    account: bytes
    from_window: int


@dataclass(frozen=True, slots=True)
class RingChanged(Event):
    """The ring from this window on, unless it changes again in the same window; the root is its code hash."""

    from_window: int
    ring: bytes
    members: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Complained(Event):
    """An auditor says that its share of this trace key is not right."""

    account: bytes
    auditor: bytes
    trace_key: bytes


@dataclass(frozen=True, slots=True)
class Barred(Event):
    """As many auditors as open together complained of this trace key: the account may not register any more."""

    account: bytes
    trace_key: bytes


@dataclass(frozen=True, slots=True)
class Readmitted(Event):
    """These auditors let a barred account register again."""

    account: bytes
    auditors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BoxKeyChanged(Event):
    """Shares for this auditor are boxed to this key from now on."""

    auditor: bytes
    box_key: bytes


INTERFACE = Interface(
    "PrivacyRegistry",
    PRIVACY_REGISTRY,
    (Registered, Left, RingChanged, Complained, Barred, Readmitted, BoxKeyChanged),
)


def register(from_window: int, registration: Registration) -> bytes:
    """Register the sender, or change all of its keys; the window is the one that `next_window` says."""
    return INTERFACE.call("register", from_window, astuple(registration))


def leave() -> bytes:
    """Be in no ring from the next window on."""
    return INTERFACE.call("leave")


def complain(account: bytes, trace_key: bytes) -> bytes:
    """Say that the share of an account's trace key is not right; sent by an auditor."""
    return INTERFACE.call("complain", account, trace_key)


def readmit(account: bytes) -> bytes:
    """Let a barred account register again, once enough auditors have said so; sent by an auditor of the window now."""
    return INTERFACE.call("readmit", account)


def ring_of(window: int) -> View[Ring]:
    """The ring of a window; all zeros if there is none."""
    return INTERFACE.view(Ring, "ringOf", window)


def rows_of(window: int) -> View[tuple[Row, ...]]:
    """The members of the ring of a window, in its order."""
    return INTERFACE.view(parse_rows, "rowsOf", window)


def parse_rows(raw: bytes) -> tuple[Row, ...]:
    """Return the members that the rows of a ring say: the code of its data contract, without the first byte."""
    rows = (raw[at : at + ROW_BYTES] for at in range(0, len(raw), ROW_BYTES))
    return tuple(Row(row[:20], row[20 : 20 + POINT_BYTES], row[20 + POINT_BYTES :]) for row in rows)


def member_of(account: bytes) -> View[Member]:
    """What an account registered last."""
    return INTERFACE.view(lambda row: Member(**row), "memberOf", account)


def complaints(trace_key: bytes) -> View[int]:
    """How many auditors said that their share of a trace key is not right."""
    return INTERFACE.view(one, "complaints", trace_key)


def is_barred(account: bytes) -> View[bool]:
    """Whether auditors barred an account, so that it may not register."""
    return INTERFACE.view(one, "isBarred", account)


def set_box_key(box_key: bytes) -> bytes:
    """Set to which key (X25519, 32 bytes) shares for the sender are boxed from now on; sent by an auditor."""
    return INTERFACE.call("setBoxKey", box_key)


def box_key_of(auditor: bytes) -> View[bytes]:
    """An auditor's key for boxes, by its account; zeros if there is none."""
    return INTERFACE.view(one, "boxKeyOf", auditor)


def box_keys(window: int) -> View[tuple[bytes, ...]]:
    """The keys for boxes of a window's auditors, in the order of their numbers from 1; zeros for one without."""
    return INTERFACE.view(one, "boxKeys", window)


def next_window() -> View[int]:
    """The first window for which acts what is registered now."""
    return INTERFACE.view(one, "nextWindow")


def sealed_meters() -> View[bytes]:
    """Where households' meters and the auditors stand."""
    return INTERFACE.view(one, "sealedMeters")


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def domain(chain_id: int) -> bytes:
    """Return what proofs of possession are bound to."""
    said = encode(["string", "uint256", "address"], ["gridpact/registry/v1", chain_id, PRIVACY_REGISTRY])
    return bytes(keccak(said))
