"""`grid_explain…` methods: why a transaction or an account is where it is, in a person's words.

An answer has a `status`, a `reason` (a word for programs), `explanation` and `advice` (sentences for people, most
important first), and what it is about in numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.bindings.reverts import explain_revert
from node.admission import Kind, Sponsor, check_form, highest_cost, intrinsic_gas, sponsor_of
from node.chain.address import checksummed
from node.chain.receipt import stored_outcome
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.mempool.account import AccountQueue
from node.mempool.dropped import MAX_REMEMBERED, Dropped, Reason
from node.rpc import explain_schemas as schemas
from node.rpc.blocks import call_environment
from node.rpc.context import Context
from node.rpc.formats import Json, address, hash32, to_data, to_quantity
from node.rpc.methods import MethodTable, Parameter
from node.rpc.reads import Reader
from node.rules import Rules
from node.state import Account
from node.storage import NotKept, StateNotKept, View

MAX_LISTED = 100  # transactions, or missing nonces, in an answer
MAX_NAMED = 5  # nonces in a sentence
STILL_S = 60  # of chain time without a block, when there is work: then it is said how the consortium is doing

table = MethodTable()

_AFTERWARDS = {
    Reason.REFUSED: "Put right what the reason names, sign it anew and send it again.",
    Reason.REPLACED: "Nothing is to be done: follow the transaction that took its place.",
    Reason.EVICTED: "Send it again when less waits; a node keeps its own clients' transactions longest.",
    Reason.EXPIRED: "Send what is missing before it first, then this one again.",
    Reason.STALE: "Nothing can bring it back. If it is still wanted, sign it anew with the next nonce.",
    Reason.UNVOUCHED: "Have a member vouch for the sender, then send it again.",
    Reason.INVALID: "Sign it anew for the chain as it is now.",
    Reason.OVER: "Make it anew, for the present window.",
}


@dataclass(slots=True)
class Story:
    """What is said of a transaction or an account."""

    status: str
    reason: str
    explanation: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)

    def json(self) -> dict[str, Json]:
        """Return what every answer has."""
        return {
            "status": self.status,
            "reason": self.reason,
            "explanation": self.explanation,
            "advice": self.advice,
        }


@table.method("grid_explainTransaction", Parameter("transaction hash", hash32), returns=schemas.TRANSACTION)
async def explain_transaction(context: Context, transaction_hash: bytes) -> Json:
    """Return where a transaction is (committed, pending, queued, dropped, unknown), why, and what can be done."""
    about = {"hash": to_data(transaction_hash)}
    with context.backend.store.read() as view:
        place = view.locate(transaction_hash)
        pool = context.backend.mempool
        tx = pool.get(transaction_hash)
        if place is None and tx is not None:
            account = pool.account(tx.sender)
            if account is not None:
                story = _waiting(context, view, account, tx)
                _add_chain(context, view, story)
                return story.json() | about | _numbers(tx, account, story)
    if place is not None:
        return await _committed(context, *place) | about
    dropped = context.backend.mempool.departures.find(transaction_hash)
    if dropped is not None:
        return _dropped(dropped) | about
    story = Story("unknown", "unknown")
    story.explanation = [
        "This node knows no such transaction: it is in no block, it does not wait here, and it is not among the last "
        f"{MAX_REMEMBERED} that left the pool since this node was started."
    ]
    story.advice = ["Send it (again) to this node: gridpact tx send RAW", "Or ask the node that it was given to."]
    with context.backend.store.read() as view:
        _add_chain(context, view, story)
    return story.json() | about


@table.method("grid_explainSender", Parameter("address", address), returns=schemas.SENDER)
async def explain_sender(context: Context, sender: bytes) -> Json:
    """Return what waits of an account, which nonces are missing, who vouches for it, and what can be done."""
    pool = context.backend.mempool
    with context.backend.store.read() as view:
        held = view.state.account(sender) or Account()
        rules = context.backend.rule_book.rules_at(view.head_height + 1)
        sponsor = sponsor_of(sender, view.state, view.head, open_accounts=rules.open_accounts)
        account = pool.account(sender)
        if account is None:
            story = Story("clear", "nothing-waits", [f"Nothing of {checksummed(sender)} waits in this node's pool."])
            story.advice = [f"Its next transaction has nonce {held.nonce}."]
            if sponsor is None:
                _add_unvouched(story, sender)
        else:
            furthest = account.entries[max(account.entries)].tx
            story = _waiting(context, view, account, furthest)
            story.explanation.insert(0, f"{account.ready} can be executed, {account.queued} cannot yet.")
        _add_chain(context, view, story)
    entries = [] if account is None else sorted(account.entries.items())[:MAX_LISTED]
    following = pool.pending_nonce(sender, held.nonce)
    return {
        "address": to_data(sender),
        **story.json(),
        "nonce": to_quantity(held.nonce),
        "pendingNonce": to_quantity(following),
        "balance": to_quantity(held.balance),
        "member": to_data(sponsor.account) if sponsor is not None and sponsor.kind is Kind.MEMBER else None,
        "missingNonces": [to_quantity(nonce) for nonce in story.missing],
        "room": None if sponsor is None else _room(context, sponsor),
        "transactions": [
            {"hash": to_data(entry.tx.hash), "nonce": to_quantity(nonce), "executable": nonce < following}
            for nonce, entry in entries
        ],
    }


def _numbers(tx: Transaction, account: AccountQueue, story: Story) -> dict[str, Json]:
    found: dict[str, Json] = {"from": to_data(tx.sender), "nonce": to_quantity(tx.nonce)}
    if story.status == "pending":
        found["ahead"] = to_quantity(tx.nonce - account.nonce)
    else:
        found["missingNonces"] = [to_quantity(nonce) for nonce in story.missing]
    return found


def _room(context: Context, sponsor: Sponsor) -> Json:
    count, size, (most, most_bytes) = context.backend.mempool.usage(sponsor)
    return {
        "transactions": to_quantity(count),
        "bytes": to_quantity(size),
        "maxTransactions": to_quantity(most),
        "maxBytes": to_quantity(most_bytes),
    }


# -- what waits


def _waiting(context: Context, view: View, account: AccountQueue, tx: Transaction) -> Story:
    """Return why a transaction of the pool is not in a block yet."""
    rules = context.backend.rule_book.rules_at(view.head_height + 1)
    if tx.private is None and sponsor_of(tx.sender, view.state, view.head, open_accounts=rules.open_accounts) is None:
        story = Story("queued", "unvouched")
        _add_unvouched(story, tx.sender)
        return story
    wrong = _form(tx, rules)
    if wrong:
        story = Story("queued", "rules", [f"No block can contain it under the rules as they are now: {wrong}."])
        story.advice = [f"Sign another one with nonce {tx.nonce}, and replace it."]
        return story
    missing = [nonce for nonce in range(account.nonce, tx.nonce) if nonce not in account.entries]
    if missing:
        return _behind_gap(account, tx, missing)
    if tx.nonce >= account.next_nonce:
        return _too_poor(account, tx)
    return _executable(context, view, account, tx)


def _form(tx: Transaction, rules: Rules) -> str:
    try:
        check_form(tx, rules)
    except InvalidTransaction as error:
        return error.reason
    return ""


def _behind_gap(account: AccountQueue, tx: Transaction, missing: list[int]) -> Story:
    named = ", ".join(map(str, missing[:MAX_NAMED])) + (" …" if len(missing) > MAX_NAMED else "")
    some = f"nonce {named} is" if len(missing) == 1 else f"{len(missing)} nonces are ({named})"
    story = Story("queued", "nonce-gap", missing=missing[:MAX_LISTED])
    story.explanation = [
        f"It waits for earlier transactions of its sender: it has nonce {tx.nonce}, the chain expects "
        f"{account.nonce}, and {some} missing here."
    ]
    story.advice = [
        f"Send a transaction of {checksummed(tx.sender)} with nonce {missing[0]}"
        + (", then the other missing ones." if len(missing) > 1 else "; then this one follows by itself.")
    ]
    return story


def _too_poor(account: AccountQueue, tx: Transaction) -> Story:
    before = tx.nonce - account.nonce
    due = sum(highest_cost(account.entries[nonce].tx) for nonce in range(account.nonce, tx.nonce + 1))
    together = f"together with the {before} before it " if before else ""
    story = Story("queued", "balance")
    story.explanation = [
        f"Its sender cannot pay for it: {together}it may cost up to {due} wei (value, and gas limit × price), and "
        f"{checksummed(tx.sender)} has {account.balance} wei."
    ]
    story.advice = [
        f"Send {due - account.balance} wei to {checksummed(tx.sender)}.",
        "Or replace it by one of the same nonce that costs less; gas is free on a chain whose base fee is 0.",
    ]
    return story


def _executable(context: Context, view: View, account: AccountQueue, tx: Transaction) -> Story:
    ahead, pending = tx.nonce - account.nonce, context.backend.mempool.pending
    validators = context.backend.validators()
    node = context.backend.status()
    leader = validators.leader(view.head_height + 1, node.view)
    names = {peer.node_key: peer.name for peer in context.backend.peers()} | {node.node_key: "this node"}
    story = Story("pending", "executable")
    story.explanation = [
        f"It can be executed and is expected in one of the next blocks: {ahead} of its sender are before it, "
        f"{pending} of all senders wait.",
        f"Block {view.head_height + 1} is led by {names.get(leader) or to_data(leader)}.",
    ]
    story.advice = ["Wait for the next block."]
    return story


def _add_unvouched(story: Story, sender: bytes) -> None:
    story.explanation.append(
        f"No member of the consortium vouches for {checksummed(sender)}, so no block may contain what it sends."
    )
    story.advice.append(
        f"A member vouches for it: gridpact consortium vouch {checksummed(sender)} --key HOUSEHOLD-KEY --rpc URL"
    )


# -- what is over


async def _committed(context: Context, height: int, index: int) -> dict[str, Json]:
    block = await context.block(height)
    story = Story("committed", "succeeded")
    if block is None:
        return story.json()
    status, used = stored_outcome(block.stored_receipts[index])
    if index:
        used -= stored_outcome(block.stored_receipts[index - 1])[1]
    where = f"It is in block {height}, at place {index}, and final"
    if status:
        story.explanation = [f"{where}. It succeeded and used {used} gas."]
    else:
        story.reason = "reverted"
        story.explanation = [
            f"{where}, but it was reverted: it used {used} gas and its nonce, and changed nothing else."
        ]
        why = await context.reads.run(why_reverted, height, index)
        if why:
            story.explanation.append(why)
        story.advice = ["Put right what the contract objects to, and sign another one with the next nonce."]
    return story.json() | {
        "from": to_data(block.senders[index]),
        "blockNumber": to_quantity(height),
        "transactionIndex": to_quantity(index),
        "success": bool(status),
    }


def why_reverted(reader: Reader, height: int, index: int) -> str:
    """Return in a sentence why a transaction was reverted, "" if that cannot be told. A read function.

    It is run over the state before its block: where the transactions before it in the block matter, the sentence says
    that it cannot be told.
    """
    with reader.store.read() as view:
        block = reader.blocks.read(view, height)
        tx = decode_transaction(block.raws[index], reader.rule_book.rules_at(height).chain_id)
        if tx.private is not None:
            return ""
        try:
            _, environment = call_environment(view, reader.rule_book, height, 0, next_block=False)
            state = view.state_at(height - 1)
        except (NotKept, StateNotKept):
            return "Why cannot be told: this node does not keep the state of that time."
        gas = max(tx.gas_limit - intrinsic_gas(tx), 0)
        result = reader.executor.call(
            state, environment, sender=tx.sender, to=tx.to, data=tx.data, value=tx.value, gas=gas
        )
    if result.success:
        return "Why cannot be told: run alone it succeeds, so it depended on what came before it in its block."
    if result.error == "execution reverted":
        return f"The contract's reason: {explain_revert(result.output)}."
    return f"What stopped it: {result.error}."


def _dropped(dropped: Dropped) -> dict[str, Json]:
    refused = dropped.reason is Reason.REFUSED
    what = "This node refused it" if refused else "It waited in this node's pool and was dropped"
    story = Story("dropped", str(dropped.reason), [f"{what}: {dropped.detail}."], [_AFTERWARDS[dropped.reason]])
    found = story.json() | {"from": to_data(dropped.sender), "nonce": to_quantity(dropped.nonce)}
    return found if dropped.by is None else found | {"by": to_data(dropped.by)}


# -- how the chain is doing


def _add_chain(context: Context, view: View, story: Story) -> None:
    """Add what keeps everything waiting: this node is behind, there is no quorum, or no block has come for long."""
    backend = context.backend
    node, validators = backend.status(), backend.validators()
    if node.target_height is not None and node.target_height > view.head_height:
        story.explanation.append(
            f"This node is catching up, at height {view.head_height} of {node.target_height}: what it says may be old."
        )
    reached = {peer.node_key for peer in backend.peers() if peer.connected} | {node.node_key}
    number = sum(key in reached for key in validators.keys)
    if number < validators.quorum:
        story.explanation.append(
            f"No quorum is in reach: this node is connected to {number} of {validators.size} validators, itself "
            f"included if it is one, and {validators.quorum} have to agree on a block."
        )
        story.advice.append("See which validators are away: gridpact node peers")
    if story.status != "pending":
        return
    age_s = backend.chain_time_s() - view.head.timestamp
    if node.view:
        story.explanation.append(f"{node.view} leader(s) of the open block have failed already (view {node.view}).")
    if age_s >= STILL_S:
        story.explanation.append(f"The newest block is {age_s} s of chain time old.")
