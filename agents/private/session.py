"""A window's session: keys that nobody can link to the household, nor one window's to another's.

All of a session follows from the household's account key, chain and window, so that a journal holds no secret, and what
is locked can be settled even if the journal is lost. Keys of different uses have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey as BoxKey

from agents.home import Home
from agents.private.mail import MessageTooLong
from agents.private.packets import InvalidRelayKey
from agents.private.post import NoRelay, Post
from contracts.bindings.market_types import Offer
from privacy.secp256k1 import SECP256K1
from privacy.transcript import Transcript

NUMBER_BYTES = 7  # of an offer's number, which the ontology bounds by 2^63


@dataclass(frozen=True, slots=True)
class Session:
    """A household's keys in a window.

    Args:
        window: w, in which is delivered.
        key: signs transactions and messages.
        contact: opens envelopes.
        seed: what else the session draws follows from it (64 bytes).
    """

    window: int
    key: PrivateKey
    contact: BoxKey
    seed: bytes

    @property
    def address(self) -> bytes:
        """The session's account, 20 bytes."""
        address: bytes = self.key.public_key.to_canonical_address()
        return address

    @property
    def contact_key(self) -> bytes:
        """What others seal envelopes to, 32 bytes."""
        return bytes(self.contact.public_key)

    def randomness(self, use: str) -> bytes:
        """Return 64 secret bytes of the session that are for one use."""
        said = Transcript("session-use")
        said.append("seed", self.seed)
        said.append("use", use.encode())
        return said.challenge_bytes("randomness")

    def shared_with(self, peer: PublicSession, agreement: bytes) -> bytes:
        """Return 64 bytes that both sides of an agreement have, and nobody else, without having said them.

        They follow from the Diffie–Hellman secret of the two contact keys, and from the agreement (32 bytes).

        Raises:
            InvalidRelayKey: the peer's contact key is of small order.
        """
        try:
            shared = crypto_scalarmult(bytes(self.contact), peer.contact_key)
        except CryptoError:
            raise InvalidRelayKey(peer.contact_key) from None
        said = Transcript("agreement")
        said.append("shared", shared)
        said.append("agreement", agreement)
        return said.challenge_bytes("secret")


def usable(contact_key: bytes) -> bool:
    """Return whether a secret can be shared with who gave this contact key: it is not of small order."""
    if len(contact_key) != BoxKey.SIZE:
        return False
    try:
        return bool(crypto_scalarmult(bytes([1]) * BoxKey.SIZE, contact_key))
    except CryptoError:
        return False


@dataclass(frozen=True, slots=True)
class PublicSession:
    """What everyone knows of a session that offers: its account (20 bytes), contact key (32 bytes), and price."""

    address: bytes
    contact_key: bytes
    price_microeur_per_kwh: int

    def as_offer(self, window: int) -> Offer:
        """Return its offer as a buyer ranks it: how much there is, the seller tells whom it negotiates with."""
        number = int.from_bytes(keccak(self.address)[:NUMBER_BYTES], "big")
        price = self.price_microeur_per_kwh
        return Offer(number, self.address, window, 0, 0, price, price, 0, 0)


def open_session(account_key: PrivateKey, chain_id: int, window: int) -> Session:
    """Return a household's session of a window."""
    said = Transcript("session")
    said.append("account key", account_key.to_bytes())
    said.append("chain", chain_id.to_bytes(32, "big"))
    said.append("window", window.to_bytes(8, "big"))
    scalar = said.challenge("key", SECP256K1)
    contact = said.challenge_bytes("contact")[:32]
    return Session(window, PrivateKey(SECP256K1.scalar_to_bytes(scalar)), BoxKey(contact), said.challenge_bytes("seed"))


@dataclass(slots=True)
class SessionHome(Home):
    """A home as a session has it: its own key and account, other sessions as neighbours, and envelopes for messages.

    `contacts` are the contact keys of the window's sessions, as they become known; `post` is the household's way out.
    """

    contacts: Mapping[bytes, bytes] = field(default_factory=dict)
    post: Post | None = None

    async def tell(self, account: bytes, agent: str, content: dict[str, Any]) -> None:
        """Send a message to another session; which of its agents hears it follows from the message."""
        contact = self.contacts.get(account)
        if contact is None or self.post is None:
            return
        try:
            await self.post.write(content, contact)
        except (NoRelay, InvalidRelayKey, MessageTooLong) as error:
            self.problem("write to a session", error)
