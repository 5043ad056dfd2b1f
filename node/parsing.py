"""Strict reading of what a person wrote: every error names the file, the key and what was expected there."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from node.errors import GridpactError

T = TypeVar("T")


class ConfigError(GridpactError):
    """A file that a person wrote says something we cannot use."""

    def __init__(self, path: Path | str, key: str, expected: str) -> None:
        super().__init__(f"{path}: {key or 'the file'}: expected {expected}")
        self.path = Path(path)
        self.key = key
        self.expected = expected


class Table:
    """A mapping that is read key by key; what nobody asked for is an error when it is closed.

    Args:
        path: the file it came from, for errors.
        prefix: the dotted name of this table in the file, "" for the top.
        content: the parsed value, which must be a mapping.
    """

    def __init__(self, path: Path | str, prefix: str, content: object) -> None:
        if not isinstance(content, Mapping):
            raise ConfigError(path, prefix, "a table")
        self.path = path
        self.prefix = prefix
        self._content = content
        self._read: set[str] = set()

    def _name(self, key: str) -> str:
        return f"{self.prefix}.{key}" if self.prefix else key

    def error(self, key: str, expected: str) -> ConfigError:
        """Return the error that `key` of this table is not what was `expected`."""
        return ConfigError(self.path, self._name(key), expected)

    def value(self, key: str, kind: type[T], expected: str, default: T | None = None) -> T:
        """Return the value at `key`, which must be of `kind` (a bool is no int); `default` if it is absent."""
        self._read.add(key)
        if key not in self._content:
            if default is None:
                raise self.error(key, f"{expected}, but the key is missing")
            return default
        found = self._content[key]
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.error(key, f"{expected}, found {found!r}")
        return found

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return the whole number at `key`, from `low` to `high`."""
        expected = f"a whole number from {low} to {high}"
        number = self.value(key, int, expected, default)
        if not low <= number <= high:
            raise self.error(key, f"{expected}, found {number}")
        return number

    def text(self, key: str, default: str | None = None) -> str:
        """Return the non-empty string at `key`."""
        found = self.value(key, str, "a string", default)
        if not found and default is None:
            raise self.error(key, "a string that is not empty")
        return found

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return the string at `key`, which must be one of `choices`."""
        found = self.text(key, default)
        if found not in choices:
            raise self.error(key, f"one of {', '.join(choices)}, found {found!r}")
        return found

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return the boolean at `key`."""
        return self.value(key, bool, "true or false", default)

    def data(self, key: str, length: int) -> bytes:
        """Return the bytes at `key`, written as 0x and 2 × `length` hexadecimal digits."""
        expected = f"0x and {2 * length} hexadecimal digits"
        return parse_hex(self.text(key), length, lambda: self.error(key, expected))

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> Table:
        """Return the table at `key`."""
        found = self.value(key, dict, "a table", None if default is None else dict(default))
        return Table(self.path, self._name(key), found)

    def tables(self, key: str) -> list[Table]:
        """Return the list of tables at `key` (empty if absent)."""
        rows = self.value(key, list, "a list of tables", [])
        return [Table(self.path, f"{self._name(key)}[{i}]", row) for i, row in enumerate(rows)]

    def strings(self, key: str, default: list[str] | None = None) -> list[str]:
        """Return the list of strings at `key`."""
        rows = self.value(key, list, "a list of strings", default)
        if not all(isinstance(row, str) for row in rows):
            raise self.error(key, "a list of strings")
        return list(rows)

    def endpoint(self, key: str, default: str | None = None) -> tuple[str, int]:
        """Return (host, port) at `key`, written HOST:PORT."""
        return parse_endpoint(self.text(key, default), lambda expected: self.error(key, expected))

    def has(self, key: str) -> bool:
        """Return whether the key is there."""
        return key in self._content

    def keys(self) -> list[str]:
        """Return this table's keys in the file's order, taken as read (for tables whose keys are data)."""
        self._read.update(self._content)
        return list(self._content)

    def close(self) -> None:
        """Raise for the first key that nobody read: a misspelt key must not be ignored.

        Raises:
            ConfigError: naming the unknown key and those that are known.
        """
        for key in self._content:
            if key not in self._read:
                raise self.error(str(key), f"no such key; known here: {', '.join(sorted(self._read))}")


def parse_hex(text: str, length: int, error: Callable[[], Exception]) -> bytes:
    """Return `length` bytes written as 0x and hexadecimal digits; raise `error()` for anything else."""
    if not text.startswith("0x") or len(text) != 2 + 2 * length:
        raise error()
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise error() from None


def parse_endpoint(text: str, error: Callable[[str], Exception]) -> tuple[str, int]:
    """Return (host, port) of HOST:PORT; raise `error(expected)` for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise error(f"HOST:PORT with a port from 0 to 65535, found {text!r}")
    return host, int(port)


def read_toml(path: Path) -> Table:
    """Return the top table of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, "", f"a readable file ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"TOML in UTF-8 ({error})") from None
    return Table(path, "", content)
