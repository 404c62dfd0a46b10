"""The environments of one revision of a function, and the events that wait for one.

An event takes the idle environment that worked last, so that surplus ones age. When all are at work it waits a moment
for one to come free, since a short event ends sooner than a new environment begins. Then it may start one, but only so
many start at once: INIT is mostly work for the processor, and a hundred at a time would only slow one another. A start
counts for a moment at most, so that a slow INIT holds nobody up. (AWS, too, lets a function grow by so many a second.)
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

from penstock.base.errors import CannotRun
from penstock.runtime.environment import IDLE, Environment

PATIENCE_MS = 5  # how long an event waits for an environment at work: less than a new one takes to begin
STARTING = max(4, 2 * (os.cpu_count() or 1))  # environments of one revision that begin at the same time
START_MS = 100  # and how long a beginning one counts


class Pool:
    """See above. ``make`` makes an environment, or raises CannotRun."""

    def __init__(self, make: Callable[[], Environment]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._alive: set[Environment] = set()
        self._starting: dict[Environment, asyncio.TimerHandle] = {}
        self._taking = 0  # events on their way to an environment
        self._leave = 0  # to start one, given and not yet used
        self._waiting: deque[asyncio.Future[Environment | None]] = deque()
        self._impatient: deque[asyncio.Future[Environment | None]] = deque()
        self.idle: list[Environment] = []
        self.retired = False  # what begins from now on, for events that waited, ends after its event

    @property
    def empty(self) -> bool:
        """Whether nobody is or waits here."""
        return not (self._alive or self._taking)

    async def take(self) -> Environment:
        """An environment that is ready for an event, idle or new."""
        self._taking += 1
        try:
            while True:
                environment = self._take_idle() or await self._turn()
                if environment.state == IDLE or await environment.ready():
                    return environment
        finally:
            self._taking -= 1

    def _take_idle(self) -> Environment | None:
        if not self.idle:
            return None
        if self.idle[-1].state == IDLE:
            environment = self.idle.pop()
        else:
            at = next((at for at in range(len(self.idle) - 1, -1, -1) if self.idle[at].state == IDLE), -1)
            environment = self.idle.pop(at)
        environment.taken = True
        return environment

    async def _turn(self) -> Environment:
        """Wait for an environment that comes free, or for leave to start one."""
        if not self._alive:
            return self._start()
        turn: asyncio.Future[Environment | None] = self._loop.create_future()
        self._waiting.append(turn)
        timer = self._loop.call_later(PATIENCE_MS / 1000, self._lose_patience, turn)
        try:
            environment = await turn
        except asyncio.CancelledError:
            self._give_back(turn)
            raise
        finally:
            timer.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)
            if turn in self._impatient:
                self._impatient.remove(turn)
        if environment is not None:
            return environment
        self._leave -= 1
        try:
            return self._start()
        finally:
            self._grant()

    def _give_back(self, turn: asyncio.Future[Environment | None]) -> None:
        """What a cancelled event had got already."""
        if not turn.done() or turn.cancelled() or turn.exception() is not None:
            return
        environment = turn.result()
        if environment is None:
            self._leave -= 1
            self._grant()
        else:
            environment.taken = False
            self.rested(environment)

    def _start(self) -> Environment:
        environment = self._make()
        environment.taken, environment.retiring = True, self.retired
        self._alive.add(environment)
        self._starting[environment] = self._loop.call_later(START_MS / 1000, self.started, environment)
        return environment

    def _lose_patience(self, turn: asyncio.Future[Environment | None]) -> None:
        if not turn.done():
            self._impatient.append(turn)
            self._grant()

    def _grant(self) -> None:
        """Give leave to start an environment to those who have waited long enough."""
        while self._impatient and len(self._starting) + self._leave < STARTING:
            turn = self._impatient.popleft()
            if not turn.done():
                self._leave += 1
                turn.set_result(None)

    # --- what environments say

    def started(self, environment: Environment) -> None:
        """INIT is over, or has taken its time."""
        timer = self._starting.pop(environment, None)
        if timer is not None:
            timer.cancel()
            self._grant()

    def rested(self, environment: Environment) -> None:
        """It has answered, or is ready: the first event that waits gets it."""
        if environment.taken or environment in self.idle:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                environment.taken = True
                turn.set_result(environment)
                return
        self.idle.append(environment)

    def gone(self, environment: Environment) -> None:
        """No process of it is left."""
        self.forget(environment)
        self._alive.discard(environment)
        self.started(environment)

    def refuse(self, why: str) -> None:
        """Nobody who waits gets an environment any more: CannotRun for each."""
        for turn in list(self._waiting):
            if not turn.done():
                turn.set_exception(CannotRun(why))

    def forget(self, environment: Environment) -> None:
        """It takes no events any more."""
        if environment in self.idle:
            self.idle.remove(environment)
