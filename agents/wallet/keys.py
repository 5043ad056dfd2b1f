"""A wallet's secrets and its address: all of it follows from 24 words.

The address is a stealth meta-address as ERC-5564 writes them, `st:gridpact:0x` and the hexadecimal digits of spending
key S and viewing key V. The view key is V's secret and S: it finds and opens all notes, and spends none.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from eth_account.hdaccount.mnemonic import Mnemonic

from agents.errors import AgentError
from privacy.group import InvalidEncoding, Scalar
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point
from privacy.stealth import MetaAddress
from privacy.transcript import Transcript

SEED_BYTES = 32
WORDS = 24
ADDRESS_PREFIX = "st:gridpact:0x"
VIEW_KEY_PREFIX = "view:gridpact:0x"
MICROEUR = 1_000_000
DECIMALS = 6
MAX_AMOUNT = (1 << 63) - 1


class InvalidInput(AgentError):
    """An address, an amount or words that somebody gave are not what they should be."""

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(f"{what} {found[:60]!r}: expected {expected}")
        self.what = what
        self.expected = expected


@dataclass(frozen=True, slots=True, repr=False)
class WalletKeys:
    """A wallet's secrets: `spending` s and `viewing` v."""

    spending: Scalar
    viewing: Scalar

    @property
    def address(self) -> MetaAddress[Point]:
        """Where it is paid: S and V."""
        return MetaAddress(*map(SECP256K1.multiply_generator, (self.spending, self.viewing)))

    @property
    def view_key(self) -> str:
        """What finds and opens the wallet's notes, as text."""
        spending = SECP256K1.point_to_bytes(self.address.spending)
        return f"{VIEW_KEY_PREFIX}{(SECP256K1.scalar_to_bytes(self.viewing) + spending).hex()}"


def keys_of(seed: bytes) -> WalletKeys:
    """Return the keys that follow from a seed (32 bytes)."""
    said = Transcript("wallet-keys")
    said.append("seed", seed)
    return WalletKeys(said.challenge("spending", SECP256K1), said.challenge("viewing", SECP256K1))


def new_words() -> str:
    """Return 24 new words, from 32 random bytes (BIP-39, English)."""
    return Mnemonic().to_mnemonic(secrets.token_bytes(SEED_BYTES))


def seed_of(words: str) -> bytes:
    """Return the seed (32 bytes) of 24 words.

    Raises:
        InvalidInput: they are not 24 words of BIP-39's English list with their checksum; which ones is not repeated.
    """
    text, mnemonic = " ".join(words.lower().split()), Mnemonic()
    if len(text.split()) != WORDS or not mnemonic.is_mnemonic_valid(text):
        raise InvalidInput("words", "", f"{WORDS} words as `gridpact wallet create` printed them")
    said = Transcript("wallet-seed")
    said.append("bip-39", mnemonic.to_seed(text))
    return said.challenge_bytes("seed")[:SEED_BYTES]


def address_text(address: MetaAddress[Point]) -> str:
    """Return an address as text."""
    return ADDRESS_PREFIX + "".join(SECP256K1.point_to_bytes(key).hex() for key in (address.spending, address.viewing))


def parse_address(text: str) -> MetaAddress[Point]:
    """Return the address in a text.

    Raises:
        InvalidInput: it has another prefix or length, or keys that are no points.
    """
    expected = f"{ADDRESS_PREFIX} and {4 * POINT_BYTES} hexadecimal digits, two keys"
    digits = text.removeprefix(ADDRESS_PREFIX)
    if digits == text or len(digits) != 4 * POINT_BYTES:
        raise InvalidInput("address", text, expected)
    try:
        raw = bytes.fromhex(digits)
        keys = [SECP256K1.point_from_bytes_checked(raw[at : at + POINT_BYTES]) for at in (0, POINT_BYTES)]
    except (ValueError, InvalidEncoding):
        raise InvalidInput("address", text, expected) from None
    return MetaAddress(*keys)


def parse_amount(text: str) -> int:
    """Return an amount of euro in micro-euro, for example "12.50".

    Raises:
        InvalidInput: it is none, nothing, or has more than six decimals.
    """
    whole, _, part = text.partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and whole and len(part) <= DECIMALS and len(whole) <= 13):
        raise InvalidInput("amount", text, f"euro with at most {DECIMALS} decimals, for example 12.50")
    amount = int(whole) * MICROEUR + int((part or "0").ljust(DECIMALS, "0"))
    if not 0 < amount <= MAX_AMOUNT:
        raise InvalidInput("amount", text, "more than nothing")
    return amount


def amount_text(microeur: int) -> str:
    """Return micro-euro as euro."""
    sign = "-" if microeur < 0 else ""
    whole, part = divmod(abs(microeur), MICROEUR)
    return f"{sign}{whole}.{part:06d} €"
