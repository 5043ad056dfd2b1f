"""Progress bars: on a terminal's standard error, nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int | None], None]
"""Told how much is done, and of how much (None: as before)."""


def unheard(_done: int, _total: int | None) -> None:
    """Tell nobody."""


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar while the context lasts.

    Args:
        what: is done, a few words.
        total: how much there is to do; None if that is not known yet.
    """
    if not sys.stderr.isatty():
        yield unheard
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)

        def advance(done: int, of: int | None) -> None:
            progress.update(task, completed=done, total=of if of is not None else total)

        yield advance
