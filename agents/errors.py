"""Errors that a person who runs a household can act on."""

from __future__ import annotations

from pathlib import Path


class AgentError(Exception):
    """What was wrong, where, and what was expected; subclasses carry the data."""


class ConfigError(AgentError):
    """A configuration file says something we cannot use."""

    def __init__(self, path: Path | str, key: str, expected: str) -> None:
        super().__init__(f"{path}: {key or 'the file'}: expected {expected}")
        self.path = Path(path)
        self.key = key
        self.expected = expected


class ProfileError(AgentError):
    """The profile data lacks something or says it wrongly."""

    def __init__(self, path: Path | str, where: str, expected: str) -> None:
        super().__init__(f"{path}: {where}: expected {expected}")
        self.path = Path(path)
        self.where = where
        self.expected = expected
