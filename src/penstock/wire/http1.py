"""HTTP/1.1 connections: an asyncio Protocol on httptools.

A request is answered from the parser's callback. Answers leave in the order of their requests (pipelining), each as
one write; a client that does not take them is read no further. Request bodies over 1 MB go to a file.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

import httptools
import orjson

from penstock.engine.body import FileBody
from penstock.wire.heads import answer_bytes, headers_of
from penstock.wire.http2 import PREFACE, Http2Connection
from penstock.wire.intake import Intake, TooLong
from penstock.wire.limits import (
    BODY_SECONDS,
    HEAD_BYTES,
    HEAD_SECONDS,
    HEADERS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    PIPELINED,
    WRITE_BUFFER_BYTES,
    WRITE_SECONDS,
)
from penstock.wire.listener import Listener
from penstock.wire.repeats import SmallRequests
from penstock.wire.sending import file_pieces
from penstock.wire.values import Request, Response

log = logging.getLogger("penstock.wire")

_OFFERS = frozenset({b"upgrade", b"http2-settings"})  # headers that offer another protocol, and what Connection says
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_IDLE, _HEAD, _BODY = 0, 1, 2


class Exchange:
    """One request of a connection and its answer."""

    __slots__ = ("close", "connection", "http10", "request", "response")

    def __init__(self, connection: Http1Connection, request: Request, close: bool, http10: bool) -> None:
        self.connection = connection
        self.request = request
        self.close = close
        self.http10 = http10
        self.response: Response | None = None

    def answer(self, response: Response) -> None:
        """The answer is there: it leaves when those before it have."""
        self.response = response
        connection = self.connection
        exchanges = connection.exchanges
        if exchanges and exchanges[0] is self:
            connection.flush()


class Http1Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.front = listener.front
        self.exchanges: deque[Exchange] = deque()
        self.closing = False
        self.since = listener.now
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._state = _IDLE
        self._reading = True
        self._writable: asyncio.Event | None = None
        self._write_paused = False
        self._streaming: asyncio.Task[None] | None = None
        self._opening: bytes | None = b""
        self._peer = ""
        self._small: SmallRequests
        self._url = b""
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._intake: Intake | None = None
        self._ended = False
        self._refused = False  # something that was not read to its end
        self._parsing = False
        self._again = b""  # a head that is read again, without the upgrade it offered

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not say so
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._parser = httptools.HttpRequestParser(self)
        self._small = SmallRequests(self.listener.repeats, self._peer)
        self.since = self.listener.now
        self.listener.opened(self, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone; operations under way run to their end, and nobody hears of it."""
        self.closing = self._ended = True
        self.listener.closed(self)
        if self._intake is not None:
            self._intake.abort()
            self._intake = None
        if self._streaming is not None:
            self._streaming.cancel()
        if self._writable is not None:
            self._writable.set()
        self._tell_gone()
        self.exchanges.clear()
        self._transport = None

    def _tell_gone(self) -> None:
        for exchange in self.exchanges:
            exchange.request.gone = True

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for answers."""
        self.closing = True
        self._tell_gone()
        self.since = self.listener.now
        return bool(self.exchanges) and self._state == _IDLE

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._ended:
            return
        if self._opening is not None and self._maybe_http2(data):
            return
        if self._state == _IDLE and not self._parsing:
            data = self._read_whole(data)
            if not data:
                return
            self._parsing = True
        if self._state == _BODY:
            self.since = self.listener.now
            self._head_bytes += len(data)
        elif self._state == _HEAD:
            # Where in its first piece a head began is not known; what follows is counted.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, f"The head of the request is longer than {HEAD_BYTES} bytes.")
                return
        try:
            self._parser.feed_data(data)
            if self._state == _BODY and self._head_bytes > HEAD_BYTES:
                self._refuse(431, f"The chunks' extensions or trailers are longer than {HEAD_BYTES} bytes.")
        except httptools.HttpParserUpgrade as upgrade:
            # A server may go on as if nothing had been offered (Java's client offers h2c with every first request).
            self._parser = httptools.HttpRequestParser(self)
            head, self._again = self._again, b""
            self._state, self._parsing = _IDLE, False
            self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(400, f"This is not an HTTP request that can be read: {error}")

    def _read_whole(self, data: bytes) -> bytes:
        """Take the requests that are in this piece whole, and return what is left for the parser."""
        while not self._ended:
            found = self._small.read(data)
            if found is None:
                return data
            request, size = found
            self.since = self.listener.now
            exchange = Exchange(self, request, self.closing, False)
            self.exchanges.append(exchange)
            if len(self.exchanges) >= PIPELINED:
                self._hold()
            self._start(exchange)
            if len(data) == size:
                break
            data = data[size:]
        return b""

    def _maybe_http2(self, data: bytes) -> bool:
        """Whether these are (the beginning of) HTTP/2's first bytes; only a connection's first bytes can be."""
        data = (self._opening or b"") + data
        if not PREFACE.startswith(data[: len(PREFACE)]):
            opening, self._opening = self._opening, None
            if opening:
                self.data_received(data)
                return True
            return False
        if len(data) < len(PREFACE):
            self._opening = data
            return True
        assert self._transport is not None
        self.listener.connections.pop(self, None)
        Http2Connection(self.listener).take_over(self._transport, data)
        return True

    def pause_writing(self) -> None:
        """The client does not take its answers: read nothing more from it."""
        self._write_paused = True
        self.since = self.listener.now
        if self._writable is not None:
            self._writable.clear()
        self._hold()

    def resume_writing(self) -> None:
        """The client has taken enough."""
        self._write_paused = False
        if self._writable is not None:
            self._writable.set()
        self._unhold()

    def _hold(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _unhold(self) -> None:
        full = len(self.exchanges) >= PIPELINED or (self._intake is not None and self._intake.full)
        if not self._reading and not self._write_paused and not full and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def overdue(self, now: float) -> bool:
        """Whether the client has taken too long for what it does now."""
        if self._write_paused:
            return now - self.since > WRITE_SECONDS
        if self._state == _HEAD:
            return now - self.since > HEAD_SECONDS
        if self._state == _BODY:
            return self._reading and now - self.since > BODY_SECONDS
        if self.exchanges or self._streaming is not None:
            return False
        if self._refused:
            return now - self.since > LINGER_SECONDS
        return self.closing or now - self.since > IDLE_SECONDS

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        self._parsing = True
        self._url, self._raw_headers, self._head_bytes, self._intake = b"", [], 0, None
        self._state, self.since = _HEAD, self.listener.now

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url
        if len(self._url) > HEAD_BYTES:
            self._refuse(414, "The URL is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header (or, after a chunked body, a trailer)."""
        if self._state == _HEAD:
            self._raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there: is the body welcome?"""
        if self._ended:
            return
        if self._parser.should_upgrade():
            self._turn_down_upgrade()
            return
        size = sum(len(name) + len(value) for name, value in self._raw_headers)
        if len(self._raw_headers) > HEADERS or size > HEAD_BYTES:
            self._refuse(431, f"The request has more than {HEADERS} headers or {HEAD_BYTES} bytes of them.")
            return
        # What follows now would be trailers: nothing here uses any, and they must not change what the head said.
        pairs, self._raw_headers = self._raw_headers, []
        headers = headers_of(pairs, self.listener.heads.names)
        path, _, query = self._url.decode("latin-1").partition("?")
        host = headers.get("host", "")
        if not path.startswith("/"):
            path, host = _absolute(path, host)
        if not host and self._parser.get_http_version() != "1.0":
            self._refuse(400, "The Host header is missing.")
            return
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, path or "/", query, headers, b"", host, self._peer)
        self._intake = Intake(self.listener, request, self._unhold)
        self._state, self._head_bytes = _BODY, 0
        try:
            self._intake.expect(int(headers.get("content-length", 0)))
        except TooLong as error:
            self._refuse(413, str(error))
            return
        # Only when nothing waits before it: the client reads it as the next thing on the connection.
        expects = headers.get("expect", "").lower() == "100-continue"
        if expects and self._transport is not None and not self.exchanges and self._parser.get_http_version() != "1.0":
            self._transport.write(_CONTINUE)

    def _turn_down_upgrade(self) -> None:
        """Have the head read again without its offer: httptools reads no body once one is made (RFC 9110, 7.8)."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(405, "This is no proxy: send the request to the address it is for.")
            return
        lines = [b"%b %b HTTP/%b" % (method, self._url, self._parser.get_http_version().encode())]
        for name, value in self._raw_headers:
            kept = value
            if name.lower() == b"connection":
                kept = b", ".join(one for one in value.split(b",") if one.strip().lower() not in _OFFERS)
            if kept and name.lower() not in _OFFERS:
                lines.append(name + b": " + kept)
        self._again = b"\r\n".join([*lines, b"", b""])

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        intake = self._intake
        if self._ended or intake is None:
            return
        self._head_bytes = 0  # from here on of what is neither head nor body: extensions of chunks, and trailers
        try:
            intake.feed(data)
        except TooLong as error:
            self._refuse(413, str(error))
            return
        if intake.full:
            self._hold()

    def on_message_complete(self) -> None:
        """The request is complete."""
        intake = self._intake
        if self._ended or intake is None:
            return
        self._state = _IDLE
        self._parsing = False
        self._intake = None
        self.since = self.listener.now
        keep = self._parser.should_keep_alive() and not self.closing
        exchange = Exchange(self, intake.request, not keep, self._parser.get_http_version() == "1.0")
        self.exchanges.append(exchange)
        if not keep:
            self._ended = True  # nothing that follows on this connection is read
        if len(self.exchanges) >= PIPELINED or not intake.in_memory:
            self._hold()
        intake.finish(lambda request: self._start(exchange))
        if not intake.in_memory:
            self._unhold()

    def _start(self, exchange: Exchange) -> None:
        try:
            self.front.start(exchange.request, exchange.answer)
        except Exception:
            log.exception("%s %s failed", exchange.request.method, exchange.request.path)
            if exchange.response is None:
                exchange.answer(_plain(500, "Internal Server Error"))

    # --- answers

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read any further, and close."""
        if self._ended:
            return
        self._ended = self._refused = True
        self._state = _IDLE
        request = Request("GET", "/")
        if self._intake is not None:
            self._intake.abort()
            request, self._intake = self._intake.request, None
        exchange = Exchange(self, request, True, False)
        self.exchanges.append(exchange)
        exchange.answer(_plain(status, message))

    def flush(self) -> None:
        """Write every answer whose turn it is."""
        exchanges = self.exchanges
        while exchanges and self._streaming is None:
            exchange = exchanges[0]
            response = exchange.response
            if response is None or self._transport is None:
                break
            if type(response.body) is not bytes:
                self._streaming = asyncio.get_running_loop().create_task(self._stream(exchange, response))
                return
            self._transport.write(self._head(exchange, response, len(response.body)))
            self._done(exchange)
        if not self._reading:
            self._unhold()

    def _done(self, exchange: Exchange) -> None:
        if self.exchanges and self.exchanges[0] is exchange:
            self.exchanges.popleft()
        if self._state == _IDLE:
            self.since = self.listener.now
        if (exchange.close or (self.closing and not self.exchanges)) and self._transport is not None:
            if self._refused:
                self._end_softly(self._transport)
            else:
                self._transport.close()

    def _end_softly(self, transport: asyncio.Transport) -> None:
        """Read on, for nothing, until the client has gone or has sent for long enough: it may not know the answer yet.

        A connection that is closed with bytes unread is reset, and the client loses the answer that tells why.
        """
        self.closing = True
        self.since = self.listener.now
        transport.write_eof()
        self._unhold()

    def _head(self, exchange: Exchange, response: Response, size: int | None) -> bytes:
        if self.closing and len(self.exchanges) == 1:  # who has sent several and no more gets all the answers
            exchange.close = True
        return answer_bytes(
            response,
            size,
            self.listener.date(),
            head_only=exchange.request.method == "HEAD",
            close=exchange.close,
            http10=exchange.http10,
        )

    async def _stream(self, exchange: Exchange, response: Response) -> None:
        """Send an answer whose body is a file or a stream, at the client's pace."""
        body, ok = response.body, False
        bodiless = exchange.request.method == "HEAD" or response.status in (204, 304)
        try:
            assert self._transport is not None and not isinstance(body, bytes)
            if isinstance(body, FileBody):
                self._transport.write(self._head(exchange, response, body.size))
                if not bodiless:
                    await self._send_file(body)
            else:
                sized = any(name.lower() == "content-length" for name, _ in response.headers)
                chunked = not sized and not exchange.http10
                exchange.close = exchange.close or (exchange.http10 and not sized)
                self._transport.write(self._head(exchange, response, None))
                if not bodiless:
                    await self._send_stream(body, chunked)
            ok = True
        except OSError as error:
            log.error("the answer to %s %s broke off: %s", exchange.request.method, exchange.request.path, error)
        except Exception:
            log.exception("the answer to %s %s broke off", exchange.request.method, exchange.request.path)
        finally:
            self._streaming = None
            if isinstance(body, FileBody) and body.delete:
                body.path.unlink(missing_ok=True)
            elif isinstance(body, AsyncIterator) and hasattr(body, "aclose"):
                await body.aclose()
            if self._transport is not None:
                # A broken answer must not look complete.
                if ok:
                    self._done(exchange)
                    self.flush()
                else:
                    self._transport.abort()

    async def _send_file(self, body: FileBody) -> None:
        async for data in file_pieces(body):
            await self._send(data)

    async def _send_stream(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        async for data in body:
            if data:
                await self._send(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        if chunked:
            await self._send(b"0\r\n\r\n")

    async def _send(self, data: bytes) -> None:
        if self._transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        if self._write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()
            if self._transport is None:
                raise ConnectionResetError("the client has gone")

    def shut(self) -> None:
        """Finish what is under way, then close."""
        self.closing = True
        if not self.exchanges and self._state == _IDLE and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


def _absolute(url: str, host: str) -> tuple[str, str]:
    """Path and host of a request target in absolute form, as proxies send it; the target's host counts."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return ("*" if url == "*" else f"/{url}"), host
    authority, slash, path = rest.partition("/")
    return slash + path, authority or host


def _plain(status: int, message: str) -> Response:
    return Response(status, (), orjson.dumps({"message": message}), "application/json")
