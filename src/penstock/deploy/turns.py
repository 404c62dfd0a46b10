"""Who may change an application: one after another, until its account is reset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from penstock.base.errors import TemplateError


@dataclass(slots=True)
class _Turn:
    """A task that changes an application, or waits to."""

    account: str
    stopped: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Line:
    """Those who change one application, or wait to."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    members: int = 0


class Turns:
    """The changes of every application on one platform."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str, str], _Line] = {}  # of the applications that are being changed
        self._turns: dict[asyncio.Task[Any], _Turn] = {}
        self._gate = asyncio.Lock()  # every turn passes it, so that none begins while somebody is alone

    @asynccontextmanager
    async def take(self, account: str, region: str, name: str) -> AsyncIterator[None]:
        """While this lasts nobody else changes the application; TemplateError from within when ``stop`` ends it."""
        task = asyncio.current_task()
        assert task is not None
        turn = self._turns[task] = _Turn(account)
        line = self._lines.setdefault((account, region, name), _Line())
        line.members += 1
        try:
            async with line.lock:
                async with self._gate:
                    pass
                yield
        except asyncio.CancelledError:
            if not turn.stopped:
                raise
            task.uncancel()
            raise TemplateError(f"the account of {name} was reset meanwhile: nothing of it is left") from None
        finally:
            del self._turns[task]
            line.members -= 1
            if not line.members:
                del self._lines[account, region, name]
            turn.ended.set()

    async def stop(self, account: str | None) -> None:
        """End every change of an account's applications (None: of all) where it stands; returns when none goes on."""
        found = [(task, turn) for task, turn in self._turns.items() if account in (None, turn.account)]
        for task, turn in found:
            turn.stopped = True
            task.cancel()
        for _, turn in found:
            await turn.ended.wait()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Whether nobody but the caller, whose turn it is, changes an application; while this lasts nobody begins."""
        async with self._gate:
            yield sum(line.lock.locked() for line in self._lines.values()) <= 1
