"""`gridpact household`: set up and run a household's agents or the operator, and print a household's bill."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from agents.configuration import (
    HOUSEHOLD_CONFIG,
    OPERATOR_CONFIG,
    load_household,
    load_operator,
    render_household,
    render_operator,
)
from agents.keys import KeyFileError, create_key
from agents.reporting import emit, guarded

if TYPE_CHECKING:
    from agents.private.bill import WindowBill
    from agents.statement import Statement

app = typer.Typer(no_args_is_help=True, help="A household's agents: meter, sun, battery, buyer, seller; its bill.")

ConfigOption = Annotated[Path, typer.Option("--config", help="The configuration file.")]
DirectoryOption = Annotated[Path, typer.Option("--directory", help="A new folder for configuration, keys and journal.")]
RpcOption = Annotated[str, typer.Option("--rpc", help="The household's own node.")]


@app.command()
def init(
    directory: DirectoryOption,
    name: Annotated[str, typer.Option("--name", help="The household's name.")],
    connection: Annotated[str, typer.Option("--connection", help="Its connection in the profile data.")],
    data: Annotated[Path, typer.Option("--data", help="The folder with the profile data.")],
    rpc: RpcOption = "http://127.0.0.1:8545",
    listen: Annotated[str, typer.Option("--listen", help="Where its agents listen, HOST:PORT.")] = "127.0.0.1:9001",
    load_shift_weeks: Annotated[int, typer.Option("--load-shift-weeks", help="Shift of the household load.")] = 0,
) -> None:
    """Write a household's configuration and keys; print the accounts that a genesis file needs.

    Example: gridpact household init --directory house --name ours --connection LV4.101-L16 --data profiles
    """

    def write() -> None:
        passphrase = _new_folder(directory)
        account = create_key(directory / "household-key.json", passphrase)
        meter = create_key(directory / "meter-key.json", passphrase)
        text = render_household(
            name=name,
            connection=connection,
            rpc=rpc,
            listen=listen,
            data=str(data.resolve()),
            load_shift_weeks=load_shift_weeks,
        )
        (directory / HOUSEHOLD_CONFIG).write_text(text, encoding="utf-8")
        file = directory / HOUSEHOLD_CONFIG
        shown = (f"household 0x{account.hex()}", f"meter     0x{meter.hex()}", str(file))
        emit({"household": account, "meter": meter, "file": file}, *shown)

    guarded(write)


@app.command()
def run(config: ConfigOption) -> None:
    """Run a household's agents until interrupted.

    Example: gridpact household run --config house/household.toml
    """

    def start() -> None:
        from agents.household import Household

        run_until_signal(Household(load_household(config)).run)

    guarded(start)


@app.command("init-operator")
def init_operator(directory: DirectoryOption, rpc: RpcOption = "http://127.0.0.1:8545") -> None:
    """Write the operator's configuration and key; print its account.

    Example: gridpact household init-operator --directory operator
    """

    def write() -> None:
        account = create_key(directory / "operator-key.json", _new_folder(directory))
        (directory / OPERATOR_CONFIG).write_text(render_operator(rpc=rpc), encoding="utf-8")
        file = directory / OPERATOR_CONFIG
        emit({"operator": account, "file": file}, f"operator 0x{account.hex()}", str(file))

    guarded(write)


@app.command()
def operator(config: ConfigOption) -> None:
    """Run the microgrid operator until interrupted: it issues first money, settles windows, watches the balance.

    Example: gridpact household operator --config operator/operator.toml
    """

    def start() -> None:
        from agents.operator import Operator

        run_until_signal(Operator(load_operator(config)).run)

    guarded(start)


@app.command()
def bill(config: ConfigOption) -> None:
    """Print the household's bill with and without the market, from its journal and the chain.

    Example: gridpact household bill --config house/household.toml
    """

    def show() -> None:
        from agents.statement import make_statement

        statement = asyncio.run(make_statement(load_household(config)))
        table = Table("", "with the market", "without", "difference", title=statement.title)
        for label, with_, without in statement.rows:
            table.add_row(
                label, f"{with_ / 1e6:+.4f} €", f"{without / 1e6:+.4f} €", f"{(with_ - without) / 1e6:+.4f} €"
            )
        tables = [windows_table(statement.windows)] if statement.windows else []
        tables += [table] if statement.rows else []
        emit(_bill_json(statement), *tables, *statement.notes)

    guarded(show)


def _bill_json(statement: Statement) -> dict[str, Any]:
    energies = ("bought_wh", "sold_wh", "grid_wh", "fed_in_wh")
    money = ("contracts_microeur", "grid_microeur", "penalties_microeur", "paid_microeur")
    return {
        "rows": [
            {"what": label, "with_microeur": with_, "without_microeur": without}
            for label, with_, without in statement.rows
        ],
        "windows": [
            {"window": each.window} | {name: getattr(each, name) for name in energies + money}
            for each in statement.windows
        ],
        "notes": list(statement.notes),
    }


def windows_table(bills: Sequence[WindowBill]) -> Table:
    """Return the bills of private windows, and their sums."""
    table = Table(title="by window: kWh, and euro to pay", title_justify="left", box=None, padding=(0, 1, 0, 0))
    headings = ("window", "bought", "sold", "from grid", "to grid", "contracts", "grid", "penalties", "to pay")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    energies = [(each.bought_wh, each.sold_wh, each.grid_wh, each.fed_in_wh) for each in bills]
    money = [
        (each.contracts_microeur, each.grid_microeur, each.penalties_microeur, each.paid_microeur) for each in bills
    ]
    rows = [(*some, *others) for some, others in zip(energies, money, strict=True)]
    sums = tuple(sum(column) for column in zip(*rows, strict=True))
    for label, row in zip([*(str(each.window) for each in bills), "all"], [*rows, sums], strict=True):
        table.add_row(label, *(f"{wh / 1000:.2f}" for wh in row[:4]), *(f"{each / 1e6:+.4f}" for each in row[4:]))
    return table


def _new_folder(directory: Path) -> bytes:
    """Make the folder with a passphrase file of its own and return the passphrase."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "passphrase"
    if path.exists():
        raise KeyFileError(path, "a folder without a passphrase file: this one is in use")
    passphrase = secrets.token_urlsafe(24)
    path.touch(mode=0o600)
    path.write_text(passphrase + "\n", encoding="ascii")
    return passphrase.encode()


def run_until_signal(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until SIGINT or SIGTERM."""

    async def supervised() -> None:
        task = asyncio.create_task(run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            pass

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("mango").setLevel(logging.CRITICAL)  # unreachable peers are journalled, not logged
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(supervised())
