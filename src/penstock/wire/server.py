"""The server: listens on loopback, speaks HTTP/1.1 and HTTP/2, hands decoded calls to a Dispatch."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.dispatcher import Dispatch
from penstock.wire.front import Front
from penstock.wire.http1 import Http1Connection
from penstock.wire.listener import Listener
from penstock.wire.signature import Verifier
from penstock.wire.values import RawRoute

_BACKLOG = 1024  # connections the system holds until they are accepted
_FREE_PORTS = 10  # that are tried when the caller leaves the choice


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
        factory = partial(Http1Connection, listener)
        for tries_left in reversed(range(_FREE_PORTS if port == 0 else 1)):
            try:
                self._servers = await _listen(factory, host, port)
                break
            except OSError as error:
                # A port that is free on 127.0.0.1 may be somebody's on ::1.
                if error.errno != errno.EADDRINUSE or not tries_left:
                    await self.close(0)
                    raise
        listener.sweep()
        return int(self._servers[0].sockets[0].getsockname()[1])

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


async def _listen(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> list[asyncio.Server]:
    """Listen on a host's port (0: a free one); on both loopback addresses, or on neither."""
    loop = asyncio.get_running_loop()
    loopback = host in ("127.0.0.1", "localhost")
    server = await loop.create_server(factory, "127.0.0.1" if loopback else host, port, backlog=_BACKLOG)
    if not loopback:
        return [server]
    try:
        return [server, await loop.create_server(factory, "::1", server.sockets[0].getsockname()[1], backlog=_BACKLOG)]
    except OSError as error:
        # No IPv6 on this machine is fine; somebody else on the same port there is not.
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENOENT):
            return [server]
        server.close()
        raise
