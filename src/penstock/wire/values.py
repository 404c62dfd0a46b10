"""Requests and answers as plain values: what every way in (HTTP/1.1, HTTP/2, ASGI, tests) turns into and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.base.errors import ApiError
from penstock.engine.body import FileBody

if TYPE_CHECKING:
    from penstock.wire.repeats import RepeatedHead


class Request:
    """One HTTP request whose body has arrived.

    ``headers`` has lower-case names; a header that came twice is joined with commas. ``path`` is as it was sent:
    still percent-encoded, without the query. ``query`` is the raw query string. ``body`` is a FileBody when it was
    too large to be kept in memory. ``host`` is the Host header with its port. ``content_sha256`` is the
    hash of a body in a file, in hexadecimal. ``original`` are the headers
    that were changed when an aws-chunked body was unpacked; ``error`` is what was wrong with that. ``repeat`` is the
    head it shares with earlier requests, if it does, and ``values`` are those in which it differs from them.
    """

    __slots__ = (
        "_headers", "body", "content_sha256", "error", "gone", "host", "method", "original", "path", "peer", "query",
        "repeat", "values",
    )  # fmt: skip

    def __init__(
        self, method: str, path: str, query: str = "", headers: dict[str, str] | None = None,
        body: bytes | FileBody = b"", host: str = "", peer: str = "", repeat: RepeatedHead | None = None,
        values: tuple[bytes, ...] = (),
    ) -> None:  # fmt: skip
        self.method, self.path, self.query, self.body, self.host, self.peer = method, path, query, body, host, peer
        self.repeat, self.values = repeat, values
        self._headers = {} if headers is None and repeat is None else headers
        self.content_sha256 = ""
        self.original: dict[str, str] | None = None
        self.error: ApiError | None = None
        self.gone = False  # the client has closed its side of the connection since

    @property
    def headers(self) -> dict[str, str]:
        """The headers by name, in lower case."""
        headers = self._headers
        if headers is None:
            assert self.repeat is not None
            headers = self._headers = self.repeat.headers(self.values)
        return headers

    @property
    def trace_header(self) -> str:
        """The X-Amzn-Trace-Id header, "" without one."""
        repeat = self.repeat
        return "" if repeat is not None and not repeat.traced else self.headers.get("x-amzn-trace-id", "")

    def as_signed(self) -> dict[str, str]:
        """The headers as they were signed, with the host among them."""
        headers = {**self.headers, **(self.original or {})}
        headers.setdefault("host", self.host)
        headers[":authority"] = self.host
        return headers


@dataclass(slots=True)
class Response:
    """One HTTP answer. ``body`` may be a FileBody (sent under flow control) or an asynchronous stream of bytes.

    Content-Length, Date and Connection are added on the way out; a stream is sent chunked. ``content_type`` is sent
    as Content-Type, ``request_id`` under the name ``request_id_header``, unless they are empty.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | FileBody | AsyncIterator[bytes] = b""
    content_type: str = ""
    request_id_header: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RawRoute:
    """A way in that is no AWS operation: function URLs, API stages, the console, pages.

    ``matches(host, path)`` gets the host without its port in lower case, and the path; it is asked on every request
    whose path is not "/" or whose host is not loopback, so it must be quick. ``handler`` takes the whole request. The
    first route that matches wins, before any AWS operation. ``any_origin``: web pages of any origin may
    call it and the handler answers CORS requests itself, as an API for the public does.
    """

    matches: Callable[[str, str], bool]
    handler: Callable[[Request], Awaitable[Response]]
    any_origin: bool = False
