"""The root of the errors that a person can act on: the command line prints them as one line, without a traceback."""

from __future__ import annotations


class GridpactError(Exception):
    """What was wrong, where, and what was expected; subclasses carry the data."""
