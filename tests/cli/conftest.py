"""A command line that works on the platform of the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from penstock.cli.app import run
from penstock.testing.platform import PlatformThread


@dataclass(slots=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Penstock = Callable[..., Ran]


@pytest.fixture
def penstock(platform: PlatformThread, capsys: pytest.CaptureFixture[str]) -> Penstock:
    """Runs a command against the platform: ``penstock("send", "orders", "{}")``."""

    def command(*arguments: Any, url: str = platform.url) -> Ran:
        code = run([*(str(argument) for argument in arguments), "--url", url])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return command
