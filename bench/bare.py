"""The yardstick: an ASGI app that answers a constant, served by uvicorn (uvloop, httptools)."""

from __future__ import annotations

from typing import Any

BODY = b'{"MessageId":"00000000-0000-4000-8000-000000000000","MD5OfMessageBody":"00000000000000000000000000000000"}'
HEADERS = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body, answer the constant."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
