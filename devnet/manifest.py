"""The manifest of a perturbed devnet: how many validators, what load, and what befalls whom, and when."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from devnet.byzantine import BEHAVIOURS
from node.parsing import ConfigError, Table

KINDS = ("kill", "pause", "cut", "one-way", "slow", "disk-full")
DOWN = frozenset({"kill", "pause", "cut", "one-way", "disk-full"})  # while it lasts the validator counts as faulty
MANIFESTS = Path(__file__).parent / "manifests"
MAX_VALIDATORS = 16


@dataclass(frozen=True, slots=True)
class Perturbation:
    """From `at_s` on, for `for_s` seconds, something befalls validators.

    Args:
        kind: kill (SIGKILL, started again afterwards), pause (SIGSTOP, SIGCONT), cut (all links, both ways), one-way
            (it hears nobody), slow (links with delay, rate and loss), disk-full (writes fail; started again).
        nodes: whom.
    """

    at_s: int
    for_s: int
    kind: str
    nodes: tuple[int, ...]
    delay_ms: int
    rate_kbit: int
    loss_percent: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A perturbed devnet; `byzantine` maps validators to behaviours, `clock_offset_ms` to the error of their clocks."""

    name: str
    validators: int
    seed: int
    duration_s: int
    transactions_per_s: int
    byzantine: dict[int, str]
    clock_offset_ms: dict[int, int]
    perturbations: tuple[Perturbation, ...]

    @property
    def faults(self) -> int:
        """f: how many may be faulty at a time."""
        return (self.validators - 1) // 3

    def faulty_at(self, second: float) -> set[int]:
        """Return who is faulty at a time."""
        struck = {
            node
            for each in self.perturbations
            if each.kind in DOWN and each.at_s <= second < each.at_s + each.for_s
            for node in each.nodes
        }
        return struck | set(self.byzantine)


def load_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = ", ".join(sorted(file.stem for file in MANIFESTS.glob("*.toml")))
        raise ConfigError(path, "", f"a readable file ({error.strerror}), or one of: {shipped}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"TOML in UTF-8 ({error})") from None
    top = Table(path, "", content)
    validators = top.integer("validators", 1, MAX_VALIDATORS)
    duration_s = top.integer("duration_s", 1, 86_400)
    manifest = Manifest(
        name=path.stem,
        validators=validators,
        seed=top.integer("seed", 0, 2**63),
        duration_s=duration_s,
        transactions_per_s=top.integer("transactions_per_s", 0, 1_000),
        byzantine=dict(_byzantine(row, validators) for row in top.tables("byzantine")),
        clock_offset_ms=dict(_clock(row, validators) for row in top.tables("clock")),
        perturbations=tuple(_perturbation(row, validators, duration_s) for row in top.tables("perturb")),
    )
    top.close()
    return manifest


def _byzantine(row: Table, validators: int) -> tuple[int, str]:
    found = row.integer("node", 0, validators - 1), row.choice("behaviour", BEHAVIOURS)
    row.close()
    return found


def _clock(row: Table, validators: int) -> tuple[int, int]:
    found = row.integer("node", 0, validators - 1), row.integer("offset_ms", -3_600_000, 3_600_000)
    row.close()
    return found


def _perturbation(row: Table, validators: int, duration_s: int) -> Perturbation:
    at_s = row.integer("at_s", 0, duration_s - 1)
    nodes = row.value("nodes", list, "a list of validators")
    if not nodes or not all(type(node) is int and 0 <= node < validators for node in nodes):
        raise row.error("nodes", f"a list of validators from 0 to {validators - 1}, found {nodes}")
    found = Perturbation(
        at_s=at_s,
        for_s=row.integer("for_s", 1, max(1, duration_s - at_s)),
        kind=row.choice("kind", KINDS),
        nodes=tuple(nodes),
        delay_ms=row.integer("delay_ms", 0, 60_000, 0),
        rate_kbit=row.integer("rate_kbit", 0, 10**7, 0),
        loss_percent=row.integer("loss_percent", 0, 100, 0),
    )
    row.close()
    return found
