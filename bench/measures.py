"""What is measured. Each measure takes a running server, or starts its own, and returns rows of figures."""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.load import Load, request, run
from bench.servers import ACCOUNT, Server, json_headers, signed

BODY = "x" * 200
HANDLER = "def handler(event, context):\n    return event\n"


@dataclass
class Row:
    """One figure: ``ratio`` is against the bare ASGI app in the same run, where that says something."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    note: str = ""
    goal: str = ""


@dataclass
class Bench:
    """One run: how long each measure loads, where data lives, and the bare app beside it.

    What is compared is measured in turns (bare, ours, bare, ours…), ``rounds`` times, and each counts with its best:
    on a machine that does other things as well, the best is what comes nearest to a quiet one.
    """

    seconds: float
    folder: Path
    bare: Server
    rounds: int = 4

    def data(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="bench-", dir=self.folder))

    def timed(self, server: Server, run_load: Callable[[], Load]) -> Load:
        """A load with the processor time it took of this server."""
        before = server.cpu_us()
        load = run_load()
        load.cpu_us = (server.cpu_us() - before) / max(1, load.requests)
        return load

    def load(self, server: Server, requests: list[bytes], *, clients: int, seconds: float) -> Load:
        return self.timed(server, lambda: run(server.port, requests, clients=clients, seconds=seconds))

    def in_turns(self, one: Callable[[float], Load], other: Callable[[float], Load]) -> tuple[Load, Load]:
        """The best of each of two loads, measured in turns."""
        pairs = [(one(self.seconds / self.rounds), other(self.seconds / self.rounds)) for _ in range(self.rounds)]
        return max((pair[0] for pair in pairs), key=_speed), max((pair[1] for pair in pairs), key=_speed)

    def bare_load(self, clients: int, seconds: float) -> Load:
        host = f"127.0.0.1:{self.bare.port}"
        wire = request(host, "/", json.dumps({"MessageBody": BODY}).encode(), json_headers("sqs", "x"))
        return self.load(self.bare, [wire], clients=clients, seconds=seconds)

    def against_bare(self, what: str, server: Server, wires: list[bytes], *, clients: int, goal: str = "") -> Row:
        """Requests per second against those of the bare app, and the processor time of both."""
        run(server.port, wires, clients=16, seconds=0.5)
        bare, ours = self.in_turns(
            lambda seconds: self.bare_load(clients, seconds),
            lambda seconds: self.load(server, wires, clients=clients, seconds=seconds),
        )
        note = f"{self.note(ours)}; bare {bare.per_second:,.0f} /s, {bare.cpu_us:.0f} µs"
        return Row(f"{what}, {clients} clients", ours.per_second, "/s", ours.per_second / bare.per_second, note, goal)

    def note(self, load: Load) -> str:
        return f"p50 {load.percentile(0.5):.2f} ms, {load.cpu_us:.0f} µs of CPU each"


def _speed(load: Load) -> float:
    return load.per_second


def fsync_ms(folder: Path) -> float:
    """The median of one fdatasync after 8 KB appended, in ms."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(300):
            file.write(b"x" * 8192)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)[150]


def queue(server: Server, name: str, **attributes: str) -> str:
    answer = server.call("sqs", "AmazonSQS.CreateQueue", {"QueueName": name, "Attributes": attributes})
    return str(answer["QueueUrl"])


def sqs_request(server: Server, operation: str, body: dict[str, object]) -> bytes:
    host = f"127.0.0.1:{server.port}"
    return request(host, "/", json.dumps(body).encode(), json_headers("sqs", f"AmazonSQS.{operation}"))


def function(server: Server, name: str, source: str = HANDLER, **settings: object) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("app.py", source)
    body = {
        "FunctionName": name, "Runtime": "python3.12", "Handler": "app.handler", "Timeout": 30,
        "Role": f"arn:aws:iam::{ACCOUNT}:role/bench",
        "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()},
    } | settings  # fmt: skip
    status, answer = server.rest("POST", "/2015-03-31/functions", json.dumps(body).encode())
    if status >= 300:
        raise RuntimeError(f"CreateFunction: {status} {answer!r}")


def invoke_request(server: Server, name: str, body: bytes = b'{"a":1}') -> bytes:
    path = f"/2015-03-31/functions/{name}/invocations"
    return request(f"127.0.0.1:{server.port}", path, body, signed("lambda"))


def start(bench: Bench) -> list[Row]:
    """Time to the first answer, and memory when idle."""
    took, rows = [], []
    for _ in range(5):
        with servers.penstock(bench.data()) as server:
            took.append(server.started_s)
    rows.append(Row("start to first answer", sorted(took)[2] * 1000, "ms", goal="< 500"))
    with servers.penstock(bench.data()) as server:
        sizes = server.memory_mb()
        rows.append(
            Row("idle memory before the first function", sum(sizes.values()), "MB", goal="< 60", note=_named(sizes))
        )
        function(server, "warm")
        server.rest("POST", "/2015-03-31/functions/warm/invocations", b"{}")
        sizes = server.memory_mb()
        idle = {name: size for name, size in sizes.items() if "env" not in name}
        rows.append(
            Row(
                "memory with zygote and one environment",
                sum(sizes.values()),
                "MB",
                goal="< 100 without the environment",
                note=_named(idle),
            )
        )
    return rows


def _named(sizes: dict[str, float]) -> str:
    return ", ".join(f"{name.split()[0]} {size:.0f}" for name, size in sizes.items())


def invoke(bench: Bench) -> list[Row]:
    """Warm and cold synchronous invokes over HTTP."""
    rows = []
    with servers.penstock(bench.data()) as server:
        function(server, "echo")
        wire = invoke_request(server, "echo")
        run(server.port, [wire], clients=1, seconds=1)
        load = run(server.port, [wire], clients=1, seconds=bench.seconds)
        rows.append(Row("warm invoke p50", load.percentile(0.5), "ms", goal="< 1"))
        rows.append(Row("warm invoke p99", load.percentile(0.99), "ms", goal="< 5"))
        rows.append(bench.against_bare("warm invokes", server, [wire], clients=16))
        cold = []
        for number in range(15):
            function(server, f"cold{number}")
            begun = time.perf_counter()
            server.rest("POST", f"/2015-03-31/functions/cold{number}/invocations", b"{}")
            cold.append((time.perf_counter() - begun) * 1000)
        rows.append(Row("cold Python invoke p50", sorted(cold)[7], "ms", goal="< 30"))
    return rows


def sqs(bench: Bench) -> list[Row]:
    """Sends, durable and not; receive and delete."""
    rows = []
    for name, options, memory in (
        ("durable", (), False), ("durability=os", ("--durability", "os"), False), ("--memory", (), True),
    ):  # fmt: skip
        with servers.penstock(None if memory else bench.data(), *options) as server:
            url = queue(server, "bench")
            wire = sqs_request(server, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
            for clients in (1, 16, 64):
                rows.append(
                    bench.against_bare(f"SQS send, {name}", server, [wire], clients=clients, goal=_goal(name, clients))
                )
            if name == "durable":
                rows += _receive(bench, server, url)
    return rows


def _goal(name: str, clients: int) -> str:
    if name != "durable":
        return "> 0.75" if clients > 1 else ""
    return {16: "> 0.33", 64: "> 0.50"}.get(clients, "")


def _receive(bench: Bench, server: Server, url: str) -> list[Row]:
    wire = sqs_request(server, "ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 1})
    rows = [bench.against_bare("SQS receive one, durable", server, [wire], clients=16)]
    handles = []
    for _ in range(400):
        answer = server.call("sqs", "AmazonSQS.ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10})
        handles += [message["ReceiptHandle"] for message in answer.get("Messages", [])]
    deletes = [sqs_request(server, "DeleteMessage", {"QueueUrl": url, "ReceiptHandle": handle}) for handle in handles]
    bare = bench.bare_load(16, 0.5)
    load = bench.timed(server, lambda: run(server.port, deletes, clients=16, seconds=60, count=len(deletes)))
    ratio = load.per_second / bare.per_second
    rows.append(Row("SQS delete, durable, 16 clients", load.per_second, "/s", ratio, bench.note(load)))
    return rows


def backlog(bench: Bench) -> list[Row]:
    """Receiving from a long queue against a short one."""
    took: dict[int, float] = {}
    with servers.penstock(bench.data(), "--durability", "os") as server:
        for size in (1_000, 1_000_000):
            url = queue(server, f"backlog{size}")
            entries = [{"Id": str(number), "MessageBody": "m"} for number in range(10)]
            wire = sqs_request(server, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})
            run(server.port, [wire], clients=16, seconds=3600, count=size // 10)
            receive = sqs_request(server, "ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 1})
            run(server.port, [receive], clients=1, seconds=60, count=50)
            took[size] = run(server.port, [receive], clients=1, seconds=60, count=600).percentile(0.5)
    ratio = took[1_000_000] / took[1_000]
    return [
        Row(
            "receive from 1,000,000 against 1,000",
            ratio,
            "×",
            goal="< 1.5",
            note=f"{took[1_000]:.3f} and {took[1_000_000]:.3f} ms",
        )
    ]


def queue_to_function(bench: Bench) -> list[Row]:
    """From the acknowledged send to the start of the handler, on an idle system."""
    source = (
        "import time\n"
        "def handler(event, context):\n"
        "    for record in event['Records']:\n"
        "        print('LATENCY', (time.time() - float(record['body'])) * 1000)\n"
    )
    with servers.penstock(bench.data()) as server:
        url = queue(server, "in", VisibilityTimeout="60")
        function(server, "consumer", source)
        arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:in"
        body = json.dumps({"EventSourceArn": arn, "FunctionName": "consumer", "BatchSize": 1}).encode()
        status, answer = server.rest("POST", "/2015-03-31/event-source-mappings/", body)
        if status >= 300:
            raise RuntimeError(f"CreateEventSourceMapping: {status} {answer!r}")
        for _ in range(60):
            message = {"QueueUrl": url, "MessageBody": str(time.time())}
            server.call("sqs", "AmazonSQS.SendMessage", message)
            server.rest("POST", "/_penstock/quiet", b"{}")
        found: list[float] = []
        events = server.call(
            "logs",
            "Logs_20140328.FilterLogEvents",
            {"logGroupName": "/aws/lambda/consumer", "filterPattern": "LATENCY"},
        )
        found += [float(event["message"].split("LATENCY ")[1]) for event in events["events"]]
    found.sort()
    return [
        Row(
            "queue to function p50, idle system",
            found[len(found) // 2],
            "ms",
            goal="< 10",
            note=f"{len(found)} messages",
        )
    ]


MEASURES: dict[str, Callable[[Bench], list[Row]]] = {
    "start": start,
    "invoke": invoke,
    "sqs": sqs,
    "backlog": backlog,
    "queue-to-function": queue_to_function,
}
