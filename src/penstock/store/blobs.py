"""Large bodies: content-addressed files, written and synced before a commit names them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL, get_errno
from pathlib import Path

from penstock.base.errors import StoreFull
from penstock.store.room import FULL_HINT, is_no_room

# From about so many on one sync of everything is faster than one of each: 2 to 3 ms each on a busy disk, against some
# 20 ms for everything, and 200 ms where somebody else has just written 300 MB.
_MANY_FILES = 32


class Blobs:
    """Files and folders under ``root`` whose name is the SHA-256 of their content, in hexadecimal.

    Nothing here is named by the database until it is whole and durable; what a crash leaves half-written has a
    temporary name and is removed at the next start.
    """

    def __init__(self, root: Path, *, sync: bool = True) -> None:
        self.root = root
        self._sync = sync
        self._under_way: dict[str, asyncio.Future[Path]] = {}
        self._writings = itertools.count()  # the same body may be written twice at once: each under its own name
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob("*.writing"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def path(self, digest: str) -> Path:
        """Where the file or folder of this digest is (or would be)."""
        return self.root / digest

    def has(self, digest: str) -> bool:
        """Whether it is here, whole."""
        return self.path(digest).exists()

    async def put(self, data: bytes) -> str:
        """Keep a body and return its digest, once it is durable."""
        return await asyncio.to_thread(self._put, data)

    async def put_folder(self, digest: str, fill: Callable[[Path], None]) -> Path:
        """Keep a folder under a digest that names its content: ``fill(empty folder)`` runs in a thread."""
        under_way = self._under_way.get(digest)
        if under_way is None:
            # Several functions of one application share a package and come at the same time: it is written once.
            under_way = asyncio.ensure_future(asyncio.to_thread(self._put_folder, digest, fill))
            self._under_way[digest] = under_way
            under_way.add_done_callback(lambda _: self._under_way.pop(digest, None))
        return await asyncio.shield(under_way)

    async def get(self, digest: str) -> bytes:
        """The body with this digest; FileNotFoundError when it is not here."""
        return await asyncio.to_thread(self.path(digest).read_bytes)

    async def delete(self, digest: str) -> None:
        """Forget it; nothing happens when it is not here."""
        await asyncio.to_thread(self._delete, digest)

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            with self._writing(digest) as writing:
                writing.write_bytes(data)
                if self._sync:
                    _sync_path(writing)
        return digest

    def _put_folder(self, digest: str, fill: Callable[[Path], None]) -> Path:
        if not self.has(digest):
            with self._writing(digest) as writing:
                writing.mkdir()
                fill(writing)
                if self._sync:
                    _sync_tree(writing)
        return self.path(digest)

    @contextmanager
    def _writing(self, digest: str) -> Iterator[Path]:
        """Where to write something, whole and synced, before it gets its name; StoreFull when it found no room."""
        writing = self.root / f"{digest}.{next(self._writings)}.writing"
        try:
            yield writing
            writing.rename(self.path(digest))
        except BaseException as error:
            _remove(writing)
            if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY) and self.has(digest):
                return  # somebody else was faster
            if is_no_room(error):
                raise StoreFull(f"the disk has no room for a file ({error}): {FULL_HINT}") from error
            raise
        if self._sync:
            _sync_path(self.root)

    def _delete(self, digest: str) -> None:
        _remove(self.path(digest))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    """Have everything in a folder reach the disk.

    One by one, 400 files take a second, and 60,000 longer than a client waits. So where they are more than a few and
    the system has syncfs(2), their whole file system is synced instead, which reports a failed write as fsync does
    (since Linux 5.8).
    """
    paths = [str(folder)]
    for path, folders, files in os.walk(folder):
        paths += [os.path.join(path, name) for name in (*folders, *files)]
        if len(paths) > _MANY_FILES and sys.platform == "linux":
            _sync_file_system(folder)
            return
    for each in paths:
        _sync_path(Path(each))


def _sync_file_system(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if CDLL(None, use_errno=True).syncfs(fd):
            number = get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)


def _sync_path(path: Path) -> None:
    if path.is_symlink():
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
