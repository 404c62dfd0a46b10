"""The front as an ASGI application: to mount a platform into another server, and for tests with ASGI clients.

The platform's own server does not go through here: ASGI's tasks and dictionaries cost more than an operation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from penstock.engine.body import FileBody
from penstock.wire.front import Front
from penstock.wire.heads import HeaderNames, headers_of
from penstock.wire.limits import DOCUMENT_BYTES
from penstock.wire.sending import file_pieces
from penstock.wire.values import Request, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AsgiApplication:
    """An ASGI application that answers with a front. Bodies are kept in memory, up to 70 MB."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._names = HeaderNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI conversation."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served here: mount the platform for HTTP only")
        body = await _body(receive)
        if body is None:
            response = Response(413, (), b'{"message":"The body is too long."}', "application/json")
        else:
            headers = headers_of(list(scope["headers"]), self._names)
            raw: bytes = scope.get("raw_path") or scope["path"].encode()
            peer = scope.get("client")
            request = Request(
                scope["method"], raw.decode("latin-1"), scope["query_string"].decode("latin-1"), headers, body,
                headers.get("host", ""), peer[0] if peer else "",
            )  # fmt: skip
            response = await self._front.handle(request)
        await _answer(response, send, head_only=scope["method"] == "HEAD")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes | None:
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > DOCUMENT_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(pieces)


async def _answer(response: Response, send: Send, *, head_only: bool) -> None:
    headers = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in response.headers]
    if response.content_type:
        headers.append((b"content-type", response.content_type.encode()))
    if response.request_id_header:
        headers.append((response.request_id_header.lower().encode(), response.request_id.encode()))
    body = response.body
    if isinstance(body, bytes) and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(body, bytes) or head_only:
        await send({"type": "http.response.body", "body": body if isinstance(body, bytes) and not head_only else b""})
        return
    pieces: AsyncIterator[bytes] = file_pieces(body) if isinstance(body, FileBody) else body
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    if isinstance(body, FileBody) and body.delete:
        body.path.unlink(missing_ok=True)
