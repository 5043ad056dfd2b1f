"""`gridpact wallet` against a real node with the real contracts: what a household does with hidden money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agents.wallet.keys import MICROEUR
from agents.wallet.store import create_wallet_file, locked
from tests.agents.wallet.street import HOUSES, MONEY, PASSPHRASE, SCRYPT_TEST, WalletStreet
from tests.node.samples import hex_of

EURO = MICROEUR


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalletStreet]:
    """Every household has put 50 € in; their notes fill the first bin."""
    running = WalletStreet(tmp_path_factory.mktemp("wallets"))
    running.fill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.wallet.commands.create_wallet_file", partial(create_wallet_file, work_factor=SCRYPT_TEST))
        yield running
    running.close()


def held(street: WalletStreet, name: str) -> tuple[str, str]:
    """What `balance` says: all, and what can be spent."""
    found = re.fullmatch(r"balance +([\d.]+) €\nspendable +([\d.]+) €\n", street.ok("balance", wallet=name))
    assert found is not None
    return found[1], found[2]


def test_money_goes_in_is_paid_and_comes_out(street: WalletStreet) -> None:
    assert held(street, "house-0") == ("50.000000", "50.000000")
    before = street.fiat(street.account(0))
    assert street.pool() >= HOUSES * 50 * EURO
    out = street.ok("pay", street.address("house-1"), "12.5", wallet="house-0")
    assert re.fullmatch(r"paid 12\.500000 € in block \d+\n", out)
    assert held(street, "house-0") == ("37.500000", "0.000000")  # until the bin is full
    assert held(street, "house-1")[0] == "62.500000"
    lines = street.ok("history", wallet="house-0").splitlines()
    assert [line.split()[1] for line in lines[2:]] == ["-12.500000"]
    assert lines[2].endswith(f"paid to {street.address('house-1')}")
    assert "shielded from" in lines[0]
    assert "received" in street.ok("history", wallet="house-1").splitlines()[-1]
    pool = street.pool()
    out = street.ok("unshield", hex_of(street.account(1)), "20", wallet="house-1")
    assert "unshielded 20.000000 €" in out
    assert street.fiat(street.account(1)) == MONEY - 50 * EURO + 20 * EURO
    assert street.pool() == pool - 20 * EURO
    assert street.fiat(street.account(0)) == before


def test_a_command_shields(street: WalletStreet) -> None:
    before = street.fiat(street.account(2))
    words = ("--key", str(street.key(2)))
    out = street.ok("shield", "7.25", *words, wallet="house-2")
    assert "shielded 7.250000 €" in out
    assert street.fiat(street.account(2)) == before - 7_250_000
    refused = street.refused("shield", "1", *words, wallet="house-2")
    assert "notes of the open bin are this account's" in refused
    refused = street.refused("shield", "1000", *words, wallet="house-2")
    assert "the account holds" in refused
    assert street.fiat(street.account(2)) == before - 7_250_000


def test_what_is_not_there_is_not_paid(street: WalletStreet) -> None:
    to = street.address("house-4")
    refused = street.refused("pay", to, "50.000001", wallet="house-3")
    assert "50.000001 €: expected at most 50.000000 €" in refused
    for words, said in (
        ((to[:-1], "1"), "address"),
        ((to, "1.0000001"), "amount"),
        ((to, "0"), "more than nothing"),
    ):
        assert said in street.refused("pay", *words, wallet="house-3")
    for account in ("0x12", "0x" + "00" * 20, "zz" * 20):
        assert "account" in street.refused("unshield", account, "1", wallet="house-3")
    assert held(street, "house-3") == ("50.000000", "50.000000")


def test_what_the_node_refuses_is_free_again(street: WalletStreet) -> None:
    """Two files of one wallet: what the first has spent, the second learns when it looks."""
    (street.folder / "twin.wallet").write_bytes(street.path("house-4").read_bytes())
    street.ok("unshield", hex_of(street.account(4)), "1", wallet="house-4")
    refused = street.refused("unshield", hex_of(street.account(4)), "1", wallet="twin")
    assert "expected at most 0.000000 €" in refused
    assert held(street, "twin")[0] == held(street, "house-4")[0] == "49.000000"


def test_a_transfer_that_is_in_no_block_keeps_its_notes(street: WalletStreet) -> None:
    street.node.backend.mining = False
    try:
        words = (hex_of(street.account(5)), "1", "--wait", "1")
        refused = street.refused("unshield", *words, wallet="house-5")
        assert "in no block after 1 s" in refused
        assert "expected at most 0.000000 €" in street.refused("unshield", *words, wallet="house-5")
    finally:
        street.node.mine()
        street.node.backend.mining = True
    assert held(street, "house-5")[0] == "49.000000"
    assert "unshielded to" in street.ok("history", wallet="house-5").splitlines()[-1]


def test_a_wallet_is_made_and_made_anew_from_its_words(street: WalletStreet) -> None:
    out = street.ok("create", wallet="new")
    words, address = " ".join(re.findall(r"^    (.+)$", out, flags=re.MULTILINE)), out.splitlines()[-1]
    assert len(words.split()) == 24
    assert street.ok("address", wallet="new") == f"{address}\n"
    assert "never overwritten" in street.refused("create", wallet="new")
    assert street.path("new").stat().st_mode & 0o777 == 0o600
    street.ok("pay", address, "3", wallet="house-6")
    assert held(street, "new")[0] == "3.000000"
    assert street.ok("restore", wallet="anew", stdin=words) == f"{address}\n"
    assert "new notes" in street.ok("scan", wallet="anew")
    assert "0 new notes" in street.ok("scan", wallet="anew")
    assert held(street, "anew")[0] == "3.000000"
    refused = street.refused("restore", wallet="other", stdin=words.replace(words.split()[0], "xyzzy"))
    assert "24 words" in refused
    assert not street.path("other").exists()
    street.ok("restore", "--from-height", "1000", wallet="late", stdin=words)
    assert held(street, "late")[0] == "0.000000"
    assert street.ok("history", wallet="late") == "nothing yet\n"
    view = street.ok("export-view-key", wallet="new")
    assert view.startswith("view:gridpact:0x")
    assert view == street.ok("export-view-key", wallet="anew")


def test_two_commands_at_once_are_one(street: WalletStreet) -> None:
    with locked(street.path("house-7")):
        assert "one is running" in street.refused("balance", wallet="house-7")
    assert held(street, "house-7")[0] == "50.000000"


def test_other_passphrases_and_chains_are_refused(street: WalletStreet, tmp_path: Path) -> None:
    street.passphrase.write_text("another\n")
    try:
        assert "does not open the wallet" in street.refused("balance", wallet="house-7")
    finally:
        street.passphrase.write_text(PASSPHRASE + "\n")
    other = WalletStreet(tmp_path / "other")
    try:
        other.node.backend.chain.genesis_hash = b"\1" * 32
        other.new_wallet("elsewhere")
        (street.folder / "elsewhere.wallet").write_bytes(other.path("elsewhere").read_bytes())
    finally:
        other.close()
    refused = street.refused("balance", wallet="elsewhere")
    assert "genesis 0x0101" in refused
    assert "readable wallet file" in street.refused("balance", wallet="nobody")
