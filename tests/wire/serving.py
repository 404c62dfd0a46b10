"""A server on a free port whose operations do what their test says, and a client that writes bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.context import Call
from penstock.wire.server import Server

SERVICES = {name: name for name in ("sqs", "lambda", "sts", "iam", "events", "logs", "s3", "kinesis", "cloudwatch")}
Handler = Callable[[Call], dict[str, Any]]


class Calls:
    """A Dispatch that answers at once with what ``handler`` gives, or later when the test says so."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler or (lambda call: {})
        self.seen: list[Call] = []
        self.held: list[tuple[Call, Any]] = []
        self.hold = False

    def refusal(self, service: str, operation: str) -> None:
        return None

    def start(self, call: Call, done: Any) -> None:
        self.seen.append(call)
        if self.hold:
            self.held.append((call, done))
            return
        self.answer(call, done)

    def answer(self, call: Call, done: Any) -> None:
        try:
            result = self.handler(call)
        except Exception as error:
            done(None, error)
        else:
            done(result, None)

    def release(self, *order: int) -> None:
        """Answer what is held, in this order (all, without one)."""
        held, self.held = self.held, []
        for number in order or range(len(held)):
            self.answer(*held[number])


class Serving:
    def __init__(self, server: Server, calls: Calls, port: int, machine: MachineClock) -> None:
        self.server = server
        self.calls = calls
        self.port = port
        self.machine = machine
        self.url = f"http://127.0.0.1:{port}"

    async def exchange(self, data: bytes, *, eof: bool = False, host: str = "127.0.0.1") -> bytes:
        """Send bytes on a new connection and return all that comes back until it is closed."""
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            writer.write(data)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


class ShiftedClock(MachineClock):
    """A machine clock that tests move ahead."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def monotonic_ms(self) -> float:
        return super().monotonic_ms() + self.ahead_ms


@asynccontextmanager
async def serving(handler: Handler | None = None, **options: Any) -> AsyncIterator[Serving]:
    machine = ShiftedClock()
    calls = Calls(handler)
    options.setdefault("keys", Keys())
    options.setdefault("services", SERVICES)
    server = Server(calls, machine=machine, names=Names(machine), **options)
    port = await server.start(port=0)
    try:
        yield Serving(server, calls, port, machine)
    finally:
        await server.close(1000)


def post(
    body: bytes, *headers: str, target: str = "AmazonSQS.SendMessage", path: str = "/", host: str = "localhost"
) -> bytes:
    """A JSON request; ``headers`` are added as they are."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/x-amz-json-1.0"]
    if target:
        lines.append(f"X-Amz-Target: {target}")
    if not any(header.lower().startswith("transfer-encoding") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    lines.extend(headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


SEND = b'{"QueueUrl":"http://localhost/1/q","MessageBody":"hello"}'
CLOSE = "Connection: close"


def answers(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers in these bytes: status, headers with lower-case names, body."""
    out = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        status = int(first.split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, data = data.partition(b"\r\n")
                piece, data = data[: int(size, 16)], data[int(size, 16) + 2 :]
                if not piece:
                    break
                body += piece
        else:
            length = 0 if status in (100, 204, 304) else int(headers.get("content-length", 0))
            body, data = data[:length], data[length:]
        out.append((status, headers, body))
    return out


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until this holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
