"""One execution environment: INIT once, then one event at a time, until it is idle for long, fails, or is replaced.

    NEW ──invoke──▶ INIT ──next──▶ BUSY ──answer──▶ RESTING ──next──▶ IDLE ──invoke──▶ BUSY …
                     │ fails          │ timeout, crash, memory, cancelled
                     ▼                ▼
                  INIT again,       ENDING ──no process left──▶ GONE
                  within the invocation, as AWS does

Source: docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html. Two things are different. AWS starts a
process anew in an environment whose runtime crashed or timed out; here it ends and another takes its place. AWS freezes
an idle environment; here its background threads go on.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.base.clock import MachineClock
from penstock.base.errors import CannotRun
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.compute import Function, Invocation, InvocationResult, LogSink
from penstock.runtime import memory, report
from penstock.runtime.beginning import folders_of, launch_message, new_key
from penstock.runtime.channel import ANSWER_BYTES, EventWay
from penstock.runtime.launcher import Launcher, Sandbox
from penstock.runtime.layers import opt_of
from penstock.runtime.logs import LogBuffer, LogPipe
from penstock.runtime.memory import MemoryWatch
from penstock.runtime.process import Process
from penstock.runtime.runtime_api import RuntimeApi
from penstock.runtime.runtimes import Runtime

INIT_LIMIT_MS = 10_000  # Lambda's limit for INIT; a second try has the function's timeout
START_LIMIT_MS = 30_000  # for the machine to make the processes, before INIT's clock begins
LAST_WORDS_MS = 500  # for a runtime whose answer was refused to write its traceback and end
KILL_LIMIT_MS = 900  # how long a result waits for killed processes to be gone: within the second a caller was promised
OUTSIDE_MS = 20  # output outside invocations is handed over this often

NEW, INIT, BUSY, RESTING, IDLE, ENDING, GONE = "new", "init", "busy", "resting", "idle", "ending", "gone"
RESTING_MS = 50  # an event waits this long for a runtime that has answered to ask for more, before it goes elsewhere


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every environment of a machine shares."""

    keys: Keys
    machine: MachineClock
    names: Names
    endpoint: Callable[[], str]
    scratch: Path
    log: LogSink
    init_limit_ms: int
    launcher: Launcher
    watch: MemoryWatch
    started: Callable[[Environment], None]
    rested: Callable[[Environment], None]
    gone: Callable[[Environment], None]


@dataclass(slots=True)
class Outcome:
    """How INIT or an event ended.

    ``kind``: ready, answer, error and init error (the runtime's word), too large, crash, timeout.
    """

    kind: str
    payload: bytes = b""
    error_type: str = ""
    why: str = ""


@dataclass(slots=True)
class _Job:
    """What the environment is doing: ``done`` gets its Outcome."""

    done: asyncio.Future[Outcome]
    request_id: str = ""
    began: float = 0.0
    ended: float = 0.0
    timer: asyncio.TimerHandle | None = None
    max_kb: int = field(default=0)


class Environment:
    """One environment of one revision of a function."""

    def __init__(self, shared: Surroundings, function: Function, runtime: Runtime) -> None:
        self._shared = shared
        self.function = function
        self.memory_mb = function.memory_mb
        self.peak_kb = 0
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        today = shared.machine.now_ms()
        self.log_stream = f"{report.day(today)}/[{function.version}]{shared.names.hex(32)}"
        self.state = NEW
        self.retiring = False
        self.taken = False  # by an event, in the pool's eyes
        self.idle_since = 0.0
        self.born = shared.machine.monotonic_ms()
        self._api = RuntimeApi(self)
        self._process: Process | None = None
        self._way: EventWay | None = None
        self._job: _Job | None = None
        self._log: LogBuffer | None = None
        self._outside = LogBuffer()
        self._outside_timer: asyncio.TimerHandle | None = None
        self._pipe: LogPipe | None = None
        self._late: asyncio.TimerHandle | None = None
        self._asked: asyncio.Future[None] | None = None
        self._tmp: Path | None = None
        self._ended = self._loop.create_future()
        self._credentials = new_key(function, shared.names, today)
        shared.keys.issue(self._credentials, environment=True)

    @property
    def pid(self) -> int | None:
        """The function's process, as the server sees it."""
        return None if self._process is None else self._process.pid

    # --- an event

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run one event; see ``engine.compute.Environments.invoke``."""
        log = self._log = LogBuffer()
        result = InvocationResult(b"", log_stream=self.log_stream, version=self.function.version)
        self._shared.keys.work_on(self._credentials.access_key_id, invocation.run)
        try:
            outcome, spent_ms = None, 0.0
            if self.state == NEW:
                outcome, spent_ms = await self._begin(invocation, result)
                self._shared.started(self)
            self._own(report.start(invocation.request_id, self.function.version))
            if outcome is None:
                outcome, spent_ms = await self._run(invocation, spent_ms)
            await self._conclude(invocation, outcome, spent_ms, result)
        except BaseException:
            self.end()
            raise
        finally:
            self._log = None
            self._shared.watch.leave(self)
            self._shared.keys.work_on(self._credentials.access_key_id, None)
        if log.dropped:
            log.note_dropped(self._now())
        result.log = log.take()
        self._rest()
        return result

    async def _begin(self, invocation: Invocation, result: InvocationResult) -> tuple[Outcome | None, float]:
        """INIT, a second time within the invocation when it fails; the outcome if that fails too, and what it took."""
        self.state = INIT
        self._own(report.init_start(self._runtime.version))
        for layer in self.function.layers:
            for extension in sorted((layer / "extensions").glob("*")):
                told = f"Penstock does not start extensions: /opt/extensions/{extension.name} is left out"
                self._own(told)
        sandbox = await self._shared.launcher.start()
        message = await self._message(sandbox)
        outcome, took_ms = await self._init(message, self._shared.init_limit_ms)
        if outcome.kind == "ready":
            result.init_ms = took_ms
            return None, 0.0
        self._init_failed(invocation, outcome, took_ms, "init")
        await self._kill_process()
        outcome, took_ms = await self._init(message, self.function.timeout_ms)
        if outcome.kind == "ready":
            return None, took_ms
        self._init_failed(invocation, outcome, took_ms, "invoke")
        return outcome, took_ms

    def _init_failed(self, invocation: Invocation, outcome: Outcome, took_ms: float, phase: str) -> None:
        if outcome.kind == "crash":
            self._own(report.crashed(invocation.request_id, outcome.error_type, outcome.why)[1])
        status = "timeout" if outcome.kind == "timeout" else "error"
        self._own(report.init_report(took_ms, phase, status, outcome.error_type))

    async def _init(self, message: dict[str, Any], limit_ms: int) -> tuple[Outcome, float]:
        """Start the processes and wait until the runtime asks for its first event; the outcome, and ms it took."""
        if self.state in (ENDING, GONE):
            self._api.close()
            return Outcome("crash", error_type="Runtime.ExitError", why="the environment was ended"), 0.0
        self._way = None
        job = self._job = _Job(self._loop.create_future())
        job.timer = self._loop.call_later(START_LIMIT_MS / 1000, self._not_started)

        def started() -> None:
            if job.timer is not None:
                job.timer.cancel()
            job.began = self._shared.machine.monotonic_ms()
            job.timer = self._loop.call_later(limit_ms / 1000, self._finish, Outcome("timeout"))

        log = self._pipe = LogPipe(self._shared.machine, self._line)
        self._process = Process(
            self._shared.launcher, log, self, python=self._runtime.kind == "python", started=started,
            ended=self._process_ended,
        )  # fmt: skip
        self._process.launch(message)
        self._shared.watch.watch(self)
        outcome = await job.done
        self.peak_kb = max(self.peak_kb, self._process.peak_kb, memory.peak_kb(self.pid) if self.pid is not None else 0)
        if outcome.error_type == "Sandbox.Failure":
            raise CannotRun(f"no environment for {self.function.name}: {outcome.why}")
        log.drain()
        return outcome, job.ended - job.began if job.began else 0.0

    def _not_started(self) -> None:
        why = f"the machine did not start its process within {START_LIMIT_MS // 1000} s"
        self._finish(Outcome("crash", error_type="Sandbox.Failure", why=why))

    async def _run(self, invocation: Invocation, spent_ms: float) -> tuple[Outcome, float]:
        """Give the event to the runtime and wait for what comes of it."""
        way, process = self._way, self._process
        if way is None or process is None:
            return Outcome("crash", error_type="Runtime.ExitError", why="the environment was ended"), spent_ms
        self.state, self._way = BUSY, None
        function, machine = self.function, self._shared.machine
        left_ms = max(function.timeout_ms - spent_ms, 0.0)
        job = self._job = _Job(self._loop.create_future(), invocation.request_id, machine.monotonic_ms())
        job.timer = self._loop.call_later(left_ms / 1000, self._finish, Outcome("timeout"))
        self._shared.watch.watch(self)
        way.give(
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": machine.now_ms() + int(left_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.invoked_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_header or None,
                "Lambda-Runtime-Client-Context": invocation.client_context or None,
                "Content-Type": "application/json",
            },
            invocation.payload,
        )
        outcome = await job.done
        return outcome, spent_ms + job.ended - job.began

    async def _conclude(
        self, invocation: Invocation, outcome: Outcome, spent_ms: float, result: InvocationResult
    ) -> None:
        """Write the invocation's last lines and fill in its result; end what cannot go on."""
        function, line = self.function, ""
        result.payload = outcome.payload
        result.status = "success" if outcome.kind == "answer" else "error"
        result.function_error = None if outcome.kind == "answer" else "Unhandled"
        if outcome.kind == "timeout":
            spent_ms, result.status = float(function.timeout_ms), "timeout"
            result.payload, line = report.timed_out(invocation.request_id, function.timeout_ms, self._now())
        elif outcome.kind == "crash":
            result.payload, line = report.crashed(invocation.request_id, outcome.error_type, outcome.why)
        elif outcome.kind == "too large":
            result.payload = report.too_large(ANSWER_BYTES)
            await self._last_words()
        self._measure()
        if outcome.kind in ("answer", "error"):
            self._drain()
        else:
            self.end()
            await self._wait_gone()
        result.duration_ms = round(spent_ms, 2)
        result.billed_ms = report.billed(spent_ms, result.init_ms)
        result.max_memory_mb = min(-(-self.peak_kb // 1024), function.memory_mb)
        by_platform = outcome.error_type if outcome.kind in ("crash", "init error") else ""
        if self._log is not None:
            at_ms = self._now()
            self._log.note_dropped(at_ms)
            if line:
                self._log.tell(at_ms, line)
            self._log.tell(at_ms, report.end(invocation.request_id))
            last = report.report(function, invocation.request_id, result, by_platform, invocation.trace_header)
            self._log.tell(at_ms, last)

    def _measure(self) -> None:
        """Bring the peak of memory up to date; awslambdaric's process tells its own with its answer, or as it ends."""
        if self._job is not None and self._job.max_kb > self.peak_kb:
            self.peak_kb = self._job.max_kb
        if self._process is not None and self._process.peak_kb > self.peak_kb:
            self.peak_kb = self._process.peak_kb
        if self._runtime.kind != "python" and self.pid is not None:
            self.peak_kb = max(self.peak_kb, memory.peak_kb(self.pid))

    async def _last_words(self) -> None:
        """Let a runtime whose answer was refused write its traceback and end."""
        if self._process is not None and self._way is None:
            await asyncio.wait({self._process.gone}, timeout=LAST_WORDS_MS / 1000)

    async def ready(self) -> bool:
        """Whether it can take an event; waits a moment for a runtime that has just answered."""
        if self.state == RESTING:
            self._asked = self._loop.create_future()
            try:
                await asyncio.wait({self._asked}, timeout=RESTING_MS / 1000)
            except asyncio.CancelledError:
                self.taken = False
                if self.state == IDLE:
                    self._shared.rested(self)
                raise
            finally:
                self._asked = None
        if self.state == RESTING:
            self.taken = False
        return self.state in (NEW, IDLE)

    def _rest(self) -> None:
        """Be there for the next event. Runtimes ask for it a moment after they answered."""
        if self.state != BUSY:
            return
        self.taken = False
        if self._way is not None:
            self.state = IDLE
        else:
            self.state = RESTING
            # AWS's invocation goes on until the runtime asks for more, or the time is over.
            self._late = self._loop.call_later(self.function.timeout_ms / 1000, self.end)
        self._shared.rested(self)

    # --- what the runtime says

    def next_asked(self, way: EventWay) -> None:
        """The runtime is ready for an event."""
        self._way = way
        if self.state == INIT:
            self._finish(Outcome("ready"))
        elif self.state == RESTING:
            self.state = IDLE
            if self._late is not None:
                self._late.cancel()
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(None)
            elif not self.taken:
                self._shared.rested(self)

    def next_lost(self, way: EventWay) -> None:
        """The runtime stopped waiting for an event; some ask anew after a while."""
        if self._way is way:
            self._way = None
            if self.state == IDLE:
                self.state = RESTING

    def answered(self, request_id: str, payload: bytes, max_kb: int) -> str | None:
        """The runtime answered its event."""
        return self._settle(request_id, Outcome("answer", payload), max_kb)

    def answer_too_large(self, request_id: str) -> None:
        """The runtime's answer was larger than Lambda takes."""
        self._settle(request_id, Outcome("too large"), 0)

    def reported(self, request_id: str, document: bytes, error_type: str, max_kb: int) -> str | None:
        """The runtime reported an error of its event."""
        return self._settle(request_id, Outcome("error", document, error_type), max_kb)

    def init_failed(self, document: bytes, error_type: str) -> None:
        """The runtime reported that it cannot start."""
        if self.state == INIT:
            self._finish(Outcome("init error", document, error_type))

    def _settle(self, request_id: str, outcome: Outcome, max_kb: int) -> str | None:
        job = self._job
        if self.state != BUSY or job is None or job.done.done():
            return "InvalidStateTransition"
        if request_id != job.request_id:
            return "InvalidRequestID"
        job.max_kb = max_kb
        self._finish(outcome)
        return None

    # --- what the machine says

    def out_of_memory(self) -> None:
        """It uses more memory than the function may."""
        self.peak_kb = self.memory_mb * 1024
        killed = "Runtime exited with error: signal: killed"
        self._finish(Outcome("crash", error_type=report.OUT_OF_MEMORY, why=killed))

    def _process_ended(self, error_type: str, why: str) -> None:
        if not self._finish(Outcome("crash", error_type=error_type, why=why)) and self.state != INIT:
            self.end()

    def _finish(self, outcome: Outcome) -> bool:
        """Tell who waits how INIT or the event ended; False when nobody does any more."""
        job = self._job
        if job is None or job.done.done():
            return False
        if job.timer is not None:
            job.timer.cancel()
        job.ended = self._shared.machine.monotonic_ms()
        job.done.set_result(outcome)
        return True

    # --- the end

    def end(self) -> None:
        """End every process of it; ``wait_gone`` tells when that is done. Whoever waits for its result gets a crash."""
        if self.state in (ENDING, GONE):
            return
        self.state = ENDING
        self._shared.keys.revoke(self._credentials.access_key_id)
        self._finish(Outcome("crash", error_type="Runtime.ExitError", why="Runtime exited with error: signal: killed"))
        if self._late is not None:
            self._late.cancel()
        self._api.hear_no_more()
        process = self._process
        if process is None or process.gone.done():
            self._loop.call_soon(self._all_gone)
        else:
            process.kill()
            process.gone.add_done_callback(lambda _: self._all_gone())

    async def wait_gone(self) -> None:
        """Return when no process is left."""
        await asyncio.shield(self._ended)

    async def _wait_gone(self) -> None:
        await asyncio.wait({self._ended}, timeout=KILL_LIMIT_MS / 1000)

    async def _kill_process(self) -> None:
        """End the process of a failed INIT."""
        if self._process is not None:
            self._process.kill()
            await asyncio.wait({self._process.gone}, timeout=KILL_LIMIT_MS / 1000)

    def _all_gone(self) -> None:
        self.state = GONE
        self._api.close()
        if self._outside_timer is not None:
            self._outside_timer.cancel()
            self._hand_over()
        if self._tmp is not None:
            self._loop.run_in_executor(None, shutil.rmtree, self._tmp, True)
        if not self._ended.done():
            self._ended.set_result(None)
        self._shared.gone(self)

    # --- the log

    def _now(self) -> int:
        return self._shared.machine.now_ms()

    def _own(self, text: str) -> None:
        """Write a line of the platform's into the log of the invocation."""
        if self._log is not None:
            self._log.tell(self._now(), text)

    def _drain(self) -> None:
        if self._pipe is not None:
            self._pipe.drain()

    def _line(self, at_ms: int, text: str) -> None:
        if self._log is not None:
            self._log.add(at_ms, text)
            return
        self._outside.add(at_ms, text)
        if self._outside_timer is None:
            self._outside_timer = self._loop.call_later(OUTSIDE_MS / 1000, self._hand_over)

    def _hand_over(self) -> None:
        self._outside_timer = None
        lines = self._outside.take()
        if lines:
            self._shared.log(self.function, self.log_stream, lines)

    # --- what it starts with

    async def _message(self, sandbox: Sandbox) -> dict[str, Any]:
        """What the launcher needs to know."""
        function, shared = self.function, self._shared
        opt = function.layers[0] if len(function.layers) == 1 else None
        if len(function.layers) > 1:
            opt = await asyncio.to_thread(opt_of, function.layers, shared.scratch)
        tmp = shared.scratch / "tmp" / self._credentials.access_key_id
        if not sandbox.private:
            self._tmp = tmp
            tmp.mkdir(parents=True)
        api = await self._api.start(shared.names)
        return launch_message(
            function, self._runtime, sandbox, folders_of(function, sandbox, opt, shared.scratch, tmp), opt=opt,
            credentials=self._credentials, endpoint=shared.endpoint(), api=api, log_stream=self.log_stream,
        )  # fmt: skip
