"""A street whose consortium is a few storage slots, and transactions without signatures: a pool checks none."""

from __future__ import annotations

from eth_hash.auto import keccak

from contracts import layout
from node.admission import highest_cost
from node.chain.transaction import Transaction
from node.rules import Rules
from node.state import Account
from tests.execution.states import header_at

RULES = Rules(version=1, chain_id=2016)
HEAD = header_at(0, 0)
TARGET = b"\x11" * 20


def member(number: int) -> bytes:
    """Return the account of a member."""
    return bytes([0xA0 + number]) * 20


def sender(number: int) -> bytes:
    """Return an account that may be vouched for."""
    return bytes([number + 1]) * 20


class Street:
    """A `StateReader` of members, of accounts that they vouch for, and of what those have."""

    def __init__(self, members: int) -> None:
        self.accounts: dict[bytes, Account] = {}
        self._slots: dict[int, int] = {}
        self._layout = layout._layout()
        self._slots[self._layout.accounts] = members
        place, offset, _ = self._layout.fields["account"]
        for number in range(members):
            seat = layout.mapping_slot(self._layout.members, member(number)) + place
            self._slots[seat] = int.from_bytes(member(number), "big") << (8 * offset)

    def vouch(self, account: bytes, by: bytes | None) -> None:
        """Let a member vouch for an account; or nobody."""
        self._slots[layout.mapping_slot(self._layout.vouching, account)] = int.from_bytes(by or b"", "big")

    def voucher(self, account: bytes) -> bytes | None:
        """Return who vouches for an account."""
        return layout.vouching_member(self.storage, account)

    def seats(self, members: int) -> None:
        """Let the consortium have so many members."""
        self._slots[self._layout.accounts] = members

    def hold(self, account: bytes, *, nonce: int, balance: int) -> None:
        """Give an account a nonce and a balance."""
        self.accounts[account] = Account(nonce, balance)

    def execute(self, tx: Transaction) -> None:
        """Let an account have sent a transaction."""
        held = self.accounts[tx.sender]
        assert held.nonce == tx.nonce
        self.hold(tx.sender, nonce=held.nonce + 1, balance=held.balance - highest_cost(tx))

    def account(self, address: bytes) -> Account | None:
        """Return an account."""
        return self.accounts.get(address)

    def storage(self, address: bytes, slot: int) -> int:
        """Return a slot, of whichever contract."""
        return self._slots.get(slot, 0)

    def code(self, code_hash: bytes) -> bytes:
        """There is no code."""
        return b""

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """There is no code."""
        return None


def transaction(
    of: bytes, nonce: int, *, size: int = 100, price: int = 0, value: int = 0, salt: int = 0
) -> Transaction:
    """Return a transfer that takes `size` bytes; another `salt` makes it another one."""
    raw = b"|".join((of, str(nonce).encode(), str(price).encode(), str(value).encode(), str(salt).encode()))
    raw = raw.ljust(size, b".")
    return Transaction(
        raw, keccak(raw), 2, 2016, nonce, price, price, 21_000, TARGET, value, b"", (), 0, 1, 1, of, None
    )
