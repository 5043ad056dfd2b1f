"""`gridpact consortium` against a real node with the real contract: what a household does, and what it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.agents.consortium_street import EVE, ConsortiumStreet

WEEK_S = 7 * 86_400


@pytest.fixture
def street(tmp_path: Path) -> Iterator[ConsortiumStreet]:
    running = ConsortiumStreet(tmp_path)
    running.node.mine()
    yield running
    running.close()


def test_status_of_a_young_consortium(street: ConsortiumStreet) -> None:
    shown = street.run("status")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("chain 2016, height 1, chain time 2016-06-20 22:00:0")
    assert lines[1] == "epoch 0: 4 validators, quorum 3, tolerates 1 faulty validator"
    assert lines[2] == "4 members; a proposal needs 3 votes"
    assert f"  house-0          {street.account(0)}  127.0.0.1:30300  validates" in lines
    assert lines[-2:] == ["pending: no change of the validators", "no open proposals"]
    assert "warning" not in shown.stdout
    assert street.run("list").stdout == "no proposals yet\n"
    assert json.loads(street.run("list", "--json").stdout) == {"proposals": []}


def test_fewer_than_four_validators_are_warned_of(tmp_path: Path) -> None:
    small = ConsortiumStreet(tmp_path, members=3)
    try:
        shown = small.run("status").stdout
    finally:
        small.close()
    assert "3 validators, quorum 2, tolerates 0 faulty validators" in shown
    assert "warning: fewer than 4 validators tolerate no fault" in shown


def test_removal_by_name_leave_and_what_has_its_votes_since(street: ConsortiumStreet) -> None:
    removal = street.ok(0, "propose-remove", "house-3")
    assert f"proposal 1: remove house-3 ({street.account(3)})" in removal
    street.ok(1, "propose-rule", "view_timeout_ms", "3000")
    street.ok(0, "vote", "2")
    left = street.ok(3, "leave", "--yes")
    assert f"proposal 3: {street.account(3)} leaves" in left
    assert "enacted: epoch 1 from height" in left
    refused = street.send(3, "vote", "1")
    assert (refused.exit_code, "Only a member of the consortium may do this" in refused.stderr) == (2, True)
    assert "next: it has its votes since others left; `gridpact consortium enact 2`" in street.run("status").stdout
    assert "proposal 2 is enacted and acts from height" in street.ok(2, "enact", "2")
    assert "enact" in street.send(2, "enact", "2").stderr


def test_a_leave_is_asked_back(street: ConsortiumStreet) -> None:
    asked = street.send(3, "leave")
    assert asked.exit_code == 1
    assert "Only a vote of the others brings you back" in asked.output
    assert street.run("list").stdout == "no proposals yet\n"


def test_votes_and_proposals_are_taken_back(street: ConsortiumStreet) -> None:
    street.ok(0, "propose-rule", "view_timeout_ms", "3000")
    assert "votes 0 of 3 needed: nobody yet" in street.ok(0, "withdraw", "1")
    again = street.send(0, "withdraw", "1")
    assert "The member has not voted for this proposal" in again.stderr
    other = street.send(1, "withdraw", "1", "--proposal")
    assert "Only its proposer may withdraw a proposal" in other.stderr
    assert "withdrawn by its proposer" in street.ok(0, "withdraw", "1", "--proposal")
    gone = street.send(1, "vote", "1")
    assert (gone.exit_code, "The proposal is not open any more" in gone.stderr) == (2, True)
    assert "no open proposals" in street.run("status").stdout
    assert "rule view_timeout_ms = 3000" in street.run("list").stdout


def test_an_upgrade_names_contract_and_source(street: ConsortiumStreet) -> None:
    source = "0x0000000000000000000000000000000000004804"
    shown = street.ok(0, "propose-upgrade", "--target", "energytoken", "--source", source)
    assert f"replace the code of EnergyToken by that of {source}" in shown
    empty = street.send(0, "propose-upgrade", "--target", "Market", "--source", EVE)
    assert "There is no code at this address" in empty.stderr
    unknown = street.send(0, "propose-upgrade", "--target", "Bazaar", "--source", source)
    assert "--target: expected one of Consortium, " in unknown.stderr


def test_vouching_and_endpoint(street: ConsortiumStreet) -> None:
    assert f"vouch for {EVE}: in block" in street.ok(0, "vouch", EVE)
    other = street.send(1, "end-vouching", EVE)
    assert "Nobody, or another member, vouches for this account" in other.stderr
    street.ok(0, "end-vouching", EVE)
    street.ok(1, "set-endpoint", "house-1.example:30300")
    assert "house-1.example:30300" in street.run("status").stdout


def test_expired_proposals_are_not_voted_on(street: ConsortiumStreet) -> None:
    street.admit()
    street.ok(1, "vote", "1")
    street.later(WEEK_S + 10)
    late = street.send(2, "vote", "1")
    assert (late.exit_code, "The proposal could be voted on until this chain time" in late.stderr) == (2, True)
    assert "no open proposals" in street.run("status").stdout
    assert "expired for lack of votes" in street.run("list").stdout
    (listed,) = json.loads(street.run("list", "--json").stdout)["proposals"]
    assert listed["state"] == "expired"


def test_what_is_in_no_block_in_time_or_too_late_is_said(street: ConsortiumStreet) -> None:
    street.ok(0, "propose-rule", "view_timeout_ms", "3000")
    street.node.backend.mining = False
    waiting = street.send(1, "vote", "1", "--wait", "1")
    assert waiting.exit_code == 2
    assert "in no block after 1 s: it may still be" in waiting.stderr
    assert "votes 1 of 3 needed: house-0" in street.run("list").stdout
    street.node.mine()
    assert "votes 2 of 3 needed: house-0, house-1" in street.run("list").stdout


def test_what_came_too_late_changed_nothing(street: ConsortiumStreet) -> None:
    street.ok(0, "propose-rule", "view_timeout_ms", "3000")
    street.node.backend.mining = False
    street.submitted.clear()
    with ThreadPoolExecutor(1) as other:
        voting = other.submit(street.send, 1, "vote", "1")
        assert street.submitted.wait(30)
        street.node.backend.chain.wall_ms += (WEEK_S + 10) * 1000
        street.node.mine()
        late = voting.result(30)
    assert late.exit_code == 2
    assert f"refused in block {street.height}: The proposal could be voted on until this chain time" in late.stderr
    assert "nothing has changed" in late.stderr
