"""A Byzantine validator is the real node, with a signer and a transport of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from consensus.types import Epoch, Height, Phase, View, Vote
from devnet.byzantine import BEHAVIOURS, UnscrupulousSigner, liar
from node.config import DATABASE_NAME
from node.creation import create_database
from node.genesis import parse_genesis
from node.ports import PeerTransport
from tests.node.samples import sample_genesis, seed
from tests.node.test_service import config_in


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_liar_signs_contradictions_and_sends_through_its_own_transport(tmp_path: Path, behaviour: str) -> None:
    content = sample_genesis()
    (tmp_path / "genesis.json").write_text(json.dumps(content))
    genesis = parse_genesis(content)
    create_database(tmp_path / DATABASE_NAME, genesis)
    made = liar(behaviour)(config_in(tmp_path), genesis, seed("node 0"))
    try:
        signer = made._driver._signer
        assert isinstance(signer, UnscrupulousSigner)
        votes = [Vote(Epoch(0), Height(1), View(0), Phase.COMMIT, bytes([at]) * 32) for at in (1, 2)]
        assert [signer.sign(vote).vote for vote in votes] == votes
        assert type(made._driver._transport) is made.transport is not PeerTransport
    finally:
        asyncio.run(made._close())


def test_there_is_no_other_behaviour() -> None:
    with pytest.raises(ValueError, match="no behaviour honest"):
        liar("honest")
