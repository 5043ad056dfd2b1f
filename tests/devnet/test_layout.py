"""What a devnet writes is what the commands of a real household read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nacl.public import PrivateKey as BoxKey

from agents.configuration import HOUSEHOLD_CONFIG, OPERATOR_CONFIG, load_household, load_operator
from agents.keys import load_key as load_account_key
from agents.profiles import DataDirectory
from contracts.tariffs import PRESETS
from devnet.accounts import MNEMONIC_BALANCE_WEI, PASSPHRASE, derived_key, mnemonic_addresses
from devnet.auditors import devnet_auditors
from devnet.layout import (
    CHAIN_ID,
    MAX_RPC_PORT,
    Options,
    Place,
    allow_origins,
    genesis_content,
    unlock_accounts,
    write_devnet,
)
from devnet.scenario import DATA, find_scenario, load_scenario
from node.application import make_genesis
from node.config import CONFIG_NAME, load_config, render_config
from node.evidence import reporter_account
from node.genesis import Genesis, load_genesis, parse_genesis
from node.keys import account_address, load_key, node_key_of
from node.parsing import ConfigError, parse_endpoint
from node.rules import RuleBook
from node.wallet import open_wallet
from privacy.auditors import combine_shares
from privacy.secp256k1 import SECP256K1 as G


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    written = Place(tmp_path_factory.mktemp("layout") / "devnet", load_scenario(find_scenario("street")), Options())
    write_devnet(written)
    return written


@pytest.fixture(scope="module")
def genesis(place: Place) -> Genesis:
    return load_genesis(place.genesis)


def test_the_genesis_file_makes_a_genesis_block(genesis: Genesis) -> None:
    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    sealed, _ = make_genesis(genesis, rules)
    again, _ = make_genesis(genesis, rules)
    assert sealed.header.number == 0
    assert sealed.header.parent_hash == genesis.file_hash
    assert sealed.header.hash == again.header.hash
    assert not rules.open_accounts


def test_the_genesis_file_holds_the_scenario(place: Place, genesis: Genesis) -> None:
    scenario = place.scenario
    assert genesis.chain_id == CHAIN_ID
    assert genesis.genesis_time_s == genesis.window_zero_s == scenario.window_zero_s
    assert genesis.clock_steps == scenario.clock_steps
    assert [member.name for member in genesis.members] == [plan.connection for plan in scenario.households]
    assert [member.endpoint for member in genesis.members] == [
        parse_endpoint(place.p2p(index), ValueError) for index in range(place.count)
    ]
    assert genesis.content["tariffs"][0]["preset"] == "shared-connection"
    assert dict(genesis.balances) == dict.fromkeys(mnemonic_addresses(), MNEMONIC_BALANCE_WEI)


def test_every_account_is_vouched_by_exactly_one_member(place: Place, genesis: Genesis) -> None:
    vouched = [account for member in genesis.content["members"] for account in member["vouched"]]
    assert len(set(vouched)) == len(vouched)
    meters = {row["meter"] for row in genesis.content["meters"]}
    everyone = {"0x" + address.hex() for address in mnemonic_addresses()}
    reporters = {reporter_account(derived_key(f"node {i}")).address.lower() for i in range(len(genesis.members))}
    assert set(vouched) == meters | everyone | reporters | {genesis.content["operator"]}


def test_keys_open_with_the_passphrase_written_beside_them(place: Place, genesis: Genesis) -> None:
    passphrase = place.passphrase.read_text().strip()
    assert passphrase == PASSPHRASE
    for index, member in enumerate(genesis.members):
        seed = load_key(place.root / "keys" / f"node-{index}.json", passphrase)
        assert node_key_of(seed) == member.node_key
        assert account_address(derived_key(f"household {index}")) == member.account


def test_households_read_their_configuration(place: Place, genesis: Genesis) -> None:
    for index, plan in enumerate(place.scenario.households):
        config = load_household(place.household(index) / HOUSEHOLD_CONFIG)
        assert config.connection == plan.connection
        assert config.load_shift_weeks == plan.load_shift_weeks
        assert config.rpc == f"http://{place.rpc(index)}"
        assert (config.battery is not None) == ("battery" in plan.tables)
        assert DataDirectory(DATA).profile(config.connection, grid=config.grid) is not None
        key = load_account_key(config.key, PASSPHRASE.encode())
        assert key.public_key.to_canonical_address() == genesis.members[index].account
    operator = load_operator(place.operator / OPERATOR_CONFIG)
    assert operator.rpc == f"http://{place.rpc(0)}"
    assert operator.fund_microeur == place.scenario.first_money_microeur


def test_a_bare_chain_has_no_agents_and_keeps_the_wall_clock(tmp_path: Path) -> None:
    options = Options(rpc_port=9_000, market=False, open_accounts=True, tariff="public-grid", chain_id=1337)
    place = Place(tmp_path / "devnet", load_scenario(find_scenario("street")), options)
    write_devnet(place)
    genesis = load_genesis(place.genesis)
    assert genesis.chain_id == 1337
    assert genesis.clock_steps == ((0, 1),)
    assert genesis.wall_start_ms == genesis.genesis_time_s * 1000
    assert genesis.content["rules"]["open_accounts"] is True
    assert genesis.content["tariffs"][0]["preset"] == "public-grid"
    households = [f"household-{index}" for index in range(place.count)]
    assert sorted(path.name for path in place.root.iterdir()) == ["genesis.json", *households, "keys", "passphrase"]
    for index in range(place.count):
        assert sorted(path.name for path in place.household(index).iterdir()) == ["household-key.json", "passphrase"]


def test_unlocked_accounts_are_the_mnemonics_any_account_and_named_pages_may_send(tmp_path: Path) -> None:
    options = Options(rpc_port=9_000, market=False, unlock=True, cors_origins=('http://a"b', "https://*.example"))
    place = Place(tmp_path / "devnet", load_scenario(find_scenario("street")), options)
    write_devnet(place)
    genesis = load_genesis(place.genesis)
    for index in range(place.validators):
        configured = render_config(
            genesis="genesis.json", key="k", passphrase_file="p", p2p_listen=place.p2p(index), rpc_listen="[::1]:0"
        )
        place.node(index).mkdir()
        (place.node(index) / CONFIG_NAME).write_text(configured)
    unlock_accounts(place)
    allow_origins(place)
    for index in range(place.validators):
        path = place.node(index) / CONFIG_NAME
        config, rules = load_config(path), RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
        wallet = open_wallet(path, config.keystores, config.keystores_passphrase_file, rules)
        assert list(wallet.addresses) == mnemonic_addresses()
        assert config.rpc.cors_origins == options.cors_origins


@pytest.mark.parametrize("rpc_port", [8545, MAX_RPC_PORT])
def test_no_two_servers_share_a_port(rpc_port: int) -> None:
    place = Place(Path(), load_scenario(find_scenario("street")), Options(rpc_port=rpc_port))
    found = [at(index) for at in (place.rpc, place.p2p, place.agents) for index in range(place.count)]
    ports = [int(endpoint.removeprefix("127.0.0.1:")) for endpoint in found]
    assert len(set(ports)) == 12
    assert max(ports) < 32_768  # above, the system hands them out itself


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_tariff_of_the_command_line_goes_before_the_scenarios(tmp_path: Path, preset: str) -> None:
    scenario = load_scenario(find_scenario("street"))
    place = Place(tmp_path / "devnet", scenario, Options(tariff=preset))
    write_devnet(place)
    (tariff,) = json.loads(place.genesis.read_text())["tariffs"]
    assert tariff["preset"] == place.tariff == preset


# -- a private street


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Place:
    written = Place(tmp_path_factory.mktemp("private") / "devnet", load_scenario(find_scenario("street-8")), Options())
    write_devnet(written)
    return written


def test_a_private_street_has_four_validators_and_eight_households(private: Place) -> None:
    genesis = load_genesis(private.genesis)
    assert [member.name for member in genesis.members] == [plan.connection for plan in private.scenario.households[:4]]
    assert len(genesis.content["meters"]) == 8
    assert sorted(path.stem for path in (private.root / "keys").iterdir()) == [f"node-{index}" for index in range(4)]
    for index in range(8):
        config = load_household(private.household(index) / HOUSEHOLD_CONFIG)
        assert config.rpc == f"http://{private.rpc(index % 4)}"
        row = genesis.content["meters"][index]
        vouched = genesis.content["members"][index % 4]["vouched"]
        assert row["meter"] in vouched
        assert (row["household"] in vouched) == (index >= 4)


def test_all_households_of_a_private_street_have_one_policy_of_prices(private: Place) -> None:
    found = [load_household(private.household(index) / HOUSEHOLD_CONFIG).trading for index in range(8)]
    assert len({(each.buy, each.sell) for each in found}) == 1
    (battery,) = (each for each in found if each.storage)
    assert battery.storage is not None
    assert (battery.storage.buy, battery.storage.sell) == (battery.buy, battery.sell)


def test_a_private_streets_genesis_names_auditors_who_hold_its_key_together(private: Place) -> None:
    genesis = load_genesis(private.genesis)
    sealing, boxes = genesis.content["sealing"], genesis.content["privacy"]["box_keys"]
    vouched = genesis.content["members"][0]["vouched"]
    assert sealing["feeder_meter"] in vouched
    assert all(row["account"] in vouched for row in sealing["auditors"])
    points = [G.point_from_bytes_checked(bytes.fromhex(row["public_share"][2:])) for row in sealing["auditors"]]
    joint_key = G.point_from_bytes_checked(bytes.fromhex(sealing["joint_key"][2:]))
    for pair in ((1, 2), (1, 3), (2, 3)):
        assert combine_shares(G, {at: points[at - 1] for at in pair}) == joint_key
    keys = devnet_auditors(CHAIN_ID).keys
    assert [G.multiply_generator(each.share) for each in keys] == points
    assert boxes == ["0x" + bytes(BoxKey(each.box_key).public_key).hex() for each in keys]
    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    sealed, _ = make_genesis(genesis, rules)
    assert sealed.header.number == 0


@pytest.mark.parametrize("key", ["sealing", "privacy"])
def test_what_a_genesis_file_says_of_privacy_is_a_table(private: Place, key: str) -> None:
    content = {**json.loads(private.genesis.read_text()), key: []}
    with pytest.raises(ConfigError, match=f"{key}: expected a table"):
        parse_genesis(content)


def test_the_open_street_says_nothing_of_auditors(genesis: Genesis) -> None:
    assert not {"sealing", "privacy"} & set(genesis.content)


def test_a_bare_chain_is_not_private(tmp_path: Path) -> None:
    place = Place(tmp_path / "devnet", load_scenario(find_scenario("street-8")), Options(market=False))
    assert not place.private
    assert "sealing" not in genesis_content(place)
