"""Scalars as text: timestamps in AWS's three formats, numbers, booleans and blobs, and back."""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from penstock.engine.body import FileBody
from penstock.engine.model.check import SerializationError
from penstock.engine.model.shapes import FLOATS, INTEGERS, Member

ISO8601 = "iso8601"
RFC822 = "rfc822"
UNIX = "unixtimestamp"
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799  # the years 1 and 9999, which is what dates can be written in
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?\d{1,30}\s*", re.ASCII)


def timestamp_from(value: Any) -> float:
    """Epoch seconds of a timestamp in any of AWS's formats: a number, a number as text, ISO 8601 or RFC 822."""
    if isinstance(value, int | float) and not isinstance(value, bool) and _EARLIEST <= value <= _LATEST:
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text) and _EARLIEST <= float(text) <= _LATEST:
            return float(text)
        for parse in (datetime.fromisoformat, parsedate_to_datetime):
            try:
                moment = parse(text)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            except (ValueError, TypeError, OverflowError, IndexError):
                continue
    raise SerializationError(f"Unable to parse {str(value)[:100]!r} as a timestamp: send epoch seconds or ISO 8601")


def timestamp_text(value: float, form: str) -> str:
    """Epoch seconds in one of AWS's formats; ISO 8601 has milliseconds only where there are any."""
    if form == UNIX:
        return repr(int(value)) if float(value).is_integer() else repr(float(value))
    if form == RFC822:
        return formatdate(int(value), usegmt=True)
    # Rounded to microseconds first: a float of today's epoch seconds holds no more.
    micros = round(value * 1_000_000)
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    text = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}T{moment:%H:%M:%S}"
    micros %= 1_000_000
    if micros == 0:
        return text + "Z"
    return f"{text}.{micros // 1000:03d}Z" if micros % 1000 == 0 else f"{text}.{micros:06d}Z"


def timestamp_json(value: float, form: str) -> float | int | str:
    """A timestamp as a JSON value: a number, unless the model says otherwise."""
    if form != UNIX:
        return timestamp_text(value, form)
    return int(value) if float(value).is_integer() else float(value)


def blob_from(text: Any) -> bytes:
    """The bytes of a base64 text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise SerializationError("A blob is not valid base64: encode binary members with standard base64.") from None


def blob_text(value: Any) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(blob_bytes(value)).decode("ascii")


def blob_bytes(value: Any) -> bytes:
    """A blob member's bytes, whatever a service gave: bytes, text or a FileBody."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, FileBody):
        return value.read()
    return bytes(value)


def float_json(value: float) -> float | str:
    """A float as a JSON value; JSON has no NaN and no infinities, so AWS writes them as text."""
    if math.isfinite(value):
        return value
    return float_text(value)


def float_text(value: float) -> str:
    """A float as text."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value)) if isinstance(value, float) else repr(value)


def scalar_from_text(use: Member, text: str) -> Any:
    """The value of a scalar that arrived as text; a timestamp may come in any of AWS's formats."""
    kind = use.shape.type
    if kind in ("string", "character"):
        return text
    try:
        if kind in INTEGERS and _WHOLE.fullmatch(text):
            return int(text)
        if kind in FLOATS and "_" not in text:
            return float(text)
    except ValueError:
        pass
    if kind in INTEGERS or kind in FLOATS:
        raise SerializationError(f"{text[:100]!r} can not be converted to {kind.title()}")
    if kind == "boolean":
        lowered = text.strip().lower()
        if lowered in ("true", "1"):
            return True
        if lowered in ("false", "0"):
            return False
        raise SerializationError(f"{text[:100]!r} can not be converted to Boolean: send true or false")
    if kind == "timestamp":
        return timestamp_from(text)
    return blob_from(text)


def scalar_to_text(use: Member, value: Any, form: str) -> str:
    """A scalar as text."""
    kind = use.shape.type
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "timestamp":
        return timestamp_text(value, use.trait("timestampFormat") or form)
    if kind == "blob":
        return blob_text(value)
    if kind in FLOATS:
        return float_text(value)
    return str(value)
