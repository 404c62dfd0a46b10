"""Lambda on a real engine and store, its functions being callables of the test: no processes, no HTTP."""

from __future__ import annotations

import asyncio
import inspect
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import orjson

from penstock.base.errors import CannotRun
from penstock.engine.access import root
from penstock.engine.compute import Function, Invocation, InvocationResult
from penstock.engine.context import Call, Context
from penstock.engine.journal import Delivery
from penstock.engine.operation import operation
from penstock.engine.service import Service
from penstock.services import lambda_, sqs
from tests.engine.harness import ACCOUNT, REGION, Engine

Benches = Callable[..., AbstractAsyncContextManager["Bench"]]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/orders"
HANDLER = b"def handler(event, context):\n    return event\n"


class CallableEnvironments:
    """Environments whose code is what a test says: ``handlers[name](event)`` answers, raises or returns a coroutine."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[Any], Any]] = {}
        self.invocations: list[tuple[Function, Invocation]] = []
        self.retired: list[tuple[str | None, str | None]] = []
        self.at_work = 0

    async def invoke(self, function: Function, invocation: Invocation) -> InvocationResult:
        self.invocations.append((function, invocation))
        self.at_work += 1
        log = [(0, f"START RequestId: {invocation.request_id} Version: $LATEST"), (1, "hello")]
        try:
            result = self.handlers.get(function.name, lambda event: event)(orjson.loads(invocation.payload))
            if inspect.isawaitable(result):
                result = await result
            return InvocationResult(orjson.dumps(result), log=log, log_stream="stream")
        except CannotRun:
            raise
        except Exception as error:
            document = {"errorMessage": str(error), "errorType": type(error).__name__}
            return InvocationResult(orjson.dumps(document), "Unhandled", "error", log, "stream")
        finally:
            self.at_work -= 1

    def running(self, function_arn: str) -> int:
        return self.at_work

    def busy(self, account: str | None = None) -> list[str]:
        return ["an invocation"] * self.at_work

    async def retire(
        self, *, function_arn: str | None = None, account: str | None = None, keep: str | None = None,
        wait: bool = False,
    ) -> None:  # fmt: skip
        self.retired.append((function_arn, keep))

    def check(self, function: Function) -> None:
        if function.runtime.startswith("java"):
            raise CannotRun("there is no Java runtime here: use python3.12")

    def version(self, function: Function) -> str:
        return "python:3.11.7"

    async def close(self) -> None:
        return None


class Mailbox:
    """A queue that only remembers what was delivered to it, or refuses it."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes, dict[str, Any]]] = []

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        self.received.append((delivery.target, payload, delivery.detail))


class LogBook:
    """What was appended to the log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []


@operation(internal=True)
def append_output(cx: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Remember lines."""
    book: LogBook = cx.memory
    book.lines += [(request["logGroupName"], request["logStreamName"], text) for _, text in request["lines"]]
    return {}


class Bench(Engine):
    """An engine with Lambda, a book for logs, and queues: real ones, or a mailbox that shows what arrives."""

    packages: ClassVar[dict[str, str]] = {"lambda": "penstock.services.lambda_", "sqs": "penstock.services.sqs"}

    def __init__(self, data: Path, *, real_queues: bool, recorded: Callable[[Service], Service]) -> None:
        self.mailbox = Mailbox()
        queues = recorded(sqs.SERVICE) if real_queues else Service("sqs", {}, target=self.mailbox)
        logs = Service("logs", {"AppendOutput": append_output.operation}, memory=LogBook)
        super().__init__(data, recorded(lambda_.SERVICE), queues, logs)
        self.environments = self.parts.environments = CallableEnvironments()
        self.background: set[asyncio.Task[Any]] = set()
        self.parts.spawn = self._spawn

    def _spawn(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=what)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def start(self) -> None:
        for service in self.registry.all():
            if service.start is not None:
                service.start(self.parts)
        await super().start()

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return await self.call_service("lambda", operation, request)

    async def call_service(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        call = Call(service, operation, request, ACCOUNT, REGION, root(ACCOUNT), self.parts.names.uuid())
        return await self.dispatcher.call_waiting(call)

    async def function(self, name: str = "orders", handler: Callable[[Any], Any] | None = None, **given: Any) -> str:
        """Create a function and return its ARN."""
        if handler is not None:
            self.environments.handlers[name] = handler
        request = {
            "FunctionName": name, "Runtime": "python3.12", "Role": ROLE, "Handler": "index.handler",
            "Code": {"ZipFile": zipped({"index.py": HANDLER})},
        }  # fmt: skip
        arn: str = (await self.call("CreateFunction", **request | given))["FunctionArn"]
        return arn

    async def invoke(self, name: str = "orders", payload: Any = None, **given: Any) -> dict[str, Any]:
        return await self.call("Invoke", FunctionName=name, Payload=orjson.dumps(payload), **given)

    async def background_done(self) -> None:
        """Wait until Lambda does nothing in the background any more; others keep house for ever."""
        while tasks := [task for task in self.background if task.get_name().startswith("lambda")]:
            await asyncio.gather(*tasks)

    async def stop(self) -> None:
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await super().stop()


@asynccontextmanager
async def bench_of(
    recorded: Callable[[Service], Service], data: Path, *, real_queues: bool = False
) -> AsyncIterator[Bench]:
    """A bench whose services are made by ``recorded``; tests have it as the fixture ``bench``."""
    running = Bench(data, real_queues=real_queues, recorded=recorded)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def located(answer: dict[str, Any]) -> bytes:
    """What is at the Location of a GetFunction or GetLayerVersion answer."""
    return Path(answer["Location"].removeprefix("file://")).read_bytes()


def kept(on: Bench) -> list[str]:
    """The names of the blobs."""
    return sorted(path.name for path in on.parts.blobs.root.iterdir())


def zipped(files: dict[str, bytes], modes: dict[str, int] | None = None) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (modes or {}).get(name, 0o100644) << 16
            archive.writestr(entry, content)
    return out.getvalue()
