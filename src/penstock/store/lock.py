"""One server per data directory: a lock that names its owner, held by the kernel for as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from penstock.base.errors import DataDirectoryInUse


class DirectoryLock:
    """The lock on a data directory; its file says who holds it (pid, url)."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        directory.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self) -> None:
        """Take the lock; DataDirectoryInUse, with the owner, when another process has it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = _parse(os.pread(self._fd, 65536, 0))
            os.close(self._fd)
            raise DataDirectoryInUse(
                f"{self._path.parent} is in use by the server with process id {owner.get('pid', '?')}"
                f" at {owner.get('url', 'an unknown address')}: use that one, stop it, or choose another --data",
                owner,
            ) from None
        self.describe({"pid": os.getpid()})

    def describe(self, owner: dict[str, Any]) -> None:
        """Write who holds the lock, for those who find it taken."""
        data = orjson.dumps(owner)
        os.ftruncate(self._fd, 0)
        with suppress(OSError):  # a full disk: the lock itself is the kernel's, and holds without words
            os.pwrite(self._fd, data, 0)

    def release(self) -> None:
        """Give the directory up."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def owner_of(directory: Path) -> dict[str, Any] | None:
    """Who holds a data directory's lock now, or None when nobody does."""
    path = directory / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return _parse(os.pread(fd, 65536, 0))
    else:
        return None
    finally:
        os.close(fd)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        owner = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return owner if isinstance(owner, dict) else {}
