"""One connection, many kinds of requests: what came before it changes nothing about a request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.context import Call

from .serving import CLOSE, Serving, answers, post, serving

LEARNED = 9  # requests alike, after which their head is one that is known
Parts = dict[str, str | None]
REQUEST_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=<HostId>)[0-9a-f]{32}")


def signature(
    *, key: str = "0" * 12, region: str = "us-east-1", service: str = "sqs", more: str = "", end: str = "0"
) -> str:
    scope = f"{key}/20261121/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host{more}, Signature={end * 64}"


# What a request may consist of. The first of each is what most have; None stands for no such header.
PARTS: dict[str, tuple[str | None, ...]] = {
    "line": (
        "POST /", "POST /?a=b", "POST /000000000000/q", "GET /?Action=ListQueues", "GET /",
        "POST /2015-03-31/functions/f/invocations", "POST /2015-03-31/functions/g/invocations?Qualifier=1",
        "POST /service/GraniteServiceVersion20100801/operation/ListMetrics",
    ),
    "Host": ("localhost", "localhost:4566", "sqs.eu-west-1.amazonaws.com", "b.s3.localhost", "evil.example"),
    "X-Amz-Target": (
        "AmazonSQS.SendMessage", "AmazonSQS.ListQueues", "Kinesis_20131202.ListStreams", "Nothing.There", "", None,
    ),
    "Content-Type": (
        "application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/x-amz-cbor-1.1", "application/cbor",
        "application/x-www-form-urlencoded", None,
    ),
    "Authorization": (
        signature(), signature(end="f"), signature(key="1" * 12), signature(region="eu-west-1"),
        signature(service="lambda"), signature(service="s3"), signature(more=";x-amz-date"),
        "AWS 222222222222:abc", None,
    ),
    "X-Amz-Date": ("20261121T000000Z", "20261122T000000Z", None),
    "X-Amzn-Trace-Id": (None, "", "Root=1-5759e988-bd862e3fe1be46a994272793"),
    "X-Amz-Content-Sha256": (None, "UNSIGNED-PAYLOAD", "0" * 64),
    "Content-Encoding": (None, "gzip"),
    "Origin": (None, "http://evil.example", "http://localhost:3000"),
    "Smithy-Protocol": (None, "rpc-v2-cbor"),
    "body": (
        '{"QueueUrl":"http://localhost/1/q","MessageBody":"m"}', "{}", "", "Action=ListQueues&Version=2012-11-05",
        "Action=GetCallerIdentity&Version=2011-06-15", "\x7f",
    ),
}  # fmt: skip
USUAL: Parts = {name: values[0] for name, values in PARTS.items()}


def request(parts: Parts) -> bytes:
    body = (parts["body"] or "").encode()
    lines = [f"{parts['line']} HTTP/1.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in parts.items() if name not in ("line", "body") and value is not None]
    return "\r\n".join([*lines, "", ""]).encode() + body


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """Requests of a client that changes a thing or two between them, after some that were all alike."""
    change = st.sampled_from(list(PARTS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(PARTS[name])))
    parts = USUAL | dict(draw(st.lists(change, max_size=3)))
    found = [request(parts)] * LEARNED
    for changes in draw(st.lists(st.lists(change, max_size=2), min_size=1, max_size=10)):
        found += [request(parts | dict(changes))] * draw(st.sampled_from((1, 1, 1, LEARNED)))
    return found


def described(call: Call) -> dict[str, Any]:
    names = ("service", "operation", "request", "account", "region", "trace_header", "host", "principal")
    return {name: repr(getattr(call, name)) for name in names}


def echo(call: Call) -> dict[str, Any]:
    return {"MessageId": json.dumps(described(call))} if call.operation == "SendMessage" else {}


async def sent(server: Serving, pieces: Iterable[bytes]) -> tuple[list[tuple[int, bytes]], list[dict[str, Any]]]:
    """What comes back for these bytes on a new connection, and the calls they led to."""
    server.calls.seen.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    writer.write(post(b"{}", CLOSE, target="AmazonSQS.ListQueues"))
    data = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    got = [(status, REQUEST_ID.sub(b"", body)) for status, _, body in answers(data)]
    return got[:-1], [described(call) for call in server.calls.seen][:-1]


@settings(max_examples=60, deadline=None)
@given(requests(), st.sampled_from((0, 0, 100, 1000)))
def test_requests_of_one_connection_are_answered_as_each_on_a_connection_of_its_own(
    sequence: list[bytes], piece: int
) -> None:
    async def both() -> None:
        async with serving(echo) as server:
            alone: dict[bytes, Any] = {}
            for data in sequence:
                if data not in alone:
                    alone[data] = await sent(server, [data])
            whole = b"".join(sequence)
            size = piece or len(whole)
            got, calls = await sent(server, [whole[at : at + size] for at in range(0, len(whole), size)])
            assert got == [answer for data in sequence for answer in alone[data][0]]
            assert calls == [call for data in sequence for call in alone[data][1]]

    asyncio.run(both())
