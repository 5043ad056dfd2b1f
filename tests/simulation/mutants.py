"""Planted mutants of the protocol, each of which the simulator must kill: `python -m tests.simulation.mutants`.

A mutant is one small change of the source, made in a copy of the tree. Seeds run against the copy, in the mode that the
mutant offends, until one reports a violation; a mutant that outlives its seeds shows where the simulator has no teeth.

What is no mutant, because no run could tell: that a certificate names its epoch is checked, but a certificate of
another epoch would also need signatures of a quorum of this one's validators over that other epoch's number, which no
honest one gives.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COPIED = ("consensus", "node", "tests")  # what a mutant may change, and what finds its own place; the rest is linked
SEED_LIMIT = 100  # a mutant must be dead by then


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted fault.

    Args:
        name: says what is wrong.
        path: the file, from the project's root.
        old, new: the text that is replaced, which occurs exactly once, and what takes its place.
        mode: "safety" or "liveness": which promise it breaks.
    """

    name: str
    path: str
    old: str
    new: str
    mode: str = "safety"


MUTANTS = (
    Mutant(
        "quorum-off-by-one",
        "consensus/types.py",
        "return (self.size + self.faults + 2) // 2",
        "return (self.size + self.faults + 2) // 2 - 1",
    ),
    Mutant(
        "prepared-certificate-forgotten-at-restart",
        "consensus/state.py",
        "state.prepared = highest((state.prepared, record))",
        "pass",
    ),
    Mutant(
        "view-change-claims-nothing",
        "consensus/core.py",
        "yield from _cast(state, Phase.VIEW_CHANGE, claim_digest(state.prepared))",
        "state.prepared = None\n    yield from _cast(state, Phase.VIEW_CHANGE, claim_digest(None))",
    ),
    Mutant(
        "new-view-choice-trusted",
        "consensus/core.py",
        "if state.choice not in (None, block_hash):",
        "if False:",
    ),
    Mutant(
        "new-view-proof-unchecked",
        "consensus/viewchange.py",
        "    _check_proof(message, validators, domain, {change.prepared for change in known})\n",
        "",
    ),
    Mutant(
        "new-view-signatures-unchecked",
        "consensus/viewchange.py",
        "if signed not in verified and not signature_holds(domain, signed):",
        "if False:",
    ),
    Mutant(
        "view-change-claim-unproved",
        "consensus/viewchange.py",
        "    verify(prepared, validators, domain, Phase.PREPARE)\n\n\ndef check_new_view",
        "\n\ndef check_new_view",
    ),
    Mutant(
        "vote-sent-before-synced",
        "node/driver/driver.py",
        "        if records:\n            self._log.append([encode_record(record) for record in records])\n"
        "        effects = [effect for action in leaving for effect in self._leave(action)]\n",
        "        effects = [effect for action in leaving for effect in self._leave(action)]\n"
        "        if records:\n            self._log.append([encode_record(record) for record in records])\n",
    ),
    Mutant(
        "commit-before-prepared-certificate-is-durable",
        "consensus/core.py",
        "yield Persist((*_body_records(state, vote.block_hash), *claim, signed))",
        "yield Persist((*_body_records(state, vote.block_hash), signed))",
    ),
    Mutant(
        "commit-before-body-is-durable",
        "consensus/core.py",
        "yield Persist((*_body_records(state, vote.block_hash), *claim, signed))",
        "yield Persist((*claim, signed))",
    ),
    Mutant(
        "own-votes-forgotten-at-restart",
        "consensus/state.py",
        "                state.signed[vote.view, vote.phase] = vote.block_hash\n",
        "",
    ),
    Mutant(
        "view-forgotten-at-restart",
        "consensus/state.py",
        "view = max((view for view, _ in state.signed), default=FIRST_VIEW)",
        "view = FIRST_VIEW",
    ),
    Mutant(
        "recall-needs-nobody",
        "consensus/recall.py",
        "    if len(counted) < needed:\n        return False\n",
        "",
    ),
    Mutant(
        "restored-node-votes-at-once",
        "consensus/recall.py",
        "        state.barred = max(state.barred, *counted, Height(0))\n",
        "        pass\n",
    ),
    Mutant(
        "votes-for-different-blocks-counted-together",
        "consensus/state.py",
        "return [signed for signed in votes.values() if signed.vote.block_hash == block_hash]",
        "return [SignedVote(replace(s.vote, block_hash=block_hash), s.signer, s.signature) for s in votes.values()]",
    ),
    Mutant(
        "vote-signature-unchecked",
        "consensus/core.py",
        'signature_holds(state.config.domain, signed):\n        yield Reject(sender, "a vote whose',
        'False:\n        yield Reject(sender, "a vote whose',
    ),
    Mutant(
        "certificate-unchecked",
        "consensus/core.py",
        "        verify(block.certificate, state.validators, state.config.domain)\n",
        "        pass\n",
    ),
    Mutant(
        "epoch-change-too-early",
        "tests/simulation/ledger.py",
        "return self._database.streets[max(0, self.head_height - 1)]",
        "return self._database.streets[self.head_height]",
    ),
    Mutant(
        "epoch-change-too-early-at-some",
        "tests/simulation/ledger.py",
        "return self._database.streets[max(0, self.head_height - 1)]",
        "return self._database.streets[max(0, self.head_height - 1 + self._maker % 2)]",
    ),
    Mutant(
        "epoch-change-too-late",
        "consensus/core.py",
        "        state = succeed(state, event.next_validators, event.timing)\n",
        "        state = succeed(state, state.validators, event.timing)\n",
        "liveness",
    ),
    Mutant(
        "evidence-accepted-unsigned",
        "consensus/evidence.py",
        "    if signature_holds(state.config.domain, signed):\n",
        "    if True:\n",
    ),
    Mutant(
        "evidence-of-any-two-views",
        "consensus/evidence.py",
        "(ours.epoch, ours.height, ours.view, ours.phase) == (theirs.epoch, theirs.height, theirs.view, theirs.phase)",
        "ours.phase == theirs.phase",
    ),
    Mutant(
        "invalid-block-prepared",
        "consensus/core.py",
        "    elif block_hash in state.valid:\n",
        "    elif True:\n",
    ),
    Mutant(
        "timer-never-reset",
        "consensus/core.py",
        "if state.voting and state.armed != state.view and state.stage is not Stage.DECIDED:",
        "if state.voting and state.armed is None and state.stage is not Stage.DECIDED:",
        "liveness",
    ),
    Mutant(
        "view-change-is-no-work",
        "consensus/core.py",
        "        yield from _on_work(state)  # a view change that somebody has begun is work for all\n",
        "        pass\n",
        "liveness",
    ),
    Mutant(
        "nobody-joins-a-view-change",
        "consensus/core.py",
        "    if len(higher) > state.validators.faults:\n",
        "    if False:\n",
        "liveness",
    ),
    Mutant(
        "body-of-the-choice-never-fetched",
        "consensus/core.py",
        "        yield from sync.fetch_body(state, block_hash)\n        return\n    if state.new_view",
        "        return\n    if state.new_view",
        "liveness",
    ),
    Mutant(
        "nothing-sent-again",
        "consensus/sync.py",
        "        yield from _resend(state, sender, theirs)\n",
        "        pass\n",
        "liveness",
    ),
    Mutant(
        "no-catching-up",
        "consensus/sync.py",
        "    elif not asked:\n        yield from _ask(state, None)\n",
        "    elif not asked:\n        return\n",
        "liveness",
    ),
)


class MutantError(Exception):
    """A mutant does not fit the source any more."""


def mutated(mutant: Mutant) -> str:
    """Return the text of the mutant's file with the fault in it.

    Raises:
        MutantError: the text that it replaces does not occur exactly once.
    """
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise MutantError(
            f"{mutant.name}: its text occurs {source.count(mutant.old)} times in {mutant.path}, expected 1"
        )
    return source.replace(mutant.old, mutant.new)


def plant(mutant: Mutant, folder: Path) -> None:
    """Make a tree with the mutant in an empty folder.

    Raises:
        MutantError: the text that it replaces does not occur exactly once.
    """
    text = mutated(mutant)
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for entry in ROOT.iterdir():
        if entry.name not in COPIED and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    (folder / mutant.path).write_text(text, encoding="utf-8")


HUNT = """
import sys
from tests.simulation.simulation import run
mode, limit = sys.argv[1], int(sys.argv[2])
for seed in range(limit):
    try:
        violation = run(seed, mode).violation
    except Exception as error:
        violation = f"{type(error).__name__}: {error}"
    if violation is not None:
        print(f"{seed} {violation.splitlines()[0]}")
        break
"""


def hunt(mutant: Mutant, limit: int) -> tuple[int, str] | None:
    """Return the first seed that kills a mutant, and what it saw; None if the mutant survives them all.

    Raises:
        MutantError: it cannot be planted, or the hunt itself failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        plant(mutant, tree)
        child = subprocess.run(
            [sys.executable, "-c", HUNT, mutant.mode, str(limit)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode != 0:
        raise MutantError(f"{mutant.name}: {child.stderr.strip().splitlines()[-1]}")
    seed, _, seen = child.stdout.strip().partition(" ")
    return (int(seed), seen) if seed else None


def main() -> int:
    """Hunt all mutants, or those that are named; return 1 if one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants; all, if none is named")
    parser.add_argument("--seeds", type=int, default=SEED_LIMIT, help="how many seeds a mutant may try to survive")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if not chosen.names or mutant.name in chosen.names]
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        for mutant, found in zip(mutants, pool.map(lambda each: hunt(each, chosen.seeds), mutants), strict=True):
            if found is None:
                survivors += 1
                print(f"survived {mutant.name}: {chosen.seeds} seeds", flush=True)
            else:
                print(f"killed {mutant.name} by seed {found[0]} ({mutant.mode}): {found[1]}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants killed within {chosen.seeds} seeds")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
