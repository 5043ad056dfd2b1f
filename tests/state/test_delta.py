"""State deltas against py-trie and a plain dictionary: roots, nodes, values before, no trace when dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from node.chain import rlp
from node.state import (
    EMPTY_CODE_HASH,
    EMPTY_ROOT,
    Account,
    AccountChange,
    StateChanges,
    StateDelta,
    make_delta,
    slot_key,
)
from node.state.account import decode_account
from node.state.delta import encode_value, rebuild, storage_key
from node.state.trie import MissingNode, Trie, proved_value
from tests.state.slots import named


@dataclass
class World:
    """A state in memory: flat values and trie nodes; a `StateReader` and a `TrieReader`."""

    root: bytes = EMPTY_ROOT
    accounts: dict[bytes, Account] = field(default_factory=dict)
    slots: dict[bytes, int] = field(default_factory=dict)
    nodes: dict[bytes, bytes] = field(default_factory=dict)

    def account(self, address: bytes) -> Account | None:
        return self.accounts.get(address)

    def storage(self, address: bytes, slot: int) -> int:
        return self.slots.get(slot_key(address, slot), 0)

    def code(self, code_hash: bytes) -> bytes:
        raise AssertionError("a delta does not read code")

    def beginnings(self, code_hash: bytes) -> None:
        raise AssertionError("a delta does not read code")

    def node(self, key: bytes) -> bytes | None:
        return self.nodes.get(key)

    def apply(self, delta: StateDelta) -> None:
        for address, account in delta.accounts.items():
            assert self.accounts.get(address) == delta.accounts_before[address]
            _set(self.accounts, address, account)
        for place, value in delta.storage.items():
            assert self.slots.get(place, 0) == delta.storage_before[place]
            _set(self.slots, place, value or None)
        for key, node in delta.trie_nodes.items():
            _set(self.nodes, key, node)
        self.root = delta.state_root

    def revert(self, delta: StateDelta) -> None:
        for address, account in delta.accounts_before.items():
            _set(self.accounts, address, account)
        for place, value in delta.storage_before.items():
            _set(self.slots, place, value or None)

    def storage_of(self) -> dict[bytes, dict[int, int]]:
        grouped: dict[bytes, dict[int, int]] = {}
        for key, value in self.slots.items():
            grouped.setdefault(key[:20], {})[int.from_bytes(key[20:], "big")] = value
        return grouped

    def oracle_root(self) -> bytes:
        """Return the state root that py-trie gives for the flat values."""
        top = HexaryTrie({})
        for address, account in self.accounts.items():
            below = HexaryTrie({})
            for slot, value in self.storage_of().get(address, {}).items():
                below[keccak(slot.to_bytes(32, "big"))] = rlp.encode(value)
            top[keccak(address)] = rlp.encode(
                (account.nonce, account.balance, bytes(below.root_hash), account.code_hash)
            )
        return bytes(top.root_hash)


def _set(table: dict, key: object, value: object) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


ADDRESSES = [bytes((i,)) * 20 for i in range(1, 13)]
SLOTS = [0, 1, 2, 3, 255, 2**255, 2**256 - 1]
CHANGE = st.builds(
    AccountChange,
    st.integers(0, 2**64 - 2),
    st.integers(0, 2**256 - 1),
    st.sampled_from([EMPTY_CODE_HASH, keccak(b"code")]),
)
STORAGE = st.dictionaries(st.sampled_from(SLOTS), st.sampled_from([0, 0, 1, 127, 128, 2**256 - 1]), max_size=5)
BLOCKS = st.lists(st.dictionaries(st.sampled_from(ADDRESSES), st.tuples(CHANGE, STORAGE), max_size=6), max_size=6)


@given(BLOCKS)
@settings(max_examples=80, deadline=None)
def test_every_block_gives_the_oracles_root_and_the_nodes_of_a_fresh_build(
    blocks: list[dict[bytes, tuple[AccountChange, dict[int, int]]]],
) -> None:
    world = World()
    for block in blocks:
        changes = StateChanges(
            {address: change for address, (change, _) in block.items()},
            named({address: slots for address, (_, slots) in block.items()}),
        )
        delta = make_delta(world, world, changes, world.root)
        assert set(delta.accounts) == set(delta.accounts_before)
        assert set(delta.storage) == set(delta.storage_before)
        assert all(delta.accounts[key] != delta.accounts_before[key] for key in delta.accounts)
        assert all(delta.storage[key] != delta.storage_before[key] for key in delta.storage)
        flat = (dict(world.accounts), dict(world.slots))
        world.apply(delta)
        assert world.root == world.oracle_root()
        root, nodes = rebuild(sorted(world.accounts.items()), world.slots)
        assert root == world.root
        assert nodes == world.nodes
        restored = World(accounts=dict(world.accounts), slots=dict(world.slots))
        restored.revert(delta)
        assert (restored.accounts, restored.slots) == flat


def sample() -> World:
    """Return a world of a dozen accounts, two with storage."""
    world = World()
    changes = StateChanges(
        {address: AccountChange(0, i, EMPTY_CODE_HASH) for i, address in enumerate(ADDRESSES)},
        named({ADDRESSES[0]: {1: 5, 2: 6}, ADDRESSES[1]: {7: 8}}),
        {keccak(b"code"): b"code"},
    )
    delta = make_delta(world, world, changes, world.root)
    assert delta.codes == {keccak(b"code"): b"code"}
    world.apply(delta)
    return world


def test_a_delta_leaves_the_state_as_it_is() -> None:
    world, twin = sample(), sample()
    changes = StateChanges({ADDRESSES[3]: AccountChange(9, 9, EMPTY_CODE_HASH)}, named({ADDRESSES[0]: {1: 0}}))
    first = make_delta(world, world, changes, world.root)
    assert world == twin
    assert make_delta(world, world, changes, world.root) == first


def test_writing_what_is_there_changes_nothing() -> None:
    world = sample()
    before = world.accounts[ADDRESSES[0]]
    same = StateChanges(
        {ADDRESSES[0]: AccountChange(before.nonce, before.balance, before.code_hash)}, named({ADDRESSES[0]: {1: 5}})
    )
    delta = make_delta(world, world, same, world.root)
    assert (delta.state_root, dict(delta.accounts), dict(delta.storage)) == (world.root, {}, {})
    twin = dict(world.nodes)
    world.apply(delta)
    assert world.nodes == twin
    assert make_delta(world, world, StateChanges(), world.root).state_root == world.root


def test_storage_alone_moves_the_accounts_root_and_an_emptied_one_is_gone() -> None:
    world = sample()
    delta = make_delta(world, world, StateChanges(storage=named({ADDRESSES[0]: {1: 0, 2: 0}})), world.root)
    changed = delta.accounts[ADDRESSES[0]]
    assert changed is not None
    assert changed.storage_root == EMPTY_ROOT
    world.apply(delta)
    assert world.root == world.oracle_root()
    assert not [key for key in world.nodes if key.startswith(keccak(ADDRESSES[0]))]


def test_an_account_that_is_deleted_leaves_the_root_of_the_others() -> None:
    world = sample()
    delta = make_delta(world, world, StateChanges({ADDRESSES[5]: None, b"\xee" * 20: None}), world.root)
    assert delta.accounts == {ADDRESSES[5]: None}
    world.apply(delta)
    assert world.root == world.oracle_root()
    every = StateChanges(dict.fromkeys(ADDRESSES[2:]), named({ADDRESSES[0]: {1: 0, 2: 0}, ADDRESSES[1]: {7: 0}}))
    world.apply(make_delta(world, world, every, world.root))
    world.apply(make_delta(world, world, StateChanges(dict.fromkeys(ADDRESSES[:2])), world.root))
    assert (world.root, world.nodes) == (EMPTY_ROOT, {})


def test_a_missing_node_is_said_and_not_taken_for_an_empty_subtree() -> None:
    world = sample()
    root_key = next(key for key in world.nodes if set(key) <= {0})
    del world.nodes[root_key]
    with pytest.raises(MissingNode, match="is missing"):
        make_delta(world, world, StateChanges({ADDRESSES[0]: AccountChange(1, 1, EMPTY_CODE_HASH)}), world.root)


def test_accounts_and_slots_are_proved_against_the_state_root() -> None:
    world = sample()
    for address, account in world.accounts.items():
        proof = Trie(b"", world, world.root).prove(keccak(address))
        assert decode_account(proved_value(world.root, keccak(address), proof)) == account
    owner, root = keccak(ADDRESSES[0]), world.accounts[ADDRESSES[0]].storage_root
    for slot, value in {1: 5, 2: 6, 3: 0}.items():
        proof = Trie(owner, world, root).prove(storage_key(slot))
        assert proved_value(root, storage_key(slot), proof) == encode_value(value)


@pytest.mark.parametrize("raw", ["c0", "80", "c4800180", "f8440001a0" + "00" * 32 + "a0" + "00" * 32])
def test_what_is_no_account_is_refused(raw: str) -> None:
    with pytest.raises(rlp.InvalidRlp):
        decode_account(bytes.fromhex(raw))
