"""Running a function's code, as the services see it; ``runtime`` implements it and ``platform`` injects it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Function:
    """Everything an execution environment of one published state of a function depends on.

    ``revision`` changes whenever any of it does: environments of another revision are retired. ``code`` and
    ``layers`` are folders nobody writes to any more.
    """

    arn: str
    name: str
    version: str
    account: str
    region: str
    revision: str
    runtime: str
    handler: str
    code: Path
    layers: tuple[Path, ...] = ()
    memory_mb: int = 128
    timeout_ms: int = 3000
    ephemeral_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    log_group: str = ""
    architecture: str = "x86_64"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for a function. ``run`` is the invocation's id in the journal, ``request_id`` its public form."""

    run: int
    request_id: str
    payload: bytes
    invoked_arn: str
    trace_header: str = ""
    client_context: str = ""


@dataclass(slots=True)
class InvocationResult:
    """How an invocation ended.

    ``payload`` is the function's answer, or AWS's error document when ``function_error`` is set ("Unhandled" when
    the runtime or the platform reported it, "Handled" is what ``Invoke`` says never any more). ``log`` is what the
    invocation wrote to its log, START and REPORT lines included: lines of (machine ms, text).
    """

    payload: bytes
    function_error: str | None = None
    status: str = "success"  # success, error, timeout, failure: as in a platform.report record
    log: list[tuple[int, str]] = field(default_factory=list)
    log_stream: str = ""
    duration_ms: float = 0.0
    billed_ms: int = 0
    init_ms: float | None = None
    max_memory_mb: int = 0
    version: str = "$LATEST"


LogSink = Callable[[Function, str, list[tuple[int, str]]], None]
"""Takes what an environment wrote: the function, the log stream's name, lines of (machine ms, text)."""


class Environments(Protocol):
    """The execution environments of this machine."""

    async def invoke(self, function: Function, invocation: Invocation) -> InvocationResult:
        """Run one event in a warm or new environment and return how it ended.

        Ends within INIT's limit plus the function's timeout plus a second. When the awaiting task is cancelled the
        environment is killed. CannotRun when there is no way to run this function on this machine.
        """

    def running(self, function_arn: str) -> int:
        """How many invocations of the function are in an environment now, INIT included."""

    def busy(self, account: str | None = None) -> list[str]:
        """What environments (of the account) are doing now, a phrase each; empty when all are idle."""

    async def retire(
        self,
        *,
        function_arn: str | None = None,
        account: str | None = None,
        keep: str | None = None,
        wait: bool = False,
    ) -> None:
        """End the environments of a function or an account, except those of revision ``keep``.

        Idle ones at once; busy ones after their invocation, or at once with ``wait``. This returns when no process of
        theirs is left and every invocation has been answered, CannotRun where it still waited for an environment.
        """

    def check(self, function: Function) -> None:
        """Raise CannotRun, with what to do about it, when this machine has no runtime for the function."""

    def version(self, function: Function) -> str:
        """What really runs the function: "python:3.11.7", "nodejs:20.1.0", "provided"; CannotRun as ``check``."""

    async def close(self) -> None:
        """End every environment and return when no process is left."""
