"""A household's standing as a member that acts without a name: its keys, its registration, and the others' relays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_keys.datatypes import PrivateKey
from nacl.public import PrivateKey as BoxKey

from agents.messaging import SCHEME
from agents.private.packets import KEY_BYTES, Relay, seal_box
from contracts.bindings import privacy_registry
from contracts.bindings.privacy_registry import Member
from privacy.auditors import deal
from privacy.group import Scalar
from privacy.possession import Registration, Role, prove_possession
from privacy.secp256k1 import SECP256K1
from privacy.transcript import Transcript

MAX_AGE_WINDOWS = 2 * 366 * 24
_ROLES = (Role.RING, Role.TRACE, Role.SPENDING, Role.VIEWING)
_G = SECP256K1


@dataclass(frozen=True, slots=True, repr=False)
class MemberKeys:
    """What a member registers, and the secrets behind it.

    Args:
        ring: x.
        trace: k.
        relay: opens the packets that are for its relay.
    """

    ring: Scalar
    trace: Scalar
    relay: BoxKey

    @property
    def secrets(self) -> tuple[Scalar, Scalar]:
        """x and k, as ring signatures take them."""
        return self.ring, self.trace

    @property
    def ring_key(self) -> bytes:
        """P, 33 bytes."""
        return _G.point_to_bytes(_G.multiply_generator(self.ring))


def member_keys(account_key: PrivateKey, chain_id: int, from_window: int) -> MemberKeys:
    """Return the keys that a household registers for a window on; a later registration has others.

    They follow from the account's key alone, so that there is one thing to keep.
    """
    said = Transcript("member-keys")
    said.append("account key", account_key.to_bytes())
    said.append("chain", chain_id.to_bytes(32, "big"))
    said.append("from window", from_window.to_bytes(8, "big"))
    return MemberKeys(said.challenge("ring", _G), said.challenge("trace", _G), relay_key(account_key, chain_id))


@lru_cache(maxsize=256)
def keys_behind(account_key: PrivateKey, chain_id: int, window: int, ring_key: bytes) -> MemberKeys | None:
    """Return the keys with this ring key (33 bytes) that a household registered for `window` or an earlier one.

    None if it registered no such key in the two years of hours before.
    """
    for from_window in range(window, max(window - MAX_AGE_WINDOWS, -1), -1):
        keys = member_keys(account_key, chain_id, from_window)
        if keys.ring_key == ring_key:
            return keys
    return None


def relay_key(account_key: PrivateKey, chain_id: int) -> BoxKey:
    """Return a household's relay key: the same with every registration, for packets that are under way."""
    said = Transcript("relay-key")
    said.append("account key", account_key.to_bytes())
    said.append("chain", chain_id.to_bytes(32, "big"))
    return BoxKey(said.challenge_bytes("relay")[:KEY_BYTES])


def make_registration(
    keys: MemberKeys,
    wallet: tuple[Scalar, Scalar],
    *,
    chain_id: int,
    account: bytes,
    from_window: int,
    threshold: int,
    box_keys: Sequence[bytes],
    endpoint: str,
    randomness: bytes,
) -> privacy_registry.Registration:
    """Return what a household registers.

    Args:
        keys: its own, for this window on.
        wallet: secrets of the spending and the viewing key, to which it is paid.
        chain_id: the chain's.
        account: 20 bytes.
        from_window: the registry's next window.
        threshold: how many auditors trace together.
        box_keys: the auditors', in their order (X25519, 32 bytes).
        endpoint: of its relay, HOST:PORT.
        randomness: at least 32 fresh random bytes.

    Raises:
        InvalidRelayKey: an auditor's key is none.
    """
    secrets = (*keys.secrets, *wallet)
    place = Registration(privacy_registry.domain(chain_id), account, from_window)
    proofs = [
        prove_possession(_G, role, place, secret, randomness).to_bytes(_G)
        for role, secret in zip(_ROLES, secrets, strict=True)
    ]
    dealing = deal(_G, keys.trace, threshold, len(box_keys), randomness)
    shares = [_G.scalar_to_bytes(share) for share in dealing.shares]
    return privacy_registry.Registration(
        keys=b"".join(_G.point_to_bytes(_G.multiply_generator(secret)) for secret in secrets),
        proofs=b"".join(proofs),
        commitments=b"".join(map(_G.point_to_bytes, dealing.commitments)),
        shares=b"".join(seal_box(key, share) for key, share in zip(box_keys, shares, strict=True)),
        relay_key=bytes(keys.relay.public_key),
        endpoint=endpoint,
    )


def relays_of(members: Sequence[tuple[bytes, Member]]) -> dict[bytes, Relay]:
    """Return the relays of members, by account; one that registered no endpoint has none."""
    return {
        account: Relay(account, member.relay_key, f"{SCHEME}{member.endpoint}")
        for account, member in members
        if member.endpoint
    }
