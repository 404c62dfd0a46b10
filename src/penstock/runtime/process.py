"""The processes of one environment, from the launcher's fork until none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from penstock.runtime.channel import PythonChannel, RuntimeListener
from penstock.runtime.launcher import Launcher
from penstock.runtime.logs import LogPipe

_CREDENTIALS = struct.Struct("3i")
_LIFE_BYTES = 4096
_SIGNALS = {  # Go's names for signals, which AWS's messages have
    signal.SIGHUP: "hangup", signal.SIGINT: "interrupt", signal.SIGQUIT: "quit", signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap", signal.SIGABRT: "aborted", signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception", signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation fault",
    signal.SIGPIPE: "broken pipe", signal.SIGALRM: "alarm clock", signal.SIGTERM: "terminated",
}  # fmt: skip


def describe(status: int) -> str:
    """How a process ended, from its wait status, in the words of AWS's messages."""
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    return f"Runtime exited with error: signal: {_SIGNALS.get(signal.Signals(-code), f'signal {-code}')}"


class Process:
    """An environment's processes. The callbacks come on the event loop, each at most once.

    ``started``: the function's process exists and INIT begins. ``ended(error type, why)``: it has ended, or could not
    begin; what it left behind is being killed. ``gone`` is done when no process is left.
    """

    def __init__(
        self, launcher: Launcher, log: LogPipe, listener: RuntimeListener, *, python: bool, started: Callable[[], None],
        ended: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._launcher = launcher
        self._log = log
        self._on_started = started
        self._on_ended: Callable[[str, str], None] | None = ended
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.pid: int | None = None  # of the function's process, as this server sees it
        self.peak_kb = 0  # the most it ever had, once it has ended
        self.channel = PythonChannel(listener) if python else None
        self._life, self._their_life = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._life.setblocking(False)
        self._life.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._loop.add_reader(self._life.fileno(), self._readable)
        self._number: int | None = None

    def launch(self, message: dict[str, Any]) -> None:
        """Start them."""
        descriptors = [self._log.write, self._their_life.detach()]
        if self.channel is not None:
            descriptors.append(self.channel.theirs.detach())
        self._number = self._launcher.launch(message, descriptors, self)

    def kill(self) -> None:
        """End them all; ``gone`` follows."""
        if self._number is not None:
            self._launcher.kill(self._number)

    # --- what the launcher says

    def failed(self, why: str) -> None:
        """They could not be started."""
        self._end("Sandbox.Failure", why)
        self.ended()

    def ended(self) -> None:
        """None is left."""
        while self._read():
            pass
        self._end("Runtime.ExitError", "Runtime exited with error: signal: killed")
        self._log.close()
        if self.channel is not None:
            self.channel.close()
        if self._life.fileno() >= 0:
            self._loop.remove_reader(self._life.fileno())
            self._life.close()
        if not self.gone.done():
            self.gone.set_result(None)

    # --- what the environment's first process says

    def _readable(self) -> None:
        if self._read() is None and self._life.fileno() >= 0:
            self._loop.remove_reader(self._life.fileno())

    def _read(self) -> bool | None:
        """Take one packet; False when there is none now, None when there will be none any more."""
        if self._life.fileno() < 0:
            return None
        try:
            data, ancillary, _, _ = self._life.recvmsg(_LIFE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        except BlockingIOError:
            return False
        except OSError:
            return None
        if not data:
            return None
        word, _, rest = data.decode(errors="replace").partition(" ")
        if word == "main":
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    self.pid = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
            self._on_started()
        elif word == "exit":
            status, most_kb = map(int, rest.split())
            self.peak_kb = most_kb if self.channel is not None else 0  # an exec'd one has its fork's memory in it
            self._end("Runtime.ExitError", describe(status))
        elif word == "entrypoint":
            self._end("Runtime.InvalidEntrypoint", rest)
        else:
            self._end("Sandbox.Failure", rest)
        return True

    def _end(self, error_type: str, why: str) -> None:
        on_ended, self._on_ended = self._on_ended, None
        if on_ended is not None:
            self._log.drain()
            on_ended(error_type, why)
