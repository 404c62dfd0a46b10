"""CBOR: the data format of smithy-rpc-v2-cbor and of Kinesis' Java and JavaScript clients (RFC 8949).

Values are Python's own: int, float, str, bytes, bool, None, list, dict; a time (tag 1) is read as its number, and
``Time`` and ``Single`` say on writing what Python's float does not.
"""

from __future__ import annotations

import struct
from typing import Any

from penstock.engine.model.check import SerializationError

_DEPTH = 256  # items within items; AWS's own shapes stay below 20, DynamoDB's values at 32
_BREAK = object()


class Time(float):
    """Epoch seconds, to be written with tag 1."""

    __slots__ = ()


class Single(float):
    """A float to be written in 32 bits."""

    __slots__ = ()


def dumps(value: Any) -> bytes:
    """The CBOR of a value."""
    out = bytearray()
    _write(out, value)
    return bytes(out)


def _head(out: bytearray, major: int, number: int) -> None:
    major <<= 5
    if number < 24:
        out.append(major | number)
    elif number < 1 << 8:
        out += struct.pack(">BB", major | 24, number)
    elif number < 1 << 16:
        out += struct.pack(">BH", major | 25, number)
    elif number < 1 << 32:
        out += struct.pack(">BI", major | 26, number)
    else:
        out += struct.pack(">BQ", major | 27, number)


def _write(out: bytearray, value: Any) -> None:
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        _head(out, 3, len(data))
        out += data
    elif value is None:
        out.append(0xF6)
    elif isinstance(value, bool):
        out.append(0xF5 if value else 0xF4)
    elif isinstance(value, int):
        _head(out, *((0, value) if value >= 0 else (1, -1 - value)))
    elif isinstance(value, Time):
        out.append(0xC1)
        out += struct.pack(">Bd", 0xFB, value)
    elif isinstance(value, float):
        out += struct.pack(">Bf", 0xFA, value) if isinstance(value, Single) else struct.pack(">Bd", 0xFB, value)
    elif isinstance(value, bytes | bytearray):
        _head(out, 2, len(value))
        out += value
    elif isinstance(value, dict):
        _head(out, 5, len(value))
        for key, item in value.items():
            _write(out, key)
            _write(out, item)
    elif isinstance(value, list | tuple):
        _head(out, 4, len(value))
        for item in value:
            _write(out, item)
    else:
        raise TypeError(f"{type(value).__name__} cannot be written as CBOR")


def loads(data: bytes) -> Any:
    """The value of a CBOR document; SerializationException when it is none."""
    reader = _Reader(data)
    try:
        value = reader.item(0)
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError, TypeError) as error:
        raise SerializationError(f"The body is not valid CBOR: {error}") from None
    if value is _BREAK or reader.at != len(data):
        raise SerializationError("The body is not one CBOR item.")
    return value


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise SerializationError("The body is not valid CBOR: it ends too early.")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise SerializationError("The body is not valid CBOR: a length that cannot be.")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def item(self, depth: int) -> Any:
        if depth > _DEPTH:
            raise SerializationError(f"The body is nested deeper than {_DEPTH}: flatten it.")
        head = self.take(1)[0]
        major, info = head >> 5, head & 31
        if major == 0:
            return self.number(info)
        if major == 1:
            return -1 - self.number(info)
        if major in (2, 3):
            data = self.string(major, info)
            return data.decode() if major == 3 else data
        if major == 4:
            return self.array(info, depth)
        if major == 5:
            return self.map(info, depth)
        if major == 6:
            tag = self.number(info)
            return self.tagged(tag, self.item(depth + 1))
        return self.simple(info)

    def string(self, major: int, info: int) -> bytes:
        if info != 31:
            return self.take(self.number(info))
        pieces = []
        while (head := self.take(1)[0]) != 0xFF:
            if head >> 5 != major or head & 31 == 31:
                raise SerializationError("The body is not valid CBOR: a string of pieces that are none.")
            pieces.append(self.take(self.number(head & 31)))
        return b"".join(pieces)

    def array(self, info: int, depth: int) -> list[Any]:
        out: list[Any] = []
        if info == 31:
            while (item := self.item(depth + 1)) is not _BREAK:
                out.append(item)
            return out
        for _ in range(self.number(info)):
            out.append(self.inner(depth))
        return out

    def map(self, info: int, depth: int) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        if info == 31:
            while (key := self.item(depth + 1)) is not _BREAK:
                out[key] = self.inner(depth)
            return out
        for _ in range(self.number(info)):
            key = self.inner(depth)
            out[key] = self.inner(depth)
        return out

    def inner(self, depth: int) -> Any:
        value = self.item(depth + 1)
        if value is _BREAK:
            raise SerializationError("The body is not valid CBOR: an end without a beginning.")
        return value

    def tagged(self, tag: int, value: Any) -> Any:
        if tag == 1 and isinstance(value, int | float):
            return value
        if tag in (2, 3) and isinstance(value, bytes):
            number = int.from_bytes(value, "big")
            return number if tag == 2 else -1 - number
        return value

    def simple(self, info: int) -> Any:
        if info in (20, 21):
            return info == 21
        if info in (22, 23):
            return None
        if info == 31:
            return _BREAK
        formats = {25: ">e", 26: ">f", 27: ">d"}
        if info not in formats:
            raise SerializationError("The body is not valid CBOR: an unknown simple value.")
        form = formats[info]
        value: float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value
