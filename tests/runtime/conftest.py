"""A machine's environments without a platform around them: real processes, real handlers."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.compute import Function, Invocation, InvocationResult
from penstock.engine.quiet import UnderWay
from penstock.runtime.environment import IDLE
from penstock.runtime.environments import ProcessEnvironments

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


class Machine:
    """Environments, and functions made from source text."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.clock = MachineClock()
        self.names = Names(self.clock)
        self.keys = Keys()
        self.work = UnderWay()
        self.outside: list[str] = []
        self.environments = ProcessEnvironments(
            keys=self.keys,
            machine=self.clock,
            names=self.names,
            work=self.work,
            endpoint=lambda: "http://127.0.0.1:4566",
            scratch=folder / "environments",
            log=lambda function, stream, lines: self.outside.extend(text for _, text in lines),
            **settings,
        )

    def function(self, source: str | dict[str, str] = "", **settings: Any) -> Function:
        """A function of its own; ``source`` is app.py, or files by name (those without a dot can be executed)."""
        name = settings.pop("name", f"f{self.names.hex(8)}")
        files = {"app.py": source} if isinstance(source, str) else source
        code = self.folder / "code" / self.names.hex(12)
        for path, text in files.items():
            target = code / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
            target.chmod(0o644 if "." in path else 0o755)
        code.mkdir(parents=True, exist_ok=True)
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        made = Function(
            arn, name, "$LATEST", ACCOUNT, REGION, "1", "python3.11", "app.handler", code, role=ROLE, timeout_ms=3000
        )
        return replace(made, **settings)

    def invocation(self, event: Any = None, **settings: Any) -> Invocation:
        """An invocation of its own; bytes are a payload, anything else its JSON."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        run = self.names.id()
        return Invocation(
            run, self.names.uuid(), payload, settings.pop("arn", "arn:aws:lambda:us-east-1:0:function:f"), **settings
        )

    async def invoke(self, function: Function, event: Any = None, **settings: Any) -> InvocationResult:
        """Run one event."""
        return await self.environments.invoke(function, self.invocation(event, **settings))

    async def answer(self, function: Function, event: Any = None, **settings: Any) -> Any:
        """Run one event and return its answer, which must not be an error."""
        result = await self.invoke(function, event, **settings)
        assert result.function_error is None, (result.payload, result.log)
        return json.loads(result.payload)

    async def error(self, function: Function, event: Any = None, **settings: Any) -> dict[str, Any]:
        """Run one event and return its error document."""
        result = await self.invoke(function, event, **settings)
        assert result.function_error == "Unhandled", (result.payload, result.log)
        found: dict[str, Any] = json.loads(result.payload)
        return found

    async def rested(self) -> None:
        """Wait until every runtime that has answered asks for more: the next event finds it warm."""
        await until(lambda: all(each.state == IDLE for each in self.environments._all))

    async def close(self) -> None:
        """End every environment."""
        await self.environments.close()


async def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait for something outside this process to become true, and return it."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        return found


def texts(result: InvocationResult) -> list[str]:
    """The lines of an invocation's log."""
    return [text for _, text in result.log]


def last(result: InvocationResult) -> dict[str, str]:
    """The REPORT line's fields."""
    line = texts(result)[-1].splitlines()[0]
    assert line.startswith("REPORT ")
    return dict(part.removeprefix("REPORT ").split(": ", 1) for part in line.strip().split("\t"))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """One for the session: the launcher takes some tenths of a second to start."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    yield machine
    await machine.close()


@pytest_asyncio.fixture(loop_scope="session")
async def machine(shared_machine: Machine) -> AsyncIterator[Machine]:
    """A machine without environments."""
    yield shared_machine
    await asyncio.wait_for(shared_machine.environments.retire(wait=True), 10)
    shared_machine.outside.clear()
