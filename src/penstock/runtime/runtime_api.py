"""The standard Lambda Runtime API over HTTP, on an address of its own per environment: clients take only host:port.

Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. On Linux each environment's address is a random one of
127.0.0.0/8, so that no function happens upon another's.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from typing import Any

import httptools
import orjson

from penstock.base.names import Names
from penstock.runtime.channel import ANSWER_BYTES, RuntimeListener

VERSION = "/2018-06-01/runtime/"
CONNECTIONS = 64  # per environment; more are closed at once
ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"
_PHRASES = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
            413: "Payload Too Large", 501: "Not Implemented"}  # fmt: skip
_TOO_LARGE = orjson.dumps(
    {
        "errorMessage": f"Exceeded maximum allowed payload size ({ANSWER_BYTES} bytes).",
        "errorType": "RequestEntityTooLarge",
    }
)


class RuntimeApi:
    """One environment's server."""

    def __init__(self, listener: RuntimeListener) -> None:
        self.listener = listener
        self.address = ""
        self.connections: set[_Connection] = set()
        self.deaf = False
        self._server: asyncio.Server | None = None

    async def start(self, names: Names) -> str:
        """Listen; returns host:port, as AWS_LAMBDA_RUNTIME_API has it."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host = "127.0.0.1"
        if sys.platform.startswith("linux"):
            host = "127." + ".".join(str(1 + names.random.getrandbits(8) % 253) for _ in range(3))
        listening.bind((host, 0))
        self.address = f"{host}:{listening.getsockname()[1]}"
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=listening)
        return self.address

    def hear_no_more(self) -> None:
        """Read nothing more, and leave every connection open: a runtime that is being killed waits for its answer.

        One whose connections broke before it was killed would report that in the function's log.
        """
        self.deaf = True
        for connection in self.connections:
            connection.hear_no_more()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.drop()


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection of a runtime."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._too_large = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if len(self._api.connections) >= CONNECTIONS:
            transport.abort()
            return
        self._api.connections.add(self)
        if self._api.deaf:
            self.hear_no_more()

    def connection_lost(self, error: Exception | None) -> None:
        self._api.connections.discard(self)
        self._transport = None
        self._api.listener.next_lost(self)

    def hear_no_more(self) -> None:
        """Read nothing more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def drop(self) -> None:
        """Close without ado."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.drop()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if name.lower() == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > ANSWER_BYTES:
            self._too_large = True
            self._body.clear()
        elif not self._too_large:
            self._body += body

    def on_message_complete(self) -> None:
        path = self._url.decode("latin-1").partition("?")[0]
        method = self._parser.get_method()
        if not path.startswith(VERSION):
            self._refuse(404, "NotFound", f"{path} is not served here: only the Runtime API under {VERSION} is")
            return
        route = path[len(VERSION) :].strip("/").split("/")
        if method == b"GET" and route == ["invocation", "next"]:
            self._api.listener.next_asked(self)
        elif method == b"POST" and len(route) == 3 and route[0] == "invocation" and route[2] in ("response", "error"):
            self._outcome(route[1], route[2])
        elif method == b"POST" and route == ["init", "error"]:
            self._api.listener.init_failed(bytes(self._body), self._headers.get(ERROR_TYPE, "Runtime.Unknown"))
            self._answer(202, b'{"status":"OK"}')
        elif route[0] == "restore":
            self._refuse(403, "InvalidStateTransition", "this environment was not started by SnapStart")
        else:
            self._refuse(404, "NotFound", f"the Runtime API has no {method.decode()} {path}")

    def _outcome(self, request_id: str, kind: str) -> None:
        listener = self._api.listener
        if self._too_large:
            listener.answer_too_large(request_id)
            self._answer(413, _TOO_LARGE)
            return
        if kind == "response" and ERROR_TYPE in self._headers:  # a trailer: the answer's stream broke off
            document = base64.b64decode(self._headers.get(ERROR_BODY, "")) or bytes(self._body)
            refused = listener.reported(request_id, document, self._headers[ERROR_TYPE], 0)
        elif kind == "response":
            refused = listener.answered(request_id, bytes(self._body), 0)
        else:
            refused = listener.reported(request_id, bytes(self._body), self._headers.get(ERROR_TYPE, ""), 0)
        if refused is None:
            self._answer(202, b'{"status":"OK"}')
        elif refused == "InvalidRequestID":
            self._refuse(400, refused, "Invalid request ID")
        else:
            self._refuse(403, refused, "State transition is not allowed: no invocation is under way")

    # --- answers

    def give(self, headers: dict[str, Any], payload: bytes) -> None:
        """The answer to ``next``: an event."""
        self._answer(200, payload, headers)

    def _refuse(self, status: int, error_type: str, message: str) -> None:
        self._answer(status, orjson.dumps({"errorMessage": message, "errorType": error_type}))

    def _answer(self, status: int, body: bytes, headers: dict[str, Any] | None = None) -> None:
        if self._transport is None:
            return
        lines = [f"HTTP/1.1 {status} {_PHRASES[status]}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items() if value is not None]
        if headers is None:
            lines.append("Content-Type: application/json")
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._transport.write("\r\n".join(lines).encode("latin-1", "replace") + body)
