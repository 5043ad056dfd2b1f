"""In which order a leader takes what waits: a transaction a room in turn, and in a room one a sender in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from node.admission import Sponsor, highest_cost, sponsor_of
from node.chain.header import Header
from node.chain.transaction import Transaction
from node.mempool.account import AccountQueue
from node.mempool.limits import WITHOUT_ACCOUNT
from node.mempool.room import Room
from node.state import Account, StateReader


def in_turn(
    rooms: Mapping[Sponsor, Room], state: StateReader, parent: Header, *, open_accounts: bool
) -> Iterator[Transaction]:
    """Yield what can be executed over `state`, one transaction a room in turn, each sender's by nonce."""
    turns = deque(
        _in_order(sponsor, room.accounts, state, parent, open_accounts) for sponsor, room in sorted(rooms.items())
    )
    while turns:
        turn = turns.popleft()
        tx = next(turn, None)
        if tx is not None:
            yield tx
            turns.append(turn)


def _in_order(
    sponsor: Sponsor, accounts: Mapping[bytes, AccountQueue], state: StateReader, parent: Header, opened: bool
) -> Iterator[Transaction]:
    """Yield one room's executable transactions, one a sender in turn; those without an account as they came."""
    turns: deque[tuple[bytes, int, int]] = deque()
    for sender in list(accounts) if sponsor.kind in WITHOUT_ACCOUNT else sorted(accounts):
        if sponsor.kind in WITHOUT_ACCOUNT or sponsor_of(sender, state, parent, open_accounts=opened) is not None:
            held = state.account(sender) or Account()
            turns.append((sender, held.nonce, held.balance))
    while turns:
        sender, nonce, balance = turns.popleft()
        entry = accounts[sender].entries.get(nonce)
        if entry is None:
            continue
        balance -= highest_cost(entry.tx)
        if balance >= 0:
            yield entry.tx
            turns.append((sender, nonce + 1, balance))
