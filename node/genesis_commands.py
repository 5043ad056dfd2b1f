"""`gridpact genesis`: write the file that a chain begins with, and look at one."""

from __future__ import annotations

import csv
import io
import json
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.tariffs import PRESETS
from node.genesis import MAX_TIME_SCALE, Genesis, load_genesis, parse_genesis
from node.genesis_template import MAX_POWER_W, Connection, Founder, genesis_content
from node.output import emit
from node.parsing import ConfigError, Table, parse_hex

app = typer.Typer(help="Write the file that a chain begins with, and look at one.", no_args_is_help=True)

COLUMNS = ("name", "account", "node_key", "endpoint")  # of a member
DEFAULT_GAS_LIMIT = 10_000_000
MAX_FILE_BYTES = 1024 * 1024
FLAGS = "command line"

File = Annotated[Path, typer.Argument(help="A genesis file.")]


@app.callback()
def root() -> None:
    """Write the file that a chain begins with, and look at one.

    Exit status: 0 done, 1 a file is no genesis file (`check`), 2 an error.
    """


@app.command()
def new(
    out: Annotated[Path, typer.Option(help="The new genesis file; it must not exist.")],
    chain_id: Annotated[int | None, typer.Option(help="As in EIP-155; another one than any chain nearby.")] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="NAME,ACCOUNT,NODE_KEY,HOST:PORT of a founding member; repeat it for each.")
    ] = None,
    members: Annotated[
        Path | None, typer.Option(help="TOML with tables `member` and `meter`, or CSV with the columns of --member.")
    ] = None,
    tariff: Annotated[str, typer.Option(help=f"The first tariff: {' or '.join(PRESETS)}.")] = "shared-connection",
    gas_limit: Annotated[int, typer.Option(help="Of a block.")] = DEFAULT_GAS_LIMIT,
    clock: Annotated[
        list[str] | None, typer.Option(help="WINDOW:SCALE, chain seconds for a second from a window on; repeatable.")
    ] = None,
    start: Annotated[int | None, typer.Option(help="Time of block 0, in Unix seconds; else now.")] = None,
    operator: Annotated[str | None, typer.Option(help="Issues the money; else the first member's account.")] = None,
    open_accounts: Annotated[bool, typer.Option(help="Let every account send: for devnets.")] = False,
    alloc: Annotated[list[str] | None, typer.Option(help="ACCOUNT=WEI at block 0; repeatable.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for what is not given.")] = False,
) -> None:
    """Write a checked genesis file.

    What it does not ask for is changed by the members' votes later, or in the file before anybody uses it: every byte
    counts, and `gridpact genesis check` shows whether it is a genesis file still.

    Example: gridpact genesis new --out genesis.json --chain-id 4711 --members members.toml
    """
    founders, connections = _read_members(members) if members else ([], [])
    founders += [_member(text.split(","), FLAGS, "--member") for text in member or []]
    if interactive:
        chain_id = chain_id or typer.prompt("chain id", type=int, err=True)
        founders += _ask_members(len(founders))
    if chain_id is None or not founders:
        missing = "--chain-id" if chain_id is None else "--member"
        raise ConfigError(FLAGS, missing, "it; or --interactive, to be asked")
    if tariff not in PRESETS:
        raise ConfigError(FLAGS, "--tariff", " or ".join(PRESETS))
    start_s = int(time.time()) if start is None else start
    payer = founders[0].account if operator is None else _account(operator, FLAGS, "--operator")
    content = genesis_content(
        chain_id=chain_id,
        start_s=start_s,
        clock={"wall_start_ms": start_s * 1000, "steps": [_step(text) for text in clock or ["0:1"]]},
        rules={"open_accounts": open_accounts, "block_gas_limit": gas_limit},
        members=_vouch(founders, payer, connections),
        operator=payer,
        tariff=tariff,
        connections=connections,
        balances=dict(_allocation(text) for text in alloc or []),
    )
    summary = _summary(parse_genesis(content, out))
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(out, "", f"a new file ({error.strerror})") from None
    _tell(out, summary)


@app.command()
def show(file: File) -> None:
    """Print what a genesis file says, and the hash of the block 0 that it makes.

    Example: gridpact genesis show genesis.json
    """
    _tell(file, _summary(load_genesis(file)))


@app.command()
def check(file: File) -> None:
    """Check a genesis file; exit status 1 if it is none, with what is wrong and where.

    Example: gridpact genesis check genesis.json
    """
    try:
        summary = _summary(load_genesis(file))
    except ConfigError as error:
        emit({"valid": False, "offence": str(error)}, str(error))
        raise typer.Exit(1) from None
    block = summary["block0"]
    emit({"valid": True, "block0": block}, f"{file}: good, block 0 is {block}")


def _summary(genesis: Genesis) -> dict[str, Any]:
    """Return what matters of a genesis file; its block 0 is made, so that everything in it is judged."""
    from node.application import make_block_0, make_genesis
    from node.rules import RuleBook

    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    sealed = make_block_0(genesis, rules) if genesis.continues is not None else make_genesis(genesis, rules)[0]
    return {
        "chainId": genesis.chain_id,
        "block0": "0x" + sealed.header.hash.hex(),
        "fileHash": "0x" + genesis.file_hash.hex(),
        "time": genesis.genesis_time_s,
        "clock": [list(step) for step in genesis.clock_steps],
        "gasLimit": rules.block_gas_limit,
        "openAccounts": rules.open_accounts,
        "tariffs": [str(each.get("preset", "")) for each in genesis.content["tariffs"]],
        "meters": len(genesis.content["meters"]),
        "balances": len(genesis.balances),
        "members": [
            {
                "name": each.name,
                "account": "0x" + each.account.hex(),
                "nodeKey": "0x" + each.node_key.hex(),
                "endpoint": f"{each.endpoint[0]}:{each.endpoint[1]}",
            }
            for each in genesis.members
        ],
    }


def _tell(file: Path, summary: dict[str, Any]) -> None:
    clock = ", ".join(f"{scale} x from window {window} on" for window, scale in summary["clock"])
    senders = "every account" if summary["openAccounts"] else "vouched accounts"
    emit(
        {"file": file} | summary,
        f"{file}: chain {summary['chainId']}, {len(summary['members'])} members, {summary['meters']} meters",
        f"block 0   {summary['block0']}",
        f"clock     from {summary['time']}, {clock}",
        f"rules     {summary['gasLimit']} gas a block; {senders} may send",
        f"tariffs   {', '.join(summary['tariffs'])}",
        *(
            f"member    {each['name']}: {each['account']}, node key {each['nodeKey']}, at {each['endpoint']}"
            for each in summary["members"]
        ),
    )


def _read_members(path: Path) -> tuple[list[Founder], list[Connection]]:
    """Return the members and meters of a TOML or CSV file."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(path, "", f"at most {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"a readable file ({error})") from None
    if path.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(text))
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ConfigError(path, "first line", ",".join(COLUMNS))
        return [_member([row[name] or "" for name in COLUMNS], path, f"line {rows.line_num}") for row in rows], []
    try:
        top = Table(path, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, "", f"TOML, or CSV in a file that ends with .csv ({error})") from None
    founders, connections = [], []
    for row in top.tables("member"):
        vouched = tuple(_account(each, path, "member.vouched") for each in row.strings("vouched", []))
        found = _member([row.text(name) for name in COLUMNS], path, "member")
        founders.append(Founder(found.name, found.node_key, found.p2p, found.account, vouched))
        row.close()
    for row in top.tables("meter") if top.has("meter") else []:
        place = row.data("meter", 20), row.data("household", 20), row.text("connection")
        connections.append(Connection(*place, row.integer("max_power_w", 1, 10**9, MAX_POWER_W)))
        row.close()
    top.close()
    return founders, connections


def _member(fields: Sequence[str], path: Path | str, key: str) -> Founder:
    if len(fields) != len(COLUMNS):
        raise ConfigError(path, key, ",".join(COLUMNS).upper())
    name, account, node_key, endpoint = (field.strip() for field in fields)
    public = parse_hex(node_key, 32, lambda: ConfigError(path, key, f"a node key of 0x and 64 digits for {name}"))
    return Founder(name, public, endpoint, _account(account, path, key))


def _ask_members(known: int) -> list[Founder]:
    found: list[Founder] = []
    count = typer.prompt("further members", type=int, default=max(0, 4 - known), err=True)
    for number in range(known + 1, known + count + 1):
        fields = [typer.prompt(f"member {number}: {name.replace('_', ' ')}", err=True) for name in COLUMNS]
        found.append(_member(fields, "prompt", f"member {number}"))
    return found


def _vouch(founders: Sequence[Founder], operator: bytes, connections: Sequence[Connection]) -> list[Founder]:
    """Let the households vouch for their meters, and the first member for the operator, unless somebody does."""
    vouched = {each for founder in founders for each in (*founder.vouched, founder.account)}
    more: dict[bytes, list[bytes]] = {founder.account: [] for founder in founders}
    first = founders[0].account
    for household, account in [(each.household, each.meter) for each in connections] + [(first, operator)]:
        if account not in vouched:
            more.get(household, more[first]).append(account)
            vouched.add(account)
    return [
        Founder(each.name, each.node_key, each.p2p, each.account, (*each.vouched, *more[each.account]))
        for each in founders
    ]


def _account(text: str, path: Path | str, key: str) -> bytes:
    return parse_hex(text, 20, lambda: ConfigError(path, key, f"an account of 0x and 40 digits, found {text!r}"))


def _step(text: str) -> list[int]:
    window, _, scale = text.partition(":")
    if not (window.isdecimal() and scale.isdecimal()):
        raise ConfigError(FLAGS, "--clock", f"WINDOW:SCALE, scales from 1 to {MAX_TIME_SCALE}, found {text!r}")
    return [int(window), int(scale)]


def _allocation(text: str) -> tuple[bytes, int]:
    account, _, wei = text.partition("=")
    if not wei.isdecimal():
        raise ConfigError(FLAGS, "--alloc", f"ACCOUNT=WEI, found {text!r}")
    return _account(account, FLAGS, "--alloc"), int(wei)
