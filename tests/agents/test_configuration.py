from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.configuration import load_household, load_operator, render_household, render_operator
from agents.errors import ConfigError
from agents.keys import KeyFileError, create_key, load_key, read_passphrase
from agents.trading.plan import Hours
from agents.trading.strategy import Limits
from node.cli import app

LIMITS = "opening = 140000\nreserve = 255000\nrounds = 5\n"
STORAGE = (
    "[battery]\ncapacity_wh = 13700\npower_w = 6800\nreserve_wh = 1370\n"
    "[strategy]\n[strategy.storage]\ncharge_hours = [7, 16]\nsell_hours = [17, 23]\n"
    f"[strategy.storage.buy]\n{LIMITS}[strategy.storage.sell]\n{LIMITS}"
)


def write(folder: Path, rest: str = "", **changes: str) -> Path:
    text = render_household(
        name="L7", connection="LV4.101-L7", rpc="http://127.0.0.1:8545", listen="127.0.0.1:9001", data="data", rest=rest
    )
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "household.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_init_writes_can_be_read(tmp_path: Path) -> None:
    config = load_household(write(tmp_path))
    assert config.trading.buy == Limits(140_000, 255_000, 5)
    assert (config.battery, config.trading.storage) == (None, None)
    assert config.data == tmp_path / "data"
    stored = load_household(write(tmp_path, STORAGE))
    assert stored.battery is not None
    assert stored.start_soc_wh == stored.battery.reserve_wh == 1_370
    assert stored.trading.storage is not None
    assert stored.trading.storage.charge_hours == Hours(7, 16)
    (tmp_path / "operator.toml").write_text(render_operator(rpc="http://127.0.0.1:8545"), encoding="utf-8")
    assert load_operator(tmp_path / "operator.toml").fund_microeur == 50_000_000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rounds = 5", "rounds = 0", r"strategy\.buy\.rounds: expected a whole number from 1 to 50, found 0"),
        ("opening = 140000", "opening = 140500", r"strategy\.buy\.opening: expected .* in steps of 1000"),
        ("[strategy.sell]", "[strategy.sel]", r"strategy\.sel: expected no such key"),
        ('name = "L7"', "name = 7", r"household\.name: expected a string, found 7"),
        ("127.0.0.1:9001", "9001", r"household\.listen: expected HOST:PORT"),
        ("day-before", "tea", r"profiles\.forecast: expected one of day-before, persistence, perfect"),
        ("[profiles]", "[profile]", "profiles: expected a table, but it is missing"),
        ("[household]", "[household", "the file: expected TOML"),
    ],
)
def test_a_wrong_configuration_names_file_key_and_expectation(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = write(tmp_path, **{old: new})
    with pytest.raises(ConfigError, match=expected) as caught:
        load_household(path)
    assert caught.value.path == path


def test_storage_needs_a_battery(tmp_path: Path) -> None:
    path = write(tmp_path, STORAGE[STORAGE.index("[strategy]") :])
    with pytest.raises(ConfigError, match=r"strategy\.storage: expected a \[battery\]"):
        load_household(path)


def test_in_private_a_battery_trades_at_the_prices_of_its_household(tmp_path: Path) -> None:
    path = write(tmp_path, STORAGE, **{"private = false": "private = true"})
    with pytest.raises(ConfigError, match=r"strategy\.storage\.buy: .* another price would name the battery"):
        load_household(path)
    rest = STORAGE[: STORAGE.index("[strategy.storage.buy]")] + f"[strategy.buy]\n{LIMITS}[strategy.sell]\n{LIMITS}"
    config = load_household(write(tmp_path, rest, **{"private = false": "private = true"}))
    assert config.trading.storage is not None
    assert (config.trading.storage.buy, config.trading.storage.sell) == (config.trading.buy, config.trading.sell)


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    account = create_key(path, b"secret", private_key=b"k" * 32, work_factor=2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path, b"secret").public_key.to_canonical_address() == account
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_key(path, b"secret", work_factor=2)
    with pytest.raises(KeyFileError, match="another passphrase"):
        load_key(path, b"wrong")
    with pytest.raises(KeyFileError, match="readable key file"):
        load_key(tmp_path / "none.json", b"secret")
    for text in ("{", "{}", "[]", '{"version": 3}'):
        (tmp_path / "bad.json").write_text(text, encoding="ascii")
        with pytest.raises(KeyFileError, match="keystore"):
            load_key(tmp_path / "bad.json", b"secret")


def test_the_passphrase_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "passphrase").write_text("secret\n", encoding="ascii")
    assert read_passphrase(tmp_path / "passphrase") == b"secret"
    monkeypatch.delenv("GRIDPACT_PASSPHRASE", raising=False)
    with pytest.raises(KeyFileError, match="GRIDPACT_PASSPHRASE"):
        read_passphrase(None)
    monkeypatch.setenv("GRIDPACT_PASSPHRASE", "other")
    assert read_passphrase(None) == b"other"


def test_every_command_has_help() -> None:
    runner = CliRunner()
    for command in ("init", "run", "init-operator", "operator", "bill"):
        result = runner.invoke(app, ["household", command, "--help"])
        assert result.exit_code == 0, result.output


def test_init_writes_a_folder_once_and_a_wrong_configuration_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.keys.create_key.__kwdefaults__", {"private_key": None, "work_factor": 2})
    runner = CliRunner()
    arguments = ["--name", "L7", "--connection", "LV4.101-L7", "--data", str(tmp_path)]
    folder = tmp_path / "home"
    done = runner.invoke(app, ["household", "init", "--directory", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    assert "household 0x" in done.output
    assert load_household(folder / "household.toml").name == "L7"
    again = runner.invoke(app, ["household", "init", "--directory", str(folder), *arguments])
    assert again.exit_code == 2
    assert "this one is in use" in again.output
    operator = runner.invoke(app, ["household", "init-operator", "--directory", str(tmp_path / "operator")])
    assert operator.exit_code == 0, operator.output
    broken = runner.invoke(app, ["household", "run", "--config", str(tmp_path / "none.toml")])
    assert broken.exit_code == 2
    assert "expected a readable file" in broken.output
