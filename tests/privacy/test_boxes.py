"""Shares in boxes: each auditor reads its own, and knows when it is not right."""

from __future__ import annotations

import pytest
from nacl.public import PublicKey, SealedBox

from privacy.auditors import deal
from privacy.boxes import BOX_BYTES, KEY_BYTES, box_key, open_share, seal_share
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
SECRETS = [random_bytes(f"box {name}")[:32] for name in ("eve", "fay", "gus")]
DEALING = deal(G, secret("k"), 2, 3, random_bytes("deal"))


def test_each_auditor_opens_its_own_share() -> None:
    for at, (own, share) in enumerate(zip(SECRETS, DEALING.shares, strict=True), start=1):
        box = seal_share(G, box_key(own), share)
        assert len(box) == BOX_BYTES
        assert len(box_key(own)) == KEY_BYTES
        assert open_share(G, own, box, DEALING.commitments, at, threshold=2) == share
        assert open_share(G, SECRETS[at % 3], box, DEALING.commitments, at, threshold=2) is None
        assert open_share(G, own, box, DEALING.commitments, at % 3 + 1, threshold=2) is None
        assert open_share(G, own, box, DEALING.commitments, at, threshold=3) is None


def test_a_wrong_share_is_noticed() -> None:
    wrong = seal_share(G, box_key(SECRETS[0]), G.scalar(DEALING.shares[0] + 1))
    assert open_share(G, SECRETS[0], wrong, DEALING.commitments, 1, threshold=2) is None


@pytest.mark.parametrize("change", ["flipped", "short", "long", "empty", "zeros"])
def test_a_damaged_box_holds_nothing(change: str) -> None:
    box = seal_share(G, box_key(SECRETS[0]), DEALING.shares[0])
    damaged = {
        "flipped": box[:-1] + bytes((box[-1] ^ 1,)),
        "short": box[:-1],
        "long": box + b"\0",
        "empty": b"",
        "zeros": bytes(BOX_BYTES),
    }[change]
    assert open_share(G, SECRETS[0], damaged, DEALING.commitments, 1, threshold=2) is None


def test_the_same_share_is_boxed_anew_each_time() -> None:
    boxes = {seal_share(G, box_key(SECRETS[0]), DEALING.shares[0]) for _ in range(2)}
    assert len(boxes) == 2


def test_what_is_beyond_the_order_is_no_share() -> None:
    box = SealedBox(PublicKey(box_key(SECRETS[0]))).encrypt(b"\xff" * 32)
    assert open_share(G, SECRETS[0], box, DEALING.commitments, 1, threshold=2) is None
