"""What changed in folders since they were last looked at, by time and size: cheap enough to ask four times a second."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from penstock.deploy.packages import EXCLUDED_FILES, EXCLUDED_FOLDERS

SETTLE_MS = 30  # without a change: longer than a file takes to be written, and not felt
SETTLE_LOOKS = 20  # then it is taken as it is: something writes there all the time
LOOK_EVERY_MS = 250  # an edited handler has to be live within a second, building included
# Installed packages change by way of package.json and requirements.txt, and are too many to look at.
_NOT_LOOKED_AT = EXCLUDED_FOLDERS | {"node_modules"}

Snapshot = Mapping[str, tuple[int, int]]


def snapshot(path: Path, leave_out: Iterable[Path] = ()) -> Snapshot:
    """Every file at or under a path that counts as code: its name → (time of change in ns, size in bytes).

    A file or folder that vanishes while this looks is as good as gone before.
    """
    excluded = {str(folder.resolve()) for folder in leave_out}
    found: dict[str, tuple[int, int]] = {}
    pending = [str(path)]
    while pending:
        here = pending.pop()
        try:
            if os.path.isfile(here):
                status = os.stat(here)
                found[here] = (status.st_mtime_ns, status.st_size)
                continue
            entries = list(os.scandir(here))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NOT_LOOKED_AT and os.path.realpath(entry.path) not in excluded:
                    pending.append(entry.path)
            elif not any(fnmatch(entry.name, pattern) for pattern in EXCLUDED_FILES):
                pending.append(entry.path)
    return found


class Watch:
    """Folders and files to look at again and again; each is named by who asked for it.

    What was written after ``since_ms`` (machine time) counts as changed at the first look: nothing that is edited
    while an application is being deployed is missed.
    """

    def __init__(self, paths: Mapping[str, Path], leave_out: Iterable[Path] = (), since_ms: int | None = None) -> None:
        self._paths = dict(paths)
        self._leave_out = tuple(leave_out)
        self._seen = {name: snapshot(path, self._leave_out) for name, path in self._paths.items()}
        if since_ms is not None:
            self._seen = {name: _older(files, since_ms) for name, files in self._seen.items()}

    def changed(self) -> list[str]:
        """The names of what changed since the last time."""
        names = []
        for name, path in self._paths.items():
            now = snapshot(path, self._leave_out)
            if now != self._seen[name]:
                self._seen[name] = now
                names.append(name)
        return names


async def settled(watch: Watch) -> list[str]:
    """The names of what changed, once nobody is writing any more: an editor empties a file before it fills it."""
    names: dict[str, None] = {}
    for _ in range(SETTLE_LOOKS):
        found = await asyncio.to_thread(watch.changed)
        if not found:
            break
        names |= dict.fromkeys(found)
        await asyncio.sleep(SETTLE_MS / 1000)
    return list(names)


def _older(files: Snapshot, since_ms: int) -> Snapshot:
    return {name: status for name, status in files.items() if status[0] <= since_ms * 1_000_000}


def in_words(paths: Iterable[Path], folder: Path) -> str:
    """The paths as seen from a folder, each once; folders end with a slash."""
    shown = {path: path.relative_to(folder) if path.is_relative_to(folder) else path for path in paths}
    return ", ".join(sorted({f"{name}{os.sep if path.is_dir() else ''}" for path, name in shown.items()}))
