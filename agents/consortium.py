"""Governance as a member sees it: what the consortium is and votes on, and the transactions by which it decides.

Everything goes through a node's public RPC. A transaction is tried as a call first, so that what the contract would
refuse is never sent; then it is sent and followed to its receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eth_keys.datatypes import PrivateKey
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from agents.chain import POLL_S, Call, Chain, NodeError, Sender
from agents.consortium_state import Overview, Standing, parse_overview
from agents.errors import AgentError
from contracts.bindings import consortium_votes as votes
from contracts.bindings.abi import Event
from contracts.bindings.consortium import Member
from contracts.bindings.consortium_events import EquivocationProved, ProposalKind, ProposalOpened, ProposalState
from contracts.bindings.consortium_votes import Equivocation, Proposal
from contracts.bindings.events import decode_log, topic_of
from contracts.bindings.reverts import explain_revert
from contracts.readiness import MAX_AGE_BLOCKS, Readiness
from contracts.system import CONSORTIUM, MAX_NAME_BYTES

PATIENCE_S = 3.0  # of a question; a node that restarts is back by then
WAIT_S = 60.0  # for a receipt: several views of the slowest kind
GAS = 4_000_000  # removing one of a hundred members takes about a tenth of it
PAGE = 50  # proposals of one answer


class WrongChain(AgentError):
    """A node answers, but serves another chain than was meant."""

    def __init__(self, url: str, expected: str, found: str) -> None:
        super().__init__(f"node {url}: expected {expected}, found {found}")
        self.url = url


class Refused(AgentError):
    """The consortium does not do it; nothing was sent."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}; nothing was sent")
        self.what = what
        self.reason = reason


class Reverted(AgentError):
    """What was sent is in a block, and changed nothing."""

    def __init__(self, what: str, height: int, reason: str) -> None:
        super().__init__(f"{what}: refused in block {height}: {reason}; nothing has changed")
        self.what = what
        self.height = height


class NotCommitted(AgentError):
    """What was sent is in no block yet, or never will be."""

    def __init__(self, what: str, transaction: str, reason: str) -> None:
        super().__init__(f"{what}: sent as {transaction}, but {reason}; look with `gridpact consortium list` first")
        self.what = what
        self.transaction = transaction


class NotShownReady(AgentError):
    """An admission was proposed, but the readiness that came with it was not taken."""

    def __init__(self, proposal: int, height: int, reason: AgentError) -> None:
        super().__init__(
            f"proposal {proposal} is open since block {height}, but {reason}; "
            f"show a fresh token with `gridpact consortium ready {proposal} TOKEN`"
        )
        self.proposal = proposal


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction was for, at which height it is, its hash, and its events of the consortium."""

    what: str
    height: int
    transaction: str
    events: tuple[Event, ...]

    @property
    def proposal(self) -> int | None:
        """The number of the proposal that it opened; None if it opened none."""
        return next((event.proposal for event in self.events if isinstance(event, ProposalOpened)), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A household that wants a seat: its account (20 bytes), node key (32 bytes), name and endpoint (HOST:PORT)."""

    account: bytes
    node_key: bytes
    name: str
    endpoint: str

    def __post_init__(self) -> None:
        length = len(self.name.encode())
        if not 1 <= length <= MAX_NAME_BYTES:
            raise Refused("propose", f"a name takes 1 to {MAX_NAME_BYTES} bytes of UTF-8, found {length}")


class ConsortiumClient:
    """The consortium over one node's RPC; `connected` makes one.

    Args:
        chain: the node.
        chain_id: what it serves.
        sender: sends as a household; None to read only.
        wait_s: how long a receipt is waited for (wall seconds).
    """

    def __init__(self, chain: Chain, chain_id: int, sender: Sender | None, wait_s: float) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._sender = sender
        self._wait_s = wait_s

    # -- reading

    async def overview(self) -> Overview:
        """Return members, validators, epoch, what is pending, and the chain's time."""
        answers = await self._chain.batch([("grid_consortium", []), ("grid_status", [])])
        needed, queued = await self._chain.read(votes.votes_needed(), votes.queue_length())
        (newest,) = await self._chain.read(votes.newest_epoch())
        return parse_overview(self._chain_id, *answers, newest=newest, votes_needed=needed, queue_length=queued)

    async def proposals(self) -> list[tuple[int, Proposal]]:
        """Return all proposals with their numbers, the first first."""
        (count,) = await self._chain.read(votes.proposal_count())
        pages = await self._chain.read_all([votes.get_proposals(n, PAGE) for n in range(1, count + 1, PAGE)])
        return list(enumerate((proposal for page in pages for proposal in page), 1))

    async def standing(self, number: int, proposal: Proposal, overview: Overview) -> Standing:
        """Return a proposal with the present members that are for it, which is asked only while it is open."""
        voters: tuple[bytes, ...] = ()
        if proposal.state is ProposalState.OPEN:
            accounts = [member.account for member in overview.members]
            said = await self._chain.read_all([votes.has_voted(number, account) for account in accounts])
            voters = tuple(account for account, voted in zip(accounts, said, strict=True) if voted)
        return Standing(number, proposal, voters)

    async def one(self, number: int) -> tuple[Overview, Standing]:
        """Return the consortium and one proposal.

        Raises:
            Refused: there is no such proposal.
        """
        overview = await self.overview()
        (proposal,) = await self._view_of(number)
        return overview, await self.standing(number, proposal, overview)

    async def all(self, *, waiting_only: bool) -> tuple[Overview, list[Standing]]:
        """Return the consortium and its proposals; with `waiting_only` those of which something may still come."""
        overview = await self.overview()
        listed = [await self.standing(n, proposal, overview) for n, proposal in await self.proposals()]
        return overview, [row for row in listed if not waiting_only or row.waits(overview.chain_time_s)]

    async def equivocations(self) -> list[tuple[int, EquivocationProved]]:
        """Return what was proved of validators that contradicted themselves, with the heights of the records."""
        topics = [f"0x{topic_of(CONSORTIUM, EquivocationProved).hex()}"]
        logged = await self._chain.events([CONSORTIUM], 0, await self._chain.height(), topics)
        return [(row.height, row.event) for row in logged if isinstance(row.event, EquivocationProved)]

    async def _view_of(self, number: int) -> tuple[Proposal]:
        try:
            return await self._chain.read(votes.proposal(number))
        except NodeError as error:
            raise Refused(f"proposal {number}", _reason(error)) from None

    async def member(self, text: str) -> Member:
        """Return the member that a person names: by its account, or by its name if only one has it.

        Raises:
            Refused: there is none, or more than one.
        """
        members = (await self.overview()).members
        found = [m for m in members if text in (m.name, f"0x{m.account.hex()}")]
        found = found or [m for m in members if text.lower() == f"0x{m.account.hex()}"]
        if len(found) != 1:
            known = ", ".join(f"{m.name} 0x{m.account.hex()}" for m in members)
            how_many = "no member has" if not found else f"{len(found)} members have"
            raise Refused(f"member {text}", f"{how_many} this account or name; members: {known}")
        return found[0]

    # -- readiness

    async def check_readiness(self, node_key: bytes, readiness: Readiness) -> None:
        """Check a readiness token before anything is sent with it.

        Raises:
            Refused: the block is not among the last 256, or the signature is not the key's over it.
        """
        what = "readiness"
        head = await self._chain.height()
        if not head - MAX_AGE_BLOCKS < readiness.height <= head:
            reason = f"block {readiness.height} is not one of the last {MAX_AGE_BLOCKS} (the newest is {head})"
            raise Refused(what, f"{reason}; expected a fresh token of `gridpact node ready`")
        blocks = await self._chain.batch(
            [("eth_getBlockByNumber", [height, False]) for height in ("0x0", hex(readiness.height))]
        )
        genesis, block = (bytes.fromhex(found["hash"][2:]) for found in blocks)
        message = votes.ready_bytes(self._chain_id, genesis, readiness.height, block)
        try:
            VerifyKey(node_key).verify(message, readiness.signature)
        except (BadSignatureError, ValueError):
            signer = f"node key 0x{node_key.hex()}"
            raise Refused(what, f"the signature is not that of {signer} over block {readiness.height}") from None

    # -- sending

    async def send(self, data: bytes, what: str) -> Receipt:
        """Send a transaction to the consortium and return what it did.

        Args:
            data: calldata.
            what: what it is for, in errors.

        Raises:
            Refused: the contract would refuse it now, or the node takes nothing from this account.
            Reverted: it was refused in a block, because something else came first.
            NotCommitted: it is in no block within the time.
            NodeUnreachable: the node does not answer.
        """
        if self._sender is None:
            raise Refused(what, "no key to sign with")
        sender, call = self._sender, Call(CONSORTIUM, data, GAS, what)
        try:
            await self._try(sender, call)
            (pending,) = await sender.send([call])
        except NodeError as error:
            raise Refused(what, _reason(error)) from None
        try:
            async with asyncio.timeout(self._wait_s):
                while not pending.outcome.done():
                    await sender.watch()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NotCommitted(what, pending.hash, f"in no block after {self._wait_s:.0f} s: it may still be") from None
        answer = await self._chain.request("eth_getTransactionReceipt", pending.hash)
        if not isinstance(answer, dict):
            raise NotCommitted(what, pending.hash, "another transaction of this account took its place")
        receipt = _receipt(what, pending.hash, answer)
        if not pending.outcome.result():
            raise Reverted(what, receipt.height, await self._why(sender, call))
        return receipt

    async def _try(self, sender: Sender, call: Call) -> None:
        """Call what would be sent, as in the next block: only there is the newest block's hash known."""
        fields = {"from": _hex(sender.account), "to": _hex(call.to), "data": _hex(call.data), "gas": hex(call.gas)}
        await self._chain.request("eth_call", fields, "pending")

    async def _why(self, sender: Sender, call: Call) -> str:
        try:
            await self._try(sender, call)
        except NodeError as error:
            return _reason(error)
        return "it would succeed now: it came too early or too late"

    async def propose_admission(self, candidate: Candidate, readiness: Readiness | None) -> list[Receipt]:
        """Move to admit a household, and show its readiness if it has been given; that is checked before.

        Raises:
            NotShownReady: the motion is open, but its readiness was not taken.
        """
        if readiness is not None:
            await self.check_readiness(candidate.node_key, readiness)
        data = votes.propose_admission(candidate.account, candidate.node_key, candidate.name, candidate.endpoint)
        opened = await self.send(data, f"propose to admit {candidate.name}")
        if readiness is None or opened.proposal is None:
            return [opened]
        try:
            return [opened, await self.show_readiness(opened.proposal, readiness)]
        except AgentError as error:
            raise NotShownReady(opened.proposal, opened.height, error) from None

    async def show_readiness(self, number: int, readiness: Readiness) -> Receipt:
        """Submit a candidate's readiness for an admission."""
        data = votes.prove_readiness(number, readiness.height, readiness.signature)
        return await self.send(data, f"readiness for proposal {number}")

    async def show_candidate_ready(self, number: int, readiness: Readiness) -> list[Receipt]:
        """Check a token against the candidate's node key, then submit it."""
        (proposal,) = await self._view_of(number)
        if proposal.kind is ProposalKind.ADMIT:
            await self.check_readiness(proposal.node_key, readiness)
        return [await self.show_readiness(number, readiness)]

    async def rotate_node_key(self, new_key: bytes, readiness: Readiness) -> list[Receipt]:
        """Give the own validator another node key."""
        await self.check_readiness(new_key, readiness)
        data = votes.rotate_node_key(new_key, readiness.height, readiness.signature)
        return [await self.send(data, "change the node key")]

    async def submit_evidence(self, equivocation: Equivocation) -> list[Receipt]:
        """Put two contradictory votes of a validator on record."""
        return [await self.send(votes.submit_evidence(equivocation), "evidence")]


@asynccontextmanager
async def connected(
    url: str, *, key: PrivateKey | None = None, chain_id: int | None = None, wait_s: float = WAIT_S
) -> AsyncIterator[ConsortiumClient]:
    """Connect to a node and check that it serves the chain that is meant.

    Args:
        url: http://HOST:PORT.
        key: the household's; None to read only.
        chain_id: the only one that will do; None for any.
        wait_s: how long a receipt is waited for (wall seconds).

    Raises:
        NodeUnreachable: nobody answers.
        WrongChain: it is no gridpact node, or one of another chain.
    """
    chain = Chain(url, patience_s=PATIENCE_S)
    try:
        told, consortium = await chain.try_batch([("eth_chainId", []), ("grid_consortium", [])])
        if isinstance(told, NodeError) or isinstance(consortium, NodeError) or not isinstance(told, str):
            found = "" if not isinstance(told, str) else f" on chain {int(told, 16)}"
            raise WrongChain(url, "a gridpact node", f"something that knows no consortium{found}")
        served = int(told, 16)
        if chain_id is not None and served != chain_id:
            raise WrongChain(url, f"chain {chain_id}", f"chain {served}")
        sender = None if key is None else Sender(chain, key, served)
        yield ConsortiumClient(chain, served, sender, wait_s)
    finally:
        await chain.close()


def _receipt(what: str, transaction: str, answer: dict[str, Any]) -> Receipt:
    decoded = (_event(log) for log in answer["logs"])
    events = tuple(event for event in decoded if event is not None)
    return Receipt(what, int(answer["blockNumber"], 16), transaction, events)


def _event(log: dict[str, Any]) -> Event | None:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    return decode_log(bytes.fromhex(log["address"][2:]), topics, bytes.fromhex(log["data"][2:]))


def _reason(error: NodeError) -> str:
    return explain_revert(error.data) if error.data else error.message


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
