"""Quiet: nothing is left to do now. One snapshot in which nothing is unsynced and nothing is under way.

What is due later does not block and is answered as ``next``; what only an outsider can finish as ``outside``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.errors import ApiError
from penstock.base.limits import ADVANCE_FIRINGS, ADVANCE_REAL_MS, QUIET_REAL_MS
from penstock.store.store import Store

Busy = Callable[[str | None], list[str]]
_LOOK_AGAIN_S = 0.001


class UnderWay:
    """What waits or runs outside a transaction: operations that wait, environments at work."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._work: dict[int, tuple[str, str]] = {}

    def begin(self, what: str, account: str) -> int:
        """Something starts; give the ticket back when it ends."""
        ticket = next(self._tickets)
        self._work[ticket] = (what, account)
        return ticket

    def end(self, ticket: int) -> None:
        """It has ended."""
        self._work.pop(ticket, None)

    def busy(self, account: str | None) -> list[str]:
        """What is under way, a phrase each."""
        return [what for what, whose in self._work.values() if account is None or whose == account]


@dataclass(slots=True)
class Settled:
    """The answer to "has all this settled?": ``busy`` is empty when it has. ``next`` is platform ms."""

    quiet: bool
    next: int | None
    busy: list[str] = field(default_factory=list)


class Quiet:
    """Whether everything caused so far has settled. ``busy`` are what each part is doing, by account."""

    def __init__(self, store: Store, clock: PlatformClock, machine: MachineClock, busy: list[Busy]) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self._busy = busy

    def look(self, account: str | None = None) -> Settled:
        """How it stands now."""
        busy = [phrase for part in self._busy for phrase in part(account)]
        if self._store.unsynced:
            busy.append("changes are being made durable")
        due = self._clock.next_due()
        if not self._clock.frozen and due is not None and due <= self._clock.now():
            busy.append("timers are due")
        return Settled(not busy, due, busy)

    async def wait(self, account: str | None = None, timeout_ms: float = QUIET_REAL_MS) -> Settled:
        """Wait until it is quiet, or until the machine's time runs out: then ``busy`` says what is not."""
        deadline = self._machine.monotonic_ms() + timeout_ms
        quiet_turns = 0
        for turn in itertools.count():
            # A turn of the loop between two looks lets what was called back just now show itself.
            await asyncio.sleep(0 if turn < 3 or quiet_turns else _LOOK_AGAIN_S)
            if self._clock.frozen and self._is_due():
                # Time stood still just before the loop would have rung this one: what is due has to happen.
                self._clock.fire_due(only_first=True)
                quiet_turns = 0
            settled = self.look(account)
            quiet_turns = quiet_turns + 1 if settled.quiet else 0
            if quiet_turns == 2 or self._machine.monotonic_ms() > deadline:
                return settled
        raise AssertionError("unreachable")

    def _is_due(self) -> bool:
        due = self._clock.next_due()
        return due is not None and due <= self._clock.now()

    async def advance(self, to: int, moved: Callable[[], None]) -> int:
        """Move platform time to ``to``: everything due until then happens, in order of (due, id), each to quiet.

        Returns how many timers fired; ``moved`` is called after each move, to keep it durably. An ApiError that names
        the busiest item when it does not settle within ``ADVANCE_REAL_MS`` of the machine's time or
        ``ADVANCE_FIRINGS`` timers.
        """
        clock, fired = self._clock, 0
        was_frozen = clock.frozen
        deadline = self._machine.monotonic_ms() + ADVANCE_REAL_MS
        clock.freeze()
        try:
            while True:
                if fired >= ADVANCE_FIRINGS:
                    raise _unsettled(self.look(), fired)
                if self._is_due():
                    # Of several timers at one moment: whatever the others are about to do is not settled before.
                    fired += clock.fire_due(only_first=True)
                    continue
                settled = await self.wait(timeout_ms=min(QUIET_REAL_MS, deadline - self._machine.monotonic_ms()))
                if not settled.quiet:
                    raise _unsettled(settled, fired)
                due = clock.next_due()
                if due is None or due > to:
                    break
                clock.move_to(due)
                moved()
                fired += clock.fire_due(only_first=True)
            clock.move_to(to)
        finally:
            if not was_frozen:
                clock.resume()
        return fired


def _unsettled(settled: Settled, fired: int) -> ApiError:
    busiest = max(set(settled.busy), key=settled.busy.count) if settled.busy else "timers that set each other"
    return ApiError(
        f"the platform did not settle ({fired} timers fired): {busiest}; look at it with `penstock status`",
        code="NotQuiet",
        status=409,
    )
