"""Events: from a bus to queues, with few and with many rules beside those that match."""

from __future__ import annotations

import json

from bench import servers
from bench.load import request, run
from bench.measures import Bench, Row, queue
from bench.servers import ACCOUNT, Server, json_headers

DETAIL = {"order": "A-1", "total": 12, "lines": [{"sku": "tea", "count": 2}], "note": "x" * 120}
CLIENTS = 64


def events_request(server: Server, operation: str, body: dict[str, object]) -> bytes:
    headers = json_headers("events", f"AWSEvents.{operation}") | {"Content-Type": "application/x-amz-json-1.1"}
    return request(f"127.0.0.1:{server.port}", "/", json.dumps(body).encode(), headers)


def rules(server: Server, begin: int, end: int) -> None:
    """Rules that share their source and differ in their detail type; none matches what is put."""
    wires = [
        events_request(
            server, "PutRule",
            {"Name": f"other{number}", "EventPattern": json.dumps({"source": ["shop"], "detail-type": [f"T{number}"]})},
        )
        for number in range(begin, end)
    ]  # fmt: skip
    if wires:
        run(server.port, wires, clients=16, seconds=3600, count=len(wires))


def matching(server: Server, number: int) -> None:
    """A queue, and a rule that sends orders to it."""
    queue(server, f"q{number}")
    detail = {"total": [{"numeric": [">", 5]}]}
    pattern = json.dumps({"source": ["shop"], "detail-type": ["OrderPlaced"], "detail": detail})
    target = {"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q{number}"}
    for operation, body in (
        ("PutRule", {"Name": f"r{number}", "EventPattern": pattern}),
        ("PutTargets", {"Rule": f"r{number}", "Targets": [target]}),
    ):
        run(server.port, [events_request(server, operation, body)], clients=1, seconds=60, count=1)


def put_request(server: Server) -> bytes:
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "Detail": json.dumps(DETAIL)}
    return events_request(server, "PutEvents", {"Entries": [entry]})


def bus(bench: Bench) -> list[Row]:
    """One event per request, durable, into a queue; then into five. And what many rules add to an event's cost."""
    rows = []
    cpu_us: dict[int, float] = {}
    with servers.penstock(bench.data()) as server:
        matching(server, 0)
        wire = put_request(server)
        begin = 0
        for count in (1, 10, 1_000, 10_000):
            rules(server, begin, count)
            begin = count
            run(server.port, [wire], clients=16, seconds=0.5)
            cpu_us[count] = min(bench.load(server, [wire], clients=CLIENTS, seconds=0.5).cpu_us for _ in range(4))
            if count != 10:
                rows.append(
                    bench.against_bare(
                        f"bus to queue, {count:,} rules, durable", server, [wire], clients=CLIENTS, goal="> 0.20"
                    )
                )
        for number in range(1, 5):
            matching(server, number)
        rows.append(bench.against_bare("bus to 5 queues, durable", server, [wire], clients=CLIENTS))
    note = f"CPU per event: {cpu_us[10]:.0f} and {cpu_us[10_000]:.0f} µs"
    rows.append(Row("an event against 10,000 rules, against 10", cpu_us[10_000] / cpu_us[10], "×", None, note, "< 1.1"))
    return rows
