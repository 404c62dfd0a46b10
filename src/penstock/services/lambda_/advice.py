"""What whoever deploys a function should know of it, although it can be made.

A Handler that names nothing is taken, as on AWS, where the first invocation fails with Runtime.ImportModuleError. It is
told only where the files leave no doubt: a layer, a variable that leads elsewhere or a package with code of its own may
bring what is not there. How handlers are named: docs.aws.amazon.com/lambda/latest/dg/python-handler.html and
nodejs-handler.html.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from penstock.base.errors import CannotRun
from penstock.engine.compute import Function
from penstock.engine.context import WaitingContext
from penstock.engine.resource import Declared, Physical
from penstock.services.lambda_.records import find, runnable
from penstock.services.lambda_.runtimes import another_version

_LEAD_ELSEWHERE: Final = frozenset({"PYTHONPATH", "PYTHONHOME", "NODE_PATH", "NODE_OPTIONS"})
_INSIDE: Final = sys.stdlib_module_names | {"awslambdaric", "boto3", "botocore"}  # what a Python runtime brings itself


async def advise_function(cx: WaitingContext, declared: Declared, physical: Physical) -> Iterable[str]:
    """Sentences on a function that has been made: another version runs it, or its handler is nowhere."""
    row = await cx.transact(lambda inner: find(inner, cx.account, cx.region, physical.id))
    if row is None:
        return ()
    function = runnable(cx.parts, row)
    missing = await asyncio.to_thread(missing_file, function)
    try:
        said = [another_version(function.runtime, cx.parts.environments.version(function))]
    except CannotRun as error:  # one that was made earlier, when the machine had its runtime
        said = [f"{declared.logical_id} cannot run: {error}"]
    if missing:
        what = "which provided runtimes start" if missing == "bootstrap" else f"which Handler {function.handler} names"
        said.append(
            f"{declared.logical_id}: the package has no {missing}, {what}: invocations will fail; correct the name, or "
            "the folder of its code"
        )
    return [sentence for sentence in said if sentence]


def missing_file(function: Function) -> str:
    """The file that a function begins with, when its package can plainly be seen not to have it; else empty."""
    if function.layers or _LEAD_ELSEWHERE & function.environment.keys():
        return ""
    if function.runtime.startswith("provided"):
        return "" if (function.code / "bootstrap").exists() else "bootstrap"
    path, dot, _ = function.handler.rpartition(".")
    if not dot:
        return ""  # no file is named: the first invocation says what a handler looks like
    if function.runtime.startswith("python"):
        return _missing_module(function.code, path.replace("/", ".").split("."))
    return _missing_script(function.code, function.handler)


def _missing_module(folder: Path, parts: list[str]) -> str:
    if parts[0] in _INSIDE or not all(parts):
        return ""
    for part in parts:
        if _has(folder, part):
            folder /= part
            init = folder / "__init__.py"
            if not folder.is_dir() or (init.is_file() and init.stat().st_size):
                return ""  # a module, or a package that may bring modules by itself
        else:
            return "/".join(parts) + ".py"
    return ""


def _missing_script(root: Path, handler: str) -> str:
    # The name ends at the first dot of the last part: the rest is what the file exports.
    path, slash, last = handler.rpartition("/")
    stem = last.partition(".")[0]
    parts = [part for part in path.split("/") if part]
    if ".." in handler or not stem or handler.startswith("/"):
        return ""
    if _has(root.joinpath(*parts), stem) or _has(root / "node_modules", [*parts, stem][0]):
        return ""
    return f"{path}{slash}{stem}.js"


def _has(folder: Path, name: str) -> bool:
    """Whether a folder holds something of this name, whatever its ending."""
    try:
        return any(entry == name or entry.startswith(f"{name}.") for entry in os.listdir(folder))
    except OSError:
        return False
