"""The execution environments of this machine: how many there are, and when they end.

Which of them takes an event is for the function's pool to say. Environments of an earlier revision end when they are
retired or have been idle for long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from penstock.base.clock import MachineClock
from penstock.base.errors import CannotRun
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.compute import Function, Invocation, InvocationResult, LogSink
from penstock.engine.quiet import UnderWay
from penstock.runtime.environment import IDLE, INIT, INIT_LIMIT_MS, NEW, RESTING, Environment, Surroundings
from penstock.runtime.launcher import Launcher
from penstock.runtime.memory import MemoryWatch
from penstock.runtime.pool import Pool
from penstock.runtime.runtimes import Runtimes

IDLE_MS = 600_000  # AWS does not say how long it keeps an idle environment; some minutes is what is seen
LIFE_MS = 12 * 3_600_000  # an older environment ends after its event; AWS ends them after some hours, too
ENVIRONMENTS = 1_000  # at once on this machine: Lambda's default concurrency of an account


class _Work(NamedTuple):
    """Whose invocations are under way."""

    account: str
    arn: str
    revision: str


def _work_of(function: Function) -> _Work:
    return _Work(function.account, function.arn, function.revision)


class ProcessEnvironments:
    """Implements ``engine.compute.Environments`` with processes. All on one event loop."""

    def __init__(
        self,
        *,
        keys: Keys,
        machine: MachineClock,
        names: Names,
        work: UnderWay,
        endpoint: Callable[[], str],
        scratch: Path,
        log: LogSink,
        idle_ms: int = IDLE_MS,
        init_limit_ms: int = INIT_LIMIT_MS,
        most: int = ENVIRONMENTS,
        sandbox: str = "auto",
        path: str | None = None,
    ) -> None:
        """``endpoint`` is the platform's URL, ``scratch`` our folder, ``log`` gets output outside invocations.

        ``idle_ms`` is machine time; ``sandbox`` auto, namespaces, landlock or plain; ``path`` where programs are.
        """
        self._machine = machine
        self._work = work
        self._idle_ms = idle_ms
        self._most = most
        self._runtimes = Runtimes(path)
        self._launcher = Launcher(scratch, mode=sandbox, visible=self._runtimes.visible)
        self._watch = MemoryWatch()
        self._shared = Surroundings(
            keys=keys, machine=machine, names=names, endpoint=endpoint, scratch=scratch, log=log,
            init_limit_ms=init_limit_ms, launcher=self._launcher, watch=self._watch, started=self._started,
            rested=self._rested, gone=self._gone,
        )  # fmt: skip
        self._all: dict[Environment, Pool] = {}
        self._pools: dict[tuple[str, str], Pool] = {}
        self._running: Counter[_Work] = Counter()
        self._reaper: asyncio.TimerHandle | None = None
        self._closing = False
        self._preparing: asyncio.Future[None] | None = None

    # --- events

    async def invoke(self, function: Function, invocation: Invocation) -> InvocationResult:
        """Run one event; see ``engine.compute.Environments``."""
        work = _work_of(function)
        self._running[work] += 1
        ticket = self._work.begin(f"lambda {function.name}", function.account)
        try:
            pool = self._pool_of(function)
            try:
                environment = await pool.take()
            finally:
                self._drop_if_empty(function, pool)
            return await environment.invoke(invocation)
        finally:
            self._work.end(ticket)
            self._running[work] -= 1
            if not self._running[work]:
                del self._running[work]

    def _pool_of(self, function: Function) -> Pool:
        key = (function.arn, function.revision)
        pool = self._pools.get(key)
        if pool is None:
            self._runtimes.check(function)
            pool = self._pools[key] = Pool(lambda: self._make(function))
        return pool

    def _make(self, function: Function) -> Environment:
        """A new environment, if there is room for one."""
        runtime = self._runtimes.check(function)
        if self._closing:
            raise CannotRun(f"{function.name} cannot run: the server is closing")
        if len(self._all) >= self._most and not self._make_room():
            raise CannotRun(
                f"{function.name} cannot run now: {self._most} environments are at work on this machine. Lower the "
                "concurrency of what invokes it (ReservedConcurrentExecutions, MaximumConcurrency)"
            )
        environment = Environment(self._shared, function, runtime)
        self._all[environment] = self._pools[function.arn, function.revision]
        return environment

    def _make_room(self) -> bool:
        """End the environment that has been idle for longest; whether there was one."""
        idle = [environment for environment in self._all if environment.state == IDLE]
        if idle:
            self._end(min(idle, key=lambda environment: environment.idle_since))
        return bool(idle)

    # --- what an environment says

    def _rested(self, environment: Environment) -> None:
        """It has answered (RESTING), or is ready for another event (IDLE)."""
        if environment.retiring or self._closing:
            environment.end()
            return
        now = environment.idle_since = self._machine.monotonic_ms()
        if now - environment.born > LIFE_MS:
            environment.end()
            return
        self._all[environment].rested(environment)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(self._idle_ms / 1000, self._reap)

    def _started(self, environment: Environment) -> None:
        """Its INIT is over."""
        if environment in self._all:
            self._all[environment].started(environment)

    def _gone(self, environment: Environment) -> None:
        """No process of it is left."""
        pool = self._all.pop(environment)
        pool.gone(environment)
        self._drop_if_empty(environment.function, pool)

    def _drop_if_empty(self, function: Function, pool: Pool) -> None:
        if pool.empty:
            self._pools.pop((function.arn, function.revision), None)

    def _end(self, environment: Environment) -> None:
        if environment in self._all:
            self._all[environment].forget(environment)
        environment.end()

    def _reap(self) -> None:
        """End what has been idle for too long, and look again when the next one will have been."""
        self._reaper = None
        limit = self._machine.monotonic_ms() - self._idle_ms
        waiting = [environment for pool in self._pools.values() for environment in pool.idle]
        for environment in waiting:
            if environment.idle_since <= limit:
                self._end(environment)
        left = [environment.idle_since for environment in waiting if environment.idle_since > limit]
        if left:
            delay = (min(left) - limit) / 1000
            self._reaper = asyncio.get_running_loop().call_later(delay + 0.001, self._reap)

    # --- looking and steering

    def running(self, function_arn: str) -> int:
        """How many invocations of the function are under way, INIT included."""
        return sum(count for work, count in self._running.items() if work.arn == function_arn)

    def count(self, function_arn: str | None = None) -> int:
        """How many environments there are (of a function), those that are ending included."""
        return sum(function_arn in (None, environment.function.arn) for environment in self._all)

    def busy(self, account: str | None = None) -> list[str]:
        """What environments are doing now, a phrase each."""
        return [
            f"lambda {environment.function.name} in {'INIT' if environment.state in (NEW, INIT) else 'an invocation'}"
            for environment in self._all
            if environment.state not in (IDLE, RESTING) and account in (None, environment.function.account)
        ]

    async def retire(
        self,
        *,
        function_arn: str | None = None,
        account: str | None = None,
        keep: str | None = None,
        wait: bool = False,
    ) -> None:
        """End environments; see ``engine.compute.Environments``."""

        def meant(work: _Work) -> bool:
            return (
                function_arn in (None, work.arn) and account in (None, work.account) and work.revision != (keep or "")
            )

        for pool in {pool for environment, pool in self._all.items() if meant(_work_of(environment.function))}:
            pool.retired = True
        while True:
            retired = [environment for environment in self._all if meant(_work_of(environment.function))]
            for environment in retired:
                environment.retiring = True
                if wait:
                    self._all[environment].refuse(f"{environment.function.name} has been retired")
                if wait or environment.state in (IDLE, RESTING):
                    self._end(environment)
            if not wait or not (retired or any(meant(work) for work in self._running)):
                return
            # Meanwhile an event that had leave to may start one more, which ends as well; and who asked for what was
            # running hears of its end.
            await asyncio.gather(asyncio.sleep(0), *(environment.wait_gone() for environment in retired))

    def check(self, function: Function) -> None:
        """Raise CannotRun, with what to do about it, when this machine has no runtime for the function.

        Called when a function is made: what the first Python function needs is loaded meanwhile, in the background.
        """
        runtime = self._runtimes.of(function)
        if runtime.kind == "python" and self._preparing is None and not self._closing:
            self._preparing = asyncio.ensure_future(self._prepare_quietly())

    async def _prepare_quietly(self) -> None:
        with contextlib.suppress(CannotRun):  # the first invocation will meet it again, and has somebody to tell
            await self.prepare()

    def version(self, function: Function) -> str:
        """What really runs the function: "python:3.11.7" for any python3.x name on a machine with that Python."""
        return self._runtimes.of(function).version

    def sandbox(self) -> dict[str, str]:
        """What keeps environments apart here: mode and reason, and how each limit is held."""
        found = self._launcher.sandbox
        told = {"mode": "not started", "reason": "found out when the first function runs"}
        if found is not None:
            told = {"mode": found.mode, "reason": found.reason}
        private = found is not None and found.private
        return told | {
            "memory": "looked at every 50 ms, killed over the limit",
            "tmp": "private, of EphemeralStorage's size" if private else "a folder of its own, its size not limited",
            "python": f"every python3.x runs on {self._runtimes.python.version.removeprefix('python:')}",
            "node": self._runtimes.node(),
        }

    @property
    def launcher_pid(self) -> int | None:
        """The launcher's process, for those who measure it."""
        return self._launcher.pid

    async def prepare(self) -> None:
        """Start the launcher and load Python's packages, so that the first function need not wait for it."""
        await self._launcher.load()

    async def close(self) -> None:
        """End every environment and return when no process is left."""
        self._closing = True
        if self._reaper is not None:
            self._reaper.cancel()
        await self.retire(wait=True)
        self._watch.close()
        await self._launcher.close()
