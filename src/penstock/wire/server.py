"""The server: listens on loopback, speaks HTTP/1.1 and HTTP/2, hands decoded calls to a Dispatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.dispatcher import Dispatch
from penstock.wire.values import RawRoute


class Server:
    """One HTTP endpoint for every service.

    ``services`` maps a service's name (``Call.service``) to its model's name in botocore's data, or to the path of a
    ``service-2.json`` of its own. ``allow_hosts`` are Host names accepted besides loopback's, ``*.localhost`` and
    AWS's own; ``allow_origins`` the Origins that browsers may call from. ``routes`` come before AWS operations and may be
    appended to while it runs. ``spool`` is a folder for bodies over 1 MB (a temporary one when None). ``verify``: check
    signatures (``--auth``) against ``keys``.
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
        verify: bool = False,
    ) -> None:
        self.dispatch = dispatch
        self.services = dict(services)
        self.keys = keys
        self.machine = machine
        self.names = names
        self.allow_hosts = list(allow_hosts)
        self.allow_origins = list(allow_origins)
        self.routes = list(routes)
        self.spool = spool
        self.verify = verify

    async def start(self, host: str = "127.0.0.1", port: int = 4566) -> int:
        """Listen and return the port (a free one for 0); "127.0.0.1" and "localhost" listen on ::1 as well."""
        raise NotImplementedError

    async def close(self, grace_ms: int = 10_000) -> None:
        """Take no new work, let requests in flight finish for at most this long, then close every connection."""
        raise NotImplementedError
