"""From two contradictory votes to a record on the chain: the node's reporter account proves them to the consortium.

A validator's process holds no household key. What it has to say on chain it says with an account of its own, derived
from its node key, for which its member vouches. Several nodes find the same equivocation; they report in turn, and the
later ones see that it is on record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from consensus.actions import ReportEvidence
from consensus.types import ValidatorSet
from contracts import layout
from contracts.bindings import consortium_votes
from contracts.bindings.consortium_votes import Equivocation
from contracts.system import CONSORTIUM
from node.driver.signer import SignerAway
from node.state import StateReader

REPORTER_DOMAIN = b"gridpact/reporter/v1"
GAS = 600_000
MAX_PENDING = 64  # equivocations waiting to be reported; more than that by one epoch's faulty ones changes nothing
MAX_ATTEMPTS = 3  # transactions for one of them: after that the chain has refused it
TURN_HEIGHTS = 2  # between one node's turn to report and the next's
TURNS = 4
QUIET_HEIGHTS = (
    1_000  # one equivocation of a validator is enough for so long: reports must not feed on their own blocks
)

log = logging.getLogger("evidence")


def reporter_account(seed: bytes) -> LocalAccount:
    """Return the account with which the validator of this node key's seed (32 bytes) reports."""
    account: LocalAccount = Account.from_key(keccak(REPORTER_DOMAIN + seed))
    return account


def report_transaction(account: LocalAccount, chain_id: int, equivocation: Equivocation, nonce: int) -> bytes:
    """Return the raw transaction with which an account proves an equivocation on a chain."""
    signed = account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "gas": GAS,
            "to": CONSORTIUM,
            "value": 0,
            "data": consortium_votes.submit_evidence(equivocation),
        }
    )
    return bytes(signed.raw_transaction)


@dataclass(slots=True)
class Finding:
    """An equivocation that is not on record yet: when its turn is, and the nonces that were spent on it."""

    equivocation: Equivocation
    due_height: int
    nonces: set[int]


class Reporter:
    """Reports what the driver finds until it is on record.

    Args:
        address: the reporter account (20 bytes).
        sign: makes its raw transaction of an equivocation and a nonce.
        submit: takes a raw transaction into the pool.
    """

    def __init__(
        self, address: bytes, sign: Callable[[Equivocation, int], bytes], submit: Callable[[bytes], None]
    ) -> None:
        self.address = address
        self._sign = sign
        self._submit = submit
        self._pending: dict[bytes, Finding] = {}
        self._quiet_until: dict[bytes, int] = {}
        self._warned = False

    @property
    def pending(self) -> tuple[Equivocation, ...]:
        """What is not on record yet."""
        return tuple(finding.equivocation for finding in self._pending.values())

    def found(self, evidence: ReportEvidence, height: int, validators: ValidatorSet, node_key: bytes) -> None:
        """Take what the driver found.

        Args:
            evidence: two verified votes of one place.
            height: that is being decided.
            validators: of that height, of whom we are `node_key`: the one after the accused reports first.
        """
        first, second = evidence.first.vote, evidence.second.vote
        equivocation = Equivocation(
            evidence.first.signer,
            first.epoch,
            first.height,
            first.view,
            int(first.phase),
            first.block_hash,
            evidence.first.signature,
            second.block_hash,
            evidence.second.signature,
        )
        if equivocation.evidence_id in self._pending or len(self._pending) >= MAX_PENDING:
            return
        if height < self._quiet_until.get(equivocation.node_key, 0):
            return
        self._quiet_until[equivocation.node_key] = height + QUIET_HEIGHTS
        turn = 0
        if node_key in validators and evidence.first.signer in validators:
            distance = validators.place(node_key) - validators.place(evidence.first.signer) - 1
            turn = distance % validators.size % TURNS
        self._pending[equivocation.evidence_id] = Finding(equivocation, height + turn * TURN_HEIGHTS, set())
        log.warning(
            "a validator contradicts itself",
            extra={"node_key": evidence.first.signer, "height": first.height, "view": first.view, "phase": first.phase},
        )

    def on_head(self, height: int, state: StateReader) -> None:
        """Over a new head: forget what is on record, and report what is due, one after the other."""
        for evidence_id in [each for each in self._pending if layout.evidence_recorded(state.storage, each)]:
            del self._pending[evidence_id]
        due = next((each for each in self._pending.values() if each.due_height <= height), None)
        if due is None:
            return
        if layout.vouching_member(state.storage, self.address) is None:
            if not self._warned:
                log.warning("cannot report: no member vouches", extra={"reporter": self.address})
            self._warned = True
            return
        account = state.account(self.address)
        nonce = 0 if account is None else account.nonce
        if nonce not in due.nonces and len(due.nonces) >= MAX_ATTEMPTS:
            log.warning("evidence is refused", extra={"evidence": due.equivocation.evidence_id})
            del self._pending[due.equivocation.evidence_id]
            return
        try:
            raw = self._sign(due.equivocation, nonce)
        except SignerAway:
            return  # it is due over the next head as well
        due.nonces.add(nonce)
        self._submit(raw)
