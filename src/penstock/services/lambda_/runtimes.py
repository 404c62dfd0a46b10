"""Names of runtimes against what runs them here: pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from penstock.base.errors import CannotRun
from penstock.engine.model import load

_LANGUAGES: Final = {"python": "Python", "nodejs": "Node.js"}
_SHOWN: Final = 3  # names that are offered instead of a wrong one


def names() -> list[str]:
    """The runtimes that AWS's API has, those of today and those of old."""
    return load("lambda").operation("CreateFunction").input_members["Runtime"].shape.enum


def why_not(name: str, version: Callable[[str], str]) -> str | None:
    """Why a template's Runtime cannot be, with the names that were probably meant; None when it can.

    ``version`` says what runs a runtime's name here; CannotRun when nothing does.
    """
    reason = None
    if name in names():
        reason = _reason(name, version)
        if reason is None or name in nearest(name):  # the name is right: the machine lacks what runs it
            return reason
    instead = [each for each in nearest(name) if _reason(each, version) is None]
    if not instead:
        return reason or f"{name} is no runtime: use python3.x, nodejs*.x, or provided.al2023 with a bootstrap"
    *others, last = instead
    return f"{name} is no runtime here; write {', '.join(others)}{' or ' * bool(others)}{last}"


def _reason(name: str, version: Callable[[str], str]) -> str | None:
    try:
        version(name)
    except CannotRun as error:
        return str(error)
    return None


def nearest(name: str) -> list[str]:
    """Names of AWS's that one may have meant by a name of Python's or Node.js's: the same figures, else the newest.

    python311 is python3.11, node20 is nodejs20.x; of python2.7 the newest names are the nearest that still run.
    """
    family = re.match(r"(python3?|node(js|\.js)?)(?![a-z])", name.lower())
    if family is None:
        return []
    form = r"python3\.(\d+)" if name.lower().startswith("python") else r"nodejs(\d+)\.x"
    figures = "".join(re.findall(r"\d", name))
    there = {each: int(found[1]) for each in names() if (found := re.fullmatch(form, each))}
    same = [each for each in there if figures and "".join(re.findall(r"\d", each)) == figures]
    return same or sorted(there, key=lambda each: -there[each])[:_SHOWN]


def another_version(runtime: str, version: str) -> str:
    """A sentence when the machine's version (python:3.11.7) is not the one that the runtime's name says; else empty."""
    kind, _, here = version.partition(":")
    wanted = runtime.removeprefix(kind).removesuffix(".x")
    if kind not in _LANGUAGES or wanted.split(".") == here.split(".")[: wanted.count(".") + 1]:
        return ""
    language = _LANGUAGES[kind]
    mend = f"run Penstock on {language} {wanted}" if kind == "python" else f"put Node.js {wanted} first in PATH"
    return f"{runtime} runs on this machine's {language} {here}; {mend} for the version that AWS has"
