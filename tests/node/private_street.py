"""The storage of a private street's contracts, as the page lays it down, without the contracts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eth_hash.auto import keccak

from contracts.layout import array_slot, mapping_slot
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL
from node.chain.header import Header
from node.chain.transaction import Transaction, decode_transaction
from privacy.envelopes import RingRow, bin_to_code, ring_to_code
from tests.execution.states import DictState, Holding, header_at
from tests.node.samples import GENESIS_TIME_S
from tests.privacy.envelopes import CHAIN_ID, WINDOW, bin_notes, ring_rows

WINDOW_S = 3_600
WINDOW_ZERO_S = GENESIS_TIME_S - (WINDOW - 1) * WINDOW_S  # the chain begins in the window before that of the samples
LOG_CALLER = bytes.fromhex("335f5fa100")  # logs who calls
BINS = 3


def decoded(raw: bytes) -> Transaction:
    return decode_transaction(raw, CHAIN_ID)


def parent_in(window: int, number: int = 7) -> Header:
    """Return the header of a block of a window."""
    return header_at(number, WINDOW_ZERO_S + window * WINDOW_S + 60)


HEAD = parent_in(WINDOW - 1)
NEXT = parent_in(WINDOW - 1, HEAD.number + 1)


def data_address(kind: int, number: int) -> bytes:
    return bytes((0xDA, kind, number)) + bytes(17)


@dataclass(frozen=True)
class Street:
    """What the registry, the pool and the market know.

    Args:
        versions: the ring from which window on.
        spent: key images.
        sessions: until which chain second an account is one.
        nonces: of accounts.
    """

    versions: Sequence[tuple[int, Sequence[RingRow]]] = field(default_factory=lambda: [(2, ring_rows())])
    spent: Sequence[bytes] = ()
    sessions: Mapping[bytes, int] = field(default_factory=dict)
    nonces: Mapping[bytes, int] = field(default_factory=dict)

    def holdings(self) -> dict[bytes, Holding]:
        """Return all accounts."""
        registry, pool = {0: len(self.versions), 1: WINDOW_S << 64 | WINDOW_ZERO_S}, {0: BINS}
        found = {sender: Holding(nonce=nonce) for sender, nonce in self.nonces.items()}
        for at, (window, rows) in enumerate(self.versions):
            address = data_address(1, at)
            registry[array_slot(0) + at] = int.from_bytes(address, "big") << 64 | window
            found[address] = Holding(nonce=1, code=ring_to_code(rows))
        for at in range(BINS):
            address = data_address(2, at)
            pool[array_slot(0) + at] = int.from_bytes(address, "big")
            found[address] = Holding(nonce=1, code=bin_to_code(bin_notes(at)))
        pool |= {mapping_slot(1, keccak(image)): 1 for image in self.spent}
        market = {mapping_slot(0, account): until for account, until in self.sessions.items()}
        found[PRIVACY_REGISTRY] = Holding(nonce=1, code=b"\0", storage=registry)
        found[SHIELDED_POOL] = Holding(nonce=1, code=LOG_CALLER, storage=pool)
        found[PRIVATE_MARKET] = Holding(nonce=1, code=LOG_CALLER, storage=market)
        return found

    def state(self) -> DictState:
        """Return the state."""
        return DictState(self.holdings())

    def deployments(self) -> list[tuple[bytes, bytes]]:
        """Return what genesis has to run for it: (address, init code)."""
        return [
            (address, _init_code(held.code, held.storage)) for address, held in self.holdings().items() if held.code
        ]


def _init_code(code: bytes, storage: Mapping[int, int]) -> bytes:
    stores = b"".join(
        b"\x7f" + value.to_bytes(32, "big") + b"\x7f" + slot.to_bytes(32, "big") + b"\x55"
        for slot, value in storage.items()
    )
    length = len(code).to_bytes(2, "big")
    start = (len(stores) + 12).to_bytes(2, "big")
    # PUSH2 length, DUP1, PUSH2 start, PUSH0, CODECOPY, PUSH0, RETURN
    copy = b"\x61" + length + b"\x80" + b"\x61" + start + b"\x5f\x39\x5f\xf3"
    return stores + copy.ljust(12, b"\0") + code
