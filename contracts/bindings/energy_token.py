"""EnergyToken: ERC-20 watt-hours, only ever moved by the market at settlement."""

from __future__ import annotations

from contracts.bindings import erc20
from contracts.bindings.abi import Interface, View
from contracts.system import ENERGY_TOKEN

INTERFACE = Interface("EnergyToken", ENERGY_TOKEN, (erc20.Transfer, erc20.Approval))


def balance_of(account: bytes) -> View[int]:
    """The watt-hours of `account`: 0 outside a settlement."""
    return erc20.balance_of(ENERGY_TOKEN, account)


def total_supply() -> View[int]:
    """The watt-hours in circulation: 0 outside a settlement."""
    return erc20.total_supply(ENERGY_TOKEN)
