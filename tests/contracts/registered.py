"""A street whose genesis file has auditors and a registry of keys, and what its households register."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from contracts import system
from contracts.bindings import privacy_registry
from contracts.bindings.privacy_registry import Registered, Registration
from privacy.auditors import deal
from privacy.boxes import box_key, seal_share
from privacy.group import Scalar
from privacy.possession import Registration as Possession
from privacy.possession import Role, prove_possession
from privacy.secp256k1 import SECP256K1, Point
from tests.contracts.street import CHAIN_ID, HOUSES, Sent, Street, account, hexed
from tests.contracts.street import genesis as street_genesis
from tests.contracts.test_sealed_meters import AUDITORS, sealing
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
ROLES = (Role.RING, Role.TRACE, Role.SPENDING, Role.VIEWING)
BOX_SECRETS = tuple(random_bytes(f"box {name}")[:32] for name in AUDITORS)
BOX_KEYS = tuple(map(box_key, BOX_SECRETS))
THRESHOLD = 2


@dataclass(frozen=True, slots=True)
class Keys:
    """A household's secrets: x, k, s and v."""

    ring: Scalar
    trace: Scalar
    spending: Scalar
    viewing: Scalar

    @property
    def secrets(self) -> tuple[Scalar, ...]:
        """In the order in which their keys are registered."""
        return self.ring, self.trace, self.spending, self.viewing

    @property
    def points(self) -> tuple[Point, ...]:
        """P, K, S and V."""
        return tuple(map(G.multiply_generator, self.secrets))

    @property
    def encoded(self) -> bytes:
        """P ‖ K ‖ S ‖ V."""
        return b"".join(map(G.point_to_bytes, self.points))


def keys_of(house: str, generation: int = 0) -> Keys:
    """The secrets of a house, anew for each generation."""
    return Keys(*(secret(f"{house} {role} {generation}") for role in ROLES))


def possession(house: str, keys: Keys, from_window: int, *, chain_id: int = CHAIN_ID) -> bytes:
    """The proofs of possession of all four keys."""
    said = Possession(privacy_registry.domain(chain_id), account(house), from_window)
    proofs = (
        prove_possession(G, role, said, own, random_bytes(f"{house} possession"))
        for role, own in zip(ROLES, keys.secrets, strict=True)
    )
    return b"".join(proof.to_bytes(G) for proof in proofs)


def registration(house: str, from_window: int, generation: int = 0) -> Registration:
    """What a house registers."""
    keys = keys_of(house, generation)
    dealing = deal(G, keys.trace, THRESHOLD, len(BOX_KEYS), random_bytes(f"{house} deals {generation}"))
    return Registration(
        keys=keys.encoded,
        proofs=possession(house, keys, from_window),
        commitments=b"".join(map(G.point_to_bytes, dealing.commitments)),
        shares=b"".join(seal_share(G, key, share) for key, share in zip(BOX_KEYS, dealing.shares, strict=True)),
        relay_key=random_bytes(f"{house} relay")[:32],
        endpoint=f"{house}.street:30500",
    )


def send(street: Street, sender: str, data: bytes) -> Sent:
    """Send a transaction to the registry."""
    return street.send(sender, system.PRIVACY_REGISTRY, data)


def register(street: Street, house: str, generation: int = 0) -> Registered:
    """Let a house register for the next window; return what stands on the chain."""
    from_window = street.view(privacy_registry.next_window())
    given = registration(house, from_window, generation)
    return send(street, house, privacy_registry.register(from_window, given)).only(Registered)


def genesis(houses: tuple[str, ...] = HOUSES) -> dict[str, Any]:
    """A genesis file of a private street."""
    box_keys = [hexed(key) for key in BOX_KEYS]
    return {**street_genesis(houses=houses), "sealing": sealing(), "privacy": {"box_keys": box_keys}}


@cache
def founded(houses: tuple[str, ...] = HOUSES) -> Street:
    """The street after its genesis; copy it by `fresh`."""
    return Street(genesis(houses))
