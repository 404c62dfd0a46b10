"""The two clocks: the only caller of time in Penstock.

``MachineClock`` is the machine's own: timeouts, Lambda deadlines, signature skew, Date headers.
``PlatformClock`` is AWS's state: visibility, delays, schedules, retries, retention. Platform time is machine
time plus an offset, or frozen; it never goes back. Timers on it are hints: whoever sets one keeps the truth
(a due time in a row) and sets it again after a restart.

All times are integer milliseconds since 1970, UTC.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable


class MachineClock:
    """The machine's time."""

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Milliseconds that never jump, for measuring durations; the origin means nothing."""
        return time.monotonic_ns() / 1_000_000


class Timer:
    """Something to do at a moment of platform time. Cancelling twice is harmless."""

    __slots__ = ("callback", "due")

    def __init__(self, due: int, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class PlatformClock:
    """AWS's time on this platform: it flows, or stands frozen until it is advanced.

    Timers fire in order of (due, the order they were set). While the clock flows they fire on the event loop;
    while it is frozen only ``fire_due`` fires them.
    """

    def __init__(self, machine: MachineClock, *, offset_ms: int = 0, frozen_at: int | None = None) -> None:
        self._machine = machine
        self.offset_ms = offset_ms
        self._frozen_at = frozen_at
        self._latest = 0
        self._heap: list[tuple[int, int, Timer]] = []
        self._sequence = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_due = 0

    def restore(self, *, offset_ms: int, frozen_at: int | None, latest: int) -> None:
        """Take up where an earlier process left the clock; ``latest`` is the last time it is known to have told."""
        self.offset_ms, self._frozen_at, self._latest = offset_ms, frozen_at, latest

    def state(self) -> dict[str, int | None]:
        """What ``restore`` needs to take the clock up again."""
        return {"offset_ms": self.offset_ms, "frozen_at": self._frozen_at, "latest": self.now()}

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Fire timers on this event loop from now on."""
        self._loop = loop
        self._arm()

    def detach(self) -> None:
        """Fire no timers any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop = None

    def now(self) -> int:
        """Platform time, in milliseconds."""
        if self._frozen_at is not None:
            return self._frozen_at
        now = time.time_ns() // 1_000_000 + self.offset_ms
        if now < self._latest:
            return self._latest
        self._latest = now
        return now

    @property
    def frozen(self) -> bool:
        """Whether time stands still."""
        return self._frozen_at is not None

    def freeze(self) -> int:
        """Stop time where it is and return it."""
        self._frozen_at = self.now()
        self._arm()
        return self._frozen_at

    def resume(self) -> int:
        """Let time flow on from where it stands and return it."""
        if self._frozen_at is not None:
            self._latest = self._frozen_at
            self.offset_ms = self._frozen_at - self._machine.now_ms()
            self._frozen_at = None
        self._arm()
        return self.now()

    def move_to(self, moment: int) -> None:
        """Set platform time forward; an earlier moment changes nothing."""
        if moment <= self.now():
            return
        if self._frozen_at is not None:
            self._frozen_at = moment
        else:
            self.offset_ms = moment - self._machine.now_ms()
        self._latest = max(self._latest, moment)
        self._arm()

    def call_at(self, due: int, callback: Callable[[], None]) -> Timer:
        """Call back once platform time has reached ``due``; at the earliest on the loop's next turn."""
        timer = Timer(due, callback)
        heapq.heappush(self._heap, (due, next(self._sequence), timer))
        if self._alarm is None or due < self._alarm_due:
            self._arm()
        return timer

    def next_due(self) -> int | None:
        """The moment of the earliest timer, or None."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def fire_due(self, *, only_first: bool = False) -> int:
        """Fire the timers that are due now, in order, and return how many; ``only_first`` fires one at most."""
        fired = 0
        now = self.now()
        while (due := self.next_due()) is not None and due <= now:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                fired += 1
                callback()
            if only_first:
                break
        self._arm()
        return fired

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._loop is None or self._frozen_at is not None:
            return
        due = self.next_due()
        if due is None:
            return
        self._alarm_due = due
        # A day at most per alarm: event loops do not like far-away timers, and the machine's clock may be set.
        delay_ms = min(max(due - self.now(), 0), 86_400_000)
        self._alarm = self._loop.call_later(delay_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.fire_due()
