"""Large bodies: content-addressed files, written and synced before a commit names them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path


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
        path = self.path(digest)
        if not path.exists():
            writing = self.root / f"{digest}.{next(self._writings)}.writing"
            with writing.open("wb") as file:
                file.write(data)
                if self._sync:
                    file.flush()
                    os.fsync(file.fileno())
            writing.rename(path)
            self._sync_folder(self.root)
        return digest

    def _put_folder(self, digest: str, fill: Callable[[Path], None]) -> Path:
        path = self.path(digest)
        if path.exists():
            return path
        writing = self.root / f"{digest}.{next(self._writings)}.writing"
        writing.mkdir()
        try:
            fill(writing)
            if self._sync:
                for folder, _, files in os.walk(writing):
                    for name in files:
                        _sync_path(Path(folder) / name)
                    _sync_path(Path(folder))
            writing.rename(path)
        except FileExistsError:
            shutil.rmtree(writing)
        except BaseException:
            shutil.rmtree(writing, ignore_errors=True)
            raise
        self._sync_folder(self.root)
        return path

    def _delete(self, digest: str) -> None:
        path = self.path(digest)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def _sync_folder(self, folder: Path) -> None:
        if self._sync:
            _sync_path(folder)


def _sync_path(path: Path) -> None:
    if path.is_symlink():
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
