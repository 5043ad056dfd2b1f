"""FiatToken: ERC-20 micro-euro, minted and burnt by issuers against receipts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from contracts.bindings import erc20
from contracts.bindings.abi import Event, Interface, View, construct, one
from contracts.system import FIAT_TOKEN


class WithdrawalState(IntEnum):
    """Where a withdrawal stands."""

    NONE = 0
    REQUESTED = 1
    PAID = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A holder's wish to be paid out."""

    holder: bytes
    state: WithdrawalState
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class IssuerApproved(Event):
    """An issuer was approved."""

    issuer: bytes


@dataclass(frozen=True, slots=True)
class Minted(Event):
    """An issuer received money and minted it."""

    issuer: bytes
    holder: bytes
    receipt: bytes
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class WithdrawalRequested(Event):
    """A holder wants to be paid out."""

    withdrawal: int
    holder: bytes
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class WithdrawalCancelled(Event):
    """A holder took its tokens back."""

    withdrawal: int
    holder: bytes
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class WithdrawalPaid(Event):
    """An issuer paid a holder out and burnt the tokens."""

    withdrawal: int
    issuer: bytes
    receipt: bytes
    amount_microeur: int


INTERFACE = Interface(
    "FiatToken",
    FIAT_TOKEN,
    (
        erc20.Transfer,
        erc20.Approval,
        IssuerApproved,
        Minted,
        WithdrawalRequested,
        WithdrawalCancelled,
        WithdrawalPaid,
    ),
)


def mint(holder: bytes, amount_microeur: int, receipt: bytes) -> bytes:
    """Mint what was received for `holder`; `receipt` (32 bytes) serves once; sent by an issuer."""
    return INTERFACE.call("mint", holder, amount_microeur, receipt)


def request_withdrawal(amount_microeur: int) -> bytes:
    """Ask to be paid out."""
    return INTERFACE.call("requestWithdrawal", amount_microeur)


def cancel_withdrawal(withdrawal: int) -> bytes:
    """Take the tokens of an own waiting withdrawal back."""
    return INTERFACE.call("cancelWithdrawal", withdrawal)


def burn(withdrawal: int, receipt: bytes) -> bytes:
    """Burn the tokens of a withdrawal that was paid; sent by an issuer."""
    return INTERFACE.call("burn", withdrawal, receipt)


def approve(spender: bytes, amount_microeur: int = erc20.UNLIMITED) -> bytes:
    """Let `spender` (usually the market) take up to `amount_microeur` of the sender's."""
    return erc20.approve(spender, amount_microeur)


def transfer(to: bytes, amount_microeur: int) -> bytes:
    """Move the sender's money to `to`."""
    return erc20.transfer(to, amount_microeur)


def balance_of(account: bytes) -> View[int]:
    """The micro-euro in the wallet of `account`."""
    return erc20.balance_of(FIAT_TOKEN, account)


def allowance(owner: bytes, spender: bytes) -> View[int]:
    """The micro-euro of `owner` that `spender` may take."""
    return erc20.allowance(FIAT_TOKEN, owner, spender)


def total_supply() -> View[int]:
    """The micro-euro in circulation: receipts minus withdrawals."""
    return erc20.total_supply(FIAT_TOKEN)


def received_microeur() -> View[int]:
    """All that was ever minted."""
    return INTERFACE.view(one, "receivedMicroeur")


def withdrawn_microeur() -> View[int]:
    """All that was ever burnt."""
    return INTERFACE.view(one, "withdrawnMicroeur")


def is_issuer(account: bytes) -> View[bool]:
    """Whether the consortium approved `account` as an issuer."""
    return INTERFACE.view(one, "isIssuer", account)


def receipt_used(receipt: bytes) -> View[bool]:
    """Whether a receipt has been used."""
    return INTERFACE.view(one, "receiptUsed", receipt)


def get_withdrawal(withdrawal: int) -> View[Withdrawal]:
    """A withdrawal; its state is NONE if there is none with this number."""
    return INTERFACE.view(lambda row: construct(Withdrawal, row), "getWithdrawal", withdrawal)
