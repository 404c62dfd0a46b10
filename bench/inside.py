"""What a request takes inside the server, from its bytes to those of its answer: no sockets, no other process.

Processor time of the event loop's thread, the least of many short batches: what a busy machine changes least.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.load import request
from bench.measures import BODY, Bench, Row
from bench.servers import json_headers
from penstock.testing.platform import running_platform
from penstock.wire.http1 import Http1Connection
from penstock.wire.listener import Listener

CONNECTIONS = 64
TURNS = 6  # requests of each connection in one batch
BATCHES = 150
GARBAGE_THRESHOLD = 5_000  # as a server has it


class Client:
    """The other end of every connection: tells when each has its answer."""

    def __init__(self) -> None:
        self.answers = 0
        self.answered = asyncio.Event()

    def write(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"the load failed: {data[:500]!r}")
        self.answers += 1
        if self.answers % CONNECTIONS == 0:
            self.answered.set()

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return "127.0.0.1", 1

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: None  # buffers, pausing, closing: nothing to do


async def _send_us(folder: Path, **options: Any) -> float:
    """The processor time of one SQS send, in µs."""
    async with running_platform(folder, **options) as platform:
        url = (await platform.call("sqs", "CreateQueue", {"QueueName": "inside"}))["QueueUrl"]
        body = json.dumps({"QueueUrl": url, "MessageBody": BODY}).encode()
        wire = request(f"127.0.0.1:{platform.port}", "/", body, json_headers("sqs", "AmazonSQS.SendMessage"))
        listener = Listener(platform.server.front, platform.machine, platform.names, folder)
        client = Client()
        connections = [Http1Connection(listener) for _ in range(CONNECTIONS)]
        for connection in connections:
            connection.connection_made(client)  # type: ignore[arg-type]

        async def batch() -> float:
            begun = time.thread_time_ns()
            for _ in range(TURNS):
                client.answered.clear()
                for connection in connections:
                    connection.data_received(wire)
                await client.answered.wait()
            return (time.thread_time_ns() - begun) / (TURNS * CONNECTIONS) / 1000

        await batch()
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        return min([await batch() for _ in range(BATCHES)])


def inside(bench: Bench) -> list[Row]:
    """An SQS send without sockets: parsing, routing, operation, commit, answer."""
    modes: dict[str, Any] = {"durable": {}, "durability=os": {"durability": "os"}, "--memory": {"memory": True}}
    return [
        Row(f"SQS send inside the process, {name}", uvloop.run(_send_us(bench.data(), **options)), "µs")
        for name, options in modes.items()
    ]
