"""PBFT, one height in flight: `step(state, input) -> (state, actions)`.

Source: Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999; sections are cited beside the branches.

Which stage follows which, and why, is `consensus.state.MOVES`; the diagram in docs/consensus.md is made from it.

Actions are yielded in the order in which they must happen: what is persisted is durable before what follows leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus import evidence, recall, sync
from consensus.actions import (
    Action,
    Broadcast,
    BuildProposal,
    Cancel,
    CommitBlock,
    Execute,
    ForwardWork,
    Persist,
    Reject,
    Schedule,
    Send,
    ServeBlocks,
    Sign,
)
from consensus.certificates import Certificate, InvalidCertificate, assemble, verify
from consensus.inputs import (
    Committed,
    Executed,
    Input,
    PeerConnected,
    ProposalReady,
    Received,
    Signed,
    Started,
    TimerFired,
    TimerKind,
    WorkAvailable,
)
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Message,
    NewView,
    Proposal,
    ProtocolMessage,
    Recall,
    Recalled,
    Record,
    Status,
    ViewChange,
)
from consensus.state import VIEW_HORIZON, Stage, State, succeed
from consensus.types import Phase, SignedVote, View, Vote, signature_holds
from consensus.viewchange import check_new_view, check_view_change, choose, claim_digest, make_new_view, votes_of

Actions = Iterator[Action]


def step(state: State, event: Input) -> tuple[State, list[Action]]:
    """Let one thing happen.

    Args:
        state: as returned by the step before; it must not be used again.
        event: what happened.

    Returns:
        The state after it, and what is to be done, in order.
    """
    if isinstance(event, Committed):
        if event.height != state.height or state.stage is not Stage.DECIDED:
            return state, []
        state = succeed(state, event.next_validators, event.timing)
        return state, list(_begin_height(state, work=event.work_remaining))
    return state, list(_dispatch(state, event))


def _dispatch(state: State, event: Input) -> Actions:
    match event:
        case Started():
            yield from _on_started(state)
        case WorkAvailable():
            yield from _on_work(state)
        case PeerConnected(node_key):
            yield Send(node_key, sync.status(state))
            if state.recall is not None and state.seated:
                yield Send(node_key, Recall())
        case Received(sender, message):
            yield from _on_message(state, sender, message)
        case TimerFired():
            yield from _on_timer(state, event)
        case Signed(votes):
            for signed in votes:
                yield from _on_signed(state, signed)
        case ProposalReady():
            yield from _on_proposal_ready(state, event)
        case Executed():
            yield from _on_executed(state, event)


def _on_message(state: State, sender: bytes, message: Message) -> Actions:
    match message:
        case Status():
            yield from sync.on_status(state, sender, message)
        case BlocksRequest(height, count):
            yield ServeBlocks(sender, height, count)
        case BodyRequest():
            yield from sync.answer_body(state, sender, message)
        case CertifiedBlock():
            yield from _on_certified_block(state, sender, message)
        case Body():
            yield from _on_body(state, message)
        case Recall():
            yield from recall.answer(state, sender)
        case Recalled():
            recall.note(state, sender, message)
            yield from _settle(state)
        case Proposal() | SignedVote() | ViewChange() | NewView():
            if message.height > state.height:
                if sender in state.validators and message.height == state.height + 1:
                    state.ahead.put(sender, message)
                yield from sync.on_ahead(state, sender, message.height)
            elif message.height == state.height and state.stage is not Stage.DECIDED:
                yield from _on_protocol_message(state, sender, message)


def _on_protocol_message(state: State, sender: bytes, message: ProtocolMessage) -> Actions:
    """A message of our height: it is relayed by anyone, and believed for its signatures only."""
    try:
        match message:
            case Proposal():
                yield from _on_proposal(state, sender, message)
            case SignedVote():
                yield from _on_vote(state, sender, message)
            case ViewChange():
                yield from _on_view_change(state, message)
            case NewView():
                yield from _on_new_view(state, message)
    except InvalidCertificate as error:
        yield Reject(sender, error.reason)


# --- The life of a height -------------------------------------------------------------------------------------------


def _on_started(state: State) -> Actions:
    """Whoever has signed anything at this height goes on with it; above view 0 a view change is under way."""
    yield Broadcast(sync.status(state))
    yield from recall.ask(state)
    yield from sync.schedule_status(state)
    yield from _schedule_heartbeat(state)
    if state.signed:
        yield from _on_work(state)
    yield from _settle(state)
    if state.signed:
        yield from _arm(state)
        yield from _weigh_view_changes(state)


def _settle(state: State) -> Actions:
    """When enough peers have said what they hold of our votes, take up the height as one who votes."""
    if not recall.settle(state) or not state.voting or state.stage is Stage.DECIDED:
        return  # a height that is decided is taken up no more; the next one begins as one in which we vote
    if state.work:
        yield from _arm(state)
        yield from _open(state)
    if state.proposal is not None and state.stage in (Stage.PREPARING, Stage.PREPARED):
        block_hash = state.proposal.vote.vote.block_hash
        yield from _cast(state, Phase.PREPARE, block_hash)
        if state.prepared is not None and state.stage is Stage.PREPARED:
            yield from _cast(state, Phase.COMMIT, block_hash)
    yield from _weigh_view_changes(state)


def _schedule_heartbeat(state: State) -> Actions:
    if state.config.heartbeat_ms > 0:
        yield Schedule(sync.timer(state, TimerKind.HEARTBEAT), state.config.heartbeat_ms)


def _begin_height(state: State, *, work: bool) -> Actions:
    """The next height: commit what was fetched for it, or take up what came early."""
    yield from sync.schedule_status(state)
    yield from _schedule_heartbeat(state)
    yield from _settle(state)
    fetched = state.fetched.pop(state.height, None)
    if fetched is not None:
        yield from _on_certified_block(state, *fetched)
    if work:
        yield from _on_work(state)
    for sender, message in state.ahead.take():
        yield from _on_message(state, sender, message)
    yield from sync.catch_up(state)


def _on_work(state: State) -> Actions:
    """There is a reason to decide this height. Idle is not faulty: without one, no timer runs."""
    yield from sync.wake(state)
    if not state.work:
        state.work = True
        yield from _open(state)


def _open(state: State) -> Actions:
    """Go after the work in the present view: propose, or hold the leader to it (§4.5.2)."""
    if state.stage is Stage.WAITING:
        yield from _arm(state)
        if state.leading and state.voting:
            yield from _lead(state)
        elif state.proposal is None:
            yield from _forward(state)


def _forward(state: State) -> Actions:
    """Pass on what waits. Who does not vote sets no timer, so it tells f+1 who lead next, one of whom is honest."""
    views = range(state.view, state.view + state.validators.size)
    leaders = [key for view in views if (key := state.validators.leader(state.height, view)) != state.config.me]
    for leader in leaders[: 1 if state.voting else state.validators.faults + 1]:
        yield ForwardWork(leader)


def _arm(state: State) -> Actions:
    if state.voting and state.armed != state.view and state.stage is not Stage.DECIDED:
        state.armed = state.view
        yield Schedule(sync.timer(state, TimerKind.VIEW), state.config.timeout_ms(state.view))


def _on_timer(state: State, event: TimerFired) -> Actions:
    timer = event.timer
    match timer.kind:
        case TimerKind.VIEW:
            if (timer.height, timer.view) == (state.height, state.view) and state.stage is not Stage.DECIDED:
                yield from _change_view(state, View(state.view + 1))
        case TimerKind.STATUS:
            state.recalled.clear()
            yield Broadcast(sync.status(state))
            yield from recall.ask(state)
            yield from sync.catch_up(state)
            yield from sync.schedule_status(state)
        case TimerKind.HEARTBEAT:
            # §3 of the design: a matter of proposing only. Nobody holds an idle leader to it.
            if timer.height == state.height and state.stage is Stage.WAITING and state.leading and state.voting:
                yield from _lead(state)
        case TimerKind.FETCH:
            yield from sync.on_fetch_timeout(state)


# --- Normal case (§4.2) ---------------------------------------------------------------------------------------------


def _lead(state: State) -> Actions:
    """Propose: what the NEW-VIEW obliges to, what we proposed before a restart, or a block of our own.

    A prepared block is proposed again byte for byte. If its body is lacking it is fetched before NEW-VIEW leaves.
    """
    block_hash = state.choice or state.signed.get((state.view, Phase.PROPOSE))
    if block_hash is not None and block_hash not in state.bodies:
        yield from sync.fetch_body(state, block_hash)
        return
    if state.new_view is not None:
        yield Broadcast(state.new_view)
    if block_hash is not None:
        yield from _cast(state, Phase.PROPOSE, block_hash)
    else:
        state.move(Stage.BUILDING)
        yield BuildProposal(state.height, state.view)


def _on_proposal_ready(state: State, event: ProposalReady) -> Actions:
    if (event.height, event.view) == (state.height, state.view) and state.stage is Stage.BUILDING:
        state.move(Stage.WAITING)
        state.keep_body(event.block_hash, event.body)
        state.valid.add(event.block_hash)  # a leader does not execute its own block twice
        yield from _cast(state, Phase.PROPOSE, event.block_hash)


def _cast(state: State, phase: Phase, block_hash: bytes) -> Actions:
    """Ask for our signature, unless we do not vote or voted otherwise before a restart."""
    if state.voting and state.signed.setdefault((state.view, phase), block_hash) == block_hash:
        yield Sign((Vote(state.validators.epoch, state.height, state.view, phase, block_hash),))


def _on_signed(state: State, signed: SignedVote) -> Actions:
    """Write our vote down, then let it leave. A vote that the view has passed meanwhile never leaves."""
    vote = signed.vote
    if (vote.height, vote.view) != (state.height, state.view) or state.stage is Stage.DECIDED:
        return
    match vote.phase:
        case Phase.PROPOSE:
            proposal = Proposal(signed, state.bodies[vote.block_hash])
            yield Persist((*_body_records(state, vote.block_hash), signed))
            yield Broadcast(proposal)
            yield from _accept(state, proposal)
        case Phase.PREPARE:
            yield Persist((signed,))
            yield Broadcast(signed)
            yield from _count(state, signed)
        case Phase.COMMIT:
            # Body and prepared certificate are durable before COMMIT leaves: otherwise a power cut of all who
            # prepared could forget a block that somebody committed.
            claim = () if state.prepared is None else (state.prepared,)
            yield Persist((*_body_records(state, vote.block_hash), *claim, signed))
            yield Broadcast(signed)
            yield from _count(state, signed)
        case Phase.VIEW_CHANGE:
            change = ViewChange(signed, state.prepared)
            yield Persist((change,))
            yield Broadcast(change)
            state.view_changes[signed.signer] = change
            yield from _weigh_view_changes(state)


def _body_records(state: State, block_hash: bytes) -> tuple[Record, ...]:
    if block_hash in state.durable:
        return ()
    state.durable.add(block_hash)
    return (Body(state.height, state.bodies[block_hash]),)


def _on_proposal(state: State, sender: bytes, proposal: Proposal) -> Actions:
    vote = proposal.vote.vote
    if not state.view <= vote.view <= state.view + VIEW_HORIZON:
        return
    yield from evidence.weigh(state, proposal.vote)
    present = vote.view == state.view and state.entered
    kept = state.proposal if present else state.early
    if kept is not None and kept.vote.vote.view <= vote.view:
        return
    if vote.epoch != state.validators.epoch or proposal.vote.signer != state.validators.leader(vote.height, vote.view):
        yield Reject(sender, f"a proposal for view {vote.view} that is not by its leader")
    elif not signature_holds(state.config.domain, proposal.vote):
        yield Reject(sender, "a proposal whose signature does not hold")
    elif state.config.hash_of_body(proposal.body) != vote.block_hash:
        yield Reject(sender, f"a proposal whose body is not that of block {vote.block_hash.hex()}")
    else:
        yield from _hold_proposal(state, proposal.vote)
        if present:
            yield from _accept(state, proposal)
        else:
            state.early = proposal


def _hold_proposal(state: State, signed: SignedVote) -> Actions:
    """Remember what the leader of a view signed first, and hold it against what others prepare."""
    view = signed.vote.view
    state.votes.setdefault((view, Phase.PROPOSE), {}).setdefault(signed.signer, signed)
    for _, prepare in sorted(state.votes.get((view, Phase.PREPARE), {}).items()):
        yield from evidence.show_proposal(state, prepare)


def _accept(state: State, proposal: Proposal) -> Actions:
    """Take the view's one proposal, by whomever; execute it before we say that it is prepared."""
    block_hash = proposal.vote.vote.block_hash
    state.proposal = proposal
    state.keep_body(block_hash, proposal.body)
    if state.choice not in (None, block_hash):
        yield from _change_view(state, View(state.view + 1))  # §4.4: the leader disregards its own NEW-VIEW
        return
    state.work = True
    state.move(Stage.EXECUTING)
    yield from sync.wake(state)
    yield from _arm(state)
    if state.certificate is not None:
        yield from _decide(state, state.certificate)
    elif block_hash in state.valid:
        yield from _prepare(state, block_hash)
    else:
        yield Execute(state.height, state.view, block_hash, proposal.body)


def _on_executed(state: State, event: Executed) -> Actions:
    if event.height != state.height or state.stage is Stage.DECIDED:
        return
    if event.valid and event.block_hash in state.bodies:
        state.valid.add(event.block_hash)
    if event.view == state.view and state.stage is Stage.EXECUTING:
        if event.valid:
            yield from _prepare(state, event.block_hash)
        else:
            yield from _change_view(state, View(state.view + 1))  # no need to wait for the timer


def _prepare(state: State, block_hash: bytes) -> Actions:
    state.move(Stage.PREPARING)
    yield from _cast(state, Phase.PREPARE, block_hash)
    yield from _check_prepared(state)


def _on_vote(state: State, sender: bytes, signed: SignedVote) -> Actions:
    """A PREPARE or COMMIT: one a signer, phase and view. COMMITs of views that we have left still decide.

    A PROPOSE without its block is shown to us by one to whom the leader said something else.
    """
    vote = signed.vote
    lowest = state.view - VIEW_HORIZON if vote.phase is Phase.COMMIT else state.view
    if not lowest <= vote.view <= state.view + VIEW_HORIZON:
        return
    if signed.signer in state.votes.get((vote.view, vote.phase), ()):
        yield from evidence.weigh(state, signed)
        return
    if vote.epoch != state.validators.epoch or signed.signer not in state.validators:
        yield Reject(sender, f"a vote by no validator of epoch {state.validators.epoch}")
    elif not signature_holds(state.config.domain, signed):
        yield Reject(sender, "a vote whose signature does not hold")
    elif vote.phase is Phase.PROPOSE:
        if signed.signer == state.validators.leader(vote.height, vote.view):
            yield from _hold_proposal(state, signed)
    else:
        if signed.signer == state.config.me:
            recall.note_own(state, signed)
        yield from _count(state, signed)


def _count(state: State, signed: SignedVote) -> Actions:
    vote = signed.vote
    state.votes.setdefault((vote.view, vote.phase), {})[signed.signer] = signed
    yield from sync.wake(state)
    yield from evidence.show_proposal(state, signed)
    if vote.phase is Phase.PREPARE:
        yield from _check_prepared(state)
        return
    commits = state.votes_for(vote.view, Phase.COMMIT, vote.block_hash)
    if len(commits) >= state.validators.quorum and state.stage is not Stage.DECIDED:
        yield from _decide(state, assemble(commits))  # §4.2: committed-local


def _check_prepared(state: State) -> Actions:
    """§4.2, prepared(m, v, n, i): the proposal, found valid, and a quorum of PREPAREs for it in this view."""
    if state.stage is not Stage.PREPARING or state.proposal is None:
        return
    block_hash = state.proposal.vote.vote.block_hash
    prepares = state.votes_for(state.view, Phase.PREPARE, block_hash)
    if len(prepares) >= state.validators.quorum:
        state.move(Stage.PREPARED)
        state.prepared = assemble(prepares)
        yield from _cast(state, Phase.COMMIT, block_hash)


# --- Decision and catching up ---------------------------------------------------------------------------------------


def _decide(state: State, certificate: Certificate) -> Actions:
    """The block is final, in whatever view we are. It is committed as soon as its body is here."""
    state.certificate = certificate
    body = state.bodies.get(certificate.block_hash)
    if body is None:
        yield from sync.fetch_body(state, certificate.block_hash)
        return
    state.move(Stage.DECIDED)
    yield Cancel(TimerKind.VIEW)
    yield Cancel(TimerKind.FETCH)
    yield CommitBlock(state.height, certificate.block_hash, body, certificate)


def _on_certified_block(state: State, sender: bytes, block: CertifiedBlock) -> Actions:
    if block.height > state.height:
        sync.keep_fetched(state, sender, block)
    if block.height != state.height or state.stage is Stage.DECIDED:
        return
    try:
        verify(block.certificate, state.validators, state.config.domain)
    except InvalidCertificate as error:
        yield Reject(sender, f"a block of height {block.height} whose certificate is invalid: {error.reason}")
        return
    if state.config.hash_of_body(block.body) != block.certificate.block_hash:
        yield Reject(sender, f"a block of height {block.height} whose body is not the certified one")
        return
    state.keep_body(block.certificate.block_hash, block.body)
    yield from evidence.weigh_certificate(state, block.certificate)
    yield from _decide(state, block.certificate)


def _on_body(state: State, message: Body) -> Actions:
    """A body that we asked for: of the certified block, or of the one that we must propose again."""
    if message.height != state.height or state.stage is Stage.DECIDED or not state.wanted:
        return
    block_hash = state.config.hash_of_body(message.body)
    if block_hash is None or block_hash not in state.wanted:
        return
    state.keep_body(block_hash, message.body)
    if state.certificate is not None and state.certificate.block_hash == block_hash:
        yield from _decide(state, state.certificate)
    elif state.leading and state.stage is Stage.WAITING and state.proposal is None:
        yield from _lead(state)


# --- View change (§4.4) ---------------------------------------------------------------------------------------------


def _change_view(state: State, view: View) -> Actions:
    """Leave the view. From here on we vote in none below `view`, but still accept certificates."""
    if not state.voting:
        return
    state.go_to(view, Stage.CHANGING)
    state.work = True
    yield Cancel(TimerKind.VIEW)
    yield from sync.wake(state)
    yield from _cast(state, Phase.VIEW_CHANGE, claim_digest(state.prepared))


def _on_view_change(state: State, change: ViewChange) -> Actions:
    known = state.view_changes.get(change.vote.signer)
    if known is not None and known.view >= change.view:
        yield from evidence.weigh(state, change.vote)
        return
    certificates = {state.prepared, *(each.prepared for each in state.view_changes.values())}
    check_view_change(change, state.validators, state.config.domain, certificates)
    if change.vote.signer == state.config.me:
        recall.note_own(state, change.vote)
    state.view_changes[change.vote.signer] = change
    if change.prepared is not None:
        yield from evidence.weigh_certificate(state, change.prepared)
    yield from _weigh_view_changes(state)


def _weigh_view_changes(state: State) -> Actions:
    """Follow, wait or lead, by who wants which view."""
    views = sorted(change.view for change in state.view_changes.values())
    higher = [view for view in views if view > state.view]
    if higher:
        yield from _on_work(state)  # a view change that somebody has begun is work for all
    if len(higher) > state.validators.faults:
        yield from _change_view(state, higher[0])  # §4.5.2: f+1 want a higher view, so an honest one does
        return
    if state.entered:
        return
    quorum = state.validators.quorum
    if len([view for view in views if view >= state.view]) >= quorum:
        yield from _arm(state)  # §4.5.2: the timer of the new view runs once a quorum has left the old ones
    if state.leading:
        new_view = make_new_view(state.validators.epoch, state.height, state.view, state.view_changes, quorum)
        if new_view is not None:
            yield from _enter_view(state, new_view)


def _on_new_view(state: State, message: NewView) -> Actions:
    if message.view < state.view or (message.view == state.view and state.entered):
        return
    check_new_view(message, state.validators, state.config.domain, tuple(state.view_changes.values()))
    for signed in votes_of(message):
        yield from evidence.weigh(state, signed)
    if message.prepared is not None:
        yield from evidence.weigh_certificate(state, message.prepared)
    yield from _enter_view(state, message)


def _enter_view(state: State, new_view: NewView) -> Actions:
    """Enter a view on the strength of its NEW-VIEW. Everybody, the leader too, makes the choice anew (§4.4)."""
    state.go_to(new_view.view, Stage.WAITING)
    state.new_view, state.choice = new_view, choose(new_view)
    state.work = True
    yield from sync.wake(state)
    yield from _open(state)
    early = state.early
    if early is not None and early.vote.vote.view == state.view:
        state.early = None
        if not (state.leading and state.voting):  # our own of before a restart, which we have just proposed again
            yield from _accept(state, early)
