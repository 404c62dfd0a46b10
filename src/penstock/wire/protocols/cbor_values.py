"""A model's values as CBOR writes them: blobs as bytes, times tagged, 32-bit floats where the model says float."""

from __future__ import annotations

from typing import Any

from penstock.engine.model import Member
from penstock.wire.protocols.cbor import Single, Time
from penstock.wire.protocols.json_values import Convert, Readers, Writers
from penstock.wire.protocols.scalars import blob_bytes, timestamp_from


class CborWriters(Writers):
    """Makes the writers of one operation's answers. ``milliseconds``: times are untagged integers (Kinesis)."""

    def __init__(self, place: str, *, milliseconds: bool = False) -> None:
        super().__init__(place)
        self.milliseconds = milliseconds

    def of(self, use: Member) -> Convert | None:
        """The writer of a member's values."""
        kind = use.shape.type
        if kind == "timestamp":
            return _milliseconds if self.milliseconds else Time
        if kind == "blob":
            return blob_bytes
        if kind == "float":
            return Single
        if kind == "double":
            return float
        return super().of(use)


def _milliseconds(value: float) -> int:
    return round(value * 1000)


class CborReaders(Readers):
    """Makes the readers of one operation's requests. ``milliseconds``: times are untagged integers (Kinesis)."""

    def __init__(self, *, milliseconds: bool = False) -> None:
        super().__init__()
        self.milliseconds = milliseconds

    def of(self, use: Member) -> Convert | None:
        """The reader of a member's values."""
        kind = use.shape.type
        if kind == "blob":
            return None
        if kind == "timestamp" and self.milliseconds:
            return _from_milliseconds
        return super().of(use)


def _from_milliseconds(value: Any) -> Any:
    """Epoch seconds of Kinesis' times: whole milliseconds, which some clients write as tagged seconds instead."""
    if isinstance(value, int) and not isinstance(value, bool):
        return timestamp_from(value / 1000)
    return timestamp_from(value) if isinstance(value, float) else value
