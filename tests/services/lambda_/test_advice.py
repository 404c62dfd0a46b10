"""What whoever deploys a function is told of it: never a false alarm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.base.errors import CannotRun
from penstock.engine.compute import Function
from penstock.services.lambda_.advice import missing_file
from penstock.services.lambda_.runtimes import another_version, names, why_not


@pytest.mark.parametrize(
    ("runtime", "version", "words"),
    [
        ("python3.12", "python:3.11.7", "python3.12 runs on this machine's Python 3.11.7; run Penstock on Python 3.12"),
        ("python3.1", "python:3.11.7", "python3.1 runs on this machine's Python 3.11.7"),
        ("nodejs20.x", "nodejs:18.19.1", "nodejs20.x runs on this machine's Node.js 18.19.1; put Node.js 20 first in"),
        ("python3.11", "python:3.11.7", ""),
        ("nodejs20.x", "nodejs:20.20.2", ""),
        ("provided.al2023", "provided", ""),
    ],
)
def test_a_runtime_on_another_version_of_the_machine_is_told(runtime: str, version: str, words: str) -> None:
    said = another_version(runtime, version)
    assert words in said and bool(said) == bool(words)


def version(name: str) -> str:
    """As on a machine without Node.js 26: it has every Python and Node.js, and no other language."""
    if not re.fullmatch(r"python3\.\d+|nodejs\d+\.x|provided.*", name) or name == "nodejs26.x":
        raise CannotRun(f"nobody runs {name}: use python3.x")
    return "python:3.11.7"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("python311", "python311 is no runtime here; write python3.11"),
        ("Python3.12", "Python3.12 is no runtime here; write python3.12"),
        ("python-3.12", "python-3.12 is no runtime here; write python3.12"),
        ("nodejs20", "nodejs20 is no runtime here; write nodejs20.x"),
        ("node20.x", "node20.x is no runtime here; write nodejs20.x"),
        ("python3.99", "python3.99 is no runtime here; write python3.15, python3.14 or python3.13"),
        ("python2.7", "python2.7 is no runtime here; write python3.15, python3.14 or python3.13"),
        ("nodejs", "nodejs is no runtime here; write nodejs24.x or nodejs22.x"),
        ("nodejs26.x", "nobody runs nodejs26.x: use python3.x"),
        ("java21", "nobody runs java21: use python3.x"),
        ("pythonic", "pythonic is no runtime: use python3.x, nodejs*.x, or provided.al2023 with a bootstrap"),
        ("3.12", "3.12 is no runtime: use python3.x, nodejs*.x, or provided.al2023 with a bootstrap"),
    ],
)
def test_a_wrong_runtime_is_answered_with_the_nearest_names(name: str, why: str) -> None:
    assert why_not(name, version) == why


def test_every_runtime_that_is_run_here_is_taken() -> None:
    here = [name for name in names() if name.startswith(("python3", "provided")) or name == "nodejs22.x"]
    assert len(here) > 10 and {why_not(name, version) for name in here} == {None}


FILES = ("app.py", "pkg/__init__.py", "pkg/mod.py", "spaces/mod.py", "busy/__init__.py", "fast.cpython-311.so",
         "index.js", "src/web.mjs", "src/typed.ts", "lib/index.js", "node_modules/wrapper/index.js")  # fmt: skip


def missing(folder: Path, runtime: str, handler: str, **fields: object) -> str:
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import sys\n" if name.startswith("busy") else "")
    function = Function("arn", "f", "1", "0", "r", "1", runtime, handler, folder, **fields)  # type: ignore[arg-type]
    return missing_file(function)


@pytest.mark.parametrize(
    ("runtime", "handler", "file"),
    [
        ("python3.12", "ap.handler", "ap.py"),
        ("python3.12", "pkg.mode.handler", "pkg/mode.py"),
        ("python3.12", "pkg/mode.handler", "pkg/mode.py"),
        ("python3.12", "nowhere.app.handler", "nowhere/app.py"),
        ("nodejs20.x", "main.handler", "main.js"),
        ("nodejs20.x", "src/index.handler", "src/index.js"),
        ("nodejs20.x", "nowhere/index.handler", "nowhere/index.js"),
        ("provided.al2023", "whatever", "bootstrap"),
    ],
)
def test_a_file_that_is_plainly_missing_is_named(tmp_path: Path, runtime: str, handler: str, file: str) -> None:
    assert missing(tmp_path, runtime, handler) == file
    assert missing(tmp_path, runtime, handler, environment={"STAGE": "dev"}) == file
    for doubt in ({"layers": (tmp_path,)}, {"environment": {"PYTHONPATH": "lib"}}, {"environment": {"NODE_PATH": "x"}}):
        assert missing(tmp_path, runtime, handler, **doubt) == ""


@pytest.mark.parametrize(
    ("runtime", "handler"),
    [
        ("python3.12", handler)
        for handler in ("app.handler", "pkg.mod.handler", "pkg/mod.handler", "pkg.handler", "spaces.mod.handler",
                        "busy.made_by_init.handler", "fast.handler", "app.sub.handler", "json.dumps", "./ap.handler",
                        "handler", "boto3.client")
    ]
    + [
        ("nodejs20.x", handler)
        for handler in ("index.handler", "index.default.handler", "src/web.handler", "src/typed.handler", "lib.handler",
                        "wrapper.handler", "wrapper/deep/file.handler", "./index.handler", "../up.handler", "handler",
                        "/opt/x.handler")
    ],
)  # fmt: skip
def test_where_there_is_a_file_or_a_doubt_nothing_is_told(tmp_path: Path, runtime: str, handler: str) -> None:
    assert missing(tmp_path, runtime, handler) == ""
