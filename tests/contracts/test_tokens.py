"""Energy and fiat tokens: who mints, moves and burns."""

from __future__ import annotations

import pytest

from contracts import system
from contracts.artifact import load_artifact
from contracts.bindings import energy_token, erc20, fiat_token
from contracts.bindings.abi import Interface
from contracts.bindings.fiat_token import WithdrawalState
from tests.contracts.street import Street, account, genesis, hexed, refused

EURO = 1_000_000


def fiat(street: Street, sender: str, data: bytes) -> int:
    output = street.send(sender, system.FIAT_TOKEN, data).output
    return int.from_bytes(output, "big")


def test_nobody_but_the_market_touches_energy(street: Street) -> None:
    deliver = energy_token.INTERFACE.call("deliver", account("ann"), account("bob"), 5)
    for data in (deliver, erc20.transfer(account("bob"), 0)):
        with refused("OnlyMarket", sender=hexed(account("ann")), market=hexed(system.MARKET)):
            street.send("ann", system.ENERGY_TOKEN, data)
    street.send(system.MARKET, system.ENERGY_TOKEN, deliver)
    assert street.view(energy_token.total_supply()) == 0
    assert street.view(energy_token.balance_of(account("bob"))) == 0


def test_delivery_mints_moves_and_burns(street: Street) -> None:
    deliver = energy_token.INTERFACE.call("deliver", account("ann"), account("bob"), 5)
    moves = street.send(system.MARKET, system.ENERGY_TOKEN, deliver).all(erc20.Transfer)
    ann, bob, nobody = account("ann"), account("bob"), bytes(20)
    assert [(m.from_, m.to, m.value) for m in moves] == [(nobody, ann, 5), (ann, bob, 5), (bob, nobody, 5)]


def test_units(street: Street) -> None:
    decimals = Interface("FiatToken", system.FIAT_TOKEN)
    assert street.view(decimals.view(int, "decimals")) == 6
    assert street.view(Interface("EnergyToken", system.ENERGY_TOKEN).view(int, "decimals")) == 0


def test_an_issuer_mints_once_a_receipt(street: Street) -> None:
    receipt = b"receipt".ljust(32, b"\0")
    before = street.view(fiat_token.total_supply())
    sent = street.send("issuer", system.FIAT_TOKEN, fiat_token.mint(account("eve"), 7 * EURO, receipt))
    assert sent.only(fiat_token.Minted) == fiat_token.Minted(account("issuer"), account("eve"), receipt, 7 * EURO)
    assert street.view(fiat_token.balance_of(account("eve"))) == 7 * EURO
    assert street.view(fiat_token.total_supply()) == before + 7 * EURO
    assert street.view(fiat_token.receipt_used(receipt))
    with refused("ReceiptUsed", receipt=receipt):
        fiat(street, "issuer", fiat_token.mint(account("eve"), 1, receipt))
    with refused("NotAnIssuer", sender=hexed(account("ann"))):
        fiat(street, "ann", fiat_token.mint(account("ann"), 1, bytes(32)))
    with refused("ZeroAmount"):
        fiat(street, "issuer", fiat_token.mint(account("eve"), 0, bytes(32)))
    assert street.view(fiat_token.is_issuer(account("issuer")))
    assert not street.view(fiat_token.is_issuer(account("ann")))


def test_a_withdrawal_is_requested_paid_and_burnt(street: Street) -> None:
    number = fiat(street, "ann", fiat_token.request_withdrawal(30 * EURO))
    assert street.view(fiat_token.balance_of(account("ann"))) == 70 * EURO
    pending = fiat_token.Withdrawal(account("ann"), WithdrawalState.REQUESTED, 30 * EURO)
    assert street.view(fiat_token.get_withdrawal(number)) == pending
    with refused("NotAnIssuer"):
        fiat(street, "ann", fiat_token.burn(number, b"p" * 32))
    sent = street.send("issuer", system.FIAT_TOKEN, fiat_token.burn(number, b"p" * 32))
    assert sent.only(fiat_token.WithdrawalPaid).amount_microeur == 30 * EURO
    assert street.view(fiat_token.get_withdrawal(number)).state is WithdrawalState.PAID
    received, withdrawn = street.view(fiat_token.received_microeur()), street.view(fiat_token.withdrawn_microeur())
    assert street.view(fiat_token.total_supply()) == received - withdrawn == 370 * EURO
    with refused("WithdrawalNotOpen", withdrawal=number, state=WithdrawalState.PAID):
        fiat(street, "issuer", fiat_token.burn(number, b"q" * 32))
    with refused("WithdrawalNotOpen", withdrawal=99):
        fiat(street, "issuer", fiat_token.burn(99, b"q" * 32))
    second = fiat(street, "ann", fiat_token.request_withdrawal(1))
    with refused("ReceiptUsed"):
        fiat(street, "issuer", fiat_token.burn(second, b"p" * 32))


def test_a_withdrawal_is_cancelled_by_its_holder(street: Street) -> None:
    number = fiat(street, "ann", fiat_token.request_withdrawal(30 * EURO))
    with refused("NotYourWithdrawal", holder=hexed(account("ann")), sender=hexed(account("bob"))):
        fiat(street, "bob", fiat_token.cancel_withdrawal(number))
    fiat(street, "ann", fiat_token.cancel_withdrawal(number))
    assert street.view(fiat_token.balance_of(account("ann"))) == 100 * EURO
    with refused("WithdrawalNotOpen", state=WithdrawalState.CANCELLED):
        fiat(street, "issuer", fiat_token.burn(number, b"p" * 32))
    with refused("ZeroAmount"):
        fiat(street, "ann", fiat_token.request_withdrawal(0))
    with refused("ERC20InsufficientBalance"):
        fiat(street, "ann", fiat_token.request_withdrawal(101 * EURO))


@pytest.mark.parametrize("issuers", [[], ["issuer", "issuer"], [None], ["a"] * 33])
def test_wrong_issuers_are_refused(issuers: list[str | None]) -> None:
    content = genesis()
    content["issuers"] = [hexed(account(name) if name else bytes(20)) for name in issuers]
    with refused("InvalidIssuers"):
        Street(content)


def test_the_test_token_is_a_plain_erc20(street: Street) -> None:
    token = bytes([9]) * 20
    code = load_artifact("TestToken").bytecode
    arguments = system.constructor_arguments("TestToken", "Test", "TST", 1000)
    street.deploy(code + arguments, token, sender=account("ann"))
    street.send("ann", token, erc20.transfer(account("bob"), 300))
    assert street.view(erc20.balance_of(token, account("bob"))) == 300
    assert street.view(erc20.total_supply(token)) == 1000
    street.send("bob", token, erc20.approve(account("cat"), 5))
    assert street.view(erc20.allowance(token, account("bob"), account("cat"))) == 5
