"""What a figure was measured on: printed beside every figure."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path


def processor() -> str:
    """Return the processor's name as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def fdatasync_ms(folder: Path, rounds: int = 200) -> tuple[float, float]:
    """Return (median, 99th percentile) of writing and syncing 4 KiB in `folder`, in milliseconds."""
    path = folder / "fdatasync.probe"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(b"x" * 4096)
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - before) * 1000)
    path.unlink()
    return statistics.median(taken), sorted(taken)[int(0.99 * rounds)]


def describe(folder: Path) -> str:
    """Return one line: processor, cores, memory, Python, and the measured fdatasync of `folder`'s disk."""
    median, tail = fdatasync_ms(folder)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"machine: {processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"fdatasync p50 {median:.2f} ms, p99 {tail:.2f} ms"
    )
