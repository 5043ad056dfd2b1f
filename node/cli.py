"""The root command: it finds each folder's commands by entry point and knows none of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from node.output import Output, emit, while_somebody_reads
from node.plugins import LazyGroup

STATUSES = (
    "Exit status: 0 done; 1 a check failed, or the answer is no; 2 it could not be done, one line says why; "
    "130 interrupted (SIGINT); 141 nobody reads the output."
)


class Root(LazyGroup):
    """The root group: it gives commands their `Output`, and ends with their status."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        """Do a command and exit; a known error is one line on stderr and status 2."""
        typed = sys.argv[1:] if args is None else list(args)
        output = Output(as_json="--json" in typed)
        run = super().main
        sys.exit(output.status_of(lambda: run(typed, self.name, standalone_mode=False, obj=output)))

    def make_context(self, *words: Any, **extra: Any) -> Any:
        """Understand what was typed; help and versions are said at once."""
        with while_somebody_reads():
            return super().make_context(*words, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Do what was called."""
        with while_somebody_reads():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Root,
    name="gridpact",
    help="A consortium blockchain on which the households of a street trade electricity with each other.",
    epilog=STATUSES,
    no_args_is_help=True,
    add_completion=True,
)


def _show_versions(wanted: bool) -> None:
    if wanted:
        from node.versions import versions

        found = versions()
        emit(found, *(f"{name} {version}" for name, version in found.items()))
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_versions, is_eager=True, help="Print software, wire and storage version."
        ),
    ] = False,
) -> None:
    """A consortium blockchain on which the households of a street trade electricity with each other."""


def main() -> None:
    """Run the command line, and exit with its status."""
    app()


if __name__ == "__main__":
    main()
