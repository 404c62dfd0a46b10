"""Heads of answers and of small requests, as HTTP/1.1 writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from penstock.wire.limits import HEAD_BYTES, HEADERS, MEMORY_BYTES
from penstock.wire.values import Request, Response

_REQUEST_LINE = re.compile(rb"(POST|GET|PUT|DELETE|HEAD|PATCH|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.1")
_RPC_LINE = b"POST / HTTP/1.1"  # of every call in JSON, query or CBOR
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNFIT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # what a value may not have: RFC 9110, 5.5
_PARSERS_OWN = frozenset({"transfer-encoding", "upgrade", "expect", "content-encoding", "x-amz-decoded-content-length"})
STREAMING = "STREAMING-"  # how X-Amz-Content-Sha256 begins when the body is in chunks, which the parser reads
_NAMES_AT_MOST = 512  # spellings of header names remembered
_LINES_AT_MOST = 4096  # whole header lines remembered; when there are more, all are forgotten
_LINE_BYTES = 256  # of a header line that is remembered
# Headers that a client sends alike in every request, so that their lines are worth remembering.
_STEADY = frozenset(
    {
        "accept", "accept-encoding", "amz-sdk-request", "connection", "content-length", "content-type", "host",
        "user-agent", "x-amz-date", "x-amz-target", "x-amz-user-agent", "x-amzn-query-mode",
    }
)  # fmt: skip


class HeaderNames(dict[bytes, str]):
    """Headers' names in lower case; the usual spellings are remembered."""

    def __missing__(self, name: bytes) -> str:
        lowered = name.decode("latin-1").lower()
        if len(self) < _NAMES_AT_MOST:
            self[name] = lowered
        return lowered


def headers_of(pairs: list[tuple[bytes, bytes]], names: Mapping[bytes, str]) -> dict[str, str]:
    """Headers by name in lower case; one that came twice is joined."""
    try:
        headers = {names[name]: value.decode() for name, value in pairs}
        if len(headers) == len(pairs):
            return headers
    except UnicodeDecodeError:
        pass
    headers = {}
    for name, value in pairs:
        key = names[name]
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        if key in headers:
            text = f"{headers[key]}; {text}" if key == "cookie" else f"{headers[key]},{text}"
        headers[key] = text
    return headers


class Heads:
    """Reads the heads of small requests, remembering the lines that clients repeat.

    Nearly every AWS request is small, plain, and there at once. Reading it here takes a third of the time that the
    parser's callbacks do. What is not plainly such a request is the parser's, which also says what is wrong with it.
    """

    def __init__(self) -> None:
        self.names = HeaderNames()
        self._lines: dict[bytes, tuple[str, str]] = {}

    def whole_request(self, data: bytes, peer: str) -> tuple[Request, int] | None:
        """The request that these bytes begin with and its size, when it is plain, small and whole; else None."""
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if end < 0:
            return None
        first, *lines = data[:end].split(b"\r\n")
        known = self._lines
        headers: dict[str, str] = {}
        for line in lines:
            pair = known.get(line) or self._header(line)
            if pair is None:
                return None
            headers[pair[0]] = pair[1]
        if len(headers) != len(lines) or len(lines) > HEADERS or not _PARSERS_OWN.isdisjoint(headers):
            return None
        if headers.get("connection", "keep-alive").lower() != "keep-alive":
            return None
        if headers.get("x-amz-content-sha256", "").startswith(STREAMING):
            return None
        host = headers.get("host")
        length = headers.get("content-length", "0")
        if not host or not length.isdecimal() or not length.isascii() or len(length) > 7:
            return None
        size = int(length)
        total = end + 4 + size
        if len(data) < total or size > MEMORY_BYTES:
            return None
        body = data[end + 4 : total] if size else b""
        if first == _RPC_LINE:
            return Request("POST", "/", "", headers, body, host, peer), total
        match = _REQUEST_LINE.fullmatch(first)
        if match is None:
            return None
        path, _, query = match[2].decode("latin-1").partition("?")
        return Request(match[1].decode(), path, query, headers, body, host, peer), total

    def _header(self, line: bytes) -> tuple[str, str] | None:
        name, separator, value = line.partition(b":")
        if not separator or _UNFIT.search(value) or not (name in self.names or _TOKEN.fullmatch(name)):
            return None
        try:
            pair = self.names[name], value.strip(b" \t").decode()
        except UnicodeDecodeError:
            return None
        if pair[0] in _STEADY and len(line) <= _LINE_BYTES:
            if len(self._lines) >= _LINES_AT_MOST:
                self._lines.clear()
            self._lines[line] = pair
        return pair


def clean(text: str) -> str:
    """A header's value that cannot end its line: what callers send must not become headers of our answers."""
    if text.isprintable():
        return text
    return text.replace("\r", " ").replace("\n", " ").replace("\0", " ")


@lru_cache(maxsize=512)
def _first_lines(status: int, content_type: str, request_id_header: str) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    lines = f"HTTP/1.1 {status} {phrase}\r\n"
    if content_type:
        lines += f"Content-Type: {clean(content_type)}\r\n"
    if request_id_header:
        lines += f"{request_id_header}: "
    return lines.encode("utf-8", "surrogateescape")


# Nearly every answer: its first lines end with the name of the request id's header, the Date header ends its line.
_PLAIN = b"%b%b\r\n%bContent-Length: %d\r\n\r\n%b"


def answer_bytes(
    response: Response, size: int | None, date: bytes, *, head_only: bool, close: bool, http10: bool
) -> bytes:
    """Status line and headers, and the body with them when it is in memory; ``size`` is None for a stream."""
    status = response.status
    first = _first_lines(status, response.content_type, response.request_id_header)
    request_id = response.request_id.encode()
    if status == 200 and request_id and not (response.headers or size is None or head_only or close or http10):
        return _PLAIN % (first, request_id, date, size, response.body if type(response.body) is bytes else b"")
    parts = [first]
    if response.request_id_header:
        parts.append(request_id + b"\r\n")
    parts.append(date)
    sized = False
    for name, value in response.headers:
        sized = sized or name.lower() == "content-length"
        parts.append(f"{clean(name)}: {clean(value)}\r\n".encode("utf-8", "surrogateescape"))
    bodiless = status in (204, 304) or status < 200
    if not sized and not bodiless:
        if size is not None:
            parts.append(b"Content-Length: %d\r\n" % size)
        elif not http10 and not head_only:
            parts.append(b"Transfer-Encoding: chunked\r\n")
    if close:
        parts.append(b"Connection: close\r\n")
    elif http10:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    if type(response.body) is bytes and not bodiless and not head_only:
        parts.append(response.body)
    return b"".join(parts)
