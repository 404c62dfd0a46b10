"""aws-chunked bodies: the content in chunks, each perhaps signed, and trailers with a checksum after the last.

    400;chunk-signature=ad80…\\r\\n <1024 bytes> \\r\\n 0;chunk-signature=b6c6…\\r\\n
    x-amz-checksum-crc32:sOO8/Q==\\r\\n x-amz-trailer-signature:d81f…\\r\\n \\r\\n

Read piece by piece as it passes; nothing is kept but the end of an unfinished line.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Protocol

from penstock.base.errors import ApiError
from penstock.wire.signature import ChunkSigner
from penstock.wire.values import Request

_LINE_BYTES = 16 << 10  # a chunk's head or a trailer; signatures are 64 characters, checksums 88
_TRAILERS = 32  # trailers of one body; AWS's SDKs send one or two
_CHECKSUM = "x-amz-checksum-"  # how the names of all trailers begin that AWS knows
_HEAD, _DATA, _AFTER, _TRAILER, _END = range(5)


class _Sum(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _sum_of(trailer: str) -> _Sum | None:
    """What computes the checksum of this trailer; None for those that only the service itself can (CRC32C, CRC64)."""
    if trailer == "x-amz-checksum-crc32":
        return _Crc32()
    if trailer == "x-amz-checksum-sha1":
        return hashlib.sha1(usedforsecurity=False)
    if trailer == "x-amz-checksum-sha256":
        return hashlib.sha256()
    return None


def unpacked(request: Request, body: ChunkedBody) -> None:
    """Give a request the headers of its unpacked body: its own length, and the trailers."""
    body.finish()
    request.error = body.error
    headers = request.headers
    names = ("content-encoding", "content-length")
    request.original = {name: headers[name] for name in names if name in headers}
    encodings = [one.strip() for one in headers.pop("content-encoding", "").split(",")]
    if kept := ",".join(one for one in encodings if one and one != "aws-chunked"):
        headers["content-encoding"] = kept
    headers["content-length"] = str(body.size)
    headers.update(body.trailers)


class ChunkedBody:
    """One body. ``announced`` is the X-Amz-Trailer header; ``length`` the X-Amz-Decoded-Content-Length, if any.

    After an error nothing more comes out; ``error`` is what to answer.
    """

    def __init__(self, announced: str, length: int | None, signer: ChunkSigner | None) -> None:
        self.trailers: dict[str, str] = {}
        self.error: ApiError | None = None
        self.size = 0
        self._announced = {name.strip().lower() for name in announced.split(",") if name.strip()}
        if not all(name.startswith(_CHECKSUM) for name in self._announced):
            # Trailers become headers: they must not change where the request goes or who has signed it.
            self.error = ApiError(
                "The value specified in the x-amz-trailer header is not supported: only checksums may follow the body.",
                code="InvalidRequest",
            )
        self._length = length
        self._signer = signer
        self._state = _HEAD
        self._line = b""
        self._left = 0
        self._signature = ""
        self._hash = hashlib.sha256()
        self._sums = {name: made for name in self._announced if (made := _sum_of(name)) is not None}
        self._signed_trailers = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The content in the next piece of the body."""
        out: list[bytes] = []
        position = 0
        while position < len(data) and self.error is None:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                self._content(piece, out)
                if self._left == 0:
                    self._state = _AFTER
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                if len(self._line) > _LINE_BYTES:
                    self._fail("a line is too long")
                break
            line = (self._line + data[position:end]).rstrip(b"\r")
            self._line, position = b"", end + 1
            self._take(line)
        return out

    def finish(self) -> None:
        """The body has ended: is it whole?"""
        if self.error is not None:
            return
        if self._state == _TRAILER and not self._announced:
            self._end()  # the empty line after the last chunk may be missing where there are no trailers
        if self.error is None and self._state != _END:
            self.error = ApiError("The request body terminated unexpectedly", code="IncompleteBody")
        elif self.error is None and self._length is not None and self.size != self._length:
            self.error = ApiError(
                "You did not provide the number of bytes specified by the X-Amz-Decoded-Content-Length HTTP header.",
                code="IncompleteBody",
            )

    def _content(self, piece: bytes, out: list[bytes]) -> None:
        self.size += len(piece)
        if self._signer is not None:
            self._hash.update(piece)
        for sum_ in self._sums.values():
            sum_.update(piece)
        out.append(piece)

    def _take(self, line: bytes) -> None:
        if self._state == _AFTER:
            if line:
                self._fail("a chunk is longer than it says")
            elif self._chunk_holds():
                self._state = _HEAD
        elif self._state == _HEAD:
            self._head(line)
        elif self._state == _TRAILER:
            if line:
                self._trailer(line)
            else:
                self._end()
        else:
            self._fail("something follows after its end")

    def _head(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        try:
            left = int(size, 16)
            if left < 0 or not size.strip().isalnum():
                raise ValueError
        except ValueError:
            self._fail("a chunk's size is not a hexadecimal number")
            return
        name, _, signature = extension.strip().partition(b"=")
        self._signature = signature.decode("latin-1") if name == b"chunk-signature" else ""
        self._left = left
        self._hash = hashlib.sha256()
        if left:
            self._state = _DATA
        elif self._chunk_holds():
            self._state = _TRAILER

    def _chunk_holds(self) -> bool:
        signer = self._signer
        if signer is None or signer.chunk(self._hash.hexdigest(), self._signature):
            return True
        self._mismatch()
        return False

    def _trailer(self, line: bytes) -> None:
        name, separator, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        if not separator or len(self.trailers) >= _TRAILERS:
            self._fail("a trailer is no header")
            return
        if name == "x-amz-trailer-signature":
            if self._signer is not None and not self._signer.trailer(self._signed_trailers, value.strip()):
                self._mismatch()
            self._signer = None
            return
        if name not in self._announced:
            self._fail(f"the trailer {name!r} is not announced in X-Amz-Trailer")
            return
        self._signed_trailers += f"{name}:{value.strip()}\n".encode("latin-1")
        self.trailers[name] = value.strip()

    def _end(self) -> None:
        self._state = _END
        missing = self._announced - self.trailers.keys()
        if missing:
            self.error = ApiError(
                f"The trailers announced in X-Amz-Trailer are missing: {', '.join(sorted(missing))}.",
                code="MalformedTrailerError",
            )
            return
        if self._signer is not None and self._announced:
            self._mismatch()  # signed chunks, but trailers without a signature
            return
        for name, sum_ in self._sums.items():
            if base64.b64encode(sum_.digest()).decode() != self.trailers[name]:
                algorithm = name.rpartition("-")[2].upper()
                self.error = ApiError(
                    f"The {algorithm} you specified did not match the calculated checksum.", code="BadDigest"
                )
                return

    def _fail(self, detail: str) -> None:
        self.error = ApiError(f"The request body is not aws-chunked as it should be: {detail}.", code="InvalidRequest")

    def _mismatch(self) -> None:
        self.error = ApiError(
            "The chunk signature we calculated does not match the one you provided. Check your key and signing method.",
            code="SignatureDoesNotMatch",
            status=403,
        )
