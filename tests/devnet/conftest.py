"""One bare chain of four validator processes for all tests that need no market."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devnet.layout import Options
from devnet.run import Devnet
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.running import free_port, launched


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Four validators without agents."""
    options = Options(rpc_port=free_port(0), market=False)
    with launched(tmp_path_factory.mktemp("bare") / "devnet", load_scenario(find_scenario("street")), options) as it:
        yield it
