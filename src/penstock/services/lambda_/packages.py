"""Code packages: a zip becomes a folder that nobody writes to any more, without trusting a byte of it.

The zip itself is kept too, under its digest, so that it can be given back; its folder is another blob. Every name
in the archive is taken as hostile: absolute names, "..", links that lead outside, files that unpack to more than
they say. Links are made after all files, so that nothing is ever written through one.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from penstock.base.errors import StoreFull
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.rules import UNZIPPED_BYTES
from penstock.store.blobs import Blobs

ENTRIES: Final = 200_000  # Penstock's own: an archive of millions of empty files fits 50 MB
LINK_BYTES: Final = 4096  # PATH_MAX
NAMES_BYTES: Final = 64 << 20  # of the paths of all its directories; Penstock's own
_PIECE: Final = 1 << 20  # bytes unpacked at a time
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)

_UNREADABLE: Final = "Could not unzip uploaded file. Please check your file, then try to upload again."


@dataclass(frozen=True, slots=True)
class Package:
    """A zip that is among the blobs. ``size`` is the zip's, ``unzipped`` its files', both in bytes."""

    digest: str
    size: int
    unzipped: int

    @property
    def sha256(self) -> str:
        """CodeSha256 as AWS writes it."""
        return code_sha256(self.digest)


def code_sha256(digest: str) -> str:
    """A hexadecimal digest in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def folder_digest(digest: str) -> str:
    """The blob's name of a zip's folder."""
    return f"{digest}.unzipped"


def folder_of(blobs: Blobs, digest: str) -> Path:
    """Where the files of a zip are."""
    return blobs.path(folder_digest(digest))


def measure(data: bytes) -> Package:
    """Look a zip over without unpacking it; InvalidParameterValue when it is none or too large."""
    return _measure(data, _open(data))


async def keep(blobs: Blobs, data: bytes, package: Package) -> None:
    """Unpack a measured zip and keep both forms; durable when this returns. InvalidParameterValue when it is broken."""

    def fill(folder: Path) -> None:
        unpack(_open(data), folder)

    await blobs.put_folder(folder_digest(package.digest), fill)
    await blobs.put(data)


async def forget(blobs: Blobs, digest: str) -> None:
    """Remove both forms of a zip that no row names any more."""
    await blobs.delete(folder_digest(digest))
    await blobs.delete(digest)


def unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """Write an archive's files, then its links, into an empty folder."""
    links: list[tuple[str, str]] = []
    written = 0
    try:
        with _Folder.opened(folder) as inside:
            for entry in archive.infolist():
                path = _inside(entry.filename)
                if path is None:
                    continue
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.is_dir():
                    inside.make(path)
                elif kind == stat.S_IFLNK:
                    if entry.file_size > LINK_BYTES:
                        raise InvalidParameterValue(_UNREADABLE)
                    links.append((path, archive.read(entry).decode()))
                elif kind in (0, stat.S_IFREG):
                    written = _write(archive, entry, inside, path, written)
                else:
                    raise InvalidParameterValue(_UNREADABLE)
        for path, target in links:
            _link(folder, path, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise StoreFull("no room to unpack the package: free disk space and upload it again") from error
        raise InvalidParameterValue(_UNREADABLE) from error


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip of these files, the same for the same files: CloudFormation's inline code becomes one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def _open(data: bytes) -> zipfile.ZipFile:
    if not data:
        raise InvalidParameterValue("Uploaded file must be a non-empty zip")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise InvalidParameterValue(_UNREADABLE) from error
    if not archive.infolist():
        raise InvalidParameterValue("Uploaded file must be a non-empty zip")
    return archive


def _measure(data: bytes, archive: zipfile.ZipFile) -> Package:
    entries = archive.infolist()
    unzipped = sum(entry.file_size for entry in entries)
    if unzipped > UNZIPPED_BYTES:
        raise InvalidParameterValue(f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes")
    if len(entries) > ENTRIES:
        raise InvalidParameterValue(f"The zip has more than {ENTRIES} entries: leave files out that are not needed")
    for entry in entries:
        _inside(entry.filename)
    return Package(hashlib.sha256(data).hexdigest(), len(data), unzipped)


def _inside(name: str) -> str | None:
    """An entry's path under the folder; None for the folder itself."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in name or (parts and parts[0].endswith(":")):
        raise InvalidParameterValue(f"{_UNREADABLE} The entry {name!r} leads out of the package.")
    return "/".join(parts) or None


class _Folder:
    """A folder that was empty and is being filled: where there are very many files, each system call counts.

    Its directories are made once and remembered. Nothing in it is a link.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._made = {""}
        self._bytes = 0  # of the names of directories
        # What the umask took from the folder itself it takes from files too.
        self._masked = os.fstat(fd).st_mode & 0o555 != 0o555

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[_Folder]:
        """The folder at a path, until the block ends."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield cls(fd)
        finally:
            os.close(fd)

    def make(self, path: str) -> None:
        """Make a directory and those above it."""
        if len(path) > LINK_BYTES:
            raise InvalidParameterValue(_UNREADABLE)
        missing = []
        while path not in self._made:
            missing.append(path)
            path = path.rpartition("/")[0]
        for each in reversed(missing):
            self._bytes += len(each)
            if self._bytes > NAMES_BYTES:
                raise InvalidParameterValue("The zip has too many directories: leave files out that are not needed")
            try:
                os.mkdir(each, dir_fd=self._fd)
            except FileExistsError:  # a file of this name, or one directory where case does not count
                if not stat.S_ISDIR(os.stat(each, dir_fd=self._fd, follow_symlinks=False).st_mode):
                    raise
            self._made.add(each)

    def create(self, path: str, mode: int) -> int:
        """Make a file, in place of an earlier one of its name, and open it for writing."""
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            self.make(parent)
        try:
            fd = os.open(path, _NEW, mode, dir_fd=self._fd)
        except FileExistsError:
            os.unlink(path, dir_fd=self._fd)  # of two entries with one name the later counts
            fd = os.open(path, _NEW, mode, dir_fd=self._fd)
        if self._masked:
            os.fchmod(fd, mode)
        return fd


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: _Folder, path: str, written: int) -> int:
    """Unpack an entry; how much has been written with it. A piece that is not full is the last one, and checked."""
    # Zips made on Windows carry no modes. Only the right to execute is taken over.
    fd = folder.create(path, 0o555 if (entry.external_attr >> 16) & 0o111 else 0o444)
    try:
        with archive.open(entry) as source:
            while True:
                piece = source.read(_PIECE)
                written += len(piece)
                if written > UNZIPPED_BYTES:
                    raise InvalidParameterValue(f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes")
                unwritten = memoryview(piece)
                while unwritten:
                    unwritten = unwritten[os.write(fd, unwritten) :]
                if len(piece) < _PIECE:
                    return written
    finally:
        os.close(fd)


def _link(folder: Path, path: str, target: str) -> None:
    """Make a link that stays inside the package, in folders that are no links themselves."""
    place = folder / path
    led_to = os.path.normpath(os.path.join(os.path.dirname(path), target))
    if os.path.isabs(target) or led_to.split("/")[0] == ".." or "\0" in target:
        raise InvalidParameterValue(f"{_UNREADABLE} The link {path!r} leads out of the package.")
    parent = folder
    for part in PurePosixPath(path).parts[:-1]:
        parent /= part
        if parent.is_symlink():
            raise InvalidParameterValue(_UNREADABLE)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
