"""`gridpact genesis`: what founders decide becomes a file that every node takes, or is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.genesis import load_genesis
from node.genesis_commands import COLUMNS
from tests.node.samples import account_key, address_of, hex_of, node_key

HOUSES = [
    (
        f"house-{index}",
        hex_of(address_of(account_key(f"house {index}"))),
        hex_of(bytes(node_key(index).verify_key)),
        f"127.0.0.1:{30_300 + index}",
    )
    for index in range(4)
]
METER = hex_of(address_of(account_key("meter")))


def run(*words: str | Path, given: str | None = None) -> tuple[int, str]:
    """Run a command; return its exit status and what it printed."""
    done = CliRunner().invoke(app, ["genesis", *map(str, words)], input=given, catch_exceptions=False)
    return done.exit_code, done.stdout


def refused(*words: str | Path, said: str) -> None:
    """Run a command that must say on stderr what it wants."""
    done = CliRunner().invoke(app, ["genesis", *map(str, words)])
    assert done.exit_code == 2
    assert said in done.stderr


def flags(count: int = 4) -> list[str]:
    """Return the flags of some members."""
    return [word for house in HOUSES[:count] for word in ("--member", ",".join(house))]


def members_toml(folder: Path) -> Path:
    """Write the members, one with a meter."""
    rows = [
        "[[member]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in zip(COLUMNS, house, strict=True))
        for house in HOUSES
    ]
    meter = f'[[meter]]\nmeter = "{METER}"\nhousehold = "{HOUSES[1][1]}"\nconnection = "L1"\n'
    (folder / "members.toml").write_text("\n".join([*rows, meter]))
    return folder / "members.toml"


def members_csv(folder: Path) -> Path:
    """Write the members as a table."""
    (folder / "members.csv").write_text("\n".join(",".join(row) for row in (COLUMNS, *HOUSES)) + "\n")
    return folder / "members.csv"


def test_flags_a_table_and_answers_make_the_same_chain(tmp_path: Path) -> None:
    common = ["--start", "1466460000", "--gas-limit", "5000000", "--json", "--alloc", f"{METER}=7"]
    answers = "\n".join(["4711", "4", *(field for house in HOUSES for field in house)]) + "\n"
    made = [
        run("new", "--out", tmp_path / "a.json", "--chain-id", "4711", *flags(), *common)[1],
        run("new", "--out", tmp_path / "b.json", "--chain-id", "4711", "--members", members_csv(tmp_path), *common)[1],
        run("new", "--out", tmp_path / "c.json", "--interactive", *common, given=answers)[1],
    ]
    said: list[dict[str, Any]] = [json.loads(text[text.index('{"file"') :]) for text in made]
    assert len({each["block0"] for each in said}) == 1
    assert (said[0]["chainId"], said[0]["gasLimit"], said[0]["balances"]) == (4711, 5_000_000, 1)
    status, shown = run("show", tmp_path / "a.json")
    assert status == 0
    assert f"block 0   {said[0]['block0']}" in shown
    assert all(f"member    {name}: {account}, node key {key}" in shown for name, account, key, _ in HOUSES)
    assert json.loads(run("check", tmp_path / "a.json", "--json")[1]) == {"valid": True, "block0": said[0]["block0"]}


def test_a_file_of_members_brings_meters_for_which_their_household_vouches(tmp_path: Path) -> None:
    out = tmp_path / "genesis.json"
    words: list[str | Path] = [
        "--chain-id",
        "1",
        "--members",
        members_toml(tmp_path),
        "--clock",
        "0:600",
        "--clock",
        "24:60",
    ]
    run("new", "--out", out, *words, "--open-accounts", "--tariff", "public-grid")
    genesis = load_genesis(out)
    assert genesis.clock_steps == ((0, 600), (24, 60))
    assert genesis.content["members"][1]["vouched"] == [METER]
    assert genesis.content["tariffs"][0]["preset"] == "public-grid"
    assert genesis.content["rules"]["open_accounts"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*flags()], "--chain-id"),
        (["--chain-id", "1"], "--member"),
        (["--chain-id", "1", "--member", "a,b"], "NAME,ACCOUNT,NODE_KEY,ENDPOINT"),
        (["--chain-id", "1", "--member", "a,0x12,0x34,h:1"], "a node key of 0x and 64 digits for a"),
        (["--chain-id", "1", *flags(), *flags(1)], "a different node_key for every member"),
        (["--chain-id", "1", *flags(), "--tariff", "free"], "shared-connection or public-grid"),
        (["--chain-id", "1", *flags(), "--clock", "1:60"], "rising windows from 0"),
        (["--chain-id", "1", *flags(), "--clock", "fast"], "WINDOW:SCALE"),
        (["--chain-id", "1", *flags(), "--alloc", "0x12=1"], "an account of 0x and 40 digits"),
        (["--chain-id", "1", *flags(), "--gas-limit", "1"], "block_gas_limit"),
    ],
)
def test_what_makes_no_chain_is_refused_and_nothing_is_written(tmp_path: Path, words: list[str], said: str) -> None:
    refused("new", "--out", tmp_path / "genesis.json", *words, said=said)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_written_over_and_a_spoilt_one_is_told(tmp_path: Path) -> None:
    out = tmp_path / "genesis.json"
    run("new", "--out", out, "--chain-id", "1", *flags(1))
    refused("new", "--out", out, "--chain-id", "1", *flags(1), said="a new file")
    out.write_text(out.read_text().replace('"chain_id": 1', '"chain_id": "one"'))
    status, said = run("check", out)
    assert status == 1
    assert "chain_id" in said
