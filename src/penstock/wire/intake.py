"""A request's body on its way in: bounded, unpacked from aws-chunked, in memory or into a file."""

from __future__ import annotations

import logging
from collections.abc import Callable

from penstock.base.errors import ApiError
from penstock.engine.body import FileBody
from penstock.wire.chunked import unpacked
from penstock.wire.limits import MEMORY_BYTES
from penstock.wire.listener import Listener
from penstock.wire.spool import Spool
from penstock.wire.values import Request

log = logging.getLogger("penstock.wire")


class TooLong(Exception):
    """A body is longer than its operation takes; ``limit`` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is longer than {limit} bytes, which is the most this operation takes.")


class Intake:
    """The body of one request whose head is complete.

    ``eased`` is called when a body that goes to a file can take more again; while ``full``, the sender is held back.
    """

    __slots__ = ("_eased", "_limit", "_listener", "_pieces", "_size", "_spool", "_unchunk", "request")

    def __init__(self, listener: Listener, request: Request, eased: Callable[[], None]) -> None:
        self.request = request
        self._listener = listener
        self._eased = eased
        self._limit = MEMORY_BYTES
        self._pieces: list[bytes] = []
        self._size = 0
        self._spool: Spool | None = None
        self._unchunk = listener.front.chunked_body(request)

    @property
    def full(self) -> bool:
        """Whether the sender should wait."""
        return self._spool is not None and self._spool.full

    @property
    def in_memory(self) -> bool:
        """Whether the body fits into memory so far."""
        return self._spool is None

    def expect(self, size: int) -> None:
        """Raise TooLong when a body of this size is not taken."""
        if size > MEMORY_BYTES:
            if self._limit == MEMORY_BYTES:
                self._limit = max(MEMORY_BYTES, self._listener.front.body_limit(self.request))
            if size > self._limit:
                raise TooLong(self._limit)

    def feed(self, data: bytes) -> None:
        """Take the next bytes as they came; TooLong when there are too many."""
        if self._unchunk is None:
            self._take(data)
            return
        for piece in self._unchunk.feed(data):
            self._take(piece)

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        self.expect(self._size)
        if self._size <= MEMORY_BYTES:
            self._pieces.append(data)
            return
        if self._spool is None:
            self._spool = self._listener.spool(self._eased)
            for piece in self._pieces:
                self._spool.feed(piece)
            self._pieces = []
        self._spool.feed(data)

    def finish(self, start: Callable[[Request], None]) -> None:
        """The body is complete: call ``start`` with the request, now or once the file is written."""
        request = self.request
        if self._unchunk is not None:
            unpacked(request, self._unchunk)
        spool = self._spool
        if spool is None:
            pieces = self._pieces
            request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces) if pieces else b""
            start(request)
            return

        def written(body: FileBody | None, error: OSError | None) -> None:
            if body is None:
                log.error("a request body could not be written to a file: %s", error)
                request.error = ApiError(
                    "There is no room for the request body: free disk space and try again.",
                    code="ServiceUnavailable", status=503,
                )  # fmt: skip
            else:
                request.body = body
                request.content_sha256 = spool.sha256
            start(request)

        spool.finish(written)

    def abort(self) -> None:
        """Nobody wants the body any more."""
        if self._spool is not None:
            self._spool.abort()
