"""What an environment writes: lines of its output, and the frames in which runtimes send their log events.

Output and frames come through one pipe, so that what was printed and what was logged stay in order. A frame
(awslambdaric's ``FramedTelemetryLogSink``) is a type (4 bytes, 0xa55a00..), a length (4), a time in microseconds (8),
and the event's text, which may have several lines. Text cannot be mistaken for one: 0xa5 begins no character in UTF-8.

Nothing here is unbounded: a line has at most a log event's size, an event's worth of output at most KEPT_BYTES, and one
turn of the event loop reads one slice.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from penstock.base.clock import MachineClock

LINE_BYTES = 256 << 10  # one log event; longer lines are split. CloudWatch Logs' own limit until 2025
KEPT_BYTES = 4 << 20  # of one invocation's output; more is dropped, and the log says so
SLICE_BYTES = 64 << 10  # read in one turn
PAUSE_SECONDS = 0.002  # between two slices when there is always more: a flood costs the server little
DRAIN_SLICES = 4  # read at the end of an invocation before it is answered: a pipe holds one

_MAGIC = b"\xa5\x5a\x00"
_FRAME_HEAD = 16

Line = tuple[int, str]


class LogPipe:
    """The server's end of an environment's output. ``line(at_ms, text)`` gets every line and event."""

    def __init__(self, machine: MachineClock, line: Callable[[int, str], None]) -> None:
        self._machine = machine
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._paused: asyncio.TimerHandle | None = None
        self._read, self.write = os.pipe()
        os.set_blocking(self._read, False)
        self._loop.add_reader(self._read, self._readable)

    def _readable(self) -> None:
        if not self._slice():
            return
        # More than a slice at once: a flood. It waits in the pipe, and its writer with it.
        self._loop.remove_reader(self._read)
        self._paused = self._loop.call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._paused = None
        if self._read >= 0:
            self._loop.add_reader(self._read, self._readable)

    def _slice(self) -> bool:
        """Read once; whether there is likely more."""
        if self._read < 0:
            return False
        try:
            data = os.read(self._read, SLICE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._forget()
            return False
        self._buffer += data
        self._parse()
        return len(data) == SLICE_BYTES

    def drain(self) -> None:
        """Take what has been written so far."""
        for _ in range(DRAIN_SLICES):
            before = self._read
            if not self._slice() or before < 0:
                break

    def close(self) -> None:
        """Take what is left and forget the pipe."""
        self.drain()
        if self._buffer:
            self._tell(self._buffer)
            self._buffer = b""
        self._forget()

    def _forget(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            os.close(self._read)
            self._read = -1

    def _parse(self) -> None:
        buffer, start = self._buffer, 0
        while start < len(buffer):
            frame = buffer.find(_MAGIC, start)
            text_end = len(buffer) if frame < 0 else frame
            newline = buffer.find(b"\n", start, text_end)
            if newline >= 0:
                self._tell(buffer[start:newline])
                start = newline + 1
            elif frame >= 0:
                if frame > start:  # text without an end before a frame: its own line, as two streams would give it
                    self._tell(buffer[start:frame])
                    start = frame
                end = self._frame(buffer, frame)
                if end is None:
                    break
                start = end
            else:
                break
        self._buffer = buffer[start:]
        while len(self._buffer) > LINE_BYTES and not self._buffer.startswith(_MAGIC):
            self._tell(self._buffer[:LINE_BYTES])
            self._buffer = self._buffer[LINE_BYTES:]

    def _frame(self, buffer: bytes, start: int) -> int | None:
        """Take one frame; where it ends, or None while it is not whole."""
        if len(buffer) - start < _FRAME_HEAD:
            return None
        length = int.from_bytes(buffer[start + 4 : start + 8], "big")
        if length > KEPT_BYTES:  # not a frame of any runtime's: give it up as text
            self._tell(buffer[start:])
            return len(buffer)
        end = start + _FRAME_HEAD + length
        if len(buffer) < end:
            return None
        at_ms = int.from_bytes(buffer[start + 8 : start + 16], "big") // 1000
        self._tell(buffer[start + _FRAME_HEAD : end].rstrip(b"\n"), at_ms)
        return end

    def _tell(self, text: bytes, at_ms: int | None = None) -> None:
        decoded = text.decode("utf-8", "replace").removesuffix("\r")
        at = self._machine.now_ms() if at_ms is None else at_ms
        for start in range(0, max(len(decoded), 1), LINE_BYTES):
            self._line(at, decoded[start : start + LINE_BYTES])


class LogBuffer:
    """The lines of one invocation, up to KEPT_BYTES, then how many were dropped; and the platform's own, always.

    Times never go back: output has the time at which it was read, a frame its own, and the order is the written one.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._latest = 0
        self._bytes = 0
        self.dropped = 0  # lines that had no room, and of which nothing was said yet

    def add(self, at_ms: int, text: str) -> None:
        """Keep a line of the function's, if there is room."""
        self._latest = at_ms = max(at_ms, self._latest)
        self._bytes += len(text) + 26  # CloudWatch Logs counts 26 bytes for an event beside its text
        if self._bytes > KEPT_BYTES:
            self.dropped += 1
        else:
            self.lines.append((at_ms, text))

    def tell(self, at_ms: int, text: str) -> None:
        """Keep a line of the platform's, whatever the function has written."""
        self._latest = max(self._latest, at_ms)
        self.lines.append((self._latest, text))

    def note_dropped(self, at_ms: int) -> None:
        """Say what had no room."""
        if self.dropped:
            kept = f"Penstock kept the first {KEPT_BYTES >> 20} MB of this invocation's output"
            self.tell(at_ms, f"{kept}; {self.dropped} lines more were dropped")
            self.dropped = 0

    def take(self) -> list[Line]:
        """The lines; it is empty afterwards."""
        lines, self.lines, self._bytes = self.lines, [], 0
        return lines
