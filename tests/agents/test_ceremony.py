"""Auditors deal and come to shares; whoever votes sees that the dealings are right, and which dealer's are not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from nacl.public import PrivateKey as BoxKey
from typer.testing import CliRunner

from agents.auditing.ceremony import (
    Card,
    CeremonyError,
    Dealing,
    auditor_set,
    deal_to,
    dealing_to_json,
    genesis_section,
    own_share,
    read_card,
    read_dealing,
    sealing_domain,
)
from agents.errors import ConfigError
from agents.keys import load_key
from contracts.bindings import sealed_meters
from contracts.bindings.sealed_meters import AuditorsAppointed
from contracts.system import SEALED_METERS, genesis_deployments
from node.cli import app
from privacy.auditors import combine_shares
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1
from tests.contracts.street import CHAIN_ID, Street, account, genesis, hexed
from tests.contracts.test_sealed_meters import sealing
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
NAMES = ("hal", "ivy", "jim")
BOXES = {name: random_bytes(f"box of {name}")[:32] for name in NAMES}
CARDS = [Card(account(name), bytes(BoxKey(BOXES[name]).public_key)) for name in NAMES]


def dealt(name: str, *, cards: list[Card] | None = None, chain_id: int = CHAIN_ID, window: int = 3) -> Dealing:
    """What an auditor deals to all, two of whom are needed."""
    return deal_to(
        cards or CARDS,
        account(name),
        secret(f"{name} deals"),
        random_bytes(f"{name} deals"),
        chain_id=chain_id,
        from_window=window,
        threshold=2,
    )


DEALINGS = [dealt(name) for name in NAMES]


def test_any_two_shares_make_the_joint_secret_and_one_does_not() -> None:
    made = auditor_set(DEALINGS)
    joint = G.multiply_generator(G.scalar(sum(secret(f"{name} deals") for name in NAMES)))
    assert made.joint_key == G.point_to_bytes(joint)
    assert (made.from_window, made.threshold) == (3, 2)
    assert [each.account for each in made.auditors] == sorted(account(name) for name in NAMES)
    numbers = {each.account: number for number, each in enumerate(made.auditors, start=1)}
    shares = {numbers[account(name)]: own_share(DEALINGS, account(name), BOXES[name]) for name in NAMES}
    points = {number: G.multiply_generator(share) for number, share in shares.items()}
    assert [G.point_to_bytes(points[number]) for number in (1, 2, 3)] == [each.public_share for each in made.auditors]
    for pair in combinations(points, 2):
        assert combine_shares(G, {number: points[number] for number in pair}) == joint
    assert all(point != joint for point in points.values())


def test_members_appoint_them() -> None:
    street = Street({**genesis(), "sealing": sealing()})
    street.at(1)
    data = sealed_meters.vote_for_auditors(auditor_set(DEALINGS))
    for member in ("ann-member", "bob-member"):
        assert not street.send(member, SEALED_METERS, data).all(AuditorsAppointed)
    assert street.send("cat-member", SEALED_METERS, data).only(AuditorsAppointed).from_window == 3
    assert street.view(sealed_meters.auditors_of(3)) == auditor_set(DEALINGS)


def test_a_genesis_file_takes_their_section() -> None:
    found = genesis_section([dealt(name, window=0) for name in NAMES])
    content = {**genesis(), **found, "sealing": {**found["sealing"], "feeder_meter": hexed(account("feeder"))}}
    assert len(genesis_deployments(content)) > len(genesis_deployments(genesis()))


@pytest.mark.parametrize(
    ("dealings", "reason"),
    [
        ([], "expected a dealing of every auditor"),
        (DEALINGS[:2], "2 dealings: expected one of each of the 3 auditors"),
        ([*DEALINGS[:2], DEALINGS[0]], "expected one of each"),
        ([*DEALINGS[:2], dealt("jim", window=4)], "another chain, contract or epoch"),
        ([*DEALINGS[:2], dealt("jim", chain_id=1)], "another chain, contract or epoch"),
        ([*DEALINGS[:2], replace(DEALINGS[2], cards=(*CARDS[:2], Card(account("eve"), bytes(32))))], "the same cards"),
        (
            [*DEALINGS[:2], replace(DEALINGS[2], dealer=replace(DEALINGS[2].dealer, commitments=(G.generator,)))],
            "1 commitments, expected 2",
        ),
        (
            [
                *DEALINGS[:2],
                replace(
                    DEALINGS[2],
                    dealer=replace(DEALINGS[2].dealer, possession=DEALINGS[1].dealer.possession),
                ),
            ],
            "proof of possession",
        ),
    ],
)
def test_dealings_that_do_not_fit_together_make_no_set(dealings: list[Dealing], reason: str) -> None:
    with pytest.raises(CeremonyError, match=reason):
        auditor_set(dealings)


def test_who_deals_last_cannot_take_the_others_keys_away() -> None:
    others = G.sum(each.dealer.commitments[0] for each in DEALINGS[:2])
    own = DEALINGS[2].dealer
    rogue = replace(own, commitments=(G.subtract(own.commitments[0], others), own.commitments[1]))
    with pytest.raises(CeremonyError, match="proof of possession"):
        auditor_set([*DEALINGS[:2], replace(DEALINGS[2], dealer=rogue)])


def test_a_box_that_lies_names_its_dealer() -> None:
    lying = replace(DEALINGS[1], boxes=DEALINGS[0].boxes)
    with pytest.raises(CeremonyError, match=f"0x{account('ivy').hex()}: its box for auditor"):
        own_share([DEALINGS[0], lying, DEALINGS[2]], account("hal"), BOXES["hal"])
    with pytest.raises(CeremonyError, match="expected one of the auditors"):
        own_share(DEALINGS, account("eve"), BOXES["hal"])


@pytest.mark.parametrize(
    ("cards", "name", "threshold", "reason"),
    [
        (CARDS[:2], "jim", 2, "its own card"),
        (CARDS, "jim", 1, "threshold 1: expected 2 to 3"),
        (CARDS, "jim", 4, "threshold 4: expected 2 to 3"),
        ([*CARDS, CARDS[0]], "jim", 2, "each account once"),
        (CARDS[2:], "jim", 2, "1 cards: expected 2 to 16"),
    ],
)
def test_nobody_deals_to_a_set_that_makes_no_sense(cards: list[Card], name: str, threshold: int, reason: str) -> None:
    with pytest.raises(CeremonyError, match=reason):
        deal_to(cards, account(name), Scalar(1), bytes(32), chain_id=CHAIN_ID, from_window=0, threshold=threshold)


def test_nothing_is_sealed_to_a_key_that_is_none() -> None:
    with pytest.raises(CeremonyError, match="box key"):
        dealt("jim", cards=[*CARDS[1:], Card(account("hal"), bytes(32))])


def test_a_dealing_is_read_as_it_was_written_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "dealing.json"
    content = dealing_to_json(DEALINGS[0])
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_dealing(path) == DEALINGS[0]
    for key, bad in (
        ("from_window", -1),
        ("from_window", "3"),
        ("domain", "0x12"),
        ("dealer", None),
        ("commitments", []),
        ("commitments", ["0x" + "00" * 33] * 2),
        ("commitments", ["0x" + "zz" * 33] * 2),
        ("possession", "0x" + "ff" * 64),
        ("cards", content["cards"][::-1]),
        ("cards", content["cards"][:2]),
        ("cards", [1, 2, 3]),
        ("boxes", ["0x"] * 3),
        ("boxes", content["boxes"] * 9),
    ):
        path.write_text(json.dumps({**content, key: bad}), encoding="utf-8")
        with pytest.raises(ConfigError):
            read_dealing(path)
    for raw in (b"", b"[]", b"{", b"\xff", b" " * 70_000, b"[" * 60_000):
        path.write_bytes(raw)
        with pytest.raises(ConfigError):
            read_dealing(path)
    with pytest.raises(ConfigError):
        read_card(tmp_path / "nowhere.json")


def test_three_auditors_come_to_their_shares_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.keys.SCRYPT_WORK_FACTOR", 2)
    monkeypatch.setattr("agents.auditing.ceremony_commands.create_key", _cheap_key)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("x\n", encoding="ascii")
    opened = ["--passphrase-file", str(passphrase)]
    folders = [tmp_path / name for name in NAMES]

    def run(*words: object) -> str:
        done = CliRunner().invoke(app, ["auditor", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    for folder in folders:
        run("create", "--directory", folder, *opened)
    cards = [folder / "card.json" for folder in folders]
    dealings = []
    for folder in folders:
        dealings.append(folder / "dealing.json")
        terms = ["--chain-id", CHAIN_ID, "--from-window", 3, "--threshold", 2, "--out", dealings[-1]]
        run("deal", *cards, "--key", folder / "auditor-key.json", *terms, *opened)
    made = auditor_set([read_dealing(path) for path in dealings])
    for folder in folders:
        run("join", *dealings, "--directory", folder, *opened)
        share = Scalar(int.from_bytes(load_key(folder / "share.json", b"x").to_bytes(), "big"))
        own = next(each for each in made.auditors if each.account == read_card(folder / "card.json").account)
        assert G.point_to_bytes(G.multiply_generator(share)) == own.public_share
    assert f'"joint_key": "0x{made.joint_key.hex()}"' in run("section", *dealings)
    again = CliRunner().invoke(app, ["auditor", "create", "--directory", str(folders[0]), *opened])
    assert again.exit_code == 2
    assert "never overwritten" in again.output


def _cheap_key(path: Path, passphrase: bytes, *, private_key: bytes | None = None) -> bytes:
    from agents.keys import create_key

    return create_key(path, passphrase, private_key=private_key, work_factor=2)


def test_dealings_are_bound_to_the_chain() -> None:
    assert DEALINGS[0].dealer.registration.domain == sealing_domain(CHAIN_ID) != sealing_domain(CHAIN_ID + 1)
