"""Memory limits, by looking: the resident memory of every working environment, a few times a second.

What processes share with the zygote counts for each of them by resident size, so the proportional size (which is dearer
to read) decides once the resident size is over the limit. RLIMIT_AS is no use: Node, Go and the JVM reserve far more
address space than they use. Between two looks an environment can grow past its limit; it is killed at the next.

And fairness: an environment of very many processes is a fork bomb, more likely than not. It may go on until its
timeout, as on AWS, but only in the time that the machine has left over.

Looking happens in a thread: the kernel makes a reader wait for a process that is busy forking or mapping.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Protocol

from penstock.runtime.inside.killing import descendants

LOOK_SECONDS = 0.05
MANY_PROCESSES = 64  # from here on an environment runs with idle priority
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
        self._looking: asyncio.Future[list[tuple[int, bool]]] | None = None

    def watch(self, environment: Watched) -> None:
        """Look after this one from now on."""
        self._working.add(environment)
        if self._timer is None and self._looking is None:
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
        self._timer = None
        working = [(each, each.pid) for each in self._working if each.pid is not None]
        if not working:
            return self._again()
        asked = [(pid, each.memory_mb * 1024) for each, pid in working if pid is not None]
        self._looking = asyncio.get_running_loop().run_in_executor(None, look, asked)
        self._looking.add_done_callback(lambda looked: self._seen(working, looked.result()))
        return None

    def _seen(self, working: Sequence[tuple[Watched, int | None]], found: list[tuple[int, bool]]) -> None:
        self._looking = None
        for (environment, pid), (used_kb, over) in zip(working, found, strict=True):
            if environment in self._working and environment.pid == pid:
                environment.peak_kb = max(environment.peak_kb, used_kb)
                if over:
                    environment.out_of_memory()
        self._again()

    def _again(self) -> None:
        if self._working:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


def look(asked: list[tuple[int, int]]) -> list[tuple[int, bool]]:
    """For each (process, limit in KB): what it and all below it use now, and whether that is over the limit."""
    found = []
    for pid, limit_kb in asked:
        pids = [pid, *descendants(pid, PROCESSES)]
        if len(pids) > MANY_PROCESSES:
            for each in pids:
                with contextlib.suppress(OSError):
                    os.sched_setscheduler(each, os.SCHED_IDLE, os.sched_param(0))
        used_kb = sum(map(resident_kb, pids))
        if used_kb > limit_kb:
            used_kb = sum(map(proportional_kb, pids))
        found.append((min(used_kb, limit_kb), used_kb > limit_kb))
    return found


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
