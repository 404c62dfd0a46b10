"""Building code: what a function's or layer's folder needs before it can be packed.

Python: the packages of requirements.txt are installed once per content of that file and kept; without one nothing is
run and no network is needed. Everything else is packed as it is, and a build method that is not executed here is
refused by name. See "Building with AWS SAM" in the SAM Developer Guide.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import packages
from penstock.deploy.packages import Files, Package

Say = Callable[[str], None]

_PYTHON = re.compile(r"python3\.\d+$")
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


def build(code: Code, workshop: Workshop, say: Say = lambda text: None) -> Package:
    """Build and pack one function's or layer's code; TemplateError when that cannot be done here."""
    if code.path.is_file():
        return packages.adopt(code.path, workshop.code)
    if not code.path.is_dir():
        raise TemplateError(f"{code.property_} is {code.path}, which does not exist; name a folder or a zip file")
    method = _method(code)
    if method is not None and not _PYTHON.match(method):
        raise TemplateError(
            f"BuildMethod {method!r} is not executed here; build it yourself and set {code.property_} to the folder "
            "or zip file that comes out, without the BuildMethod"
        )
    files = _python(code, workshop, say) if method else _as_it_is(code, workshop)
    if not files:
        raise TemplateError(f"{code.property_} is {code.path}, which holds no file; put the code there")
    return packages.pack(files, workshop.code, what=code.logical_id)


def _method(code: Code) -> str | None:
    """How to build: what Metadata says, else Python's way for a Python function."""
    if code.method is not None:
        return code.method
    if not code.layer and code.runtime is not None and _PYTHON.match(code.runtime):
        return code.runtime
    return None


def _as_it_is(code: Code, workshop: Workshop) -> Files:
    return packages.files_of(code.path, leave_out=workshop.leave_out)


def _python(code: Code, workshop: Workshop, say: Say) -> Files:
    prefix = "python/" if code.layer else ""
    own = packages.files_of(code.path, prefix=prefix, leave_out=workshop.leave_out)
    requirements = code.path / "requirements.txt"
    if not requirements.is_file() or not _names_packages(requirements):
        return own
    installed = install_python(requirements, workshop, say)
    return {**packages.files_of(installed, prefix=prefix), **own}


def _names_packages(requirements: Path) -> bool:
    lines = (line.strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return any(line and not line.startswith("#") for line in lines)


def install_python(requirements: Path, workshop: Workshop, say: Say) -> Path:
    """The folder with the packages of a requirements file, installed now or earlier."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(f"python{version} {platform.system()} {platform.machine()}\n".encode())
    _add_requirements(requirements, key, set())
    folder = workshop.cache / f"python-{key.hexdigest()[:32]}"
    if folder.is_dir():
        return folder
    say(f"installing {requirements}")
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = [*_installer(workshop), "-r", requirements.name, "--target", str(partial)]
    run(command, requirements.parent, workshop.environment, say, "correct the file, or check the network")
    shutil.rmtree(partial / "bin", ignore_errors=True)  # console scripts with this machine's paths in them
    _rename(partial, folder)
    return folder


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # not somebody else who was faster
            raise
        shutil.rmtree(partial, ignore_errors=True)


def _installer(workshop: Workshop) -> list[str]:
    uv = shutil.which("uv", path=workshop.environment.get("PATH"))
    if uv:
        return [uv, "pip", "install", "--python", sys.executable, "--link-mode", "copy", "--no-progress"]
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False, env=dict(workshop.environment)
    )
    if probe.returncode == 0:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
    raise TemplateError("there is neither uv nor pip to install requirements.txt with; install one of them")


def _add_requirements(path: Path, key: Any, seen: set[Path]) -> None:
    """Add to the hash all that decides what a requirements file installs: files and folders it names included."""
    if path in seen or not path.is_file():
        return
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    key.update(text.encode())
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) >= 2 and words[0] in ("-r", "-c", "--requirement", "--constraint"):
            _add_requirements((path.parent / words[1]).resolve(), key, seen)
            continue
        named = words[1] if len(words) >= 2 and words[0] in ("-e", "--editable") else words[0] if words else ""
        local = (path.parent / named.removeprefix("file://")).resolve()
        if named.startswith((".", "/", "file:")) and local.exists():
            files = packages.files_of(local) if local.is_dir() else {local.name: local}
            key.update(packages.key_of(files).encode())


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
