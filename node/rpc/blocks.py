"""Which block a client means, and what calls see of it."""

from __future__ import annotations

from node.chain.header import Header
from node.execution import BlockEnvironment
from node.rpc.errors import BlockNotFound
from node.rpc.formats import BlockRef, Tag, to_data
from node.rpc.reads import BlockData, Reader
from node.rules import RuleBook
from node.storage import StateView, View


def find_height(view: View, ref: BlockRef) -> int | None:
    """Return the height of a block; None if it is not committed."""
    if isinstance(ref, Tag):
        return 0 if ref is Tag.EARLIEST else view.head_height
    if isinstance(ref, bytes):
        return view.height_of(ref)
    return ref if ref <= view.head_height else None


def require_height(view: View, ref: BlockRef) -> int:
    """Return the height of a block.

    Raises:
        BlockNotFound: it is not committed.
    """
    height = find_height(view, ref)
    if height is None:
        what = f"no block with hash {to_data(ref)}" if isinstance(ref, bytes) else f"no block {ref}"
        raise BlockNotFound(f"{what}, the head is {view.head_height}")
    return height


def read_block(reader: Reader, ref: BlockRef) -> BlockData | None:
    """Return a committed block with everything in it; None if there is none. A read function."""
    with reader.store.read() as view:
        height = find_height(view, ref)
        return None if height is None else reader.blocks.read(view, height)


def call_environment(
    view: View, rule_book: RuleBook, ref: BlockRef, chain_time_s: int, *, next_block: bool
) -> tuple[StateView, BlockEnvironment]:
    """Return the state and the block that a call sees.

    A call on an old block sees that block. A call on the head sees the head's state at the chain's time now: this chain
    makes no blocks without work, so the head may be hours old, and contracts that know windows would answer for then.

    Args:
        view: the database.
        rule_book: the rules by height.
        ref: the block that the client named.
        chain_time_s: the chain's time now.
        next_block: whether the call stands for a transaction of the block after the head (estimates, and `pending`).

    Raises:
        BlockNotFound: there is no such block.
    """
    height = require_height(view, ref)
    header = view.header(height)
    state = view.state_at(height)
    if not isinstance(ref, Tag) or ref is Tag.EARLIEST:
        return state, _environment(view, rule_book, header, height, header.parent_hash, header.timestamp)
    timestamp = max(header.timestamp, chain_time_s)
    if next_block or ref is Tag.PENDING:
        return state, _environment(view, rule_book, header, height + 1, header.hash, timestamp)
    return state, _environment(view, rule_book, header, height, header.parent_hash, timestamp)


def _environment(
    view: View, rule_book: RuleBook, header: Header, number: int, parent_hash: bytes, timestamp: int
) -> BlockEnvironment:
    rules = rule_book.rules_at(number)
    return BlockEnvironment(
        number=number,
        timestamp=timestamp,
        gas_limit=max(header.gas_limit, rules.block_gas_limit),
        parent_hash=parent_hash,
        chain_id=rules.chain_id,
        ancestor_hash=lambda asked: view.header(asked).hash,
    )
