"""HTTP/2 connections, by prior knowledge: what the Java and JavaScript clients of Kinesis speak to a plain port.

Each stream is one request; answers leave as they come, under the windows of connection and stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import orjson

from penstock.engine.body import FileBody
from penstock.wire.heads import clean
from penstock.wire.intake import Intake, TooLong
from penstock.wire.limits import (
    BODY_SECONDS,
    FRAME_BYTES,
    HEAD_BYTES,
    HEADERS,
    IDLE_SECONDS,
    RESETS,
    STREAM_WINDOW_BYTES,
    STREAMS,
    WRITE_BUFFER_BYTES,
    WRITE_SECONDS,
)
from penstock.wire.listener import Listener
from penstock.wire.sending import file_pieces
from penstock.wire.values import Request, Response

log = logging.getLogger("penstock.wire")
_FRAME_HEAD_BYTES = 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # what a client sends first: RFC 9113, 3.4
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"})


class _FrameLengths:
    """Watches the lengths that frames claim: h2 itself would wait for 16 MB of one before it says it is too long."""

    def __init__(self, skip: int, most: int) -> None:
        self._skip = skip
        self._most = most
        self._head = b""

    def hold(self, data: bytes) -> bool:
        """Whether every frame that begins in these bytes has a length that is allowed."""
        at = 0
        while at < len(data):
            if self._skip:
                passed = min(self._skip, len(data) - at)
                self._skip -= passed
                at += passed
                continue
            needed = _FRAME_HEAD_BYTES - len(self._head)
            self._head += data[at : at + needed]
            at += needed
            if len(self._head) == _FRAME_HEAD_BYTES:
                self._skip = int.from_bytes(self._head[:3], "big")
                self._head = b""
                if self._skip > self._most:
                    return False
        return True


class _StateMachine(h2.connection.H2ConnectionStateMachine):
    """h2's, but for a GOAWAY: a client that asks for no more still gets what it has asked for (RFC 9113, 6.8)."""

    def __init__(self) -> None:
        super().__init__()
        is_open = h2.connection.ConnectionState.SERVER_OPEN
        self._transitions = self._transitions | {(is_open, h2.connection.ConnectionInputs.RECV_GOAWAY): (None, is_open)}


class _Stream:
    """One request and its answer. ``unread`` bytes of its body have not been acknowledged: it is held back."""

    __slots__ = ("answered", "ended", "intake", "request", "sender", "sent", "since", "unread", "waiting")

    def __init__(self, request: Request, intake: Intake, now: float) -> None:
        self.request = request
        self.intake: Intake | None = intake
        self.since = now
        self.ended = False  # the request is complete
        self.answered = False  # the answer's head is out
        self.sent = False  # the answer is complete, as far as it is known
        self.unread = 0
        self.waiting = bytearray()  # of the answer, for the client to open its window
        self.sender: asyncio.Task[None] | None = None


class Http2Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.since = listener.now
        self.closing = False
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, _Stream] = {}
        self._resets = 0
        self._over = False  # nothing more is read or answered; what was written may still be leaving
        self._peer = ""
        self._write_paused = False
        self._eased: asyncio.Event = asyncio.Event()
        self._lengths = _FrameLengths(len(PREFACE), FRAME_BYTES)
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8", logger=None)
        )
        self._h2.state_machine = _StateMachine()
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_BYTES,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            },
        )

    # --- asyncio

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Go on with a connection that began with HTTP/2's preface."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        transport.set_protocol(self)
        self.listener.opened(self, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(STREAM_WINDOW_BYTES)
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._over:
            return
        self.since = self.listener.now
        try:
            if not self._lengths.hold(data):
                raise h2.exceptions.FrameTooLargeError
            events = self._h2.receive_data(data)
        except (h2.exceptions.ProtocolError, ValueError) as error:
            log.debug("an HTTP/2 connection was ended: %s", error)
            self._flush()
            self._close()
            return
        for event in events:
            self._on(event)
            if self._over:
                return
        self._flush()

    def eof_received(self) -> bool:
        """The client sends no more."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._transport, self._over = None, True
        self.listener.closed(self)
        for number in list(self._streams):
            self._drop(number)

    def pause_writing(self) -> None:
        """The client does not take its answers: read nothing more from it."""
        self._write_paused = True
        self.since = self.listener.now
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has taken enough."""
        self._write_paused = False
        if self._transport is not None:
            self._transport.resume_reading()
        for number in list(self._streams):
            self._pump(number)
        self._flush()

    def overdue(self, now: float) -> bool:
        """Whether the client has taken too long for what it does now."""
        if self._write_paused or self._over:
            return now - self.since > WRITE_SECONDS
        if not self._streams:
            return self.closing or now - self.since > IDLE_SECONDS
        for number, stream in list(self._streams.items()):
            unfinished = not stream.ended and not stream.unread and now - stream.since > BODY_SECONDS
            if unfinished or (stream.waiting and now - stream.since > WRITE_SECONDS):
                self._reset(number, h2.errors.ErrorCodes.CANCEL)
        self._flush()
        return False

    def shut(self) -> None:
        """Finish what is under way, then close."""
        self.closing = True
        if not self._streams:
            self._close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    # --- events

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._head(event.stream_id, event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self._body(event.stream_id, event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded):
            self._complete(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
            self._drop(event.stream_id)
            if self._resets > RESETS:
                self._close(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        elif isinstance(event, h2.events.WindowUpdated):
            for number in [event.stream_id] if event.stream_id else list(self._streams):
                self._pump(number)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.shut()

    def _head(self, number: int, pairs: object) -> None:
        if self.closing:
            self._reset(number, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        pseudo: dict[str, str] = {}
        headers: dict[str, str] = {}
        for name, value in cast(list[tuple[str, str]], pairs):
            if name.startswith(":"):
                pseudo[name] = value
            elif name in headers:
                headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ','}{value}"
            else:
                headers[name] = value
        path, _, query = pseudo.get(":path", "/").partition("?")
        host = pseudo.get(":authority") or headers.get("host", "")
        request = Request(pseudo.get(":method", "GET"), path or "/", query, headers, b"", host, self._peer)
        stream = self._streams[number] = _Stream(
            request, Intake(self.listener, request, lambda: self._ease(number)), self.listener.now
        )
        if len(cast(list[tuple[str, str]], pairs)) > HEADERS:
            self._refuse(number, 431, f"The request has more than {HEADERS} headers.")
            return
        try:
            length = headers.get("content-length", "0")
            if stream.intake is not None and length.isdecimal():
                stream.intake.expect(int(length))
        except TooLong as error:
            self._refuse(number, 413, str(error))

    def _body(self, number: int, data: bytes, counted: int) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.intake is None:
            self._h2.acknowledge_received_data(counted, number)
            return
        stream.since = self.listener.now
        try:
            stream.intake.feed(data)
        except TooLong as error:
            self._h2.acknowledge_received_data(counted, number)
            self._refuse(number, 413, str(error))
            return
        if stream.intake.full:
            stream.unread += counted
        else:
            self._h2.acknowledge_received_data(counted, number)

    def _ease(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None and stream.unread and self._transport is not None:
            unread, stream.unread = stream.unread, 0
            self._h2.acknowledge_received_data(unread, number)
            self._flush()

    def _complete(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.intake is None:
            return
        intake, stream.intake, stream.ended = stream.intake, None, True
        intake.finish(lambda request: self._start(number, request))

    def _start(self, number: int, request: Request) -> None:
        def answer(response: Response) -> None:
            self._answer(number, response)

        try:
            self.listener.front.start(request, answer)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            answer(_plain(500, "Internal Server Error"))

    def _refuse(self, number: int, status: int, message: str) -> None:
        stream = self._streams[number]
        if stream.intake is not None:
            stream.intake.abort()
            stream.intake = None
        stream.ended = True
        self._answer(number, _plain(status, message))

    # --- answers

    def _answer(self, number: int, response: Response) -> None:
        stream = self._streams.get(number)
        if stream is None or self._over or stream.answered:
            return
        stream.answered = True
        try:
            self._answer_open(number, stream, response)
        except h2.exceptions.ProtocolError:
            self._drop(number)  # the client has cancelled it, which is still to be read
        self._flush()

    def _answer_open(self, number: int, stream: _Stream, response: Response) -> None:
        stream.since = self.listener.now
        body = response.body
        bodiless = stream.request.method == "HEAD" or response.status in (204, 304)
        headers = self._answer_headers(response)
        if isinstance(body, bytes) and not any(name == "content-length" for name, _ in headers):
            if response.status not in (204, 304):
                headers.append(("content-length", str(len(body))))
        elif isinstance(body, FileBody):
            headers.append(("content-length", str(body.size)))
        if bodiless or body == b"":
            self._h2.send_headers(number, headers, end_stream=True)
            self._finished(number)
        else:
            self._h2.send_headers(number, headers)
            if isinstance(body, bytes):
                stream.waiting += body
                stream.sent = True
                self._pump(number)
            else:
                pieces = file_pieces(body) if isinstance(body, FileBody) else body
                stream.sender = asyncio.get_running_loop().create_task(self._send(number, stream, pieces, body))

    def _answer_headers(self, response: Response) -> list[tuple[str, str]]:
        headers = [(":status", str(response.status))]
        if response.content_type:
            headers.append(("content-type", clean(response.content_type)))
        if response.request_id_header:
            headers.append((response.request_id_header.lower(), response.request_id))
        headers.append(("date", self.listener.date()[6:-2].decode()))
        for name, value in response.headers:
            lowered = name.lower()
            if lowered not in _HOP_BY_HOP:
                headers.append((clean(lowered), clean(value).strip()))
        return headers

    async def _send(
        self, number: int, stream: _Stream, pieces: AsyncIterator[bytes], body: FileBody | AsyncIterator[bytes]
    ) -> None:
        try:
            async for piece in pieces:
                stream.waiting += piece
                self._pump(number)
                self._flush()
                while stream.waiting and number in self._streams and not self._over:
                    self._eased.clear()
                    await self._eased.wait()
                if number not in self._streams or self._over:
                    return
            stream.sent = True
            self._pump(number)
        except Exception:
            log.exception("the answer to %s %s broke off", stream.request.method, stream.request.path)
            self._reset(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        finally:
            if isinstance(body, FileBody) and body.delete:
                body.path.unlink(missing_ok=True)
            elif not isinstance(body, FileBody) and hasattr(body, "aclose"):
                await body.aclose()
            if self._transport is not None:
                self._flush()

    def _pump(self, number: int) -> None:
        """Send what the windows allow."""
        stream = self._streams.get(number)
        if stream is None or not stream.answered or self._over or self._write_paused:
            return
        try:
            while stream.waiting:
                room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
                if room <= 0:
                    return
                piece = bytes(stream.waiting[:room])
                del stream.waiting[:room]
                stream.since = self.listener.now
                last = stream.sent and not stream.waiting
                self._h2.send_data(number, piece, end_stream=last)
                if last:
                    self._finished(number)
                    return
            self._eased.set()
            if stream.sent:
                self._h2.end_stream(number)
                self._finished(number)
        except h2.exceptions.ProtocolError:
            self._drop(number)

    def _finished(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None and not stream.ended:
            # The answer is out before the request has arrived: nobody reads the rest of it.
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.reset_stream(number, h2.errors.ErrorCodes.NO_ERROR)
        self._forget(number)
        self.since = self.listener.now
        if self.closing and not self._streams:
            self._flush()
            self._close()

    def _reset(self, number: int, code: h2.errors.ErrorCodes) -> None:
        # One that the client has cancelled is closed for h2 before its event is read here.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(number, code)
        self._drop(number)

    def _forget(self, number: int) -> _Stream | None:
        stream = self._streams.pop(number, None)
        if stream is not None and stream.unread:
            # Else the connection's window would stay smaller by what this stream was held back with.
            self._h2.acknowledge_received_data(stream.unread, number)
        self._eased.set()
        return stream

    def _drop(self, number: int) -> None:
        stream = self._forget(number)
        if stream is not None:
            stream.request.gone = True
            if stream.intake is not None:
                stream.intake.abort()
            if stream.sender is not None:
                stream.sender.cancel()
        if self.closing and not self._streams:
            self._close()

    def _flush(self) -> None:
        if self._transport is not None:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)

    def _close(self, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.NO_ERROR) -> None:
        if self._over:
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.close_connection(code)
        self._flush()
        self._over = True
        self.since = self.listener.now
        for number in list(self._streams):
            self._drop(number)
        if self._transport is not None:
            self._transport.close()


def _plain(status: int, message: str) -> Response:
    return Response(status, (), orjson.dumps({"message": message}), "application/json")
