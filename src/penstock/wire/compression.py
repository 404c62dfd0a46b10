"""Compressed request bodies (CloudWatch's PutMetricData, log shippers): unpacked, within bounds."""

from __future__ import annotations

import zlib

from penstock.base.errors import ApiError
from penstock.engine.model.check import SerializationError
from penstock.wire.limits import EXPANDED_BYTES, EXPANSION
from penstock.wire.protocols.protocol import body_of
from penstock.wire.values import Request

_GZIP = 31  # zlib's window bits for gzip's format
_SMALL_BYTES = 1 << 20  # what a body may always grow to


def unpack(request: Request) -> None:
    """Unpack a gzip body in place. Other encodings belong to the content, and stay."""
    if request.headers.get("content-encoding", "").strip().lower() != "gzip":
        return
    packed = body_of(request)
    most = min(EXPANDED_BYTES, max(_SMALL_BYTES, len(packed) * EXPANSION))
    unpacker = zlib.decompressobj(_GZIP)
    try:
        request.body = unpacker.decompress(packed, most)
    except zlib.error as error:
        raise SerializationError(f"The body is not gzip, which Content-Encoding says it is: {error}") from None
    if unpacker.unconsumed_tail:
        raise ApiError(
            f"The body unpacks to more than {most} bytes, which is the most that is taken.",
            code="RequestEntityTooLargeException",
            status=413,
        )
    if not unpacker.eof:
        raise SerializationError("The gzip body ends too early.")
    request.original = {**(request.original or {}), "content-encoding": request.headers.pop("content-encoding")}
