"""Wake-ups: hints that something may have become available. Rows are the truth; a lost hint costs time only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Wakes:
    """Who waits for what, by key (an ARN, mostly)."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def wake(self, key: str, count: int = 1) -> None:
        """Wake up to ``count`` of those who wait, longest first, and tell every listener. On the event loop only."""
        waiting = self._waiting.get(key)
        if waiting:
            woken = 0
            while waiting and woken < count:
                future = waiting.pop(0)
                if not future.done():
                    future.set_result(None)
                    woken += 1
            if not waiting:
                del self._waiting[key]
        for listener in self._listeners.get(key, ()):
            listener()

    def waiting(self, key: str) -> bool:
        """Whether anybody waits or listens."""
        return key in self._waiting or key in self._listeners

    async def wait(self, key: str, timeout_ms: float | None) -> bool:
        """Wait to be woken; False when the time (the machine's) ran out first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                await future
            return True
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(key)
            if waiting and future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[key]

    def listen(self, key: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Call this at every wake-up; returns how to stop."""
        self._listeners.setdefault(key, []).append(listener)

        def stop() -> None:
            listeners = self._listeners.get(key, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(key, None)

        return stop
