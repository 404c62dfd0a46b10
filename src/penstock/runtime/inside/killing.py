"""Ending process trees: nothing that was started for an environment may be left over.

A pid namespace does it in one step: when its first process dies, the kernel kills the rest. Without one, a child
subreaper keeps every orphan under it (setsid and double forks change nothing about that), and ``sweep`` kills
descendants until none is left. Process groups are no use: one setsid leaves them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
SWEEP_ROUNDS = 10_000  # a fork bomb is outrun in a few rounds; this bound only keeps a broken /proc from hanging us

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> bool:
    """Become the parent of every orphan among our descendants; whether this machine can."""
    return LINUX and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def die_with_parent(parent: int | None = None) -> None:
    """Be killed when the parent dies; at once when it is dead already."""
    if LINUX:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def children(pid: int) -> list[int]:
    """The children of a process."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        return found if os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children") else _children_slowly(pid)
    except (ProcessLookupError, PermissionError, NotADirectoryError):
        pass
    return found


def _children_slowly(pid: int) -> list[int]:
    """The same from every process's stat, where the kernel keeps no list of children."""
    found = []
    for name in os.listdir("/proc") if LINUX else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                        found.append(int(name))
            except (OSError, IndexError, ValueError):
                continue
    return found


def descendants(pid: int, limit: int = 1 << 20) -> list[int]:
    """Every living process below one, parents first."""
    found: list[int] = []
    queue = children(pid)
    while queue and len(found) < limit:
        found += queue
        queue = [child for parent in queue for child in children(parent)]
    return found[:limit]


def sweep(pid: int) -> None:
    """Kill every descendant of a process until none is left. The process itself must adopt orphans.

    All are stopped before any is killed, so that none can fork while its siblings die.
    """
    for _ in range(SWEEP_ROUNDS):
        below = [found for found in descendants(pid) if not _is_zombie(found)]
        if not below:
            return
        for sign in (signal.SIGSTOP, signal.SIGKILL):
            for found in below:
                try:
                    os.kill(found, sign)
                except ProcessLookupError:
                    continue
        if pid == os.getpid():
            reap()


def reap() -> list[tuple[int, int]]:
    """The children of ours that have ended: (pid, wait status)."""
    ended = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True
