"""The disks of all simulated machines, beneath the real write-ahead log: what is not synced may be lost, or half there.

A file is what the system calls made of it; only what was synced is sure to outlive a power cut. Of the rest any number
of bytes survives, and behind them there may be zeros or garbage where the file had grown and the data never arrived. A
new name is sure once its folder was synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, cast
from unittest import mock

from node.driver import wal
from node.driver.wal import WriteAheadLog

FIRST_DESCRIPTOR = 1 << 20  # far above any that the operating system gives out
ROTATE_BYTES = 8 * 1024  # so small that logs rotate in every run


class PowerCut(BaseException):
    """The machine loses power in the middle of what it does (no code of ours may catch this)."""


class Fault(Enum):
    """What a disk does at one of its operations, instead of what it was asked for or right after it."""

    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    FULL = "full"


@dataclass
class File:
    """One file: its bytes as the system sees them, and as they are on the platter."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


class DiskPath:
    """As much of a `pathlib.Path` as the write-ahead log asks for."""

    def __init__(self, disks: Disks, folder: str, name: str) -> None:
        self._disks = disks
        self.folder = folder
        self.name = name

    def __str__(self) -> str:
        """Return how errors name it."""
        return f"{self.folder}/{self.name}"

    @property
    def parent(self) -> DiskPath:
        """The folder."""
        return DiskPath(self._disks, self.folder, "")

    def with_name(self, name: str) -> DiskPath:
        """Return another file of the same folder."""
        return DiskPath(self._disks, self.folder, name)

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.name in self._disks.names(self.folder)

    def read_bytes(self) -> bytes:
        """Return the whole file."""
        return bytes(self._disks.names(self.folder)[self.name].content)

    def replace(self, target: DiskPath) -> None:
        """Give the file another name; sure once the folder was synced."""
        self._disks.operate(self.folder, lambda: self._disks.rename(self.folder, self.name, target.name))


class Disks:
    """Stands in for the module `os` in the write-ahead log.

    Args:
        dice: of what a power cut leaves.
    """

    O_RDWR, O_CREAT, O_TRUNC, O_APPEND = os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND
    O_CLOEXEC, O_RDONLY, O_DIRECTORY = os.O_CLOEXEC, os.O_RDONLY, os.O_DIRECTORY

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._folders: dict[str, dict[str, File]] = {}
        self._sure: dict[str, dict[str, File]] = {}
        self._open: dict[int, tuple[str, File | None]] = {}
        self._next = FIRST_DESCRIPTOR
        self.fault: Callable[[str], Fault | None] = lambda folder: None
        self.lost_bytes = 0
        self.torn = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let the write-ahead log use these disks while the context lasts."""
        with mock.patch.object(wal, "os", self), mock.patch.object(wal, "ROTATE_BYTES", ROTATE_BYTES):
            yield

    def path(self, folder: str) -> Path:
        """Return the path of the log of a machine."""
        return cast(Path, DiskPath(self, folder, "wal"))

    def names(self, folder: str) -> dict[str, File]:
        """Return the files of a machine by name."""
        return self._folders.setdefault(folder, {})

    def folders(self, prefix: str) -> list[str]:
        """Return the folders whose names begin so."""
        return sorted(each for each in self._folders if each.startswith(prefix))

    def rename(self, folder: str, name: str, target: str) -> None:
        """Change a name."""
        names = self.names(folder)
        names[target] = names.pop(name)

    def copy(self, folder: str) -> bytes | None:
        """Return what a backup of the log holds."""
        file = self.names(folder).get("wal")
        return None if file is None else bytes(file.content)

    def put(self, folder: str, content: bytes | None) -> None:
        """Replace all files of a machine by a log with this content, or by nothing."""
        self._folders[folder] = {} if content is None else {"wal": File(bytearray(content), content)}
        self._sure[folder] = dict(self._folders[folder])

    def lose_power(self, folder: str) -> None:
        """Leave what a power cut leaves."""
        names = self.names(folder)
        if self._dice.random() < 0.5:
            names = dict(self._sure.get(folder, {}))
        for file in names.values():
            file.content = bytearray(self._survivor(file))
            file.synced = bytes(file.content)
        self._folders[folder], self._sure[folder] = names, dict(names)
        for descriptor in [each for each, (where, _) in self._open.items() if where == folder]:
            del self._open[descriptor]

    def _survivor(self, file: File) -> bytes:
        content = bytes(file.content)
        if content == file.synced:
            return content
        if not content.startswith(file.synced):  # cut short, and not yet synced: either state
            return self._dice.choice((content, file.synced))
        fresh = content[len(file.synced) :]
        kept = self._dice.randint(0, len(fresh))
        self.lost_bytes += len(fresh) - kept
        tail = b""
        if kept < len(fresh) and self._dice.random() < 0.5:
            self.torn += 1
            size = self._dice.randint(1, len(fresh) - kept)
            tail = bytes(size) if self._dice.random() < 0.5 else self._dice.randbytes(size)
        return file.synced + fresh[:kept] + tail

    # --- what the log calls ---

    def operate(self, folder: str, act: Callable[[], Any]) -> Any:
        """Do one operation that a fault may hit."""
        fault = self.fault(folder)
        if fault is Fault.CUT_BEFORE:
            raise PowerCut
        if fault is Fault.FULL:
            raise OSError(errno.ENOSPC, "No space left on device")
        result = act()
        if fault is Fault.CUT_AFTER:
            raise PowerCut
        return result

    def open(self, path: DiskPath, flags: int, mode: int = 0o777) -> int:
        """Open a file or a folder."""
        file = None
        if not flags & self.O_DIRECTORY:
            names = self.names(path.folder)
            if path.name not in names:
                if not flags & self.O_CREAT:
                    raise OSError(errno.ENOENT, "No such file or directory")
                names[path.name] = File()
            file = names[path.name]
            if flags & self.O_TRUNC:
                file.content.clear()
        self._next += 1
        self._open[self._next] = (path.folder, file)
        return self._next

    def write(self, descriptor: int, data: bytes) -> int:
        """Append; like the real call, it may write less than it was given."""
        folder, file = self._open[descriptor]
        assert file is not None
        size = len(data) if self._dice.random() < 0.9 else self._dice.randint(1, len(data))
        self.operate(folder, lambda: file.content.extend(bytes(data[:size])))
        return size

    def fsync(self, descriptor: int) -> None:
        """Make a file, or the names in a folder, durable."""
        folder, file = self._open[descriptor]
        self.operate(folder, lambda: self._sync(folder, file))

    def _sync(self, folder: str, file: File | None) -> None:
        if file is None:
            self._sure[folder] = dict(self.names(folder))
        else:
            file.synced = bytes(file.content)

    def ftruncate(self, descriptor: int, size: int) -> None:
        """Cut a file short."""
        folder, file = self._open[descriptor]
        assert file is not None
        self.operate(folder, lambda: file.content.__delitem__(slice(size, None)))

    def close(self, descriptor: int) -> None:
        """Close; a descriptor that the power cut took is closed already."""
        self._open.pop(descriptor, None)

    def urandom(self, size: int) -> bytes:
        """Return bytes of the seed."""
        return self._dice.randbytes(size)


class DiskLog:
    """The real write-ahead log on a simulated disk; opened anew whenever its records are asked for.

    Args:
        disks: all disks.
        folder: this machine's.
        identity: names the chain and the validator.
    """

    def __init__(self, disks: Disks, folder: str, identity: bytes) -> None:
        self._disks = disks
        self.folder = folder
        self._identity = identity
        self._log: WriteAheadLog | None = None

    def records(self) -> Sequence[bytes]:
        """Return what the disk holds."""
        if self._log is not None:
            self._log.close()
        self._log = WriteAheadLog(self._disks.path(self.folder), self._identity)
        return self._log.records()

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch, synced."""
        assert self._log is not None
        self._log.append(batch)

    def clear(self) -> None:
        """Drop the records if the file has grown large."""
        assert self._log is not None
        self._log.clear()
