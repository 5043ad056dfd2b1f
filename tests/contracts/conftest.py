"""A street with its contracts, deployed once and copied for every test."""

from __future__ import annotations

import pytest

from tests.contracts.street import Street


@pytest.fixture(scope="session")
def founded() -> Street:
    return Street()


@pytest.fixture
def street(founded: Street) -> Street:
    return founded.fresh().fund()
