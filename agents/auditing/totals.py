"""What a private window owes the operator: each auditor gives its part of that one total, and the last one opens it.

As with the street's sums, the total must be what several members' nodes say it is, with enough sessions in it, and a
part of one total a window is given, for ever: a part of anything else would open one member's bill.
Source: Desmedt and Frankel 1989 (threshold ElGamal); docs/private-window.md, "A session", step 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes

from agents.attempts import Attempts
from agents.auditing.amounts import found_signed
from agents.chain import Call, Chain, NodeError, NodeUnreachable, Sender
from agents.journal import Problem, TotalFound, TotalPartGoing
from contracts.bindings import private_market, sealed_meters
from contracts.bindings.private_market import OperatorPartGiven, SessionState, WindowState
from contracts.bindings.sealed_meters import AuditorSet
from contracts.system import PRIVATE_MARKET
from privacy.auditors import Ciphertext, decrypt_partially, open_together
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point

PART_GAS = 300_000
PAY_GAS = 500_000
_IN_THE_TOTAL = (SessionState.SETTLED, SessionState.FORFEITED)
_G = SECP256K1


@dataclass(slots=True)
class OperatorTotals:
    """One auditor's part in the operator's totals.

    Args:
        chain: its node.
        witnesses: nodes of other members, which have to confirm a total.
        chain_id: the chain's.
        sender: of its account.
        share: of the joint secret.
        meters: how many the street has.
        least_sessions: of a total over fewer it gives no part.
        promised: by window the total (hexadecimal) of which a part was given before.
        write: into the journal.
        now_s: the chain's time.
        patience_s: how long it waits for the last of enough auditors to open a total, before it does itself.
    """

    chain: Chain
    witnesses: Sequence[Chain]
    chain_id: int
    sender: Sender
    share: Scalar
    meters: int
    least_sessions: int
    promised: dict[int, str]
    write: Callable[..., None]
    now_s: Callable[[], float]
    patience_s: float
    _parts: dict[int, dict[int, bytes]] = field(default_factory=dict)
    _attempts: Attempts = field(default_factory=Attempts)
    _enough_since: dict[int, float] = field(default_factory=dict)
    _done: set[int] = field(default_factory=set)

    def learn(self, event: OperatorPartGiven) -> None:
        """Take note of a part that stands on the chain."""
        self._parts.setdefault(event.window, {})[event.auditor] = event.part

    async def step(self, window: int) -> None:
        """Do what is due for a window that is over."""
        if window in self._done:
            return
        state, offered, auditors = await self.chain.read(
            private_market.window_state(window),
            private_market.sessions_of(window),
            sealed_meters.auditors_of(window),
        )
        number = number_of(auditors, self.sender.account, self.share)
        if not offered:  # offers were made before the window began
            self._done.add(window)
        if not number or not state.prepared or state.open:
            return
        if state.paid or state.sealed_total == bytes(2 * _G.point_bytes):
            self._done.add(window)
            return
        sessions = await self.chain.read_all([private_market.session_of(account) for account in offered])
        counted = sum(session.state in _IN_THE_TOTAL for session in sessions)
        reason = self._why_never(window, state, counted)
        if not reason and number not in self._parts.get(window, {}):
            reason = await self._give(window, state, number)
        if reason:
            self._done.add(window)
            self.write(Problem(what=f"window {window}: no part of the operator's total", reason=reason[:500]))
            return
        await self._pay(window, state, auditors.threshold, number)

    def forget_before(self, first: int) -> None:
        """Drop what is no longer needed."""
        self._done = {window for window in self._done if window >= first}
        self._parts = {window: rows for window, rows in self._parts.items() if window >= first}
        self._enough_since = {window: since for window, since in self._enough_since.items() if window >= first}

    def _why_never(self, window: int, state: WindowState, sessions: int) -> str:
        if sessions < self.least_sessions:
            return f"{sessions} sessions are in it, expected at least {self.least_sessions}"
        outside = self.meters - state.members
        if 0 < outside < self.least_sessions:  # by name; what all meters read less this total would be theirs
            return f"{outside} meters are of no member, expected none or at least {self.least_sessions}"
        if self.promised.get(window, state.sealed_total.hex()) != state.sealed_total.hex():
            return "a part of another total was given before"
        return ""

    async def _give(self, window: int, state: WindowState, number: int) -> str:
        """Give our part, if enough nodes say the same; return who contradicts."""
        if not self._attempts.due(("part", window)):
            return ""
        confirmed = 1
        for witness in self.witnesses:
            try:
                (found,) = await witness.read(private_market.window_state(window))
            except (NodeError, NodeUnreachable):
                continue  # it confirms nothing
            settled = found.prepared and not found.open
            if settled and found.sealed_total != state.sealed_total:
                return f"node {witness.url} has another total"
            confirmed += settled
        if confirmed < 1 + (len(self.witnesses) + 1) // 2:
            return ""
        if window not in self.promised:
            self.promised[window] = state.sealed_total.hex()
            self.write(TotalPartGoing(window=window, total=state.sealed_total.hex()), durable=True)
        request = private_market.request(self.chain_id, window)
        part = decrypt_partially(_G, number, self.share, _sealed(state).ephemeral, request, token_bytes(32))
        data = private_market.give_part(window, number, _G.point_to_bytes(part.point), part.proof.to_bytes(_G))
        await self._attempts.send(
            self.sender,
            {("part", window): Call(PRIVATE_MARKET, data, PART_GAS, f"part of the total of window {window}")},
        )
        return ""

    async def _pay(self, window: int, state: WindowState, threshold: int, number: int) -> None:
        """Open a total from the first parts that are enough, if ours is the last of them, or nobody does."""
        given = dict(list(self._parts.get(window, {}).items())[:threshold])
        if len(given) < threshold:
            return
        late = self.now_s() > self._enough_since.setdefault(window, self.now_s()) + self.patience_s
        if not (list(given)[-1] == number or late) or not self._attempts.due(("pay", window)):
            return
        parts = {auditor: _G.point_from_bytes_checked(raw) for auditor, raw in given.items()}
        point = open_together(_G, _sealed(state), parts)
        total = found_signed(point)
        if total is None:
            self._done.add(window)
            self.write(Problem(what=f"window {window}", reason=f"the parts of {sorted(given)} open to no total"))
            return
        data = private_market.pay_operator(window, total, sorted(given))
        await self._attempts.send(
            self.sender, {("pay", window): Call(PRIVATE_MARKET, data, PAY_GAS, f"operator's total of window {window}")}
        )
        self.write(TotalFound(window=window, total_microeur=total, auditors=sorted(given)))


def number_of(auditors: AuditorSet, account: bytes, share: Scalar) -> int:
    """Return the number of an account with this share among a window's auditors, from 1; 0 if it is not one."""
    rows = [(row.account, row.public_share) for row in auditors.auditors]
    own = account, _G.point_to_bytes(_G.multiply_generator(share))
    return rows.index(own) + 1 if own in rows else 0


def _sealed(state: WindowState) -> Ciphertext[Point]:
    size = _G.point_bytes
    ephemeral, masked = state.sealed_total[:size], state.sealed_total[size:]
    return Ciphertext(_G.point_from_bytes_checked(ephemeral), _G.point_from_bytes_checked(masked))
