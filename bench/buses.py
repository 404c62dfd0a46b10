"""Events: from a bus to queues, with few and with many rules beside those that match."""

from __future__ import annotations

import json

from bench import servers
from bench.load import Load, request, run
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


def put(bench: Bench, server: Server) -> Load:
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "Detail": json.dumps(DETAIL)}
    wire = events_request(server, "PutEvents", {"Entries": [entry]})
    run(server.port, [wire], clients=16, seconds=1)
    return run(server.port, [wire], clients=CLIENTS, seconds=bench.seconds)


def bus(bench: Bench) -> list[Row]:
    """One event per request, durable, into a queue; then into five."""
    rows = []
    with servers.penstock(bench.data()) as server:
        matching(server, 0)
        begin = 0
        for count in (1, 1_000, 10_000):
            rules(server, begin, count)
            begin = count
            load = put(bench, server)
            rows.append(_row(bench, f"bus to queue, {count:,} rules", load, "> 0.20"))
        for number in range(1, 5):
            matching(server, number)
        load = put(bench, server)
        rows.append(_row(bench, "bus to 5 queues", load, ""))
    return rows


def _row(bench: Bench, what: str, load: Load, goal: str) -> Row:
    note = f"p50 {load.percentile(0.5):.2f} ms"
    return Row(f"{what}, durable, {CLIENTS} clients", load.per_second, "/s", bench.ratio(load, CLIENTS), note, goal)
