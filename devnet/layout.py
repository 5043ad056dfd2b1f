"""What a devnet writes: keys, genesis file and configurations, for the commands that a real household uses."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.auditing.configuration import AUDITOR_CONFIG, render_auditor
from agents.configuration import HOUSEHOLD_CONFIG, OPERATOR_CONFIG, render_household, render_operator
from agents.keys import create_key
from devnet.accounts import (
    MNEMONIC_ACCOUNTS,
    MNEMONIC_BALANCE_WEI,
    PASSPHRASE,
    derived_key,
    mnemonic_addresses,
    mnemonic_keys,
)
from devnet.auditors import AuditorKeys, devnet_auditors, genesis_sections
from devnet.scenario import DATA, HouseholdPlan, Scenario
from node.config import CONFIG_NAME
from node.evidence import reporter_account
from node.genesis_template import Connection, Founder
from node.genesis_template import genesis_content as template_content
from node.keys import ACCOUNT_KIND, NODE_KIND, SCRYPT_LIGHT, account_address, node_key_of, save_key

CHAIN_ID = 20_160_621
MAX_CHAIN_ID = 2**52  # of a genesis file
VIEW_TIMEOUT_MS = 3_000
AGENTS_ABOVE, P2P_ABOVE = 5_000, 10_000  # ports above the RPC port
MAX_RPC_PORT = 22_000  # so that all ports stay below those that the system hands out itself
SNAPSHOT_HEIGHTS = 8  # so that a newcomer to a young devnet finds one
AGENT_FOLDER = "household"
NODE_FOLDER = "node"
OPERATOR_FOLDER = "operator"
AUDITOR_FOLDER = "auditor"
WIRES_FOLDER = "street"
WITNESSES = 2  # nodes of other members that an auditor asks for the sums, too


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Args:
        rpc_port: of the first node; the others follow, p2p and agents at fixed distances above.
        market: whether agents run; without them the chain clock is the wall clock.
        open_accounts: whether every account may send.
        tariff: a preset, in place of the scenario's.
        private: whether the street is private even if its scenario does not say so.
        unlock: whether every node signs for the mnemonic's accounts, which needs open accounts.
        heartbeat_s: after how many wall seconds an idle chain makes an empty block; 0: never.
        chain_id: the chain's id.
        cors_origins: of web pages that may call the nodes.
    """

    rpc_port: int = 8545
    market: bool = True
    open_accounts: bool = False
    tariff: str | None = None
    private: bool = False
    unlock: bool = False
    heartbeat_s: int = 0
    chain_id: int = CHAIN_ID
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of one devnet is."""

    root: Path
    scenario: Scenario
    options: Options

    @property
    def count(self) -> int:
        """The number of households."""
        return len(self.scenario.households)

    @property
    def validators(self) -> int:
        """The number of households that run a node."""
        return self.scenario.validators

    @property
    def private(self) -> bool:
        """Whether meters, offers, trades and payments are private; a bare chain has none of them."""
        return self.options.market and (self.scenario.private or self.options.private)

    def node_of(self, household: int) -> int:
        """Return the node that a household uses: its own, or that of the member which vouches for it."""
        return household % self.validators

    def node(self, index: int) -> Path:
        """Return a validator's data directory."""
        return self.root / f"{NODE_FOLDER}-{index}"

    def household(self, index: int) -> Path:
        """Return the folder of a household's agents."""
        return self.root / f"{AGENT_FOLDER}-{index}"

    @property
    def operator(self) -> Path:
        """The operator's folder."""
        return self.root / OPERATOR_FOLDER

    def auditor(self, number: int) -> Path:
        """Return the folder of an auditor, by its number from 1."""
        return self.root / f"{AUDITOR_FOLDER}-{number}"

    @property
    def genesis(self) -> Path:
        """The genesis file."""
        return self.root / "genesis.json"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase of all keys."""
        return self.root / "passphrase"

    def rpc(self, index: int) -> str:
        """Return where a node serves RPC, HOST:PORT."""
        return f"127.0.0.1:{self.options.rpc_port + index}"

    def p2p(self, index: int) -> str:
        """Return where a node listens for validators, HOST:PORT."""
        return f"127.0.0.1:{self.options.rpc_port + P2P_ABOVE + index}"

    def agents(self, index: int) -> str:
        """Return where a household's agents listen, HOST:PORT."""
        return f"127.0.0.1:{self.options.rpc_port + AGENTS_ABOVE + index}"

    @property
    def tariff(self) -> str:
        """The tariff preset in force."""
        return self.options.tariff or self.scenario.tariff


def write_devnet(place: Place) -> None:
    """Write passphrase, keys, genesis file and the agents' configurations into an empty folder."""
    place.root.mkdir(parents=True, exist_ok=True)
    place.passphrase.write_text(PASSPHRASE + "\n", encoding="ascii")
    for index in range(place.validators):
        save_key(_node_key_path(place, index), derived_key(f"node {index}"), PASSPHRASE, NODE_KIND, SCRYPT_LIGHT)
    for index in range(place.count):
        _write_key(place.household(index) / "household-key.json", f"household {index}")  # a member votes without agents
        _write_text(place.household(index) / "passphrase", PASSPHRASE + "\n")
    if place.options.market:
        for index, plan in enumerate(place.scenario.households):
            _write_household(place, index, plan)
        _write_key(place.operator / "operator-key.json", "operator")
        text = render_operator(
            rpc=f"http://{place.rpc(0)}",
            fund_microeur=place.scenario.first_money_microeur,
            private=place.private,
            wires=[_wire(index) for index in range(place.count)] if place.private else (),
        )
        _write_text(place.operator / OPERATOR_CONFIG, text)
        _write_text(place.operator / "passphrase", PASSPHRASE + "\n")
    if place.options.unlock:
        for index, secret in enumerate(mnemonic_keys()):
            save_key(_unlocked_key_path(place, index), secret, PASSPHRASE, ACCOUNT_KIND, SCRYPT_LIGHT)
    if place.private:
        _write_key(place.operator / "feeder-key.json", "feeder")
        for keys in devnet_auditors(place.options.chain_id).keys:
            _write_auditor(place, keys)
    place.genesis.write_text(json.dumps(genesis_content(place), indent=2) + "\n", encoding="utf-8")


def init_command(place: Place, index: int) -> list[str]:
    """Return the words of the command that makes a validator's data directory; if it is voted out it follows others."""
    others = [number for number in range(place.validators) if number != index]
    return [
        "node",
        "init",
        "--data",
        str(place.node(index)),
        "--genesis",
        str(place.genesis),
        "--key",
        str(_node_key_path(place, index)),
        "--passphrase-file",
        str(place.passphrase),
        "--p2p",
        place.p2p(index),
        "--rpc",
        place.rpc(index),
        "--snapshot-every",
        str(SNAPSHOT_HEIGHTS),
        *(word for other in others for word in ("--follow", f"http://{place.rpc(other)}")),
    ]


def unlock_accounts(place: Place) -> None:
    """Add to every node's configuration the keystores of the accounts that it signs for."""
    names = [f"../keys/{_unlocked_key_path(place, index).name}" for index in range(MNEMONIC_ACCOUNTS)]
    section = f'\n[accounts]\nkeystores = {json.dumps(names)}\npassphrase_file = "../{place.passphrase.name}"\n'
    for index in range(place.validators):
        with (place.node(index) / CONFIG_NAME).open("a", encoding="utf-8") as file:
            file.write(section)


def set_heartbeat(place: Place) -> None:
    """Add to every node's configuration after how long an idle leader proposes an empty block."""
    for index in range(place.validators):
        with (place.node(index) / CONFIG_NAME).open("a", encoding="utf-8") as file:
            file.write(f"\n[consensus]\nheartbeat_ms = {1000 * place.options.heartbeat_s}\n")


def allow_origins(place: Place) -> None:
    """Name in every node's configuration the web pages that may call it."""
    for index in range(place.validators):
        path = place.node(index) / CONFIG_NAME
        text = path.read_text(encoding="utf-8")
        allowed = f"cors_origins = {json.dumps(place.options.cors_origins)}"
        path.write_text(text.replace("cors_origins = []", allowed), encoding="utf-8")


def genesis_content(place: Place) -> dict[str, Any]:
    """Return the genesis file of the devnet, its chain clock starting a moment from now."""
    scenario, options = place.scenario, place.options
    now_ms = time.time_ns() // 1_000_000
    households = [account_address(derived_key(f"household {i}")) for i in range(place.count)]
    meters = [account_address(derived_key(f"meter {i}")) for i in range(place.count)]
    operator = account_address(derived_key("operator"))
    everyone = mnemonic_addresses()
    vouched = [everyone[i :: place.validators] for i in range(place.validators)]
    for i in range(place.count):
        vouched[place.node_of(i)] += [meters[i]] if i < place.validators else [meters[i], households[i]]
    for i in range(place.validators):
        vouched[i].append(bytes.fromhex(reporter_account(derived_key(f"node {i}")).address[2:]))
    vouched[0].append(operator)
    private: dict[str, Any] = {}
    if place.private:
        feeder = account_address(derived_key("feeder"))
        private = genesis_sections(options.chain_id, feeder)
        vouched[0] += [feeder, *(auditor.account for auditor in devnet_auditors(place.options.chain_id).keys)]
    if options.market:
        steps = [list(step) for step in scenario.clock_steps]
        clock = {"wall_start_ms": now_ms + scenario.start_lead_s * 1000, "steps": steps}
        zero_s = scenario.window_zero_s
    else:
        zero_s = now_ms // 1000
        clock = {"wall_start_ms": zero_s * 1000, "steps": [[0, 1]]}
    return template_content(
        chain_id=options.chain_id,
        start_s=zero_s,
        clock=clock,
        rules={"open_accounts": options.open_accounts or options.unlock, "view_timeout_ms": VIEW_TIMEOUT_MS},
        schedule=scenario.schedule,
        members=[
            Founder(
                plan.connection,
                node_key_of(derived_key(f"node {i}")),
                place.p2p(i),
                households[i],
                tuple(vouched[i]),
            )
            for i, plan in enumerate(scenario.households[: place.validators])
        ],
        operator=operator,
        connections=[
            Connection(meters[i], households[i], plan.connection) for i, plan in enumerate(scenario.households)
        ],
        tariff=place.tariff,
        market=scenario.market,
        balances=dict.fromkeys(everyone, MNEMONIC_BALANCE_WEI),
        more=private,
    )


def _write_household(place: Place, index: int, plan: HouseholdPlan) -> None:
    folder = place.household(index)
    _write_key(folder / "meter-key.json", f"meter {index}")
    text = render_household(
        name=plan.connection,
        connection=plan.connection,
        rpc=f"http://{place.rpc(place.node_of(index))}",
        listen=place.agents(index),
        data=str(DATA),
        load_shift_weeks=plan.load_shift_weeks,
        private=place.private,
        wire=_wire(index) if place.private else "",
        rest=_agent_tables({**(place.scenario.strategy or {}), **plan.tables}),
    )
    _write_text(folder / HOUSEHOLD_CONFIG, text)


def _write_auditor(place: Place, keys: AuditorKeys) -> None:
    folder = place.auditor(keys.number)
    _write_key(folder / "auditor-key.json", f"auditor {keys.number}")
    share = keys.share.to_bytes(32, "big")
    create_key(folder / "share.json", PASSPHRASE.encode(), private_key=share, work_factor=SCRYPT_LIGHT)
    create_key(folder / "box-key.json", PASSPHRASE.encode(), private_key=keys.box_key, work_factor=SCRYPT_LIGHT)
    nodes = [f"http://{place.rpc((keys.number - 1 + offset) % place.validators)}" for offset in range(WITNESSES + 1)]
    _write_text(folder / AUDITOR_CONFIG, render_auditor(rpc=nodes[0], confirm=nodes[1:]))
    _write_text(folder / "passphrase", PASSPHRASE + "\n")


def _wire(index: int) -> str:
    """Return the file that stands for a connection's wire, as seen from the folder of any agent."""
    return f"../{WIRES_FOLDER}/wire-{index}"


def _agent_tables(tables: Mapping[str, Any]) -> str:
    """Return the [battery] and [strategy] tables of a household as TOML."""
    lines: list[str] = []
    if "battery" in tables:
        lines += ["[battery]", *_entries(tables["battery"]), ""]
    lines += ["[strategy]", 'name = "concession"', ""]
    for key in ("buy", "sell"):
        if key in tables:
            lines += [f"[strategy.{key}]", *_entries(tables[key]), ""]
    storage = tables.get("storage")
    if storage is not None:
        plain = {key: value for key, value in storage.items() if not isinstance(value, dict)}
        lines += ["[strategy.storage]", *_entries(plain), ""]
        for key in ("buy", "sell"):
            if key in storage:
                lines += [f"[strategy.storage.{key}]", *_entries(storage[key]), ""]
    return "\n".join(lines)


def _entries(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


def _node_key_path(place: Place, index: int) -> Path:
    return place.root / "keys" / f"{NODE_FOLDER}-{index}.json"


def _unlocked_key_path(place: Place, index: int) -> Path:
    return place.root / "keys" / f"account-{index}.json"


def _write_key(path: Path, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    create_key(path, PASSPHRASE.encode(), private_key=derived_key(what), work_factor=SCRYPT_LIGHT)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
