"""Where code is built: its folders, its tools' environment, and how a tool is run."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import packages

Say = Callable[[str], None]

INSTALL_SECONDS = 900  # one installation of requirements; slower ones hang


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where building happens: ``cache`` keeps installed requirements, ``code`` the packages.

    ``environment`` is what installers get as their environment: PATH and HOME at least. ``leave_out`` are folders
    that never go into a package: the data directory.
    """

    cache: Path
    code: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """The code of one function or layer, as the template names it.

    ``logical_id`` and ``property_`` say who names it; ``path`` is a folder or file; ``runtime`` is None for layers
    and where it is not known; ``method`` is Metadata's BuildMethod and ``settings`` its BuildProperties.
    """

    logical_id: str
    property_: str
    path: Path
    layer: bool = False
    runtime: str | None = None
    method: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    handler: str | None = None


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass of this folder in its JSON form."""
    encoded: dict[str, Any] = json.loads(json.dumps(asdict(value), default=_plain))
    return encoded


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def workshop_of(data: Mapping[str, Any]) -> Workshop:
    """A workshop from its JSON form."""
    folders = tuple(Path(path) for path in data["leave_out"])
    return Workshop(Path(data["cache"]), Path(data["code"]), data["environment"], folders)


def code_of(data: Mapping[str, Any]) -> Code:
    """Code from its JSON form."""
    return Code(**{**data, "path": Path(data["path"])})


def discard_partial(workshop: Workshop, pid: int) -> bool:
    """Remove what a process that was killed had begun to make; whether nothing of it is left."""
    partial = [path for each in (workshop.cache, workshop.code) for path in each.glob(f"*.{pid}{packages.PARTIAL}")]
    for path in partial:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return not any(path.exists() for path in partial)


def key_for(tool: str) -> Any:
    """A hash that begins with what an installation depends on beside its files: the tool and this machine."""
    return hashlib.sha256(f"{tool} {platform.system()} {platform.machine()}\n".encode())


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, which ``make(empty folder)`` fills when it is not there; it appears whole or not at all."""
    if folder.is_dir():
        return folder
    partial = packages.partial_beside(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        make(partial)
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # not somebody else who was faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], say: Say, advice: str) -> None:
    """Run a build tool, telling each line it prints; TemplateError with its last lines when it fails."""
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise TemplateError(f"{command[0]} cannot be run ({error.strerror}); install it") from error
    assert process.stdout is not None
    last: list[str] = []
    try:
        for line in process.stdout:
            text = line.rstrip()
            if text:
                last = [*last[-14:], text]
                say(text)
        status = process.wait(timeout=INSTALL_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status != 0:
        said = "\n  ".join(last)
        raise TemplateError(f"{Path(command[0]).name} ended with status {status} in {folder}; {advice}\n  {said}")
