"""Bodies that are too large for memory: written to a file in a thread while they arrive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from penstock.engine.body import FileBody

PIECE_BYTES = 1 << 20  # written at once; the sender is held back while two of them wait


class Spool:
    """One body on its way into a file. The owner feeds it, and holds the sender back while ``full``."""

    def __init__(self, path: Path, eased: Callable[[], None]) -> None:
        self._path = path
        self._eased = eased
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._writing = False
        self._finished: Callable[[FileBody | None, OSError | None], None] | None = None
        self._error: OSError | None = None
        self._aborted = False
        self.size = 0

    @property
    def full(self) -> bool:
        """Whether more waits to be written than should."""
        return self._waiting_bytes > 2 * PIECE_BYTES

    @property
    def sha256(self) -> str:
        """The hash of what has been written, in hexadecimal."""
        return self._hash.hexdigest()

    def feed(self, data: bytes) -> None:
        """Take the next bytes; once writing has failed they are dropped."""
        self.size += len(data)
        if self._error is not None:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= PIECE_BYTES:
            self._start()

    def finish(self, finished: Callable[[FileBody | None, OSError | None], None]) -> None:
        """Call back once everything is in the file, or could not be written."""
        self._finished = finished
        if self._error is not None:
            finished(None, self._error)
            return
        self._start()

    def abort(self) -> None:
        """Nobody wants the body any more."""
        self._aborted = True
        self._waiting.clear()
        if not self._writing:
            self._remove()

    def _start(self) -> None:
        if self._writing:
            return
        self._writing = True
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        future = asyncio.get_running_loop().run_in_executor(None, self._write, pieces, self._finished is not None)
        future.add_done_callback(self._written)

    def _write(self, pieces: list[bytes], last: bool) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        for piece in pieces:
            self._file.write(piece)
            self._hash.update(piece)
        if last:
            self._file.close()

    def _written(self, future: asyncio.Future[None]) -> None:
        self._writing = False
        error = future.exception()
        if isinstance(error, OSError):
            self._error = error
        elif error is not None:
            raise error
        if self._aborted:
            self._remove()
            return
        if self._error is not None:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._remove()
        if self._finished is not None and (self._error is not None or (not self._waiting and self._closed())):
            finished, self._finished = self._finished, None
            finished(None if self._error else FileBody(self._path, self.size), self._error)
        elif self._error is None and (self._waiting_bytes >= PIECE_BYTES or self._finished is not None):
            self._start()
        self._eased()

    def _closed(self) -> bool:
        return self._file is not None and self._file.closed

    def _remove(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what it still had in its buffer finds no room either
                self._file.close()
        with suppress(OSError):
            self._path.unlink()
