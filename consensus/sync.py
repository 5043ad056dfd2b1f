"""What keeps validators together: STATUS, resending what a peer lacks, and fetching blocks and bodies.

Nothing is lost for good: whatever the network dropped is sent again as long as a peer's STATUS shows that it lacks it.
Nothing here is trusted: a peer's STATUS moves only what is sent to it and whom we ask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from consensus.actions import Action, Schedule, Send, ServeBlocks
from consensus.codec import MAX_BLOCKS
from consensus.inputs import Timer, TimerKind
from consensus.messages import BlocksRequest, Body, BodyRequest, CertifiedBlock, Status, ViewChange
from consensus.state import MAX_STRANGERS, Fetch, Stage, State
from consensus.types import Height, Phase

IDLE_FACTOR = 10  # STATUS goes out this much less often while there is nothing to decide
CROWD = 10  # of more validators, STATUS goes out n / CROWD times less often: a period's cost a second stays the same
RELAYS = 3  # in a crowd so many, in turn, answer a STATUS with all that it lacks; the others with their own votes only
AHEAD_RANGES = 2  # ranges of blocks that are asked for while one is applied
ASKED_ON_BYTES = 256 * 1024  # of fetched bodies; beyond, a range takes seconds on a household's line
MAX_FETCHED_BODIES = 2  # certified blocks kept for later heights, in bodies of the largest size

Actions = Iterator[Action]


def timer(state: State, kind: TimerKind) -> Timer:
    """Return the timer of a kind for the present height and view."""
    return Timer(kind, state.height, state.view)


def schedule_status(state: State) -> Actions:
    """Set the time of the next STATUS: soon while there is something to decide, otherwise late."""
    factor = max(1 if state.open else IDLE_FACTOR, state.validators.size // CROWD)
    delay_ms = state.config.status_ms * factor
    yield Schedule(timer(state, TimerKind.STATUS), delay_ms)


def wake(state: State) -> Actions:
    """Somebody acts at this height: from now on STATUS goes out often."""
    if not state.open:
        state.open = True
        yield from schedule_status(state)


def status(state: State) -> Status:
    """Return where we stand and what we hold."""

    def mask(keys: Collection[bytes]) -> int:
        return sum(1 << state.validators.place(key) for key in keys)

    return Status(
        height=state.height,
        view=state.view,
        entered=state.entered,
        has_proposal=state.proposal is not None,
        prepares=mask(state.votes.get((state.view, Phase.PREPARE), ())),
        commits=mask(state.votes.get((state.view, Phase.COMMIT), ())),
        view_changes=mask([key for key, change in state.view_changes.items() if _concerns(change, state)]),
    )


def _concerns(change: ViewChange, stands: State | Status) -> bool:
    """Return whether a VIEW-CHANGE may matter to one who stands there: to a higher view, or to the one waited for."""
    return change.view > stands.view or (change.view == stands.view and not stands.entered)


def on_status(state: State, sender: bytes, theirs: Status) -> Actions:
    """A peer behind us is told so and will ask for blocks; one beside us is sent what it lacks."""
    if theirs.height < state.height:
        yield Send(sender, status(state))
    elif theirs.height > state.height:
        yield from on_ahead(state, sender, theirs.height)
    elif state.stage is not Stage.DECIDED:
        yield from _resend(state, sender, theirs)


def _relays(state: State, sender: bytes) -> bool:
    """Return whether it is our turn to send a peer others' messages too: in a crowd a few at a time, everybody in time.

    Everybody sends its own. If all sent everything, one STATUS would draw n times the votes that it lacks.
    """
    size = state.validators.size
    if size <= CROWD or sender not in state.validators or not state.seated:
        return True
    turn = state.turns[sender] = state.turns.get(sender, -1) + 1
    distance = state.validators.place(state.config.me) - state.validators.place(sender) - 1
    return (distance - turn * RELAYS) % size < RELAYS


def _resend(state: State, sender: bytes, theirs: Status) -> Actions:
    signers = state.validators.keys if _relays(state, sender) else (state.config.me,)

    def lacking(mask: int) -> list[bytes]:
        return [key for key in signers if key in state.validators and not mask >> state.validators.place(key) & 1]

    outside = theirs.view < state.view or (theirs.view == state.view and not theirs.entered)
    if outside and state.entered and state.new_view is not None:
        if len(signers) > 1 or state.leading:
            yield Send(sender, state.new_view)
    else:
        for key in lacking(theirs.view_changes):
            change = state.view_changes.get(key)
            if change is not None and _concerns(change, theirs):
                yield Send(sender, change)
    for phase, held in ((Phase.PREPARE, theirs.prepares), (Phase.COMMIT, theirs.commits)):
        votes = state.votes.get((theirs.view, phase), {})
        for key in lacking(held):
            if key in votes:
                yield Send(sender, votes[key])
    if state.proposal is not None and state.leading and theirs.view == state.view and not theirs.has_proposal:
        # A body is large: send it at the 1st, 2nd, 4th, 8th … STATUS that lacks it, not at every one.
        times = state.lacking[sender] = state.lacking.get(sender, 0) + 1
        if times & (times - 1) == 0:
            yield Send(sender, state.proposal)


def on_ahead(state: State, sender: bytes, height: Height) -> Actions:
    """A peer works on a higher height. One height ahead is a matter of moments; further off we ask for blocks now.

    A peer that is to be a validator soon counts too: the only one who holds a certificate may have taken up another key
    since. Certificates prove themselves, so it matters only that we remember few.
    """
    strangers = [key for key in state.heights if key not in state.validators]
    if sender in state.validators or sender in strangers or len(strangers) < MAX_STRANGERS:
        state.heights[sender] = max(height, state.heights.get(sender, height))
        if height > state.height + 1:
            yield from catch_up(state)


def catch_up(state: State) -> Actions:
    """Ask a peer that is ahead for certified blocks, unless that has been done or a decision is under way."""
    asked = state.fetch is not None and state.fetch.height == state.height
    if state.stage is Stage.DECIDED:
        yield from _ask_on(state)
    elif not asked:
        yield from _ask(state, None)


def _ask_on(state: State) -> Actions:
    """Ask for ranges to come while one is being applied, so that catching up does not wait for the network.

    At the second block of a range we ask for the range after the next, at that of the first one for the next too; not
    while blocks are so large that a peer's line is the narrow place.
    """
    fetch = state.fetch
    if fetch is None or fetch.block_hash is not None or state.heights.get(fetch.peer, 0) <= state.height:
        return
    passed = state.height - fetch.height - 1
    if passed < 0 or passed % MAX_BLOCKS or sum(len(each.body) for _, each in state.fetched.values()) > ASKED_ON_BYTES:
        return
    base = fetch.height + passed
    for ahead in range(1 if passed == 0 else AHEAD_RANGES, AHEAD_RANGES + 1):
        yield Send(fetch.peer, BlocksRequest(Height(base + ahead * MAX_BLOCKS), MAX_BLOCKS))


def fetch_body(state: State, block_hash: bytes) -> Actions:
    """Ask for the body of a block that is certified, or that we must propose again."""
    asked = state.fetch is not None and (state.fetch.height, state.fetch.block_hash) == (state.height, block_hash)
    if not asked:
        yield from _ask(state, block_hash)


def _ask(state: State, block_hash: bytes | None) -> Actions:
    """Ask the peer that answered last, or after a failure the next one, for a body or (None) for certified blocks."""
    if block_hash is None:
        others = sorted(key for key, height in state.heights.items() if height > state.height)
    else:
        others = [key for key in state.validators.keys if key != state.config.me]
    if not others:
        return
    last = state.fetch.peer if state.fetch is not None else state.config.me  # not all of us ask the same one first
    peer = next((key for key in others if key >= last), others[0])
    state.fetch = Fetch(peer, state.height, block_hash)
    if block_hash is None:
        yield Send(peer, BlocksRequest(state.height, MAX_BLOCKS))
    else:
        yield Send(peer, BodyRequest(state.height, block_hash))
    yield Schedule(timer(state, TimerKind.FETCH), state.config.view_timeout_ms)


def on_fetch_timeout(state: State) -> Actions:
    """The peer that was asked did not answer: doubt what it said of its height, and ask the next one."""
    if state.fetch is None or state.fetch.height != state.height or state.stage is Stage.DECIDED:
        return
    silent, block_hash = state.fetch.peer, state.fetch.block_hash
    if block_hash is None:
        state.heights.pop(silent, None)
    state.fetch = Fetch(silent + b"\x00", Height(0), None)  # the next key in order comes after the silent one
    if block_hash is None or block_hash in state.wanted:
        yield from _ask(state, block_hash)


def keep_fetched(state: State, sender: bytes, block: CertifiedBlock) -> None:
    """Keep a certified block for a later height if we asked this peer for it and there is room.

    Under our own key come blocks that this node has fetched by other ways.
    """
    asked = state.fetch is not None and state.fetch.block_hash is None and state.fetch.peer == sender
    wanted = asked or sender == state.config.me
    room = MAX_FETCHED_BODIES * state.config.max_body_bytes - sum(len(each.body) for _, each in state.fetched.values())
    if wanted and block.height < state.height + (AHEAD_RANGES + 1) * MAX_BLOCKS and len(block.body) <= room:
        state.fetched[block.height] = (sender, block)


def answer_body(state: State, sender: bytes, request: BodyRequest) -> Actions:
    """Send a body that we hold; a peer at a height that is decided already gets the certified block."""
    if request.height < state.height:
        yield ServeBlocks(sender, request.height, 1)
    elif request.height == state.height and request.block_hash in state.bodies:
        yield Send(sender, Body(state.height, state.bodies[request.block_hash]))
