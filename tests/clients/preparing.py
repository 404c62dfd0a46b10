"""What tests of other languages' clients need, installed by package name into a folder outside the project.

``make clients`` prepares whatever this machine has the toolchains for; the tests of the others are skipped and say why.
A client is prepared again when a file of its folder changes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy.workshop import key_for, made_once, run
from penstock.settings import load

HERE = Path(__file__).parent
TOLD_LINES = 20  # of a client that failed


@dataclass(frozen=True)
class Client:
    """A client of a language: its folder here, the tools that preparing it takes, how to prepare it.

    ``command(folder, program)`` runs one of its programs: ``services`` does what applications do and has to see what
    AWS would show, ``protocols`` makes a call of every kind.
    """

    name: str
    tools: tuple[str, ...]
    make: Callable[[Path, Path], Iterable[list[str]]]
    command: Callable[[Path, str], list[str]]

    @property
    def folder(self) -> Path:
        """Where it is, or would be, prepared."""
        key = key_for(self.name)
        for path in sorted((HERE / self.name).iterdir()):
            key.update(f"{path.name}\0".encode() + path.read_bytes())
        return Path(load().cache).expanduser() / "clients" / f"{self.name}-{key.hexdigest()[:16]}"

    def prepare(self) -> Path:
        """Install what it needs; TemplateError, with what the tool said, when that fails."""

        def fill(partial: Path) -> None:
            for command in self.make(HERE / self.name, partial):
                run(command, partial, dict(load().environment), lambda text: None, "check the network")

        return made_once(self.folder, fill)

    def lacking(self) -> str | None:
        """The tool this machine lacks to prepare it, if any."""
        return next((each for each in self.tools if shutil.which(each) is None), None)

    def prepared(self, program: str = "services") -> list[str]:
        """The command that runs a program of it; the calling test is skipped when it has not been prepared."""
        if not self.folder.is_dir():
            lacking = self.lacking()
            pytest.skip(
                f"{self.name}: this machine has no {lacking}" if lacking else f"{self.name}: run `make clients`"
            )
        return self.command(self.folder, program)

    def run(self, *arguments: str) -> str:
        """Run it; what it says on standard output."""
        ran = subprocess.run(
            [*self.prepared(), *arguments], capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
        assert ran.returncode == 0, "\n".join((ran.stdout + ran.stderr).splitlines()[-TOLD_LINES:])
        return ran.stdout


def _javascript(source: Path, target: Path) -> Iterable[list[str]]:
    shutil.copytree(source, target, dirs_exist_ok=True)
    return [["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]]


def _go(source: Path, target: Path) -> Iterable[list[str]]:
    return [["go", "build", "-C", str(source), "-buildvcs=false", "-o", str(target / "client"), "."]]


def _java(source: Path, target: Path) -> Iterable[list[str]]:
    shutil.copytree(source, target, dirs_exist_ok=True)
    sources = ["Services.java", "Protocols.java"]
    return [
        ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={target / 'jars'}"],
        ["javac", "-encoding", "UTF-8", "-cp", f"{target / 'jars'}/*", "-d", str(target / "classes"), *sources],
    ]


def _sam(source: Path, target: Path) -> Iterable[list[str]]:
    install = [str(target / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [[sys.executable, "-m", "venv", str(target / "venv")], [*install, "-r", str(source / "requirements.txt")]]


def _java_command(at: Path, program: str) -> list[str]:
    # More than one HTTP client is there, and an SDK that was not told which one to take refuses to choose.
    http = "-Dsoftware.amazon.awssdk.http.service.impl=software.amazon.awssdk.http.apache.ApacheSdkHttpService"
    return ["java", http, "-cp", f"{at / 'classes'}:{at / 'jars'}/*", program.capitalize()]


JAVASCRIPT = Client(
    "javascript", ("node", "npm"), _javascript, lambda at, program: ["node", str(at / f"{program}.mjs")]
)
GO = Client("go", ("go",), _go, lambda at, program: [str(at / "client"), program])
JAVA = Client("java", ("java", "javac", "mvn"), _java, _java_command)
SAM = Client("sam", (), _sam, lambda at, program: [str(at / "venv/bin/python"), "-m", "samcli"])
CLIENTS = (JAVASCRIPT, GO, JAVA, SAM)


def prepare_all() -> int:
    """Prepare what can be, tell what cannot; the exit code is 1 when something failed."""
    failed = 0
    for client in CLIENTS:
        lacking = client.lacking()
        if lacking:
            print(f"{client.name}: left out, this machine has no {lacking}")
            continue
        try:
            print(f"{client.name}: {client.prepare()}")
        except TemplateError as error:
            failed = 1
            print(f"{client.name}: {error.message}", file=sys.stderr)
    return failed
