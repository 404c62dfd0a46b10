"""Event streams: messages of headers and a payload, each with its length and checksums, one after the other.

https://smithy.io/2.0/aws/amazon-eventstream.html
An operation answers with an asynchronous iterator (or a list) of ``{"EventName": {member: value}}``; an ApiError
raised by the iterator becomes the stream's last message. A request's stream arrives as a list of the same.
"""

from __future__ import annotations

import binascii
import logging
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from penstock.base.errors import ApiError
from penstock.engine.model import Member
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols.scalars import blob_bytes

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MESSAGE_BYTES = 16 << 20  # the specification's longest message

Headers = dict[str, Any]
Dump = Callable[[Any], bytes]
Load = Callable[[bytes], Any]

log = logging.getLogger("penstock.wire")


class Milliseconds(int):
    """A header's timestamp."""


def frame(headers: Mapping[str, Any], payload: bytes) -> bytes:
    """One message."""
    out = bytearray()
    for name, value in headers.items():
        encoded = name.encode()
        out.append(len(encoded))
        out += encoded
        out += _header(value)
    total = 16 + len(out) + len(payload)
    prelude = struct.pack(">II", total, len(out))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + bytes(out) + payload
    return message + struct.pack(">I", binascii.crc32(message))


def _header(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x00" if value else b"\x01"
    if isinstance(value, Milliseconds):
        return struct.pack(">Bq", 8, value)
    if isinstance(value, int):
        return struct.pack(">Bi", 4, value) if -(1 << 31) <= value < 1 << 31 else struct.pack(">Bq", 5, value)
    if isinstance(value, bytes):
        return struct.pack(">BH", 6, len(value)) + value
    data = str(value).encode()
    return struct.pack(">BH", 7, len(data)) + data


def frames(data: bytes) -> list[tuple[Headers, bytes]]:
    """The messages of a stream; SerializationException when one is damaged."""
    out: list[tuple[Headers, bytes]] = []
    at = 0
    while at < len(data):
        try:
            total, header_size, prelude_sum = struct.unpack_from(">III", data, at)
            if binascii.crc32(data[at : at + 8]) != prelude_sum:
                raise SerializationError("A message of the event stream is damaged: its prelude's checksum is wrong.")
            if not 16 <= total <= MESSAGE_BYTES or header_size > total - 16 or at + total > len(data):
                raise SerializationError("A message of the event stream has a length that cannot be.")
            (message_sum,) = struct.unpack_from(">I", data, at + total - 4)
            if binascii.crc32(data[at : at + total - 4]) != message_sum:
                raise SerializationError("A message of the event stream is damaged: its checksum is wrong.")
            headers = _headers(data[at + 12 : at + 12 + header_size])
        except (struct.error, UnicodeDecodeError, IndexError):
            raise SerializationError("A message of the event stream cannot be read.") from None
        out.append((headers, data[at + 12 + header_size : at + total - 4]))
        at += total
    return out


def _headers(data: bytes) -> Headers:
    headers: Headers = {}
    at = 0
    while at < len(data):
        size = data[at]
        name = data[at + 1 : at + 1 + size].decode()
        at += 1 + size
        kind = data[at]
        at += 1
        if kind in (0, 1):
            headers[name] = kind == 0
        elif kind in (2, 3, 4, 5, 8):
            form = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}[kind]
            value = struct.unpack_from(form, data, at)[0]
            headers[name] = Milliseconds(value) if kind == 8 else value
            at += struct.calcsize(form)
        elif kind in (6, 7):
            (size,) = struct.unpack_from(">H", data, at)
            content = data[at + 2 : at + 2 + size]
            headers[name] = content if kind == 6 else content.decode()
            at += 2 + size
        elif kind == 9:
            headers[name] = data[at : at + 16]
            at += 16
        else:
            raise SerializationError("A header of the event stream has an unknown type.")
    return headers


class EventCodec:
    """The events of one stream. ``dump`` and ``load`` make the functions that write and read one structure."""

    def __init__(
        self, use: Member, dump: Callable[[Member], Dump], load: Callable[[Member], Load], content_type: str
    ) -> None:
        self._kinds = use.shape.members
        self._make_dump = dump
        self._make_load = load
        self._content_type = content_type
        self._dumps: dict[str, Dump] = {}

    def encode(self, event: Mapping[str, Any]) -> bytes:
        """One event as a message."""
        kind, value = next((name, value) for name, value in event.items() if value is not None)
        use = self._kinds[kind]
        is_error = bool(use.shape.traits.get("exception"))
        headers: Headers = {":message-type": "exception" if is_error else "event"}
        headers[":exception-type" if is_error else ":event-type"] = kind
        rest = dict(value)
        for name, member in use.shape.members.items():
            if member.traits.get("eventheader") and rest.get(name) is not None:
                item = rest.pop(name)
                headers[name] = Milliseconds(item * 1000) if member.shape.type == "timestamp" else item
        payload = next((m for m in use.shape.members.values() if m.traits.get("eventpayload")), None)
        if payload is None:
            if rest or any(not member.traits.get("eventheader") for member in use.shape.members.values()):
                headers[":content-type"] = self._content_type
                return frame(headers, self._dump(kind, use)(rest))
            return frame(headers, b"")
        content = rest.get(payload.name)
        if payload.shape.type == "blob":
            headers[":content-type"] = "application/octet-stream"
            return frame(headers, b"" if content is None else blob_bytes(content))
        if payload.shape.type == "string":
            headers[":content-type"] = "text/plain"
            return frame(headers, b"" if content is None else str(content).encode())
        headers[":content-type"] = self._content_type
        return frame(headers, b"" if content is None else self._dump(f"{kind}.{payload.name}", payload)(content))

    def _dump(self, key: str, use: Member) -> Dump:
        dump = self._dumps.get(key)
        if dump is None:
            dump = self._dumps[key] = self._make_dump(use)
        return dump

    async def stream(
        self, events: AsyncIterator[Mapping[str, Any]] | Iterable[Mapping[str, Any]], initial: bytes | None
    ) -> AsyncIterator[bytes]:
        """The messages of a stream; ``initial`` is the payload of the first one, in the protocols that have it."""
        if initial is not None:
            headers = {
                ":message-type": "event", ":event-type": "initial-response", ":content-type": self._content_type
            }  # fmt: skip
            yield frame(headers, initial)
        try:
            if isinstance(events, AsyncIterator):
                async for event in events:
                    yield self.encode(event)
            else:
                for event in events:
                    yield self.encode(event)
        except ApiError as error:
            yield self._failure(error)
        except Exception:
            log.exception("an event stream broke off")
            yield self._failure(ApiError("Something unexpected went wrong.", code="InternalFailure"))

    def _failure(self, error: ApiError) -> bytes:
        use = self._kinds.get(error.code)
        if use is None:
            headers = {
                ":message-type": "error", ":error-code": error.code, ":error-message": error.message
            }  # fmt: skip
            return frame(headers, b"")
        name = next((name for name in use.shape.members if name.lower() == "message"), None)
        fields = dict(error.fields) | ({name: error.message} if name else {})
        return self.encode({error.code: fields})

    def decode(self, data: bytes) -> tuple[list[dict[str, Any]], bytes | None]:
        """The events of a stream that has arrived, and the payload of its initial request, if it has one."""
        events: list[dict[str, Any]] = []
        initial: bytes | None = None
        for headers, payload in _unsigned(frames(data)):
            kind = headers.get(":event-type", "")
            if kind == "initial-request":
                initial = payload
                continue
            use = self._kinds.get(kind)
            if use is not None:
                events.append({kind: self._event(use, headers, payload)})
        return events, initial

    def _event(self, use: Member, headers: Headers, payload: bytes) -> dict[str, Any]:
        out: dict[str, Any] = {}
        whole = next((m for m in use.shape.members.values() if m.traits.get("eventpayload")), None)
        if whole is not None:
            kind = whole.shape.type
            if kind == "blob":
                out[whole.name] = payload
            elif kind == "string":
                out[whole.name] = payload.decode("utf-8", "replace")
            else:
                out[whole.name] = self._make_load(whole)(payload)
        elif payload:
            out.update(self._make_load(use)(payload))
        for name, member in use.shape.members.items():
            if member.traits.get("eventheader") and name in headers:
                value = headers[name]
                out[name] = value / 1000 if isinstance(value, Milliseconds) else value
        return out


def _unsigned(messages: list[tuple[Headers, bytes]]) -> list[tuple[Headers, bytes]]:
    """The messages inside signed ones: a client wraps each in another that carries its signature."""
    out: list[tuple[Headers, bytes]] = []
    for headers, payload in messages:
        if ":chunk-signature" in headers:
            out += frames(payload)
        else:
            out.append((headers, payload))
    return out
