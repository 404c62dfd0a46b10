"""Python code: its requirements are installed once per content of requirements.txt, and kept.

Without requirements nothing is run and no network is needed. See "Building Lambda functions with Python" in the Lambda
Developer Guide.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import packages
from penstock.deploy.packages import Files
from penstock.deploy.workshop import Code, Say, Workshop, key_for, made_once, run


def files(code: Code, workshop: Workshop, say: Say) -> Files:
    """A function's or layer's own files and the packages of its requirements.txt."""
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
    key = key_for(f"python{version}")
    _add_requirements(requirements, key, set())

    def install(partial: Path) -> None:
        say(f"installing {requirements}")
        command = [*_installer(workshop), "-r", requirements.name, "--target", str(partial)]
        run(command, requirements.parent, workshop.environment, say, "correct the file, or check the network")
        shutil.rmtree(partial / "bin", ignore_errors=True)  # console scripts with this machine's paths in them

    return made_once(workshop.cache / f"python-{key.hexdigest()[:32]}", install)


def _installer(workshop: Workshop) -> list[str]:
    uv = shutil.which("uv", path=workshop.environment.get("PATH"))
    if uv:
        return [uv, "pip", "install", "--python", sys.executable, "--link-mode", "copy", "--no-progress"]
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False, env=dict(workshop.environment)
    )
    if probe.returncode == 0:
        quiet = ["--disable-pip-version-check", "--no-input", "--no-compile", "--progress-bar", "off"]
        return [sys.executable, "-m", "pip", "install", *quiet]
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
