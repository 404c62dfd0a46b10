"""Work that may take long, in a process that ends with whoever waits for it: installers, bundlers, the translator.

The process leads a group of its own, so that all it runs can be killed; what it had begun to write is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import penstock
from penstock.base.errors import TemplateError
from penstock.deploy.packages import Package
from penstock.deploy.workshop import Code, Workshop, discard_partial, to_json

DISCARD_LOOKS: Final = 20
DISCARD_EVERY_S: Final = 0.02  # machine seconds
LINE_BYTES: Final = 64 << 20  # the longest line it may answer: a template is 4 MB at most, JSON of it not 16 times


@dataclass(frozen=True, slots=True)
class Worker:
    """The process while it works."""

    process: asyncio.subprocess.Process
    complaints: asyncio.Task[bytes]

    async def tell(self, value: Any) -> None:
        """A line for the process. When it has ended, what it said before and its status tell why, not the pipe."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            await self.process.stdin.drain()

    async def answers(self, say: Callable[[str], None]) -> AsyncIterator[dict[str, Any]]:
        """What it answers; TemplateError when that is an error, or when it has ended without a result."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            answer = json.loads(line)
            if "say" in answer:
                say(answer["say"])
            elif "error" in answer:
                error = answer["error"]
                raise TemplateError(error["message"], resource=error["resource"], line=error["line"])
            else:
                yield answer
        status = await self.process.wait()
        said = (await self.complaints).decode(errors="replace")[-2000:]
        raise TemplateError(f"the process for it ended with status {status}; please report this:\n{said}")


@asynccontextmanager
async def working(module: str, workshop: Workshop) -> AsyncIterator[Worker]:
    """A process of a module that calls ``child.run``; with the end of this it has ended, and all that it ran."""
    environment = {name: value for name, value in workshop.environment.items() if not name.startswith("AWS_")}
    environment["PYTHONPATH"] = str(Path(penstock.__file__).parent.parent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True, limit=LINE_BYTES,
    )  # fmt: skip
    assert process.stdin is not None and process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        yield Worker(process, complaints)
    finally:
        process.stdin.close()  # until here it tells the process that its server lives
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the group: an installer that the process runs ends with it
            await process.wait()
            for _ in range(DISCARD_LOOKS):  # what was killed may be writing for another moment
                if await asyncio.to_thread(discard_partial, workshop, process.pid):
                    break
                await asyncio.sleep(DISCARD_EVERY_S)
        complaints.cancel()


async def build(code: Code, workshop: Workshop, say: Callable[[str], None]) -> Package:
    """One function's or layer's code, built and packed; TemplateError when that cannot be done here."""
    async with working("penstock.deploy.builder", workshop) as worker:
        await worker.tell({"code": to_json(code), "workshop": to_json(workshop)})
        async for answer in worker.answers(say):
            package = answer["package"]
            return Package(**{**package, "path": Path(package["path"])})
    raise AssertionError("the answers end with a result or an error")
