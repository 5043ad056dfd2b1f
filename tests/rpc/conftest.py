"""Nodes for the tests of the RPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from tests.node.samples import seed
from tests.rpc.harness import RunningNode


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that every account may use, shared by a module's tests."""
    running = RunningNode(tmp_path_factory.mktemp("rpc") / "chain", open_accounts=True)
    yield running
    running.close()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[RunningNode]:
    """A node of the test's own."""
    running = RunningNode(tmp_path / "chain", open_accounts=True)
    yield running
    running.close()


@pytest.fixture
def account() -> LocalAccount:
    """A funded account: that of the first household."""
    return funded(0)


def funded(index: int) -> LocalAccount:
    """Return the account of household `index`, which genesis gives money."""
    return Account.from_key(seed(f"account household {index}"))  # type: ignore[no-any-return]
