"""What the connections of one server share, and what it knows of each: it counts them, watches them, ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.wire.front import Front
from penstock.wire.heads import Heads
from penstock.wire.limits import CONNECTIONS, SWEEP_SECONDS
from penstock.wire.repeats import Repeats
from penstock.wire.spool import Spool


class Connection(Protocol):
    """What the listener knows of a connection, of either HTTP version."""

    def overdue(self, now: float) -> bool: ...

    def shut(self) -> None: ...

    def abort(self) -> None: ...


class Listener:
    """What the connections of one server share: the front, the Date header, the folder for large bodies."""

    def __init__(self, front: Front, machine: MachineClock, names: Names, spool: Path) -> None:
        self.front = front
        self.now = machine.monotonic_ms() / 1000
        self.connections: dict[Connection, asyncio.Transport] = {}
        self._machine = machine
        self._names = names
        self._spool = spool
        self.heads = Heads()
        self.repeats = Repeats(self.heads)
        self._date = b""
        self._date_second = 0
        self._empty: asyncio.Event | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def date(self) -> bytes:
        """The Date header of this second."""
        second = self._machine.now_ms() // 1000
        if second != self._date_second:
            self._date_second = second
            self._date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    def spool(self, eased: Callable[[], None]) -> Spool:
        """A new file for a large body."""
        return Spool(self._spool / f"body-{self._names.uuid()}", eased)

    def opened(self, connection: Connection, transport: asyncio.Transport) -> None:
        """A connection is there."""
        if len(self.connections) >= CONNECTIONS:
            transport.abort()
            return
        self.connections[connection] = transport

    def closed(self, connection: Connection) -> None:
        """A connection has gone."""
        self.connections.pop(connection, None)
        if not self.connections and self._empty is not None:
            self._empty.set()

    def sweep(self) -> None:
        """Close what has been idle or slow for too long; again and again until ``stop``."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.now = self._machine.monotonic_ms() / 1000
        for connection in [one for one in self.connections if one.overdue(self.now)]:
            connection.abort()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self.sweep)

    async def stop(self, grace_ms: int) -> None:
        """Let every connection finish, for at most this long."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.shut()
        if self.connections:
            self._empty = asyncio.Event()
            try:
                async with asyncio.timeout(grace_ms / 1000):
                    await self._empty.wait()
            except TimeoutError:
                for connection in list(self.connections):
                    connection.abort()
