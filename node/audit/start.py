"""Where the audit of a database begins that was made from a snapshot: at a height that is believed, not executed.

It is believed on the signatures of a quorum of its validators, whom the founders' own signatures lead to, epoch by
epoch. All that is stored of it is held against its header: the state as it was then, rebuilt; the headers before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.types import Domain
from node.application import validator_keys
from node.audit.report import Offence
from node.audit.state import OwnState
from node.chain import mmr, rlp
from node.chain.assembly import Parent
from node.chain.transitions import InvalidTransition, check_round, follow, next_set
from node.epochs import transitions
from node.state.delta import rebuild
from node.state.trie import list_root
from node.storage import View
from node.storage.flat import flat_state
from node.storage.tables import height_key

ROUND, STATE = "round", "state"


class NoStart(Exception):
    """The first height does not hold."""

    def __init__(self, offence: Offence) -> None:
        super().__init__(offence.detail)
        self.offence = offence


@dataclass(frozen=True, slots=True)
class Start:
    """The height that the audit goes on from.

    Args:
        parent: that height, as its child is made from it.
        state: after it.
        hashes: of its block and of those before it that are kept, by height.
        members: node keys that the states of the height before it and of itself name, by height.
        epochs: how many changes of the validators lead from the founders to it.
    """

    parent: Parent
    state: OwnState
    hashes: dict[int, bytes]
    members: dict[int, list[bytes]]
    epochs: int


def load_start(view: View, founders: Sequence[bytes], domain: Domain) -> Start:
    """Check the first height of a database, and return it.

    Args:
        view: the database; its first height is above 0.
        founders: the node keys of the genesis file's members.
        domain: the chain.

    Raises:
        NoStart: naming what is wrong.
        CorruptValue: a stored value is damaged.
    """
    height = view.first_height
    header, record = view.header(height), view.record(height)
    steps = list(transitions(view, height))
    try:
        validators = follow(founders, steps, domain)
        check_round(header, record, view.certificate(height) or b"", validators, domain)
        following = next_set(record, height, view.first_validators())
    except InvalidTransition as error:
        raise NoStart(Offence(error.height, ROUND, "certificate", error.reason)) from None
    if list_root(view.transactions(height)) != header.transactions_root:
        raise NoStart(Offence(height, ROUND, "body", "not the transactions that the header names"))
    if list_root([receipt.encode() for receipt in view.receipts(height)]) != header.receipts_root:
        raise NoStart(Offence(height, ROUND, "receipt", "not the receipts that the header names"))
    hashes = _check_headers(view, height)
    size = view.history_size_at(height)
    history = mmr.Range(size, tuple(view.history_node(position) for position in mmr.peak_positions(size)))
    if history.root != record.history_root:
        raise NoStart(Offence(height, ROUND, "history", "its peaks do not lead to the history root"))
    flat, state = flat_state(view, height), OwnState()
    root, nodes = rebuild(flat.accounts.items(), flat.slots)
    if root != header.state_root:
        raise NoStart(Offence(height, STATE, "state root", "the state as it was then, rebuilt, is another one"))
    state.accounts, state.slots = flat.accounts, flat.slots
    state.add_codes(flat.codes)
    state.nodes_before[height_key(height)] = rlp.encode([])
    state.nodes = {key: node for key, node in nodes.items() if node is not None}
    members = {height - 1: list(following.keys), height: validator_keys(state)}
    return Start(Parent(header, record, history), state, hashes, members, len(steps))


def _check_headers(view: View, height: int) -> dict[int, bytes]:
    """Return the hashes of the headers that are kept up to `height`, each held against its child."""
    hashes, child = {height: view.header(height).hash}, view.header(height)
    while child.number > 1 and view.get("headers", height_key(child.number - 1)) is not None:
        parent = view.header(child.number - 1)
        if parent.hash != child.parent_hash:
            raise NoStart(Offence(parent.number, ROUND, "header", "it is not the parent of the next"))
        hashes[parent.number], child = parent.hash, parent
    return hashes
