"""The short way to awslambdaric: frames over a socket pair, whose other end is ``inside/runtime_client.py``."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Protocol

import orjson

FRAME = struct.Struct(">cII")
ANSWER_BYTES = 6_291_556  # Lambda's quota for a synchronous answer, as its error message states it
HEADER_BYTES = 64 << 10
READ_BYTES = 256 << 10


class RuntimeListener(Protocol):
    """Who hears what a runtime says, by either way."""

    def next_asked(self, way: EventWay) -> None:
        """The runtime is ready for an event, which ``way`` takes to it."""

    def next_lost(self, way: EventWay) -> None:
        """Who asked for an event by this way is not waiting any more."""

    def answered(self, request_id: str, payload: bytes, max_kb: int) -> str | None:
        """The runtime answered; None, or why the answer was not taken (an error type of the Runtime API)."""

    def answer_too_large(self, request_id: str) -> None:
        """The runtime's answer is larger than ANSWER_BYTES."""

    def reported(self, request_id: str, document: bytes, error_type: str, max_kb: int) -> str | None:
        """The runtime reported an error of the event; None, or why that was not taken."""

    def init_failed(self, document: bytes, error_type: str) -> None:
        """The runtime reported that it cannot start."""


class EventWay(Protocol):
    """Takes an event to a runtime."""

    def give(self, headers: dict[str, Any], payload: bytes) -> None:
        """Send it; headers are the Runtime API's."""


class PythonChannel:
    """The server's end for one process. What comes is the function's word: every length is checked."""

    def __init__(self, listener: RuntimeListener) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._incoming = bytearray()
        self._outgoing = b""
        self._reading = True
        self._loop.add_reader(self._ours.fileno(), self._readable)

    def give(self, headers: dict[str, Any], payload: bytes) -> None:
        """Send an event."""
        encoded = orjson.dumps(headers)
        data = FRAME.pack(b"V", len(encoded), len(payload)) + encoded + payload
        try:
            sent = self._ours.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the process is ending; its end is noticed elsewhere
            return
        if sent < len(data):
            self._outgoing = data[sent:]
            self._loop.add_writer(self._ours.fileno(), self._writable)

    def close(self) -> None:
        """Forget the socket."""
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours.fileno())
            self._loop.remove_writer(self._ours.fileno())
            self._ours.close()

    def _writable(self) -> None:
        try:
            self._outgoing = self._outgoing[self._ours.send(self._outgoing[: 1 << 20]) :]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing = b""
        if not self._outgoing:
            self._loop.remove_writer(self._ours.fileno())

    def _readable(self) -> None:
        try:
            data = self._ours.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
            return
        self._incoming += data
        incoming = self._incoming
        while len(incoming) >= FRAME.size:
            kind, header_length, body_length = FRAME.unpack_from(incoming)
            if header_length > HEADER_BYTES or body_length > ANSWER_BYTES + 1:
                self._stop_reading()  # not awslambdaric any more; the invocation times out, as it would on AWS
                return
            start = FRAME.size + header_length
            end = start + body_length
            if len(incoming) < end:
                return
            header, body = bytes(incoming[FRAME.size : start]), bytes(incoming[start:end])
            del incoming[:end]
            self._take(kind, header, body)

    def _stop_reading(self) -> None:
        if self._ours.fileno() >= 0:
            self._loop.remove_reader(self._ours.fileno())

    def _take(self, kind: bytes, encoded: bytes, body: bytes) -> None:
        if kind == b"N":
            self._listener.next_asked(self)
            return
        try:
            header = orjson.loads(encoded)
            request_id, max_kb = str(header.get("id")), int(header.get("max_kb") or 0)
        except (ValueError, TypeError, AttributeError):
            self._stop_reading()
            return
        if kind == b"R" and header.get("too_large"):
            self._listener.answer_too_large(request_id)
        elif kind == b"R":
            self._listener.answered(request_id, body, max_kb)
        elif kind == b"E":
            self._listener.reported(request_id, body, "", max_kb)
