"""Run web3.py's module tests against a chain and print, for each provider, how many pass and which fail.

`python -m tests.tools.web3py --against gridpact`, or `anvil`, or both if it is not said.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tools.web3py import targets

FOLDER = Path(__file__).parent
PROVIDERS = {
    "test_http": "HTTP",
    "test_async_http": "HTTP, async",
    "test_websocket": "WebSocket",
}
CHAINS = (targets.Gridpact.name, targets.Anvil.name)


@dataclass(slots=True)
class Results:
    """What came of every test, as pytest tells it to a plugin."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test's outcome; one that could not be set up has failed."""
        if report.failed:
            lines = [line[1:].strip() for line in str(report.longreprtext).splitlines() if line.startswith("E ")]
            self.failed.setdefault(report.nodeid, lines[0] if lines else "")
        elif report.when == "call" and report.passed:
            self.passed[_provider(report.nodeid)] += 1

    def count(self, provider: str) -> tuple[int, int]:
        """Return how many tests passed and failed with a provider."""
        return self.passed[provider], sum(_provider(test) == provider for test in self.failed)


def _provider(test: str) -> str:
    return Path(test.partition("::")[0]).stem


def _test(test: str) -> str:
    return re.sub(r"[^ -~]|\\x..", "", test.partition("::")[2].partition("[")[0])


def run(chain: str) -> Results:
    """Run everything against a chain, expecting nothing."""
    os.environ[targets.VARIABLE] = chain
    results = Results()
    pytest.main([str(FOLDER), "-n0", "-m", "tools", "--runxfail", "--no-header", "--tb=short", "--show-capture=no",
                 "--disable-warnings", "-r", "N"], plugins=[results])  # fmt: skip
    return results


def table(found: dict[str, Results]) -> str:
    """Return the counts as a Markdown table."""
    lines = ["| provider | " + " | ".join(f"{chain}: passed, failed" for chain in found) + " |"]
    lines.append("|---|" + "---|" * len(found))
    for provider, name in PROVIDERS.items():
        cells = ["{}, {}".format(*results.count(provider)) for results in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Print the failures with their reasons, then the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.web3py", description=__doc__)
    parser.add_argument("--against", choices=CHAINS, action="append")
    found = {chain: run(chain) for chain in parser.parse_args(words).against or CHAINS}
    for chain, results in found.items():
        print(f"\n{chain}: failed")
        for (provider, test, why), number in Counter(
            (_provider(test), _test(test), why) for test, why in results.failed.items()
        ).items():
            print(f"  {PROVIDERS[provider]:12} {test}{f' ({number} times)' if number > 1 else ''}: {why[:160]}")
    print(f"\n{table(found)}")


if __name__ == "__main__":
    main()
