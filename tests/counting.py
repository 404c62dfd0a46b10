"""How much work something is, counted and not timed: the same on every machine, however busy."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(function: Callable[..., Any], *arguments: Any, inner: bool = False) -> int:
    """How many functions are called; with ``inner``, those that are written in C, too."""
    count = 0
    kinds = ("call", "c_call") if inner else ("call",)

    def seen(frame: FrameType, what: str, _: Any) -> None:
        nonlocal count
        count += what in kinds

    sys.setprofile(seen)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def steps(connection: sqlite3.Connection, function: Callable[..., Any], *arguments: Any) -> int:
    """How many steps of SQLite's virtual machine are taken on a connection."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(step, 1)
    try:
        function(*arguments)
    finally:
        connection.set_progress_handler(None, 0)
    return count
