"""Heads of answers and of small requests, as HTTP/1.1 writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from penstock.wire.limits import HEAD_BYTES, HEADERS, MEMORY_BYTES
from penstock.wire.values import Request, Response

_REQUEST_LINE = re.compile(rb"(POST|GET|PUT|DELETE|HEAD|PATCH|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.1\r\n")
_HEADER = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)(?<![ \t])")
_PARSERS_OWN = frozenset(
    {"transfer-encoding", "upgrade", "expect", "connection", "content-encoding", "x-amz-decoded-content-length"}
)
_NAMES_AT_MOST = 512  # spellings of header names remembered


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


def whole_request(data: bytes, names: Mapping[bytes, str], peer: str) -> tuple[Request, int] | None:
    """The request that these bytes begin with and its size, when it is plain, small and whole; else None.

    Nearly every AWS request is. Reading it here takes a third of the time that the parser's callbacks do; what is
    not plainly such a request is the parser's, which also says what is wrong with it.
    """
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
    if end < 0:
        return None
    head = data[: end + 2]
    line = _REQUEST_LINE.match(head)
    if line is None:
        return None
    pairs = _HEADER.findall(head, line.end() - 2)
    lines = head.count(b"\n")
    if len(pairs) != lines - 1 or head.count(b"\r") != lines or lines > HEADERS:
        return None
    headers = headers_of(pairs, names)
    if not _PARSERS_OWN.isdisjoint(headers) or "host" not in headers:
        return None
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 7 or not length.isascii():
        return None
    size = int(length)
    total = end + 4 + size
    if len(data) < total or size > MEMORY_BYTES:
        return None
    path, _, query = line[2].decode("latin-1").partition("?")
    body = data[end + 4 : total] if size else b""
    return Request(line[1].decode(), path, query, headers, body, headers["host"], peer), total


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


def answer_bytes(
    response: Response, size: int | None, date: bytes, *, head_only: bool, close: bool, http10: bool
) -> bytes:
    """Status line and headers, and the body with them when it is in memory; ``size`` is None for a stream."""
    status = response.status
    parts = [_first_lines(status, response.content_type, response.request_id_header)]
    if response.request_id_header:
        parts.append(response.request_id.encode() + b"\r\n")
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
