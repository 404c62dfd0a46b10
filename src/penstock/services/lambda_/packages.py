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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from penstock.base.errors import StoreFull
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.rules import UNZIPPED_BYTES
from penstock.store.blobs import Blobs

ENTRIES: Final = 200_000  # Penstock's own: an archive of millions of empty files fits 50 MB
LINK_BYTES: Final = 4096  # PATH_MAX
_PIECE: Final = 1 << 20  # bytes unpacked at a time
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
        for entry in archive.infolist():
            path = _inside(entry.filename)
            if path is None:
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                (folder / path).mkdir(parents=True, exist_ok=True)
            elif kind == stat.S_IFLNK:
                if entry.file_size > LINK_BYTES:
                    raise InvalidParameterValue(_UNREADABLE)
                links.append((path, archive.read(entry).decode()))
            elif kind in (0, stat.S_IFREG):
                written = _write(archive, entry, folder / path, written)
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
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or "\0" in name or (parts and parts[0].endswith(":")):
        raise InvalidParameterValue(f"{_UNREADABLE} The entry {name!r} leads out of the package.")
    return "/".join(parts) or None


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, written: int) -> int:
    with archive.open(entry) as source, _create(path) as target:
        while piece := source.read(_PIECE):
            written += len(piece)
            if written > UNZIPPED_BYTES:
                raise InvalidParameterValue(f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes")
            target.write(piece)
        # Zips made on Windows carry no modes. Only the right to execute is taken over.
        os.fchmod(target.fileno(), 0o555 if (entry.external_attr >> 16) & 0o111 else 0o444)
    return written


def _create(path: Path) -> BinaryIO:
    """A new file; its folder is made, and an earlier one of its name removed, only where that is necessary."""
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        path.unlink()  # of two entries with one name the later counts
    return path.open("xb")


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
