"""`gridpact node doctor`: everything that an operator can get wrong, looked at one by one, with what to do about it.

Nothing is changed, and the node may be running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from node.config import DATABASE_NAME, NodeConfig, load_config
from node.errors import GridpactError
from node.genesis import Genesis, load_genesis


class Verdict(StrEnum):
    """Of one check: fine, worth a look, or the node cannot run (safely) like this."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, the verdict, what was found, and what to do (empty if nothing)."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """The line as it is printed."""
        return f"{self.verdict:4}  {self.check:12}  {self.found}" + (f": {self.advice}" if self.advice else "")


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Verdict.OK, found)


def warn(check: str, found: str, advice: str) -> Finding:
    """Return that an operator should have a look."""
    return Finding(check, Verdict.WARN, found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """Return that the node cannot run like this."""
    return Finding(check, Verdict.FAIL, found, advice)


@dataclass(slots=True)
class Patient:
    """The node that is examined: its configuration and genesis file, and what earlier checks have found out.

    `running` is whether a process has the database open for writing; `endpoints` are the other members' by name, and
    `quorum` how many validators decide (None while the database cannot be read).
    """

    config: NodeConfig
    genesis: Genesis
    running: bool = False
    endpoints: dict[str, tuple[str, int]] = field(default_factory=dict)
    quorum: int | None = None
    head_time_s: int | None = None

    @property
    def database(self) -> Path:
        """The folder of the database."""
        return self.config.directory / DATABASE_NAME


Check = Callable[[Patient], Iterator[Finding]]


def examine(config_path: Path) -> Iterator[Finding]:
    """Yield one finding after the other; what depends on a configuration that cannot be read is left out."""
    from node.operations.checks_of_data import DATA_CHECKS
    from node.operations.checks_of_machine import MACHINE_CHECKS

    try:
        config = load_config(config_path)
        yield ok("config", str(config_path))
        genesis = load_genesis(config.genesis)
        yield ok("genesis", f"{config.genesis}: chain {genesis.chain_id}, {len(genesis.members)} founders")
    except GridpactError as error:
        yield fail("config", str(error), "correct it; `gridpact node init` shows what a whole one looks like")
        return
    patient = Patient(config, genesis)
    for name, check in (*DATA_CHECKS, *MACHINE_CHECKS):
        try:
            yield from check(patient)
        except GridpactError as error:
            yield fail(name, str(error), "")
        except OSError as error:
            yield fail(name, f"{error.filename or name}: {error.strerror}", "make it readable for the node's user")
