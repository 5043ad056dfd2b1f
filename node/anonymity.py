"""Who may act without an account: a member of a window's ring once, owners of notes that were not spent, for both of
them only with proofs that hold; judged on the parent state, as all admission is.

Whether a proof holds depends on the transaction's bytes and on the ring or bin alone, so what holds is remembered: a
block does not check again what the pool admitted. Wrong ones are not, or anybody could have right ones forgotten.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from threading import Lock
from typing import Final

from contracts.private_window import (
    SPEND_CALL_BYTES,
    SpendCall,
    bin_address,
    decode_spend,
    is_spent,
    ring_address,
    window_of,
)
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL
from node.chain.header import Header
from node.chain.private import SignedCall, SignedTransfer
from node.chain.transaction import InvalidTransaction, Transaction
from node.state import StateReader
from privacy import envelopes, range_proof
from privacy.group import InvalidEncoding
from privacy.secp256k1 import SECP256K1

MAX_EXPIRY_AHEAD: Final = 1_000  # heights; what waits longer does not act any more, and need not be remembered
PROOFS_KEPT: Final = 8_192  # several times what a pool may hold
SPENDS_KEPT: Final = 2_048  # decoded calldata, about a kilobyte each


class InvalidProof(InvalidTransaction):
    """A proof that does not hold: an honest node passes none on."""


class _Proved:
    """Proofs that hold, by what that depends on; the oldest leave. The pool's thread and the chain's both ask."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kept: OrderedDict[tuple[bytes, ...], None] = OrderedDict()
        self._lock = Lock()

    def has(self, *key: bytes) -> bool:
        with self._lock:
            return key in self._kept

    def keep(self, holds: bool, *key: bytes) -> bool:
        """Remember a proof if it holds; return whether it does."""
        if holds:
            with self._lock:
                self._kept[key] = None
                while len(self._kept) > self._bound:
                    self._kept.popitem(last=False)
        return holds


_proved: Final = _Proved(PROOFS_KEPT)


Data = tuple[bytes, bytes]
"""A data contract's code hash, and its code."""


def check_private(tx: Transaction, state: StateReader, parent: Header) -> None:
    """Check that a transaction without an account may be in a block over `state`, proofs included.

    Args:
        tx: of type 0x6e or 0x6f.
        state: of the parent.
        parent: its header.

    Raises:
        InvalidTransaction: with the reason.
        InvalidProof: all is well but a proof.
    """
    data = check_current(tx, state, parent)
    if isinstance(tx.private, SignedCall):
        if not _call_holds(tx, tx.private, data[0]):
            raise InvalidProof("invalid ring signature: no member of this ring signed this call")
    elif isinstance(tx.private, SignedTransfer):
        _check_balance(tx)
        for place, code in enumerate(data):
            if not _spend_holds(tx, tx.private, place, code):
                raise InvalidProof(f"invalid CLSAG: spend {place} is of no note of its bin")
        if not _ranges_hold([tx])[0]:
            raise InvalidProof("invalid range proof: not every new amount was shown to be in range")


def check_current(tx: Transaction, state: StateReader, parent: Header) -> list[Data]:
    """Check all but the proofs.

    Returns:
        What the proofs are about: the ring, or each spend's bin.

    Raises:
        InvalidTransaction: it expired; its window, ring, notes or sender are not those that may act now.
    """
    if isinstance(tx.private, SignedCall):
        _check_expiry(tx.private.call.expiry_height, parent)
        return [_check_call(tx, tx.private, state, parent)]
    if isinstance(tx.private, SignedTransfer):
        _check_expiry(tx.private.transfer.expiry_height, parent)
        return _check_spends(tx, state)
    raise TypeError(f"transaction type {tx.type}: expected one without an account")


def check_ranges(transactions: Iterable[Transaction]) -> None:
    """Check the range proofs of a block's transfers together, so that those that hold are not checked again."""
    _ranges_hold([tx for tx in transactions if isinstance(tx.private, SignedTransfer)])


def key_images(tx: Transaction) -> tuple[bytes, ...]:
    """Return the key images (33 bytes each) of the notes that a transaction spends; none if it is no transfer."""
    spend = spend_of(tx.data) if isinstance(tx.private, SignedTransfer) else None
    return () if spend is None else tuple(each.key_image for each in spend.spends)


def spend_of(data: bytes) -> SpendCall | None:
    """Return what a transfer's calldata says; None if it is no `spend`."""
    return _decoded(data) if len(data) in SPEND_CALL_BYTES else None


_decoded = lru_cache(maxsize=SPENDS_KEPT)(decode_spend)


def _check_expiry(expiry_height: int, parent: Header) -> None:
    if expiry_height <= parent.number:
        raise InvalidTransaction(f"transaction expired: at height {expiry_height}, the next is {parent.number + 1}")
    if expiry_height > parent.number + MAX_EXPIRY_AHEAD:
        raise InvalidTransaction(
            f"expiry too far ahead: height {expiry_height}, at most {MAX_EXPIRY_AHEAD} above {parent.number}"
        )


def _nonce(state: StateReader, address: bytes) -> int:
    account = state.account(address)
    return 0 if account is None else account.nonce


def _data(state: StateReader, address: bytes | None) -> Data | None:
    """Return what a data contract holds; None if there is none."""
    account = None if address is None else state.account(address)
    return None if account is None else (account.code_hash, state.code(account.code_hash))


# -- anonymous calls


def _check_call(tx: Transaction, signed: SignedCall, state: StateReader, parent: Header) -> Data:
    call = signed.call
    if call.to != PRIVATE_MARKET:
        raise InvalidTransaction(f"an anonymous call goes to 0x{PRIVATE_MARKET.hex()}, found 0x{call.to.hex()}")
    now = window_of(state.storage, parent.timestamp)
    if now is None:
        raise InvalidTransaction("this street does not trade in private")
    if call.window not in (now + 1, now + 2):
        raise InvalidTransaction(f"window {call.window} is not traded now: expected {now + 1} or {now + 2}")
    found = _data(state, ring_address(state.storage, call.window))
    if found is None or found[0] != call.ring_root:
        raise InvalidTransaction(f"not the ring of window {call.window}: 0x{call.ring_root.hex()}")
    if _nonce(state, tx.sender):
        raise InvalidTransaction(f"nullifier already used in window {call.window}: 0x{call.nullifier.hex()}")
    return found


def _call_holds(tx: Transaction, signed: SignedCall, data: Data) -> bool:
    if _proved.has(tx.hash, data[0]):
        return True
    try:
        rows = envelopes.ring_from_code(data[1])
    except InvalidEncoding:
        return False
    return _proved.keep(envelopes.call_holds(signed.call, PRIVACY_REGISTRY, rows, signed.proof), tx.hash, data[0])


# -- transfers of notes


def _check_spends(tx: Transaction, state: StateReader) -> list[Data]:
    if tx.to != SHIELDED_POOL:
        raise InvalidTransaction(f"a transfer goes to 0x{SHIELDED_POOL.hex()}, found 0x{(tx.to or b'').hex()}")
    spend = spend_of(tx.data)
    if spend is None:
        raise InvalidTransaction("not the one encoding of a spend of two notes that makes two")
    images = [each.key_image for each in spend.spends]
    if len(set(images)) != len(images):
        raise InvalidTransaction(f"one note spent twice: key image 0x{images[0].hex()}")
    for image in images:
        if is_spent(state.storage, image):
            raise InvalidTransaction(f"note already spent: key image 0x{image.hex()}")
    bins = []
    for each in spend.spends:
        found = _data(state, bin_address(state.storage, each.bin))
        if found is None:
            raise InvalidTransaction(f"bin {each.bin} is not closed")
        bins.append(found)
    if _nonce(state, tx.sender):
        raise InvalidTransaction(f"transfer already executed: sender 0x{tx.sender.hex()}")
    return bins


def _check_balance(tx: Transaction) -> None:
    """Check what the pool checks too: what reverts there spends no note, so it could come again for ever."""
    spend = spend_of(tx.data)
    if spend is None or not envelopes.balances(
        [each.pseudo_output for each in spend.spends], spend.commitments, spend.withdrawal
    ):
        raise InvalidTransaction("unbalanced: the notes that are spent are not what the transfer makes")


def _spend_holds(tx: Transaction, signed: SignedTransfer, place: int, data: Data) -> bool:
    key = tx.hash, bytes((place,)), data[0]
    if _proved.has(*key):
        return True
    spend = spend_of(tx.data)
    try:
        notes = envelopes.bin_from_code(data[1])
    except InvalidEncoding:
        return False
    if spend is None:
        return False
    said, message = spend.spends[place], signed.transfer.signing_hash()
    holds = envelopes.spend_holds(notes, said.key_image, said.pseudo_output, message, signed.proofs[place])
    return _proved.keep(holds, *key)


def _ranges_hold(transfers: Sequence[Transaction]) -> list[bool]:
    """Return of each transfer whether its range proof holds; those that are not known to are checked together."""
    found = {tx.hash: _proved.has(tx.hash) for tx in transfers}
    claims: dict[bytes, envelopes.RangeClaim] = {}
    for tx in transfers:
        claim = None if found[tx.hash] else _range_claim(tx)
        if claim is not None:
            claims[tx.hash] = claim
    if claims:
        verdicts = range_proof.verify_each(SECP256K1, list(claims.values()), secrets.token_bytes(32))
        for transaction_hash, verdict in zip(claims, verdicts, strict=True):
            found[transaction_hash] = _proved.keep(verdict, transaction_hash)
    return [found[tx.hash] for tx in transfers]


def _range_claim(tx: Transaction) -> envelopes.RangeClaim | None:
    spend, signed = spend_of(tx.data), tx.private
    if spend is None or not isinstance(signed, SignedTransfer):
        return None
    return envelopes.range_claim_of(spend.commitments, signed.transfer.signing_hash(), signed.proofs[2])
