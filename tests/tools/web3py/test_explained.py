"""Every failure of web3.py's tests that is expected is explained where it says; no node is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from web3._utils.module_testing import eth_module, go_ethereum_admin_module

from tests.tools.web3py.expected import ASYNC, FLAKY, FLAKY_TESTS, HELD, SYNC, Explained

DOCS = Path(__file__).parents[3] / "docs"


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.strip().replace(" ", "-")


@pytest.mark.parametrize("explained", sorted({*SYNC.values(), *ASYNC.values(), FLAKY}, key=str), ids=str)
def test_the_page_says_why(explained: Explained) -> None:
    name, _, section = explained.page.partition("#")
    parts = (DOCS / name).read_text(encoding="utf-8").split("\n## ")[1:]
    (found,) = [part for part in parts if anchor(part.partition("\n")[0]) == section]
    rows = [line for line in found.splitlines() if line.startswith(explained.row)]
    assert len(rows) == 1, rows


def test_the_tests_that_are_named_exist() -> None:
    groups = (
        eth_module.EthModuleTest,
        eth_module.AsyncEthModuleTest,
        go_ethereum_admin_module.GoEthereumAdminModuleTest,
        go_ethereum_admin_module.GoEthereumAsyncAdminModuleTest,
    )
    there = {name for group in groups for name in dir(group)}
    assert {*SYNC, *ASYNC, *FLAKY_TESTS, *HELD} <= there
