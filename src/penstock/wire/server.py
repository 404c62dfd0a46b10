"""The server: listens on loopback, speaks HTTP/1.1 and HTTP/2, hands decoded calls to a Dispatch."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Protocol

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.dispatcher import Dispatch
from penstock.wire.front import Front
from penstock.wire.heads import Heads
from penstock.wire.http1 import Http1Connection
from penstock.wire.http2 import Http2Connection
from penstock.wire.limits import CONNECTIONS, SWEEP_SECONDS
from penstock.wire.signature import Verifier
from penstock.wire.spool import Spool
from penstock.wire.values import RawRoute

_BACKLOG = 1024  # connections the system holds until they are accepted


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

    def to_http2(self, connection: Connection, transport: asyncio.Transport, data: bytes) -> None:
        """A connection has begun with HTTP/2's preface."""
        self.connections.pop(connection, None)
        Http2Connection(self).take_over(transport, data)

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


class Server:
    """One HTTP endpoint for every service.

    ``services`` maps a service's name (``Call.service``) to its model's name in botocore's data, or to the path of a
    ``service-2.json`` of its own. ``allow_hosts`` are Host names accepted besides loopback's, ``*.localhost`` and
    AWS's own; ``allow_origins`` the Origins that browsers may call from. ``routes`` come before AWS operations and may
    be appended to while it runs (``server.routes``). ``spool`` is a folder for bodies over 1 MB (a temporary one when
    None). ``verifier`` checks signatures (``--auth``): a ``wire.signature.Verifier``; None checks none.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        services: Mapping[str, str | Path],
        keys: Keys,
        machine: MachineClock,
        names: Names,
        allow_hosts: Sequence[str] = (),
        allow_origins: Sequence[str] = (),
        routes: Sequence[RawRoute] = (),
        spool: Path | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        self.routes = list(routes)
        self._machine = machine
        self._names = names
        self._own_spool = spool is None
        self._spool = Path(tempfile.mkdtemp(prefix="penstock-bodies-")) if spool is None else spool
        self.front = Front(
            dispatch,
            services=services,
            keys=keys,
            machine=machine,
            names=names,
            allow_hosts=allow_hosts,
            allow_origins=allow_origins,
            routes=self.routes,
            verifier=verifier,
        )
        self._servers: list[asyncio.Server] = []
        self._listener: Listener | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 4566) -> int:
        """Listen and return the port (a free one for 0); "127.0.0.1" and "localhost" listen on ::1 as well.

        OSError when the port is taken.
        """
        listener = self._listener = Listener(self.front, self._machine, self._names, self._spool)
        loop = asyncio.get_running_loop()
        loopback = host in ("127.0.0.1", "localhost")
        factory = partial(Http1Connection, listener)
        server = await loop.create_server(factory, "127.0.0.1" if loopback else host, port, backlog=_BACKLOG)
        self._servers.append(server)
        port = int(server.sockets[0].getsockname()[1])
        if loopback:
            try:
                self._servers.append(await loop.create_server(factory, "::1", port, backlog=_BACKLOG))
            except OSError as error:
                # No IPv6 on this machine is fine; somebody else on the same port there is not.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENOENT):
                    await self.close(0)
                    raise
        listener.sweep()
        return port

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._listener.connections) if self._listener is not None else 0

    def sweep(self) -> None:
        """Close connections that have been idle or slow for too long, now and not when it is time."""
        if self._listener is not None:
            self._listener.sweep()

    async def close(self, grace_ms: int = 10_000) -> None:
        """Take no new work, let requests in flight finish for at most this long, then close every connection."""
        for server in self._servers:
            server.close()
        if self._listener is not None:
            await self._listener.stop(grace_ms)
        await self.front.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        if self._own_spool:
            shutil.rmtree(self._spool, ignore_errors=True)
