"""Code packages: folders as zip files that are named by what they hold.

A package's name is the hash of its files' names, modes and contents, so unchanged code gives the same package and
nothing is zipped twice; entries are sorted and carry no times, so the bytes are the same everywhere.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from penstock.base.errors import TemplateError

BUCKET = "penstock-packages"  # the bucket that stands for built code in a prepared template
UNZIPPED_BYTES = 262_144_000  # Lambda quotas: deployment package, unzipped, layers included
# What never belongs into a package, as `sam build` leaves it out too.
EXCLUDED_FOLDERS = frozenset({
    ".aws-sam", ".chalice", ".git", ".hg", ".svn", ".penstock", "__pycache__", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", ".venv", ".idea", ".vscode",
})  # fmt: skip
EXCLUDED_FILES = ("*.pyc", ".gitignore", ".DS_Store")
PARTIAL = ".part"  # ends the name of what is not whole yet
_EARLIEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A zip file in the code folder. ``key`` names its content."""

    key: str
    path: Path
    size: int


Files = Mapping[str, Path]
"""What goes into a package: the name in the zip, the file it comes from."""


def partial_beside(path: Path) -> Path:
    """Where something is made that gets this name once it is whole; the name says by which process."""
    return path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")


def files_of(folder: Path, *, prefix: str = "", leave_out: Sequence[Path] = (), patterns: Sequence[str] = ()) -> Files:
    """Every file under a folder that belongs into a package; symbolic links are followed, once each.

    ``leave_out`` are folders (the data directory), ``patterns`` further file names.
    """
    found: dict[str, Path] = {}
    excluded = {path.resolve() for path in leave_out}
    seen: set[Path] = set()
    pending = [(folder, prefix)]
    while pending:
        here, name = pending.pop()
        real = here.resolve()
        if real in seen or real in excluded:
            continue
        seen.add(real)
        for entry in os.scandir(here):
            if entry.is_dir():
                if entry.name not in EXCLUDED_FOLDERS:
                    pending.append((here / entry.name, f"{name}{entry.name}/"))
            elif entry.is_file() and not any(fnmatch(entry.name, pattern) for pattern in (*EXCLUDED_FILES, *patterns)):
                found[name + entry.name] = here / entry.name
    return found


def key_of(files: Files) -> str:
    """The hash of names, executable bits and contents."""
    whole = hashlib.sha256()
    for name in sorted(files):
        path = files[name]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        whole.update(f"{name}\0{int(_executable(path))}\0".encode() + digest)
    return whole.hexdigest()


def pack(files: Files, code: Path, *, what: str) -> Package:
    """Put the files into a package in the folder ``code``, or find the one that is there already."""
    key = key_of(files)
    path = code / f"{key}.zip"
    if path.is_file():
        return Package(key, path, path.stat().st_size)
    size = sum(file.stat().st_size for file in files.values())
    if size > UNZIPPED_BYTES:
        raise TemplateError(f"{what} has {size} bytes of code; Lambda takes {UNZIPPED_BYTES}: leave files out of it")
    code.mkdir(parents=True, exist_ok=True)
    partial = partial_beside(path)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(files):
            _add(archive, name, files[name].read_bytes(), executable=_executable(files[name]))
    partial.replace(path)
    return Package(key, path, path.stat().st_size)


def adopt(archive: Path, code: Path) -> Package:
    """A package that the template brings as a zip file: copied, its key the hash of its bytes."""
    with archive.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
    path = code / f"{key}.zip"
    if not path.is_file():
        if not zipfile.is_zipfile(archive):
            raise TemplateError(f"{archive} is no zip file; name a folder or a zip file")
        code.mkdir(parents=True, exist_ok=True)
        partial = partial_beside(path)
        partial.write_bytes(archive.read_bytes())
        partial.replace(path)
    return Package(key, path, path.stat().st_size)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, executable: bool) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.create_system = 3  # Unix: the mode below counts
    info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=1)


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def sweep(folder: Path, used: Container[str]) -> None:
    """Remove the packages whose key is not in use."""
    for path in folder.glob("*.zip"):
        if path.stem not in used:
            path.unlink(missing_ok=True)
