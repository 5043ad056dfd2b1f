"""Planted mutants of the protocol, each of which the simulator must kill: `python -m tests.simulation.mutants`.

A mutant is one small change of the source, made in a copy of the tree. Seeds run against the copy, in the mode that the
mutant offends, until one reports a violation; a mutant that outlives its seeds shows that the simulator has no teeth there.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COPIED = ("consensus", "node")  # what a mutant may change; everything else is linked
SEED_LIMIT = 200  # a mutant must be dead by then


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
        "        return [effect for action in leaving for effect in self._leave(action)]",
        "        effects = [effect for action in leaving for effect in self._leave(action)]\n"
        "        if records:\n            self._log.append([encode_record(record) for record in records])\n"
        "        return effects",
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
        '    elif not signature_holds(state.config.domain, signed):\n        yield Reject(sender, "a vote whose signature',
        '    elif False:\n        yield Reject(sender, "a vote whose signature',
    ),
    Mutant(
        "certificate-unchecked",
        "consensus/core.py",
        "        verify(block.certificate, state.validators, state.config.domain)\n",
        "        pass\n",
    ),
    Mutant(
        "certificate-of-any-epoch",
        "consensus/certificates.py",
        "    if certificate.epoch != validators.epoch:\n",
        "    if False:\n",
    ),
    Mutant(
        "epoch-change-too-early",
        "consensus/core.py",
        "        state = succeed(state, event.next_validators, event.timing)\n",
        "        state = succeed(state, event.next_validators, event.timing)\n"
        "        if len(event.next_validators.keys) > 4:\n"
        "            state.validators = ValidatorSet(state.validators.epoch, state.validators.keys[:4])\n",
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
        "        and (ours.epoch, ours.height, ours.view, ours.phase) == (theirs.epoch, theirs.height, theirs.view, theirs.phase)\n",
        "",
    ),
    Mutant(
        "invalid-block-prepared",
        "consensus/core.py",
        "    elif block_hash in state.valid:\n",
        "    elif True:\n",
    ),
    Mutant(
        "timer-never-set-again",
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
        "    if not asked and state.stage is not Stage.DECIDED:\n        yield from _ask(state, None)\n",
        "    if not asked:\n        return\n        yield\n",
        "liveness",
    ),
)


class MutantError(Exception):
    """A mutant does not fit the source any more."""


def plant(mutant: Mutant, folder: Path) -> None:
    """Make a tree with the mutant in an empty folder.

    Raises:
        MutantError: the text that it replaces does not occur exactly once.
    """
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for entry in ROOT.iterdir():
        if entry.name not in COPIED and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    path = folder / mutant.path
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise MutantError(f"{mutant.name}: its text occurs {source.count(mutant.old)} times in {mutant.path}, expected 1")
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
