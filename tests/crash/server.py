"""A server in a process of its own, to be killed; and a witness of every process that its functions leave behind."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.detached import Detached

GONE_S = 10.0  # machine seconds within which everything a killed server ran has to be gone


class Refused(AssertionError):
    """The server answered, and it was no success."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(Detached):
    """One address, and the end of every process that it runs; ``start`` and ``kill`` as often as you like."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, data.with_suffix(".log"), port=free_port())

    def kill(self) -> None:
        """SIGKILL, and nothing gentler."""
        assert self._process is not None
        children = descendants(self._process.pid)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1
        left = [pid for pid in children if not ends(pid, GONE_S)]
        assert not left, f"processes outlived the server: {[command_of(pid) for pid in left]}"

    def own(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A request to Penstock's own API."""
        request = urllib.request.Request(
            f"{self.url}/_penstock{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=900) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path} {body}: {error.code} {error.read()!r}") from error


def descendants(pid: int) -> list[int]:
    """Every process below this one, as far as /proc shows them."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def command_of(pid: int) -> str:
    """What a process runs."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "(gone)"


def ends(pid: int, timeout_s: float) -> bool:
    """Wait until a process is no more; False when time runs out first."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)


class Witness:
    """Counts the processes that hold a connection to it: each ends with its process, however that ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._changed = threading.Condition()
        self.seen = 0
        self.alive = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.seen += 1
                self.alive += 1
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(64):
                    pass
            except OSError:
                pass  # reset, because its process was killed: it ended all the same
        with self._changed:
            self.alive -= 1
            self._changed.notify_all()

    def all_ended(self, timeout_s: float) -> bool:
        """Wait until nobody is connected any more."""
        with self._changed:
            return self._changed.wait_for(lambda: self.alive == 0, timeout_s)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
