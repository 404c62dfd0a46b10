"""Memory limits, by looking: the resident memory of every working environment, a few times a second.

What processes share with the zygote counts for each of them by resident size, so the proportional size (which is dearer to
read) decides once the resident size is over the limit. RLIMIT_AS is no use: Node, Go and the JVM reserve far more address
space than they use. Between two looks an environment can grow past its limit; it is killed at the next.
"""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

from penstock.runtime.inside.killing import descendants

LOOK_SECONDS = 0.05
PROCESSES = 2048  # of one environment that are looked at: more than it may have
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Watched(Protocol):
    """An environment at work."""

    memory_mb: int
    peak_kb: int

    @property
    def pid(self) -> int | None:
        """Its function's process."""

    def out_of_memory(self) -> None:
        """It is over its limit."""


class MemoryWatch:
    """Looks at those who work, and costs nothing while nobody does."""

    def __init__(self) -> None:
        self._working: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, environment: Watched) -> None:
        """Look after this one from now on."""
        self._working.add(environment)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def leave(self, environment: Watched) -> None:
        """It has stopped working."""
        self._working.discard(environment)

    def close(self) -> None:
        """Stop looking."""
        self._working.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        for environment in list(self._working):
            if environment.pid is None:
                continue
            pids = [environment.pid, *descendants(environment.pid, PROCESSES)]
            resident = sum(map(resident_kb, pids))
            environment.peak_kb = max(environment.peak_kb, min(resident, environment.memory_mb * 1024))
            if resident > environment.memory_mb * 1024:
                proportional = sum(map(proportional_kb, pids))
                if proportional > environment.memory_mb * 1024:
                    environment.out_of_memory()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_SECONDS, self._look) if self._working else None


def resident_kb(pid: int) -> int:
    """The resident memory of a process, 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE_KB
    except (OSError, IndexError):
        return 0


def proportional_kb(pid: int) -> int:
    """The memory of a process with a shared page counted as its share; the resident one where that is not told."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        return resident_kb(pid)


def peak_kb(pid: int) -> int:
    """The most memory a process ever had resident, 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            return int(file.read().partition(b"VmHWM:")[2].split(None, 1)[0])
    except (OSError, IndexError):
        return 0
