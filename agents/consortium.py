"""Governance as a member sees it: what the consortium is and votes on, and the transactions by which it decides.

Everything goes through a node's public RPC. A transaction is tried as a call first, so that what the contract would
refuse is never sent; then it is sent and followed to its receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from agents.auditing.ceremony import CeremonyError, Dealing, auditor_set, sealing_domain
from agents.chain import Call, NodeError
from agents.client import NodeClient, Receipt, Refused, reason_of
from agents.consortium_state import Overview, Standing, parse_overview
from agents.errors import AgentError
from contracts.bindings import consortium_votes as votes
from contracts.bindings import sealed_meters
from contracts.bindings.consortium import Member
from contracts.bindings.consortium_events import EquivocationProved, ProposalKind, ProposalOpened, ProposalState
from contracts.bindings.consortium_votes import Equivocation, Proposal
from contracts.bindings.events import topic_of
from contracts.readiness import MAX_AGE_BLOCKS, Readiness
from contracts.system import CONSORTIUM, MAX_NAME_BYTES, SEALED_METERS

APPOINT_GAS = 3_000_000
GAS = 4_000_000  # removing one of a hundred members takes about a tenth of it
PAGE = 50  # proposals of one answer


class NotShownReady(AgentError):
    """An admission was proposed, but the readiness that came with it was not taken."""

    def __init__(self, proposal: int, height: int, reason: AgentError) -> None:
        super().__init__(
            f"proposal {proposal} is open since block {height}, but {reason}; "
            f"show a fresh token with `gridpact consortium ready {proposal} TOKEN`"
        )
        self.proposal = proposal


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


def proposal_opened(receipt: Receipt) -> int | None:
    """Return the number of the proposal that a transaction opened; None if it opened none."""
    return next((event.proposal for event in receipt.events if isinstance(event, ProposalOpened)), None)


class ConsortiumClient:
    """The consortium over one node's RPC."""

    def __init__(self, node: NodeClient) -> None:
        self._node = node
        self._chain = node.chain
        self._chain_id = node.chain_id

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
            raise Refused(f"proposal {number}", reason_of(error)) from None

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

    async def send(self, data: bytes, what: str) -> Receipt:
        """Send a transaction to the consortium, as `NodeClient.transact`.

        Args:
            data: calldata.
            what: what it is for, in errors.
        """
        return await self._node.transact(Call(CONSORTIUM, data, GAS, what))

    async def propose_admission(self, candidate: Candidate, readiness: Readiness | None) -> list[Receipt]:
        """Move to admit a household, and show its readiness if it has been given; that is checked before.

        Raises:
            NotShownReady: the motion is open, but its readiness was not taken.
        """
        if readiness is not None:
            await self.check_readiness(candidate.node_key, readiness)
        data = votes.propose_admission(candidate.account, candidate.node_key, candidate.name, candidate.endpoint)
        opened = await self.send(data, f"propose to admit {candidate.name}")
        number = proposal_opened(opened)
        if readiness is None or number is None:
            return [opened]
        try:
            return [opened, await self.show_readiness(number, readiness)]
        except AgentError as error:
            raise NotShownReady(number, opened.height, error) from None

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

    async def vote_for_auditors(self, dealings: Sequence[Dealing]) -> list[Receipt]:
        """Vote for auditors to come.

        Raises:
            CeremonyError: as `auditor_set`, or they dealt for another chain.
            Refused, Reverted, NotCommitted, NodeUnreachable: as `NodeClient.transact`.
        """
        auditors = auditor_set(dealings)
        if dealings[0].dealer.registration.domain != sealing_domain(self._chain_id):
            raise CeremonyError(f"dealings for another chain: expected those for chain {self._chain_id}")
        call = Call(SEALED_METERS, sealed_meters.vote_for_auditors(auditors), APPOINT_GAS, "vote for auditors")
        return [await self._node.transact(call)]

    async def submit_evidence(self, equivocation: Equivocation) -> list[Receipt]:
        """Put two contradictory votes of a validator on record."""
        return [await self.send(votes.submit_evidence(equivocation), "evidence")]
