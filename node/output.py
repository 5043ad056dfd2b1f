"""What commands say, to people or with `--json` to machines, and with which status they end: the same for all.

The root command makes the `Output` and hands it to every command as its context's `obj`, which is how commands of other
folders find it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import typer
from typer._click.globals import get_current_context  # typer names it only privately

from node.errors import GridpactError


class Status(IntEnum):
    """How a command ends."""

    DONE = 0
    NO = 1
    """What was checked does not hold, or the answer is no."""
    ERROR = 2
    """It could not be done, or not be understood: one line on standard error says why."""
    INTERRUPTED = 130
    """SIGINT ended it."""
    NOBODY_READS = 141
    """Who read its output has gone (SIGPIPE); nothing is said."""


class Output:
    """Where a command's results and errors go.

    Args:
        as_json: one JSON object a result on standard output, errors as JSON on standard error; else words for people.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def emit(self, value: Mapping[str, Any], *shown: Any) -> None:
        """Say a result.

        Args:
            value: for machines: numbers as integers in the smallest unit, bytes become 0x and hexadecimal digits.
            shown: for people: lines, or what rich can print.
        """
        if self.as_json:
            typer.echo(json.dumps(value, default=_plain))
            return
        for each in shown:
            if isinstance(each, str):
                typer.echo(each)
            else:
                from rich.console import Console

                Console().print(each)

    def fail(self, message: str, status: Status = Status.ERROR) -> int:
        """Say on standard error what could not be done; return the status to end with."""
        if self.as_json:
            typer.echo(json.dumps({"error": {"message": message, "exit_code": int(status)}}), err=True)
        else:
            typer.echo(f"gridpact: {message}", err=True)
        return int(status)

    def status_of(self, command: Callable[[], Any]) -> int:
        """Do a command, and return the status to end with; what it could not do is said in one line.

        Args:
            command: raises what typer, this project and the operating system raise; returns the status, or nothing.
        """
        try:
            ended = command()
        except typer.Abort as abort:
            by_hand = isinstance(abort.__context__, KeyboardInterrupt)
            return self.fail("ended before it was done", Status.INTERRUPTED if by_hand else Status.NO)
        except typer.TyperException as error:
            return self.fail(_usage(error), Status(error.exit_code)) if error.format_message() else int(Status.ERROR)
        except GridpactError as error:
            return self.fail(str(error))
        except OSError as error:
            return self.fail(f"{error.filename or 'the system'}: {error.strerror or error}")
        return ended if isinstance(ended, int) else int(Status.DONE)


def emit(value: Mapping[str, Any], *shown: Any) -> None:
    """Say the result of the command that runs; see `Output.emit`."""
    _current().emit(value, *shown)


def as_json() -> bool:
    """Return whether the command that runs talks to a machine: what else is for people goes to standard error."""
    return _current().as_json


def fail(message: str, status: Status) -> int:
    """Say on standard error what could not be done; return the status to end with."""
    return _current().fail(message, status)


def json_option() -> Any:
    """Return the parameter `--json`; who reads it is `Output`, not the command."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        _json: bool = typer.Option(False, "--json", help="Print one JSON object for machines; errors are JSON too."),
    ) -> None: ...

    option = typer.main.get_command(app).params[0]
    option.expose_value = False
    return option


@contextmanager
def while_somebody_reads() -> Iterator[None]:
    """End quietly when the reader of standard output has gone; Python would complain once more when it ends."""
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as ended:
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, BrokenPipeError):
            raise  # rich makes that of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Status.NOBODY_READS) from None


def _current() -> Output:
    context = get_current_context(silent=True)
    return context.obj if context is not None and isinstance(context.obj, Output) else Output()


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    message = " ".join(message.split())
    return message if context is None else f"{message}; see {context.command_path} --help"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON")
