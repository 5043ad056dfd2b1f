"""ERC-20, as the energy token, the fiat token and the test token speak it."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.bindings.abi import Event, Interface, View, one


@dataclass(frozen=True, slots=True)
class Transfer(Event):
    """`value` units moved; from zero when minted, to zero when burnt."""

    from_: bytes
    to: bytes
    value: int


@dataclass(frozen=True, slots=True)
class Approval(Event):
    """`owner` lets `spender` take `value` units."""

    owner: bytes
    spender: bytes
    value: int


_ERC20 = Interface("TestToken", b"")
UNLIMITED = 2**256 - 1


def approve(spender: bytes, value: int) -> bytes:
    """Let `spender` take up to `value` units of the sender's; UNLIMITED is never used up."""
    return _ERC20.call("approve", spender, value)


def transfer(to: bytes, value: int) -> bytes:
    """Move `value` units of the sender's to `to`."""
    return _ERC20.call("transfer", to, value)


def balance_of(token: bytes, account: bytes) -> View[int]:
    """The units of `account`."""
    return View(token, _ERC20.call("balanceOf", account), lambda data: one(*_ERC20.outputs("balanceOf", data)))


def allowance(token: bytes, owner: bytes, spender: bytes) -> View[int]:
    """The units of `owner` that `spender` may take."""
    call = _ERC20.call("allowance", owner, spender)
    return View(token, call, lambda data: one(*_ERC20.outputs("allowance", data)))


def total_supply(token: bytes) -> View[int]:
    """The units in circulation."""
    return View(token, _ERC20.call("totalSupply"), lambda data: one(*_ERC20.outputs("totalSupply", data)))
