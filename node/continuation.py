"""A chain that goes on when more than f of its validators are lost for ever: block 0 has what the old chain left.

Those who survive agree, outside of any chain, on the last block that one of them holds and on who they are. The genesis
file that `continuation_content` makes says both; from it and the old chain's data everybody makes the same block 0. Its
state is the old one, byte for byte, but for the seats of the lost members (contracts/continuation.py). Chain id and
genesis hash are new, so that no vote and no transaction of the old chain counts. Heights begin with 0 again, and so do
epochs, both chains and the history; chain time goes on, for the clock is the old one, and downtime counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import layout
from contracts.bindings.consortium import Member
from contracts.continuation import continuation_changes
from contracts.system import CONSORTIUM
from node.application import make_block_0
from node.chain.header import Header
from node.config import DATABASE_NAME
from node.errors import GridpactError
from node.execution import VOID
from node.genesis import Genesis, load_genesis
from node.rules import RuleBook, Rules
from node.state import EMPTY_ROOT, StateChanges, StateDelta, make_delta, slot_key
from node.state.changes import AccountChange
from node.state.delta import rebuild
from node.state.trie import NO_NODES
from node.storage import Store, View
from node.storage.flat import FlatState, flat_state

EVER = 2**62  # a height by which every change of the rules that was voted so far holds


class NotItsParent(GridpactError):
    """A genesis file does not continue this chain: what it says, and what the chain says."""

    def __init__(self, key: str, found: object, expected: object) -> None:
        super().__init__(f"genesis: {key}: {found}; expected {expected}, as the chain has it that it continues")
        self.key = key


class CannotContinue(GridpactError):
    """No continuation can be made of this chain so."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a chain leaves to its continuation.

    Args:
        genesis: the chain's own.
        header: of the last block that is taken over.
        state: after it.
        rules: those in force, with everything that was voted up to that block.
    """

    genesis: Genesis
    header: Header
    state: FlatState
    rules: Rules

    @property
    def members(self) -> list[Member]:
        """Who has a seat."""
        return layout.members(self.read_storage)

    def read_storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot."""
        return self.state.slots.get(slot_key(address, slot), 0)


def read_legacy(data: Path, height: int | None = None) -> Legacy:
    """Read what the chain in a data directory leaves at a height (the head, if None), and check its state's root.

    Raises:
        CannotContinue: the database does not hold that height, or its state is not the one the header names.
        GridpactError: the folder cannot be used.
    """
    genesis = load_genesis(data / "genesis.json")
    rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
    genesis_hash = make_block_0(genesis, rule_book.rules_at(0)).header.hash
    store = Store.open(data / DATABASE_NAME, chain_id=genesis.chain_id, genesis_hash=genesis_hash, readonly=True)
    try:
        with store.read() as view:
            return _read(view, genesis, rule_book, view.head_height if height is None else height)
    finally:
        store.close()


def _read(view: View, genesis: Genesis, rule_book: RuleBook, height: int) -> Legacy:
    if not view.first_height <= height <= view.head_height:
        raise CannotContinue(f"height {height}: this database holds {view.first_height} to {view.head_height}")
    header, state = view.header(height), flat_state(view, height)
    root, _ = rebuild(state.accounts.items(), state.slots)
    if root != header.state_root:
        raise CannotContinue(
            f"the state after height {height} has root 0x{root.hex()}, not the one that its header has"
        )
    legacy = Legacy(genesis, header, state, rule_book.rules_at(0))
    rule_book.learn(layout.rule_changes(legacy.read_storage))
    return Legacy(genesis, header, state, rule_book.rules_at(EVER))


def choose(members: Sequence[Member], names: Sequence[str]) -> list[bytes]:
    """Return the accounts of the members that are named, by name or account, in the consortium's order.

    Raises:
        CannotContinue: a name is nobody's or several members', or there is none.
    """
    chosen = set()
    for name in names:
        found = [m.account for m in members if name == m.name or name.lower() == _hex(m.account)]
        if len(found) != 1:
            known = ", ".join(f"{member.name} ({_hex(member.account)})" for member in members)
            raise CannotContinue(f"--keep {name}: expected the name or account of one member: {known}")
        chosen.update(found)
    if not chosen:
        raise CannotContinue("--keep: expected at least one member that survives")
    return [member.account for member in members if member.account in chosen]


def carried_state(legacy: Legacy, survivors: Sequence[bytes]) -> StateDelta:
    """Return the state of the continuation's block 0.

    Args:
        legacy: what the parent leaves.
        survivors: the accounts of its members that keep their seats.
    """
    own = continuation_changes(legacy.read_storage, survivors)
    storage = legacy.state.slots | {slot_key(CONSORTIUM, slot): value for slot, value in own.items()}
    accounts = {
        address: AccountChange(account.nonce, account.balance, account.code_hash)
        for address, account in legacy.state.accounts.items()
    }
    changes = StateChanges(accounts, storage, legacy.state.codes)
    return make_delta(VOID, NO_NODES, changes, EMPTY_ROOT)


def continuation_content(legacy: Legacy, survivors: Sequence[bytes], chain_id: int) -> dict[str, Any]:
    """Return the content of the genesis file that continues a chain.

    Tariffs, meters and all else that the contracts were made with is the parent's, for those who read it there; what
    has changed since is in the state.

    Args:
        legacy: what the parent leaves.
        survivors: the accounts of its members that keep their seats.
        chain_id: the new one.
    """
    header, rules = legacy.header, legacy.rules
    content = {key: value for key, value in legacy.genesis.content.items() if key != "accounts"}
    return content | {
        "chain_id": chain_id,
        "rules": {
            "version": rules.version,
            "open_accounts": rules.open_accounts,
            "block_gas_limit": rules.block_gas_limit,
            "future_tolerance_ms": rules.future_tolerance_ms,
            "view_timeout_ms": rules.view_timeout_ms,
            "max_view_timeout_ms": rules.max_view_timeout_ms,
        },
        "members": [_row(member) for member in legacy.members if member.account in survivors],
        "continues": {
            "chain_id": legacy.genesis.chain_id,
            "height": header.number,
            "block_hash": _hex(header.hash),
            "state_root": _hex(header.state_root),
            "timestamp_s": header.timestamp,
            "carried_state_root": _hex(carried_state(legacy, survivors).state_root),
        },
    }


def inherit(legacy: Legacy, genesis: Genesis) -> StateDelta:
    """Return the state of a continuation's block 0, after checking that its genesis file is what this parent makes.

    Raises:
        NotItsParent: the first thing that differs.
    """
    said = genesis.continues
    if said is None:
        raise NotItsParent("continues", "nothing", f"chain {legacy.genesis.chain_id}")
    header = legacy.header
    for key, found, expected in (
        ("chain_id", said.chain_id, legacy.genesis.chain_id),
        ("height", said.height, header.number),
        ("block_hash", _hex(said.block_hash), _hex(header.hash)),
        ("state_root", _hex(said.state_root), _hex(header.state_root)),
    ):
        if found != expected:
            raise NotItsParent(f"continues.{key}", found, expected)
    survivors = [member.account for member in genesis.members]
    made = continuation_content(legacy, survivors, genesis.chain_id)
    for key in sorted(made.keys() | genesis.content.keys()):
        if genesis.content.get(key) != made.get(key) and not (key == "accounts" and not genesis.balances):
            raise NotItsParent(key, genesis.content.get(key), made.get(key))
    return carried_state(legacy, survivors)


def _row(member: Member) -> dict[str, Any]:
    return {
        "name": member.name or _hex(member.account),
        "node_key": _hex(member.node_key),
        "p2p": member.endpoint,
        "account": _hex(member.account),
    }


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
