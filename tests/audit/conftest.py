"""One street for all tests of the audit; what a test alters it puts back."""

from __future__ import annotations

import pytest

from tests.audit.street import Street, fill


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """A street of eight blocks whose node has ended."""
    made = fill(Street(tmp_path_factory.mktemp("audit") / "node-0"))
    made.close()
    return made
