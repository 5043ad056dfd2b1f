"""Messages and records as bytes: one encoding for each value, read strictly and within bounds.

One tag byte, then fixed-width fields, integers unsigned and big-endian; a body is preceded by its length, a list by its
count. Whatever is not exactly that is refused with `InvalidPeerMessage`.
"""

from __future__ import annotations

from enum import IntEnum

from consensus.certificates import Certificate
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Claim,
    Departure,
    Message,
    NewView,
    Proposal,
    Recall,
    Recalled,
    Record,
    Status,
    ViewChange,
)
from consensus.types import (
    HASH_BYTES,
    KEY_BYTES,
    MAX_VALIDATORS,
    SIGNATURE_BYTES,
    Epoch,
    Height,
    Phase,
    SignedVote,
    View,
    Vote,
)

MAX_HEIGHT = 2**48  # at ten blocks a second, 900,000 years
MAX_VIEW = 2**32  # far above any view that is reached, far below the width of the field
MAX_BLOCKS = 16  # certified blocks a request may ask for
MAX_RECALLED = 128  # votes of one validator at one height: all phases of all views that are kept, with room
MASK_BYTES = MAX_VALIDATORS // 8


class Tag(IntEnum):
    """The first byte of every message and record."""

    PROPOSAL = 1
    VOTE = 2
    VIEW_CHANGE = 3
    NEW_VIEW = 4
    STATUS = 5
    BLOCKS_REQUEST = 6
    CERTIFIED_BLOCK = 7
    BODY_REQUEST = 8
    BODY = 9
    CERTIFICATE = 10
    RECALL = 11
    RECALLED = 12


class InvalidPeerMessage(Exception):
    """A peer sent what no honest peer sends.

    Args:
        reason: what was wrong, where, and what was expected.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode_message(message: Message) -> bytes:
    """Return the bytes of a message."""
    match message:
        case Proposal(vote, body):
            return bytes((Tag.PROPOSAL,)) + _vote(vote) + _data(body)
        case SignedVote():
            return bytes((Tag.VOTE,)) + _vote(message)
        case ViewChange():
            return bytes((Tag.VIEW_CHANGE,)) + _view_change(message)
        case NewView():
            return bytes((Tag.NEW_VIEW,)) + _new_view(message)
        case Status(height, view, entered, has_proposal, prepares, commits, view_changes):
            masks = b"".join(mask.to_bytes(MASK_BYTES, "big") for mask in (prepares, commits, view_changes))
            return bytes((Tag.STATUS,)) + _u64(height) + _u64(view) + bytes((entered, has_proposal)) + masks
        case BlocksRequest(height, count):
            return bytes((Tag.BLOCKS_REQUEST,)) + _u64(height) + _u16(count)
        case CertifiedBlock(body, certificate):
            return bytes((Tag.CERTIFIED_BLOCK,)) + encode_certificate(certificate) + _data(body)
        case BodyRequest(height, block_hash):
            return bytes((Tag.BODY_REQUEST,)) + _u64(height) + block_hash
        case Body(height, body):
            return bytes((Tag.BODY,)) + _u64(height) + _data(body)
        case Recall():
            return bytes((Tag.RECALL,))
        case Recalled(height, votes):
            return bytes((Tag.RECALLED,)) + _u64(height) + _u16(len(votes)) + b"".join(map(_vote, votes))


def decode_message(payload: bytes, *, max_body_bytes: int) -> Message:
    """Return the message that a peer's bytes encode.

    Args:
        payload: the bytes, whole.
        max_body_bytes: the longest body that is accepted.

    Raises:
        InvalidPeerMessage: the bytes are not exactly one message within its bounds.
    """
    return _Reader(payload, max_body_bytes).message()


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record of the write-ahead log."""
    match record:
        case Certificate():
            return bytes((Tag.CERTIFICATE,)) + encode_certificate(record)
        case SignedVote() | ViewChange() | Body():
            return encode_message(record)


def decode_record(payload: bytes, *, max_body_bytes: int) -> Record:
    """Return the record that bytes of the write-ahead log encode.

    Raises:
        InvalidPeerMessage: the bytes are not exactly one record.
    """
    return _Reader(payload, max_body_bytes).record()


def encode_certificate(certificate: Certificate) -> bytes:
    """Return the bytes of a certificate, as stored beside its block.

    Layout: height 8 ‖ epoch 8 ‖ view 8 ‖ phase 1 ‖ block hash 32 ‖ count 2 ‖ count × (signer 32 ‖ signature 64).
    """
    pairs = zip(certificate.signers, certificate.signatures, strict=True)
    return b"".join(
        (
            _u64(certificate.height),
            _u64(certificate.epoch),
            _u64(certificate.view),
            bytes((certificate.phase,)),
            certificate.block_hash,
            _u16(len(certificate.signers)),
            *(signer + signature for signer, signature in pairs),
        )
    )


def decode_certificate(payload: bytes) -> Certificate:
    """Return the certificate that bytes encode; it is not verified.

    Raises:
        InvalidPeerMessage: the bytes are not exactly one certificate.
    """
    reader = _Reader(payload, 0)
    certificate = reader.certificate()
    reader.end()
    return certificate


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _data(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _vote(signed: SignedVote) -> bytes:
    vote = signed.vote
    numbers = _u64(vote.epoch) + _u64(vote.height) + _u64(vote.view) + bytes((vote.phase,))
    return numbers + vote.block_hash + signed.signer + signed.signature


def _view_change(message: ViewChange) -> bytes:
    return _vote(message.vote) + _optional(message.prepared)


def _new_view(message: NewView) -> bytes:
    numbers = _u64(message.epoch) + _u64(message.height) + _u64(message.view) + _u16(len(message.departures))
    return numbers + b"".join(map(_departure, message.departures)) + _optional(message.prepared)


def _departure(departure: Departure) -> bytes:
    claim = departure.claim
    told = b"\x00" if claim is None else b"\x01" + _u64(claim.view) + claim.block_hash
    return departure.signer + departure.signature + told


def _optional(certificate: Certificate | None) -> bytes:
    return b"\x00" if certificate is None else b"\x01" + encode_certificate(certificate)


class _Reader:
    """Takes values off the front of a peer's bytes; every method raises InvalidPeerMessage."""

    def __init__(self, payload: bytes, max_body_bytes: int) -> None:
        self._payload = payload
        self._at = 0
        self._max_body_bytes = max_body_bytes

    def message(self) -> Message:
        """Read exactly one message."""
        message = self._message(self._number(1, 256, "tag"))
        self.end()
        return message

    def record(self) -> Record:
        """Read exactly one record of the write-ahead log."""
        record: Record
        match self._number(1, 256, "tag"):
            case Tag.VOTE:
                record = self._vote(tuple(Phase))
            case Tag.VIEW_CHANGE:
                record = self._view_change()
            case Tag.BODY:
                record = Body(self._height(), self._data())
            case Tag.CERTIFICATE:
                record = self.certificate()
            case tag:
                raise InvalidPeerMessage(f"tag {tag} is no record's")
        self.end()
        return record

    def certificate(self) -> Certificate:
        """Read a certificate."""
        height, epoch, view = self._height(), self._epoch(), self._view()
        phase = self._phase((Phase.PREPARE, Phase.COMMIT))
        block_hash = self._take(HASH_BYTES)
        count = self._number(2, MAX_VALIDATORS + 1, "signers")
        pairs = [(self._take(KEY_BYTES), self._take(SIGNATURE_BYTES)) for _ in range(count)]
        signers = tuple(signer for signer, _ in pairs)
        return Certificate(height, epoch, view, phase, block_hash, signers, tuple(signature for _, signature in pairs))

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self._payload):
            raise InvalidPeerMessage(f"{len(self._payload) - self._at} bytes too many after byte {self._at}")

    def _message(self, tag: int) -> Message:
        match tag:
            case Tag.PROPOSAL:
                return Proposal(self._vote((Phase.PROPOSE,)), self._data())
            case Tag.VOTE:
                return self._vote((Phase.PROPOSE, Phase.PREPARE, Phase.COMMIT))
            case Tag.VIEW_CHANGE:
                return self._view_change()
            case Tag.NEW_VIEW:
                return self._new_view()
            case Tag.STATUS:
                height, view, entered, proposal = self._height(), self._view(), self._flag(), self._flag()
                return Status(height, view, entered, proposal, self._mask(), self._mask(), self._mask())
            case Tag.BLOCKS_REQUEST:
                return BlocksRequest(self._height(), self._number(2, MAX_BLOCKS + 1, "count"))
            case Tag.CERTIFIED_BLOCK:
                certificate = self.certificate()
                return CertifiedBlock(self._data(), certificate)
            case Tag.BODY_REQUEST:
                return BodyRequest(self._height(), self._take(HASH_BYTES))
            case Tag.BODY:
                return Body(self._height(), self._data())
            case Tag.RECALL:
                return Recall()
            case Tag.RECALLED:
                height, count = self._height(), self._number(2, MAX_RECALLED + 1, "votes")
                return Recalled(height, tuple(self._vote(tuple(Phase)) for _ in range(count)))
            case _:
                raise InvalidPeerMessage(f"tag {tag} is no message's")

    def _vote(self, phases: tuple[Phase, ...]) -> SignedVote:
        epoch, height, view, phase = self._epoch(), self._height(), self._view(), self._phase(phases)
        vote = Vote(epoch, height, view, phase, self._take(HASH_BYTES))
        return SignedVote(vote, self._take(KEY_BYTES), self._take(SIGNATURE_BYTES))

    def _view_change(self) -> ViewChange:
        vote = self._vote((Phase.VIEW_CHANGE,))
        return ViewChange(vote, self.certificate() if self._flag() else None)

    def _new_view(self) -> NewView:
        epoch, height, view = self._epoch(), self._height(), self._view()
        count = self._number(2, MAX_VALIDATORS + 1, "view changes")
        departures = tuple(self._departure() for _ in range(count))
        return NewView(epoch, height, view, departures, self.certificate() if self._flag() else None)

    def _departure(self) -> Departure:
        signer, signature = self._take(KEY_BYTES), self._take(SIGNATURE_BYTES)
        return Departure(signer, signature, Claim(self._view(), self._take(HASH_BYTES)) if self._flag() else None)

    def _take(self, size: int) -> bytes:
        part = self._payload[self._at : self._at + size]
        if len(part) != size:
            raise InvalidPeerMessage(f"{len(self._payload)} bytes end before byte {self._at + size}")
        self._at += size
        return part

    def _number(self, size: int, below: int, what: str) -> int:
        value = int.from_bytes(self._take(size), "big")
        if value >= below:
            raise InvalidPeerMessage(f"{what} {value}, expected less than {below}")
        return value

    def _height(self) -> Height:
        return Height(self._number(8, MAX_HEIGHT, "height"))

    def _epoch(self) -> Epoch:
        return Epoch(self._number(8, MAX_HEIGHT, "epoch"))

    def _view(self) -> View:
        return View(self._number(8, MAX_VIEW, "view"))

    def _phase(self, allowed: tuple[Phase, ...]) -> Phase:
        value = self._number(1, 256, "phase")
        if value not in allowed:
            raise InvalidPeerMessage(f"phase {value}, expected one of {[phase.name for phase in allowed]}")
        return Phase(value)

    def _flag(self) -> bool:
        return self._number(1, 2, "flag") == 1

    def _mask(self) -> int:
        return int.from_bytes(self._take(MASK_BYTES), "big")

    def _data(self) -> bytes:
        return self._take(self._number(4, self._max_body_bytes + 1, "body length"))
