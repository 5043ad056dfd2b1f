"""The ontology `gridpact-energy/1`: what agents say to each other when they negotiate, as signed envelopes.

After FIPA ACL: cfp, propose, accept-proposal, reject-proposal, inform, refuse, failure. A conversation is about one
offer and is opened by the buyer:

    buyer → seller   cfp                the energy that it wants of an offer
    seller → buyer   propose | refuse   energy and price
    buyer → seller   accept-proposal    with its signature over the contract's acceptance
                     propose            a counter-offer
                     reject-proposal    it walks away
    seller → buyer   accept-proposal    of a counter-offer: the buyer signs now
                     reject-proposal    a refused counter-offer; the price in it is the seller's next
                     inform             the signed acceptance is in its hands: the trade's number
                     failure            it cannot: sold out meanwhile, closed, or a wrong signature

Content is plain JSON with exactly these fields; everything else is refused. Energy in watt-hours, prices in
micro-euro per kWh.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

ONTOLOGY = "gridpact-energy/1"
MAX_REASON_CHARACTERS = 200
MAX_ENERGY_WH = 2**32 - 1
MAX_PRICE_MICROEUR_PER_KWH = 2**32 - 1
MAX_SEQUENCE = 1000  # no negotiation takes a tenth of it
_DOMAIN = b"gridpact/agent-envelope/v1"


class InvalidEnvelope(ValueError):
    """What came in is not a message of the ontology, or not its sender's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Cfp:
    """The buyer calls for a proposal for part or all of an offer."""

    window: int
    offer_id: int
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Propose:
    """A price for an energy: the seller's proposal or the buyer's counter-offer."""

    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class AcceptProposal:
    """Agreed. From the buyer with its signature (65 bytes, r ‖ s ‖ v), from the seller with none."""

    energy_wh: int
    price_microeur_per_kwh: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class RejectProposal:
    """Not agreed. From the seller `price_microeur_per_kwh` is its next price; 0 from a side that walks away."""

    reason: str
    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class Inform:
    """The seller holds the signed acceptance of this trade (32 bytes)."""

    trade_id: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """The seller makes no proposal."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What was agreed cannot be done, or the message makes no sense here."""

    reason: str


Body = Cfp | Propose | AcceptProposal | RejectProposal | Inform | Refuse | Failure

PERFORMATIVES: Mapping[str, type[Any]] = {
    "cfp": Cfp,
    "propose": Propose,
    "accept-proposal": AcceptProposal,
    "reject-proposal": RejectProposal,
    "inform": Inform,
    "refuse": Refuse,
    "failure": Failure,
}
_NAMES = {cls: name for name, cls in PERFORMATIVES.items()}
_INTEGER_LIMITS = {
    "window": 2**63,
    "offer_id": 2**63,
    "energy_wh": MAX_ENERGY_WH,
    "price_microeur_per_kwh": MAX_PRICE_MICROEUR_PER_KWH,
}
_BYTES_LENGTHS = {"signature": (0, 65), "trade_id": (32,)}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message: who says what to whom in which conversation, and until when an answer is of use.

    `conversation_id` is 32 bytes and becomes the negotiation's number on chain; `sequence` rises within a sender's
    part of a conversation; `sender` and `receiver` are household accounts; `reply_by_s` is chain time in seconds.
    """

    chain_id: int
    conversation_id: bytes
    sequence: int
    sender: bytes
    receiver: bytes
    reply_by_s: int
    body: Body

    @property
    def performative(self) -> str:
        """The body's name in FIPA ACL."""
        return _NAMES[type(self.body)]

    def digest(self) -> bytes:
        """Return the 32 bytes that the sender signs: keccak over the domain and the canonical JSON of all fields."""
        return keccak(_DOMAIN + _canonical(_fields(self)))


def seal(envelope: Envelope, key: PrivateKey) -> dict[str, Any]:
    """Sign an envelope with its sender's chain key and return it as plain JSON values."""
    signature = key.sign_msg_hash(envelope.digest())
    return {**_fields(envelope), "signature": _hex(signature.to_bytes())}


def open_sealed(content: object, *, chain_id: int, receiver: bytes) -> Envelope:
    """Read a sealed envelope strictly and check that it is for us, on this chain, and signed by its sender.

    Raises:
        InvalidEnvelope: for anything else.
    """
    if not isinstance(content, dict):
        raise InvalidEnvelope("not a table of fields")
    fields = {key: value for key, value in content.items() if key != "signature"}
    expected = {
        "ontology",
        "performative",
        "chain_id",
        "conversation_id",
        "sequence",
        "sender",
        "receiver",
        "reply_by_s",
    }
    if set(fields) != expected | {"content"}:
        raise InvalidEnvelope(f"fields {sorted(map(str, fields))}, expected {sorted(expected | {'content'})}")
    if fields["ontology"] != ONTOLOGY:
        raise InvalidEnvelope(f"ontology {str(fields['ontology'])[:40]!r}, expected {ONTOLOGY!r}")
    envelope = Envelope(
        chain_id=_integer(fields["chain_id"], "chain_id", 2**63),
        conversation_id=_bytes(fields["conversation_id"], "conversation_id", (32,)),
        sequence=_integer(fields["sequence"], "sequence", MAX_SEQUENCE),
        sender=_bytes(fields["sender"], "sender", (20,)),
        receiver=_bytes(fields["receiver"], "receiver", (20,)),
        reply_by_s=_integer(fields["reply_by_s"], "reply_by_s", 2**63),
        body=_body(fields["performative"], fields["content"]),
    )
    if envelope.chain_id != chain_id:
        raise InvalidEnvelope(f"for chain {envelope.chain_id}, this is {chain_id}")
    if envelope.receiver != receiver:
        raise InvalidEnvelope(f"for {_hex(envelope.receiver)}, this is {_hex(receiver)}")
    if recover(envelope.digest(), _bytes(content.get("signature"), "signature", (65,))) != envelope.sender:
        raise InvalidEnvelope(f"not signed by its sender {_hex(envelope.sender)}")
    return envelope


def sign_acceptance(digest: bytes, key: PrivateKey) -> bytes:
    """Sign a contract's acceptance: 65 bytes r ‖ s ‖ v with v 27 or 28, as the market checks it."""
    raw = key.sign_msg_hash(digest).to_bytes()
    return raw[:64] + bytes([raw[64] + 27])


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """Return the account (20 bytes) that signed `digest`; None for no valid signature. v may be 0, 1, 27 or 28."""
    if len(signature) != 65:
        return None
    v = signature[64] - 27 if signature[64] >= 27 else signature[64]
    try:
        return Signature(signature[:64] + bytes([v])).recover_public_key_from_msg_hash(digest).to_canonical_address()
    except (BadSignature, ValidationError):
        return None


def _fields(envelope: Envelope) -> dict[str, Any]:
    body: Any = envelope.body
    names = type(body).__dataclass_fields__
    content = {name: _plain(getattr(body, name)) for name in names}
    return {
        "ontology": ONTOLOGY,
        "performative": envelope.performative,
        "chain_id": envelope.chain_id,
        "conversation_id": _hex(envelope.conversation_id),
        "sequence": envelope.sequence,
        "sender": _hex(envelope.sender),
        "receiver": _hex(envelope.receiver),
        "reply_by_s": envelope.reply_by_s,
        "content": content,
    }


def _body(performative: object, content: object) -> Body:
    cls = PERFORMATIVES.get(performative) if isinstance(performative, str) else None
    if cls is None:
        raise InvalidEnvelope(f"performative {str(performative)[:40]!r}, expected one of {', '.join(PERFORMATIVES)}")
    names = tuple(cls.__dataclass_fields__)
    if not isinstance(content, dict) or set(content) != set(names):
        raise InvalidEnvelope(f"content of {performative}: expected exactly {', '.join(names)}")
    body: Body = cls(**{name: _value(name, content[name]) for name in names})
    return body


def _value(name: str, value: object) -> int | bytes | str:
    if name in _INTEGER_LIMITS:
        return _integer(value, name, _INTEGER_LIMITS[name])
    if name in _BYTES_LENGTHS:
        return _bytes(value, name, _BYTES_LENGTHS[name])
    if not isinstance(value, str) or len(value) > MAX_REASON_CHARACTERS:
        raise InvalidEnvelope(f"{name}: expected a text of at most {MAX_REASON_CHARACTERS} characters")
    return value


def _integer(value: object, name: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidEnvelope(f"{name}: expected a whole number from 0 to {most}")
    return value


def _bytes(value: object, name: str, lengths: tuple[int, ...]) -> bytes:
    expected = f"{name}: expected 0x and {' or '.join(str(2 * length) for length in lengths)} hexadecimal digits"
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 + 2 * max(lengths):
        raise InvalidEnvelope(expected)
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise InvalidEnvelope(expected) from None
    if len(data) not in lengths or value != _hex(data):
        raise InvalidEnvelope(expected)
    return data


def _plain(value: Any) -> Any:
    return _hex(value) if isinstance(value, bytes) else value


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
