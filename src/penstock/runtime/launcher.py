"""The server's end of the launcher (``inside/zygote.py``): starts it when it is needed, asks it for environments.

The launcher is a process of its own because forking is only safe without threads, and because what it guarantees (that
nothing outlives the server) must not depend on the server still running.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from penstock.base.errors import CannotRun
from penstock.runtime.packages import runtime_packages, standard_library

MESSAGE_BYTES = 1 << 20  # of one message; the largest holds a function's environment variables (4 KB on AWS)
START_SECONDS = 60  # the first start on a machine compiles boto3, where its installer did not
CLOSE_SECONDS = 10
_PROGRAM = Path(__file__).parent / "inside" / "zygote.py"
_logger = logging.getLogger("penstock.runtime")


class Launched(Protocol):
    """Who asked for an environment's processes."""

    def failed(self, why: str) -> None:
        """They could not be started."""

    def ended(self) -> None:
        """No process of theirs is left."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What keeps environments apart here. ``mode``: namespaces, landlock or plain; ``reason``: why not better."""

    mode: str
    reason: str = ""
    as_root: bool = False

    @property
    def private(self) -> bool:
        """Whether an environment has /var/task, /opt and /tmp of its own."""
        return self.mode == "namespaces"


@dataclass(slots=True)
class _Outgoing:
    data: bytes
    descriptors: Sequence[int] = field(default_factory=tuple)

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class Launcher:
    """One launcher, started on demand and again when it ended by itself."""

    def __init__(self, scratch: Path, *, mode: str = "auto", visible: Callable[[], list[str]] = list) -> None:
        self.scratch = scratch
        self.mode = mode
        self.sandbox: Sandbox | None = None
        self._visible = visible
        self._started: asyncio.Future[Sandbox] | None = None
        self._loaded: asyncio.Future[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._outgoing: deque[_Outgoing] = deque()
        self._launched: dict[int, Launched] = {}
        self._numbers = 0

    @property
    def pid(self) -> int | None:
        """The launcher's process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> Sandbox:
        """Start it unless it runs, and return what the machine allows it."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_future()
            try:
                self._spawn()
            except OSError as error:
                self._stopped(f"it could not be started: {error}")
        started = self._started
        if started is None:
            raise CannotRun("the launcher of execution environments could not be started; see the server's log")
        try:
            async with asyncio.timeout(START_SECONDS):
                return await asyncio.shield(started)
        except TimeoutError:
            raise CannotRun(
                f"the launcher of environments did not answer within {START_SECONDS} s: is the machine overloaded?"
            ) from None

    async def load(self) -> None:
        """Have Python's packages loaded before the first function asks for them."""
        await self.start()
        if self._loaded is None:
            self._loaded = asyncio.get_running_loop().create_future()
            self._send(_Outgoing(orjson.dumps({"do": "load"})))
        await asyncio.shield(self._loaded)

    def launch(self, message: dict[str, Any], descriptors: Sequence[int], launched: Launched) -> int:
        """Start an environment's processes; its number. Takes the descriptors over. Only after ``start``."""
        self._numbers += 1
        self._launched[self._numbers] = launched
        self._send(_Outgoing(orjson.dumps({**message, "do": "launch", "id": self._numbers}), descriptors))
        return self._numbers

    def kill(self, number: int) -> None:
        """End an environment's processes, all of them; ``ended`` follows."""
        if number in self._launched:
            self._send(_Outgoing(orjson.dumps({"do": "kill", "id": number})))

    async def close(self) -> None:
        """End the launcher and everything it started; returns when no process is left."""
        process = self._process
        self._stopped("the server is closing")
        if process is not None:
            await asyncio.to_thread(_wait_or_kill, process)

    # --- the process

    def _spawn(self) -> None:
        root, runtime = self.scratch / "root", self.scratch / "runtime"
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.scratch / "tmp", ignore_errors=True)  # of environments which an earlier server left
        packages = {name: str(path) for name, path in runtime_packages().items()}
        _link(runtime, packages)
        visible = [*map(str, standard_library()), *self._visible()]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            config = {"root": str(root), "runtime": str(runtime), "packages": packages, "visible": visible,
                      "sandbox": self.mode}  # fmt: skip
            ours.setblocking(False)
            self._process = subprocess.Popen(
                [os.path.realpath(sys.executable), "-I", "-S", str(_PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/",
                env={"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            )  # fmt: skip
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable)
        self._send(_Outgoing(orjson.dumps(config)))

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return None
            except OSError as error:
                return self._stopped(f"its connection failed: {error}")
            if not data:
                return self._stopped("it ended by itself")
            self._take(orjson.loads(data))
        return None

    def _take(self, message: dict[str, Any]) -> None:
        if "gone" in message:
            launched = self._launched.pop(message["gone"], None)
            if launched is not None:
                launched.ended()
        elif "failed" in message:
            launched = self._launched.pop(message["failed"], None)
            if launched is not None:
                launched.failed(message["why"])
        elif "ready" in message:
            self.sandbox = Sandbox(**message["ready"])
            if self._started is not None and not self._started.done():
                self._started.set_result(self.sandbox)
            if self.sandbox.mode not in ("namespaces", self.mode):
                _logger.warning("functions are isolated by %s only: %s", self.sandbox.mode, self.sandbox.reason)
        elif "loaded" in message:
            if self._loaded is None:
                self._loaded = asyncio.get_running_loop().create_future()
            if not self._loaded.done():
                self._loaded.set_result(None)

    def _stopped(self, why: str) -> None:
        """Everything it started is ending, and nobody can ask for more until it is started again."""
        started, launched = self._started, list(self._launched.values())
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket.fileno())
            loop.remove_writer(self._socket.fileno())
            self._socket.close()
        for waiting in self._outgoing:
            waiting.close()
        self._outgoing.clear()
        self._launched.clear()
        process, self._process = self._process, None
        self._socket = self._started = None
        loaded, self._loaded = self._loaded, None
        if process is not None:
            loop.run_in_executor(None, _wait_or_kill, process)
        for future in (started, loaded):
            if future is not None and not future.done():
                future.set_exception(CannotRun(f"the launcher of execution environments is gone: {why}"))
                future.exception()
        for each in launched:
            each.ended()

    # --- sending

    def _send(self, outgoing: _Outgoing) -> None:
        if self._socket is None:
            outgoing.close()
            return
        self._outgoing.append(outgoing)
        if len(self._outgoing) == 1 and not self._flush():
            asyncio.get_running_loop().add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        if self._flush() and self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())

    def _flush(self) -> bool:
        """Send what waits; False when the launcher has no room for more now."""
        while self._outgoing and self._socket is not None:
            first = self._outgoing[0]
            try:
                socket.send_fds(self._socket, [first.data], list(first.descriptors))
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # it is gone; the reader will notice
                pass
            self._outgoing.popleft().close()
        return True


def _link(folder: Path, packages: dict[str, str]) -> None:
    """/var/runtime for machines without namespaces: a folder of links."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in os.listdir(folder):
        if name not in packages:
            (folder / name).unlink()
    for name, path in packages.items():
        link = folder / name
        if link.is_symlink() and os.readlink(link) == path:
            continue
        link.unlink(missing_ok=True)
        link.symlink_to(path)


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
