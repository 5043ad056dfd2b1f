"""How auditors come to their shares: all deal, nobody ever holds the joint secret, and whoever votes can check it.

1. Each auditor makes an account key and a box key, and publishes its card: account and box key.
2. Each deals to all cards: commitments, a proof that it knows what it deals, and a box with every auditor's share.
3. Each opens its own box in every dealing; the sum of what is in them is its share of the joint secret.
4. From the dealings alone anybody makes the set (joint key, public shares) that members vote for.

Auditors are numbered from 1 in the order of their accounts. Pure, but for boxes, whose randomness PyNaCl draws.
Source: Pedersen 1991 (joint keys); Feldman 1987 (shares that are checked).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from agents.errors import AgentError, ConfigError
from contracts.bindings.sealed_meters import Auditor, AuditorSet
from contracts.system import MAX_AUDITORS, SEALED_METERS
from privacy.auditors import Dealer, deal, joint_key_of, public_share
from privacy.boxes import open_share, seal_share
from privacy.equality import equality_from_bytes_checked
from privacy.group import InvalidEncoding, Scalar
from privacy.possession import Registration, Role, prove_possession
from privacy.secp256k1 import SECP256K1, Point

MAX_FILE_BYTES = 64 * 1024
_G = SECP256K1


class CeremonyError(AgentError):
    """Cards or dealings do not fit together."""


@dataclass(frozen=True, slots=True)
class Card:
    """What an auditor publishes first: its account (20 bytes), and the key that boxes for it are sealed to (X25519)."""

    account: bytes
    box_key: bytes


@dataclass(frozen=True, slots=True)
class Dealing:
    """What an auditor publishes of what it dealt.

    Args:
        dealer: its commitments and its proof.
        cards: of all auditors, by account.
        boxes: of each auditor in that order, 80 bytes.
    """

    dealer: Dealer[Point]
    cards: tuple[Card, ...]
    boxes: tuple[bytes, ...]


def sealing_domain(chain_id: int) -> bytes:
    """Return what dealings are bound to: this chain's sealed meters."""
    return keccak(encode(["string", "uint256", "address"], ["gridpact/sealing/v1", chain_id, SEALED_METERS]))


def deal_to(
    cards: Sequence[Card],
    account: bytes,
    secret: Scalar,
    randomness: bytes,
    *,
    chain_id: int,
    from_window: int,
    threshold: int,
) -> Dealing:
    """Return what one auditor deals to all.

    Args:
        cards: of all auditors, its own among them.
        account: its own.
        secret: fresh and random; nobody needs it any more once this is published.
        randomness: at least 32 fresh random bytes.
        chain_id: of the chain.
        from_window: the first window for which these auditors act.
        threshold: how many of them open a thing together.

    Raises:
        CeremonyError: a card twice, its own missing, or a threshold that makes no sense.
    """
    ordered = _ordered(cards)
    if account not in {card.account for card in ordered}:
        raise CeremonyError(f"0x{account.hex()}: expected its own card among the cards")
    if not 2 <= threshold <= len(ordered):
        raise CeremonyError(f"threshold {threshold}: expected 2 to {len(ordered)}, the number of auditors")
    dealt = deal(_G, secret, threshold, len(ordered), randomness)
    registration = Registration(sealing_domain(chain_id), account, from_window)
    possession = prove_possession(_G, Role.AUDITOR, registration, secret, randomness)
    try:
        boxes = [seal_share(_G, card.box_key, share) for card, share in zip(ordered, dealt.shares, strict=True)]
    except Exception as error:  # PyNaCl has errors of its own for keys of low order
        raise CeremonyError(f"a box key that nothing can be sealed to ({type(error).__name__})") from None
    return Dealing(Dealer(registration, dealt.commitments, possession), ordered, tuple(boxes))


def auditor_set(dealings: Sequence[Dealing]) -> AuditorSet:
    """Return the auditors that dealings make, which members vote for.

    Raises:
        CeremonyError: they are not of all auditors, for other auditors, windows or chains, or one dealt without its
            secret.
    """
    if not dealings:
        raise CeremonyError("expected a dealing of every auditor")
    first = dealings[0]
    accounts = [card.account for card in first.cards]
    dealers = [each.dealer for each in dealings]
    if sorted(dealer.registration.account for dealer in dealers) != accounts:
        raise CeremonyError(f"{len(dealings)} dealings: expected one of each of the {len(accounts)} auditors")
    if any(each.cards != first.cards for each in dealings):
        raise CeremonyError("dealings to other auditors: expected the same cards in all")
    registration, threshold = first.dealer.registration, len(first.dealer.commitments)
    try:
        joint_key = joint_key_of(_G, dealers, registration.domain, registration.epoch, threshold=threshold)
    except ValueError as error:
        raise CeremonyError(str(error)) from None
    shares = [
        _G.sum(public_share(_G, dealer.commitments, number) for dealer in dealers)
        for number in range(1, len(accounts) + 1)
    ]
    if _G.is_identity(joint_key) or any(map(_G.is_identity, shares)):
        raise CeremonyError("a joint key or share that is zero: deal again")
    auditors = tuple(
        Auditor(account, _G.point_to_bytes(share)) for account, share in zip(accounts, shares, strict=True)
    )
    return AuditorSet(registration.epoch, threshold, _G.point_to_bytes(joint_key), auditors)


def own_share(dealings: Sequence[Dealing], account: bytes, box_secret: bytes) -> Scalar:
    """Return an auditor's share of the joint secret, from its box in every dealing.

    Raises:
        CeremonyError: as `auditor_set`, or a box does not hold what its dealer committed to, naming the dealer.
    """
    made = auditor_set(dealings)
    accounts = [auditor.account for auditor in made.auditors]
    if account not in accounts:
        raise CeremonyError(f"0x{account.hex()}: expected one of the auditors that were dealt to")
    number, total = accounts.index(account) + 1, 0
    for each in dealings:
        box, commitments = each.boxes[number - 1], each.dealer.commitments
        share = open_share(_G, box_secret, box, commitments, number, threshold=made.threshold)
        if share is None:
            who = f"0x{each.dealer.registration.account.hex()}"
            raise CeremonyError(f"{who}: its box for auditor {number} does not hold the share that it committed to")
        total += share
    return _G.scalar(total)


def genesis_section(dealings: Sequence[Dealing]) -> dict[str, Any]:
    """Return what a genesis file says of these auditors: `sealing`, but for the feeder's meter, and `privacy`."""
    made = auditor_set(dealings)
    return {
        "sealing": {
            "joint_key": _hex(made.joint_key),
            "threshold": made.threshold,
            "auditors": [
                {"account": _hex(each.account), "public_share": _hex(each.public_share)} for each in made.auditors
            ],
        },
        "privacy": {"box_keys": [_hex(card.box_key) for card in dealings[0].cards]},
    }


# -- files


def card_to_json(card: Card) -> dict[str, Any]:
    """Return a card as its file has it."""
    return {"account": _hex(card.account), "box_key": _hex(card.box_key)}


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        ConfigError: naming the file and what was expected.
    """
    return _card(path, "", _content(path))


def dealing_to_json(dealing: Dealing) -> dict[str, Any]:
    """Return a dealing as its file has it."""
    registration = dealing.dealer.registration
    return {
        "domain": _hex(registration.domain),
        "from_window": registration.epoch,
        "dealer": _hex(registration.account),
        "commitments": [_hex(_G.point_to_bytes(point)) for point in dealing.dealer.commitments],
        "possession": _hex(dealing.dealer.possession.to_bytes(_G)),
        "cards": [card_to_json(card) for card in dealing.cards],
        "boxes": [_hex(box) for box in dealing.boxes],
    }


def read_dealing(path: Path) -> Dealing:
    """Read a dealing; whether it is right, `auditor_set` says.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    content = _content(path)
    window = content.get("from_window")
    if type(window) is not int or not 0 <= window < 1 << 64:
        raise ConfigError(path, "from_window", "a window's number")
    rows: dict[str, list[Any]] = {}
    for key in ("commitments", "cards", "boxes"):
        found = content.get(key)
        if not isinstance(found, list) or not 2 <= len(found) <= MAX_AUDITORS:
            raise ConfigError(path, key, f"a list of 2 to {MAX_AUDITORS}")
        rows[key] = found
    cards = tuple(_card(path, f"cards[{at}].", row) for at, row in enumerate(rows["cards"]))
    boxes = tuple(_data(path, f"boxes[{at}]", text, 80) for at, text in enumerate(rows["boxes"]))
    if list(cards) != sorted(cards, key=lambda card: card.account) or len(cards) != len(boxes):
        raise ConfigError(path, "cards", "in the order of their accounts, each with a box")
    try:
        commitments = tuple(
            _G.point_from_bytes_checked(_data(path, f"commitments[{at}]", text, 33))
            for at, text in enumerate(rows["commitments"])
        )
        possession = equality_from_bytes_checked(_G, _data(path, "possession", content.get("possession"), 64))
    except InvalidEncoding as error:
        raise ConfigError(path, "commitments", str(error)) from None
    domain, account = (_data(path, key, content.get(key), size) for key, size in (("domain", 32), ("dealer", 20)))
    return Dealing(Dealer(Registration(domain, account, window), commitments, possession), cards, boxes)


def _ordered(cards: Sequence[Card]) -> tuple[Card, ...]:
    ordered = tuple(sorted(cards, key=lambda card: card.account))
    if len({card.account for card in ordered}) != len(ordered) or not 2 <= len(ordered) <= MAX_AUDITORS:
        raise CeremonyError(f"{len(ordered)} cards: expected 2 to {MAX_AUDITORS}, each account once")
    return ordered


def _card(path: Path, where: str, row: Any) -> Card:
    if not isinstance(row, dict):
        raise ConfigError(path, where.rstrip("."), "an object with account and box_key")
    account, box_key = (
        _data(path, f"{where}{key}", row.get(key), size) for key, size in (("account", 20), ("box_key", 32))
    )
    return Card(account, box_key)


def _content(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        content = json.loads(raw) if len(raw) <= MAX_FILE_BYTES else None
    except OSError as error:
        raise ConfigError(path, "", f"a readable file ({error.strerror})") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ConfigError(path, "", f"a JSON object of at most {MAX_FILE_BYTES} bytes")
    return content


def _data(path: Path, key: str, text: object, length: int) -> bytes:
    expected = f"0x and {2 * length} hexadecimal digits"
    if not isinstance(text, str) or not text.startswith("0x") or len(text) != 2 + 2 * length:
        raise ConfigError(path, key, expected)
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise ConfigError(path, key, expected) from None


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
