"""`gridpact consortium` with what node keys sign: readiness, new keys, evidence, checked by the real contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from consensus.types import Domain, Epoch, Height, Phase, View, Vote, vote_bytes
from tests.agents.consortium_street import ENDPOINT, EVE, EVE_NODE_KEY, ConsortiumStreet
from tests.node.samples import hex_of, node_key, seed


@pytest.fixture
def street(tmp_path: Path) -> Iterator[ConsortiumStreet]:
    running = ConsortiumStreet(tmp_path)
    running.node.mine()
    yield running
    running.close()


def equivocation(street: ConsortiumStreet, signer: SigningKey, height: int = 1) -> dict[str, object]:
    chain = street.node.backend.chain
    domain = Domain(chain.genesis.chain_id, chain.genesis_hash)
    content: dict[str, object] = {"node_key": hex_of(bytes(signer.verify_key)), "epoch": 0, "height": height, "view": 0}
    content["phase"] = int(Phase.COMMIT)
    for which, block in (("first", seed("one")), ("second", seed("other"))):
        vote = Vote(Epoch(0), Height(height), View(0), Phase.COMMIT, block)
        content[f"{which}_hash"] = hex_of(block)
        content[f"{which}_signature"] = hex_of(signer.sign(vote_bytes(domain, vote)).signature)
    return content


def test_a_household_is_admitted(street: ConsortiumStreet) -> None:
    proposed = street.admit()
    assert f"propose to admit eve: in block {street.height}, transaction 0x" in proposed
    assert f"proposal 1: admit eve ({EVE}), node key {EVE_NODE_KEY}, at {ENDPOINT}" in proposed
    assert "votes 1 of 3 needed: house-0" in proposed
    assert "open until 2016-06-27 22:00:0" in proposed
    assert "readiness not shown yet" in proposed
    assert "next: 2 more votes (`gridpact consortium vote 1`), then `gridpact consortium ready 1 TOKEN`" in proposed
    assert "votes 2 of 3 needed: house-0, house-1" in street.ok(1, "vote", "1")
    passed = street.ok(2, "vote", "1")
    assert "proposal 1 has passed with 3 of 4 votes" in passed
    assert "next: `gridpact consortium ready 1 TOKEN`" in passed
    assert json.loads(street.run("status", "--json").stdout)["pendingEpoch"] is None
    shown = street.ok(3, "ready", "1", street.token())
    height = street.height
    assert f"the candidate of proposal 1 is ready: its node signed block {height - 1}" in shown
    assert f"proposal 1 is enacted and acts from height {height + 2} on" in shown
    assert f"enacted: epoch 1 from height {height + 2} on" in shown
    status = json.loads(street.run("status", "--json").stdout)
    assert status["pendingEpoch"] == {"number": 1, "fromHeight": height + 2, "proposal": 1}
    assert [member["name"] for member in status["members"]] == ["house-0", "house-1", "house-2", "house-3", "eve"]
    assert f"pending: epoch 1 from height {height + 2} on (proposal 1)" in street.run("status").stdout
    (listed,) = json.loads(street.run("list", "--json").stdout)["proposals"]
    assert (listed["kind"], listed["state"], listed["votes"], listed["ready"]) == ("admit", "enacted", 3, True)


def test_readiness_may_come_with_the_proposal_and_is_checked_before(street: ConsortiumStreet) -> None:
    words = ("--node-key", EVE_NODE_KEY, "--account", EVE, "--name", "eve", "--endpoint", ENDPOINT)
    for token, reason in (
        (street.token(SigningKey(seed("mallory"))), "the signature is not that of node key"),
        (street.token(chain_id=1), "the signature is not that of node key"),
        (street.token(height=street.height + 1), "is not one of the last 256"),
    ):
        refused = street.send(0, "propose-admit", *words, "--ready", token)
        assert refused.exit_code == 2
        assert reason in refused.stderr
        assert "nothing was sent" in refused.stderr
    assert street.run("list").stdout == "no proposals yet\n"
    proposed = street.admit("--ready", street.token())
    assert f"propose to admit eve: in block {street.height - 1}, transaction 0x" in proposed
    assert f"readiness for proposal 1: in block {street.height}, transaction 0x" in proposed
    assert "readiness shown" in proposed
    street.ok(1, "vote", "1")
    assert "proposal 1 is enacted" in street.ok(2, "vote", "1")


def test_a_node_key_is_changed(street: ConsortiumStreet) -> None:
    wrong = street.send(2, "rotate-key", hex_of(bytes(node_key(3).verify_key)), street.token())
    assert "the signature is not that of node key" in wrong.stderr
    shown = street.ok(2, "rotate-key", EVE_NODE_KEY, street.token())
    assert f"proposal 1: house-2 signs with node key {EVE_NODE_KEY}" in shown
    assert "enacted: epoch 1 from height" in shown
    assert f"node key {hex_of(bytes(node_key(2).verify_key))} validates, but is no member's any more" in (
        street.run("status").stdout
    )


def test_evidence_goes_on_record_once(street: ConsortiumStreet, tmp_path: Path) -> None:
    assert street.run("evidence").stdout == "nothing is on record\n"
    file = tmp_path / "votes.json"
    file.write_text(json.dumps(equivocation(street, node_key(3))))
    shown = street.ok("meter 0", "evidence", str(file))
    assert "is on record; the motion to remove its signer is proposal 1" in shown
    assert "votes 0 of 3 needed: nobody yet" in shown
    listed = street.run("evidence").stdout
    assert "house-3 signed two votes for height 1" in listed
    assert "removal is proposal 1" in listed
    again = street.send("meter 0", "evidence", str(file))
    assert (again.exit_code, "This equivocation is on record" in again.stderr) == (2, True)
    forged = equivocation(street, node_key(2), height=2) | {"first_signature": "0x" + "00" * 64}
    file.write_text(json.dumps(forged))
    assert "the first signature" in street.send("meter 0", "evidence", str(file)).stderr.replace("\n", " ")
