"""More than f validators are lost for ever: those who survive go on from the old state, and an auditor follows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consensus.codec import encode_certificate
from consensus.types import Domain
from contracts.bindings import consortium, consortium_votes, energy_token, fiat_token
from contracts.bindings.abi import View as Call
from contracts.system import CONSORTIUM, FIAT_TOKEN
from node.application import Application, Prepared, block_environment
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.cli import app
from node.clock import ChainClock
from node.config import DATABASE_NAME
from node.continuation import NotItsParent, read_legacy
from node.creation import create_database
from node.genesis import Genesis, load_genesis, parse_genesis
from node.keys import SCRYPT_LIGHT, save_key
from node.parsing import ConfigError
from node.rules import RuleBook
from node.storage import Store
from tests.audit.street import Street, certify, fill
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of, node_key

GAS_LIMIT = 9_000_000  # voted on the old chain
STRANGER = b"\x77" * 20


def house(index: int) -> bytes:
    return address_of(account_key(f"household {index}"))


def consult(chain: Street | Continued, call: Call[Any]) -> Any:
    """Ask a contract at the head."""
    with chain.store.read() as view:
        header = view.header(view.head_height)
        rules = chain.rule_book.rules_at(header.number + 1)
        environment = block_environment(lambda number: view.header(number).hash, header, rules, header.timestamp)
        executor = chain.application.executor
        called = executor.call(view.state, environment, sender=house(0), to=call.to, data=call.data, gas=5_000_000)
        return call.decode(called.output)


class Continued:
    """A data directory of the continuation, whose blocks members 0 and 1 certify."""

    def __init__(self, directory: Path, genesis_file: Path, parent: Path) -> None:
        directory.mkdir()
        (directory / "genesis.json").write_bytes(genesis_file.read_bytes())
        self.directory = directory
        self.genesis: Genesis = load_genesis(genesis_file)
        self.genesis_hash = create_database(directory / DATABASE_NAME, self.genesis, parent)
        self.domain = Domain(self.genesis.chain_id, self.genesis_hash)
        self.rule_book = RuleBook(self.genesis.content["rules"], self.genesis.chain_id)
        self.store = Store.open(
            directory / DATABASE_NAME, chain_id=self.genesis.chain_id, genesis_hash=self.genesis_hash
        )
        self.wall_ms = 10**7
        clock = ChainClock(self.genesis, lambda: self.wall_ms)
        self.application = Application(self.store, self.rule_book, clock)

    def transaction(self, label: str, to: bytes | None, data: bytes = b"", value: int = 0) -> Transaction:
        with self.store.read() as view:
            account = view.state.account(address_of(account_key(label)))
        raw = sign_transaction(
            account_key(label),
            chain_id=self.genesis.chain_id,
            nonce=0 if account is None else account.nonce,
            to=to,
            data=data,
            value=value,
        )
        return decode_transaction(raw, self.genesis.chain_id)

    def mine(self, *transactions: Transaction, signers: tuple[int, ...] = (0, 1), epoch: int = 0) -> Prepared:
        with self.store.read() as view:
            height = view.head_height + 1
        built = self.application.build(height, transactions)
        assert len(built.transactions) == len(transactions)
        assert all(receipt.status for receipt in built.sealed.receipts)
        certificate = certify(self.domain, height, built.sealed.header.hash, signers=signers, epoch=epoch)
        return self.application.commit(built.body, encode_certificate(certificate))


def govern(street: Street) -> None:
    """Vote a rule; leave a motion open with one vote; let two members leave in one block, so that one waits."""
    to = CONSORTIUM
    street.mine(street.transaction("household 0", to, consortium_votes.propose_rule("block_gas_limit", GAS_LIMIT)))
    street.mine(*(street.transaction(f"household {i}", to, consortium_votes.vote(1)) for i in (1, 2)))
    street.mine()
    street.mine(street.transaction("household 1", to, consortium_votes.propose_removal(house(0))))
    street.mine(*(street.transaction(f"household {i}", to, consortium_votes.leave()) for i in (3, 2)))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a chain whose members 2 and 3 are lost."""
    street = fill(Street(tmp_path_factory.mktemp("parent") / "old"))
    govern(street)
    assert consult(street, consortium_votes.queue_length()) == 1
    street.close()
    return street.directory


@pytest.fixture
def genesis_file(old: Path, tmp_path: Path) -> Path:
    """The continuation's genesis file, as members 0 and 1 make it."""
    out = tmp_path / "continued.json"
    words = ["--data", str(old), "--keep", "house-1", "--keep", "0x" + house(0).hex(), "--out", str(out)]
    result = CliRunner().invoke(app, ["node", "continue", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "chain 2017 continues chain 2016 from height 13, block 0x" in result.output
    assert "with 2 of 3 members" in result.output
    assert parse_genesis(json.loads(out.read_text())).file_hash.hex() in result.output
    return out


@pytest.fixture
def continued(old: Path, genesis_file: Path, tmp_path: Path) -> Continued:
    return Continued(tmp_path / "new", genesis_file, old)


def live(chain: Continued) -> Continued:
    """Pay, issue money, change a rule: three blocks."""
    chain.mine(chain.transaction("household 0", STRANGER, value=3))
    chain.mine(chain.transaction("operator", FIAT_TOKEN, fiat_token.mint(house(1), 5_000_000, b"\x09" * 32)))
    chain.mine(chain.transaction("household 0", CONSORTIUM, consortium_votes.propose_rule("view_timeout_ms", 5_000)))
    return chain


def verify(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", "verify", *map(str, words)])
    return result.exit_code, result.output


def test_block_0_has_the_old_state_with_the_survivors_alone(old: Path, continued: Continued) -> None:
    legacy = read_legacy(old)
    with continued.store.read() as view:
        state, header = view.state, view.header(0)
        for address, account in legacy.state.accounts.items():
            found = state.account(address)
            assert found is not None
            assert (found.nonce, found.balance, found.code_hash) == (account.nonce, account.balance, account.code_hash)
            assert address == CONSORTIUM or found == account
        assert header.timestamp == legacy.header.timestamp
        assert header.parent_hash == continued.genesis.file_hash
    members, total = consult(continued, consortium.get_members(0, 10)), 2
    assert [(member.name, member.since_epoch) for member in members] == [("house-0", 0), ("house-1", 0)]
    assert consult(continued, consortium.member_count()) == total
    assert consult(continued, consortium.current_epoch()) == 0
    assert consult(continued, consortium_votes.queue_length()) == 0
    assert consult(continued, consortium_votes.votes_needed()) == 2
    states = [consult(continued, consortium_votes.proposal(number)).state.name for number in (1, 2, 3, 4)]
    assert states == ["ENACTED", "WITHDRAWN", "ENACTED", "WITHDRAWN"]
    assert not consult(continued, consortium.is_member(house(2)))
    assert consult(continued, consortium.member_by_node_key(bytes(node_key(2).verify_key))) == house(2)
    assert continued.rule_book.rules_at(1).block_gas_limit == GAS_LIMIT


def test_the_survivors_go_on_and_nothing_of_the_old_chain_counts(old: Path, continued: Continued) -> None:
    old_domain = Domain(2016, read_legacy(old).genesis.file_hash)
    assert continued.domain != old_domain
    raw = sign_transaction(account_key("household 0"), chain_id=2016, nonce=99, to=STRANGER)
    with pytest.raises(InvalidTransaction, match="chain"):
        decode_transaction(raw, continued.genesis.chain_id)
    live(continued)
    assert consult(continued, consortium_votes.genesis_hash()) == continued.genesis_hash
    assert consult(continued, fiat_token.balance_of(house(1))) == 5_000_000
    assert consult(continued, energy_token.total_supply()) == 0
    lost = continued.transaction("household 2", STRANGER, value=1)
    assert continued.application.build(4, [lost]).transactions == ()
    vouch = continued.transaction("household 0", CONSORTIUM, consortium.vouch(house(2)))
    continued.mine(vouch)  # a survivor takes the account over: its owner can use it again
    continued.mine(continued.transaction("household 2", STRANGER, value=1))


def test_the_members_change_on_the_new_chain_as_on_any(continued: Continued) -> None:
    continued.mine(continued.transaction("household 0", CONSORTIUM, consortium_votes.leave()))
    assert consult(continued, consortium.current_epoch()) == 0
    continued.mine()
    assert continued.application.validators().epoch == 1
    assert continued.application.validators().keys == (bytes(node_key(1).verify_key),)
    continued.mine(signers=(1,), epoch=1)
    assert consult(continued, consortium.current_epoch()) == 1
    continued.store.close()


def test_an_auditor_follows_from_the_old_genesis_file(old: Path, continued: Continued) -> None:
    live(continued)
    continued.store.close()
    code, output = verify(continued.directory, "--parent", old)
    assert code == 0, output
    first, *_, last = output.splitlines()
    assert first.startswith("continues chain 2016 from height 13, block 0x")
    assert "audited (13 heights, " in first
    assert "2 of 3 members kept" in first
    assert last.startswith("audit: ok head 3 0x")
    assert "fiat: supply 48000000 = 55000000 issued on 2 receipts − 7000000 withdrawn" in output
    code, output = verify(continued.directory, "--parent", old, "--parent-genesis", old / "genesis.json", "--json")
    assert code == 0
    assert json.loads(output)["begins"] == first


def test_a_wrong_number_of_parents_is_a_usage_error(old: Path, continued: Continued) -> None:
    continued.store.close()
    for words, said in (
        ([continued.directory], "--parent: expected a data directory of chain 2016"),
        ([old, "--parent", old], "--parent: expected none"),
        ([continued.directory, "--parent", old, "--parent", old], "--parent: expected none"),
        ([continued.directory, "--parent", old, "--parent-genesis", "a", "--parent-genesis", "b"], "one for each"),
    ):
        code, output = verify(*words)
        assert code == 2
        assert said in output


def reach(path: Path, directory: Path) -> Street:
    """Return a shell around an old database that nobody has open, for tampering with it."""
    street = object.__new__(Street)
    street.path, street.directory = path / DATABASE_NAME, directory
    return street


@pytest.mark.tamper
def test_an_altered_parent_is_blamed_as_the_parent(old: Path, continued: Continued) -> None:
    continued.store.close()
    street = reach(old, old)
    key, value = list(street.stored("receipts").items())[2]
    with street.altered("receipts", key, value[:-1] + bytes((value[-1] ^ 1,))):
        code, output = verify(continued.directory, "--parent", old)
    assert code == 1
    assert "audit: FAILED at height 2, chain parent " in output


@pytest.mark.tamper
def test_an_altered_first_state_is_found(old: Path, continued: Continued) -> None:
    continued.store.close()
    street = reach(continued.directory, continued.directory)
    key, value = list(street.stored("accounts").items())[3]
    with street.altered("accounts", key, value[:-1] + bytes((value[-1] ^ 1,))):
        code, output = verify(continued.directory, "--parent", old)
    assert code == 1
    assert "chain state, kind account" in output


def test_everybody_makes_the_same_block_0_even_from_a_longer_database(
    old: Path, genesis_file: Path, tmp_path: Path
) -> None:
    longer = fill(Street(tmp_path / "longer"))
    govern(longer)
    longer.mine(longer.transaction("household 1", STRANGER, value=9))
    longer.close()
    again = tmp_path / "again.json"
    words = ["--keep", "house-0", "--keep", "house-1", "--height", "13", "--out", str(again)]
    assert CliRunner().invoke(app, ["node", "continue", "--data", str(longer.directory), *words]).exit_code == 0
    assert again.read_bytes() == genesis_file.read_bytes()
    genesis = load_genesis(again)
    made = {create_database(tmp_path / str(index), genesis, data) for index, data in enumerate((old, longer.directory))}
    assert len(made) == 1
    code, output = 0, ""
    continued = Continued(tmp_path / "house", again, longer.directory)
    continued.store.close()
    code, output = verify(continued.directory, "--parent", longer.directory)
    assert code == 0, output


def test_a_continuation_is_continued(old: Path, continued: Continued, tmp_path: Path) -> None:
    live(continued)
    continued.store.close()
    out = tmp_path / "third.json"
    words = ["--data", str(continued.directory), "--keep", "house-1", "--chain-id", "3000", "--out", str(out)]
    assert CliRunner().invoke(app, ["node", "continue", *words], catch_exceptions=False).exit_code == 0
    third = Continued(tmp_path / "third", out, continued.directory)
    third.mine(third.transaction("household 1", STRANGER, value=1), signers=(1,))
    third.store.close()
    code, output = verify(third.directory, "--parent", continued.directory, "--parent", old)
    assert code == 0, output
    assert "1 of 2 members kept" in output
    assert "issued on 2 receipts" in output


def test_init_makes_the_directory_and_needs_the_parent(old: Path, genesis_file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    save_key(key, bytes(node_key(0)), "secret", scrypt=SCRYPT_LIGHT)
    data = tmp_path / "data"
    words = ["node", "init", "--data", str(data), "--genesis", str(genesis_file), "--key", str(key)]
    refused = CliRunner().invoke(app, words)
    assert "continues: expected the data of chain 2016" in refused.output
    assert not data.exists()
    done = CliRunner().invoke(app, [*words, "--parent", str(old)], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"initialised {data}: chain 2017" in done.output
    words[5] = str(old / "genesis.json")
    assert "--parent" in CliRunner().invoke(app, [*words, "--parent", str(old)]).output


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g: g["continues"].update(chain_id=9), "continues.chain_id: 9; expected 2016"),
        (lambda g: g["continues"].update(height=12), "continues.block_hash: 0x"),
        (
            lambda g: g["continues"].update(block_hash="0x" + "ab" * 32),
            "abab; expected 0x",
        ),
        (lambda g: g["continues"].update(state_root="0x" + "ab" * 32), f"continues.state_root: 0x{'ab' * 32}"),
        (lambda g: g["continues"].update(carried_state_root="0x" + "ab" * 32), "genesis: continues: "),
        (lambda g: g["continues"].update(timestamp_s=1), "genesis: continues: "),
        (lambda g: g["members"].pop(), "genesis: continues: "),
        (lambda g: g["members"][0].update(p2p="127.0.0.1:1"), "genesis: members: "),
        (lambda g: g["rules"].update(block_gas_limit=5_000_000), "genesis: rules: "),
        (lambda g: g["clock"].update(wall_start_ms=5), "genesis: clock: "),
        (lambda g: g["schedule"].update(window_zero_s=5), "genesis: schedule: "),
    ],
)
def test_a_genesis_file_that_says_something_else_is_refused(
    old: Path, genesis_file: Path, tmp_path: Path, change: Change, said: str
) -> None:
    content = json.loads(genesis_file.read_text())
    change(content)
    with pytest.raises(NotItsParent) as caught:
        create_database(tmp_path / "chain", parse_genesis(content), old)
    assert said in str(caught.value)
    assert not (tmp_path / "chain").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g: g.update(chain_id=2016), "chain_id: expected another one"),
        (lambda g: g.update(accounts={"0x" + "11" * 20: "5"}), "accounts: expected nothing"),
        (lambda g: g["members"][0].update(vouched=["0x" + "11" * 20]), "members: expected no vouched accounts"),
        (lambda g: g["continues"].update(heights=1), "continues.heights: expected no such key"),
        (lambda g: g["continues"].pop("state_root"), "continues.state_root"),
        (lambda g: g["continues"].update(height=-1), "continues.height"),
        (lambda g: g["continues"].update(block_hash="0x12"), "continues.block_hash"),
        (lambda g: g.update(continues=[]), "continues: expected a table"),
    ],
)
def test_a_malformed_continuation_is_refused(genesis_file: Path, change: Change, said: str) -> None:
    content = json.loads(genesis_file.read_text())
    change(content)
    with pytest.raises(ConfigError) as caught:
        parse_genesis(content)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep", "nobody"], "--keep nobody: expected the name or account of one member: house-0 (0x"),
        (["--keep", "house-3"], "--keep house-3"),
        (["--keep", "house-0", "--height", "99"], "height 99: this database holds 0 to 13"),
        (["--keep", "house-0", "--chain-id", "2016"], "chain_id: expected another one"),
    ],
)
def test_what_cannot_be_continued_is_said(old: Path, tmp_path: Path, words: Sequence[str], said: str) -> None:
    out = tmp_path / "out.json"
    result = CliRunner().invoke(app, ["node", "continue", "--data", str(old), *words, "--out", str(out)])
    assert result.exit_code == 2
    assert said in result.output
    assert not out.exists()
