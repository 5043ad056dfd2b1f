"""The auditors of a private devnet: what each deals, its share of the joint secret, and what genesis says of them.

In a real consortium every auditor deals on its own machine, and sends each other one its share in a sealed box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from nacl.public import PrivateKey as BoxKey

from agents.auditing.ceremony import sealing_domain
from devnet.accounts import derived_key
from node.keys import account_address
from privacy.auditors import Dealer, deal, joint_key_of, public_share
from privacy.group import Scalar
from privacy.possession import Registration, Role, prove_possession
from privacy.secp256k1 import SECP256K1, Point

AUDITORS = 3
THRESHOLD = 2
_G = SECP256K1


@dataclass(frozen=True, slots=True)
class AuditorKeys:
    """One auditor: its account's key, its share of the joint secret, and the key to which boxes for it are sealed.

    Args:
        number: from 1.
        account_key: 32 bytes.
        share: of the joint secret.
        public_share: share·G.
        box_key: X25519, 32 bytes.
    """

    number: int
    account_key: bytes
    share: Scalar
    public_share: Point
    box_key: bytes

    @property
    def account(self) -> bytes:
        """Who gives this auditor's parts, 20 bytes."""
        return account_address(self.account_key)


@dataclass(frozen=True, slots=True)
class Auditors:
    """All auditors, and the key that they hold together."""

    joint_key: Point
    keys: tuple[AuditorKeys, ...]


@cache
def devnet_auditors(chain_id: int) -> Auditors:
    """Return the auditors of a devnet, from their names alone.

    Each deals for this chain's meters with a proof that it knows what it deals, and the joint key is the sum that
    `joint_key_of` lets stand.
    """
    domain = sealing_domain(chain_id)
    numbers = range(1, AUDITORS + 1)
    accounts = {number: derived_key(f"auditor {number}") for number in numbers}
    dealings, dealers = [], []
    for number, account_key in accounts.items():
        secret = _G.scalar(int.from_bytes(derived_key(f"auditor {number} deals"), "big"))
        randomness = derived_key(f"auditor {number} deals at random")
        dealing = deal(_G, secret, THRESHOLD, AUDITORS, randomness)
        registration = Registration(domain, account_address(account_key), 0)
        possession = prove_possession(_G, Role.AUDITOR, registration, secret, randomness)
        dealings.append(dealing)
        dealers.append(Dealer(registration, dealing.commitments, possession))
    joint_key = joint_key_of(_G, dealers, domain, 0, threshold=THRESHOLD)
    keys = tuple(
        AuditorKeys(
            number,
            account_key,
            _G.scalar(sum(dealing.shares[number - 1] for dealing in dealings)),
            _G.sum(public_share(_G, dealing.commitments, number) for dealing in dealings),
            derived_key(f"auditor {number} box"),
        )
        for number, account_key in accounts.items()
    )
    return Auditors(joint_key, keys)


def genesis_sections(chain_id: int, feeder_meter: bytes) -> dict[str, Any]:
    """Return what a private street's genesis file says of sealed meters, and of those who open what is sealed.

    Args:
        chain_id: the chain's.
        feeder_meter: the account that attests for the feeder (20 bytes).
    """
    auditors = devnet_auditors(chain_id)
    return {
        "sealing": {
            "joint_key": _hex(_G.point_to_bytes(auditors.joint_key)),
            "threshold": THRESHOLD,
            "feeder_meter": _hex(feeder_meter),
            "auditors": [
                {"account": _hex(each.account), "public_share": _hex(_G.point_to_bytes(each.public_share))}
                for each in auditors.keys
            ],
        },
        "privacy": {"box_keys": [_hex(bytes(BoxKey(each.box_key).public_key)) for each in auditors.keys]},
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
