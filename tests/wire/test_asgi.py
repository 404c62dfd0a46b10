"""The front as an ASGI application: what a server that mounts it, or an ASGI client, sees."""

from __future__ import annotations

from typing import Any

import orjson

from penstock.engine.context import Call
from penstock.wire.asgi import AsgiApplication
from penstock.wire.limits import DOCUMENT_BYTES

from .serving import Handler, serving

LIST = {
    "type": "http", "method": "POST", "path": "/", "query_string": b"", "client": ("127.0.0.1", 1),
    "headers": [
        (b"host", b"127.0.0.1:4566"), (b"content-type", b"application/x-amz-json-1.0"),
        (b"x-amz-target", b"AmazonSQS.ListQueues"),
    ],
}  # fmt: skip


async def converse(scope: dict[str, Any], *received: dict[str, Any], handler: Handler | None = None) -> Any:
    """The messages that the application sends in one conversation."""
    sent: list[Any] = []
    incoming = iter(received)

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    async with serving(handler) as server:
        await AsgiApplication(server.server.front)(scope, receive, send)
    return sent


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_an_operation_is_answered() -> None:
    def handler(call: Call) -> dict[str, Any]:
        return {"QueueUrls": [f"{call.operation} {call.request['QueueNamePrefix']}"]}

    start, body = await converse(LIST, piece(b'{"QueueNamePrefix":', True), piece(b'"a"}'), handler=handler)
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"application/x-amz-json-1.0"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"x-amzn-requestid"]
    assert orjson.loads(body["body"]) == {"QueueUrls": ["ListQueues a"]}


async def test_a_body_beyond_what_an_operation_takes_is_refused() -> None:
    start, body = await converse(LIST, piece(bytes(DOCUMENT_BYTES + 1)))
    assert (start["status"], body["body"]) == (413, b'{"message":"The body is too long."}')


async def test_a_head_has_no_body_and_a_server_hears_that_the_application_is_there() -> None:
    start, body = await converse({**LIST, "method": "HEAD"}, piece(b""))
    assert (start["type"], body["body"]) == ("http.response.start", b"")
    sent = await converse({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
