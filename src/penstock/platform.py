"""The composition root: builds the parts of one platform and starts them, in the order in which this file reads."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from penstock import __version__
from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.errors import StoreError, StoreFull, StoreLost
from penstock.base.limits import JOURNAL_AGE_MS, PRUNE_EVERY_MS, QUIET_REAL_MS, ROOM_EVERY_MS
from penstock.base.names import Names
from penstock.deploy.applications import Application, Applications
from penstock.engine.access import Keys
from penstock.engine.compute import Function
from penstock.engine.context import Call, Context, Parts
from penstock.engine.delivery import Deliveries
from penstock.engine.dispatcher import Dispatcher
from penstock.engine.pruning import ALWAYS, delete_events, oversize, prunable
from penstock.engine.pump import Pump
from penstock.engine.quiet import Quiet, Settled, UnderWay
from penstock.engine.registry import Registry
from penstock.engine.relay import Relay
from penstock.engine.resetting import left_over, remove_deliveries, remove_slice, removed, void_account, void_accounts
from penstock.engine.wakes import Wakes
from penstock.runtime.environments import ProcessEnvironments
from penstock.settings import Settings
from penstock.store.blobs import Blobs
from penstock.store.lock import DirectoryLock
from penstock.store.sqlite import open_store
from penstock.store.store import Transaction
from penstock.wire.server import Server
from penstock.wire.signature import Verifier

# The services, by their name in ARNs. Adding a service is a folder and a line here.
SERVICES = {
    "sqs": "penstock.services.sqs",
    "lambda": "penstock.services.lambda_",
    "events": "penstock.services.events",
    "logs": "penstock.services.logs",
    "sts": "penstock.services.sts",
    "iam": "penstock.services.iam",
    "self": "penstock.services.self",
}

_logger = logging.getLogger("penstock")
_SAVE = "INSERT INTO platform_value VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_SAVED = "SELECT name, value FROM platform_value"
_LATEST_ID = "SELECT max((SELECT coalesce(max(id), 0) FROM event), (SELECT coalesce(max(id), 0) FROM delivery))"


class Platform:
    """One platform: everything one server runs. ``start`` it, use it over HTTP or by ``call``, ``close`` it.

    ``registry`` makes the registry of its services; tests give one that records what operations do.
    """

    def __init__(self, settings: Settings, registry: Callable[..., Registry] = Registry) -> None:
        self.settings = settings
        self.url = ""
        self.machine = MachineClock()
        self.clock = PlatformClock(self.machine)
        self.names = Names(self.machine, settings.seed)
        self.keys = Keys()
        self.registry = registry(SERVICES, schemas=("penstock.engine", "penstock.deploy"))
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock: DirectoryLock | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._closed = asyncio.Event()
        self._voided = asyncio.Event()

    async def start(self) -> None:
        """Open the data, take up what an earlier server left, and answer requests.

        DataDirectoryInUse, SchemaTooNew or OSError (the port is taken) when it cannot.
        """
        data = self._open_data()
        try:
            self._build(data)
            await self._restore()
            self.port = await self.server.start(self.settings.host, self.settings.port)
            self.url = self.parts.endpoint = f"http://{_in_url(self.settings.host)}:{self.port}"
            self.clock.attach(asyncio.get_running_loop())
            for service in self.registry.all():
                if service.start is not None:
                    service.start(self.parts)
            await self.relay.start(self.parts)
            await self.applications.start()
        except BaseException:
            await self.close()
            raise
        if self._lock is not None:
            self._lock.describe({"pid": os.getpid(), "url": self.url, "version": __version__})
        self.spawn(self._prune_regularly(), "pruning the journal")
        self.spawn(self._remove_void(), "removing what resets have voided")

    def _open_data(self) -> Path:
        if self.settings.data is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="penstock-")
            return Path(self._temporary.name)
        data = self.settings.data.absolute()
        self._lock = DirectoryLock(data)
        self._lock.acquire()
        return data

    def _build(self, data: Path) -> None:
        database = None if self.settings.memory else data / "penstock.db"
        self.store = open_store(
            database, self.registry.scripts(), durability="os" if self.settings.durability == "os" else "full",
            lost=_end_process,
        )  # fmt: skip
        self.work = UnderWay()
        self.deliveries = Deliveries(self.registry, lambda target, due: self.relay.hint(target, due))  # noqa: PLW0108
        self.relay = Relay(self.registry, self.deliveries)
        self.pump = Pump(self.registry)
        self.dispatcher = Dispatcher(self.registry)
        self.environments = ProcessEnvironments(
            keys=self.keys,
            machine=self.machine,
            names=self.names,
            work=self.work,
            endpoint=lambda: self.parts.endpoint,
            scratch=data / "environments",
            log=self._log_of_environment,
        )
        self.quiet_ = Quiet(
            self.store,
            self.clock,
            self.machine,
            [self._admitted, self.work.busy, self.relay.busy, self.pump.busy, self.environments.busy],
        )
        self.parts = self.dispatcher.parts = self.pump.parts = Parts(
            store=self.store,
            clock=self.clock,
            machine=self.machine,
            names=self.names,
            keys=self.keys,
            wakes=Wakes(),
            work=self.work,
            states=_Memories(self.registry),
            deliverer=self.deliveries,
            caller=self.dispatcher,
            endpoint="",
            spawn=self.spawn,
            environments=self.environments,
            pump=self.pump,
            tokens=self.deliveries,
            quiet=self.quiet_,
            control=self,
            blobs=Blobs(data / "blobs", sync=self.settings.durability == "full" and not self.settings.memory),
        )
        self.applications = self.parts.applications = Applications(
            self.parts,
            self.registry,
            data=data,
            cache=self.settings.cache.expanduser(),
            environment=self.settings.environment,
        )
        self.server = Server(
            self.dispatcher,
            services={name: self.registry.service(name).model or name for name in SERVICES},
            keys=self.keys,
            machine=self.machine,
            names=self.names,
            allow_hosts=self.settings.allow_hosts,
            allow_origins=self.settings.allow_origins,
            spool=data / "bodies",
            verifier=Verifier(self.keys, self.machine, self.settings.access_keys) if self.settings.auth else None,
        )

    async def _restore(self) -> None:
        saved = dict(await self.store.transact(lambda tx: tx.all(_SAVED)))
        clock = orjson.loads(saved.get("clock", "{}"))
        self.clock.restore(
            offset_ms=clock.get("offset_ms", 0), frozen_at=clock.get("frozen_at"), latest=clock.get("latest", 0)
        )
        [(latest_id,)] = await self.store.transact(lambda tx: tx.all(_LATEST_ID))
        self.names.resume_after(latest_id)

    async def close(self) -> None:
        """Finish what is in flight, end every environment, make everything durable and give the data up."""
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            await self._close()
        finally:
            self._closed.set()

    async def _close(self) -> None:
        if hasattr(self, "server"):  # else the data could not be opened
            self.clock.detach()
            self.applications.close()
            await self.server.close()
            await self.dispatcher.close()
            await self.pump.close()
            await self.relay.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.environments.close()
            self._save_clock()
            await self.store.close()
        if self._lock is not None:
            self._lock.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def closed(self) -> None:
        """Wait until somebody has closed it."""
        await self._closed.wait()

    # --- using it

    async def call(
        self, service: str, operation: str, request: dict[str, Any], *, account: str | None = None,
        region: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Call an operation as over HTTP: same validation, same errors."""
        host = self.url.removeprefix("http://")
        return await self.dispatcher.call_waiting(
            self._call(service, operation, account, region, request=request, request_id=self.names.uuid(), host=host)
        )

    def _call(self, service: str, operation: str, account: str | None, region: str | None = None, **more: Any) -> Call:
        account, region = account or self.settings.account, region or self.settings.region
        return Call.own(service, operation, account, region, **more)

    async def quiet(self, account: str | None = None, timeout_ms: float = QUIET_REAL_MS) -> Settled:
        """Wait until everything caused so far has settled; ``busy`` of the answer says what has not."""
        return await self.quiet_.wait(account, timeout_ms)

    # --- Control: the platform as a whole, for its own API

    def health(self) -> dict[str, Any]:
        """What is ready and what is in force."""
        return {
            "version": __version__,
            "url": self.url,
            "pid": os.getpid(),
            "durability": "memory" if self.settings.memory else self.settings.durability,
            "data": None if self.settings.data is None else str(self.settings.data),
            "services": list(self.registry.packages),
            "sandbox": self.environments.sandbox(),
        }

    async def freeze(self) -> int:
        """Stop platform time, durably."""
        now = self.clock.freeze()
        await self._clock_saved()
        return now

    async def resume(self) -> int:
        """Let platform time flow again, durably."""
        now = self.clock.resume()
        await self._clock_saved()
        return now

    async def advance(self, to: int | None = None, *, by_ms: int | None = None) -> int:
        """Move platform time, with everything that is due until then; how many timers fired."""
        try:
            moment = to if to is not None else self.clock.now() + (by_ms or 0)
            return await self.quiet_.advance(moment, self._save_clock)
        finally:
            await self._clock_saved()

    async def reset(self, account: str | None) -> None:
        """Delete everything an account has (None: everything); nothing old can write into the clean state."""
        await self.applications.stop(account)
        self._cut_off(account)
        # First what makes work begin, and, when the last of it has ended, what that has written meanwhile.
        await self.store.transact(lambda tx: self._reset(tx, account), frees=True)
        await self.environments.retire(account=account, wait=True)
        self._cut_off(account)
        await self.store.transact(lambda tx: self._reset(tx, account), frees=True)
        self._voided.set()

    async def _remove_void(self) -> None:
        """Delete what resets have voided, a slice at a time; begins with what an earlier server left of it."""
        while True:
            try:
                for owner, upto in await self.store.read(void_accounts):
                    while await self.store.transact(partial(remove_slice, owner=owner, upto=upto), frees=True):
                        pass
                    after = 0
                    while ids := await self.store.read(partial(left_over, owner=owner, upto=upto, after=after)):
                        await self.store.transact(partial(remove_deliveries, ids=ids), frees=True)
                        after = ids[-1]
                    await self.store.transact(partial(self._removed, owner=owner, upto=upto), frees=True)
                await self._voided.wait()
                self._voided.clear()
            except StoreError as error:
                _logger.warning("what a reset has voided is removed as soon as that is possible: %s", error)
                await asyncio.sleep(ROOM_EVERY_MS / 1000)

    def _removed(self, tx: Transaction, owner: str, upto: int) -> None:
        removed(tx, owner, upto)
        self.relay.reread(tx)  # what waited behind something void may go on

    def _cut_off(self, account: str | None) -> None:
        """Void the credentials of an account (None: of all) and end its consumers."""
        for each in self.keys.accounts() if account is None else (account,):
            self.keys.revoke_account(each)
        self.pump.cancel(account)

    async def outside(self, account: str | None) -> list[str]:
        """What only an outsider can finish (of an account), a phrase each."""
        return await self.store.transact(lambda tx: self._outside(tx, account))

    def _outside(self, tx: Transaction, account: str | None) -> list[str]:
        phrases: list[str] = []
        for service in self.registry.all():
            if service.outside is not None:
                cx = Context(self.parts, tx, self._call(service.name, "Outside", account))
                phrases += service.outside(cx, account)
        return phrases

    async def deploy(self, tell: Callable[[Any], None], **application: Any) -> Any:
        """Deploy a template: ``application`` are the fields of an Application; its Result."""
        return await self.applications.deploy(Application(**application), tell)

    def _reset(self, tx: Transaction, account: str | None) -> None:
        for service in self.registry.all():
            if service.reset is not None:
                call = self._call(service.name, "Reset", account, request_id=self.names.uuid())
                service.reset(Context(self.parts, tx, call), account)
        self.applications.forget(tx, account)
        void_account(tx, account, self.names.id())
        self.relay.reread(tx)

    # --- in the background

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Run something in the background until the platform closes; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                _logger.error("%s failed", what, exc_info=task.exception())

        task.add_done_callback(ended)

    async def _prune_regularly(self) -> None:
        holds = [query for service in self.registry.all() for query in service.holds]
        looked = self.machine.monotonic_ms()
        while True:
            began, freed = self.machine.monotonic_ms(), 0
            try:
                if self.store.full:
                    # The oldest, however young, and no more than helps.
                    freed = await self._prune(ALWAYS, holds, lambda: self.store.full)
                if began - looked > PRUNE_EVERY_MS:
                    looked = began
                    await self._prune(self.clock.now() - JOURNAL_AGE_MS, holds)
                    too_much = await self.store.read(oversize)
                    if too_much is not None:
                        await self._prune(too_much, holds)
            except StoreFull as error:
                _logger.warning("the journal could not be pruned and will be the next time: %s", error)
            # Where there is much to look through, and nothing to delete, it is looked at less often.
            took_ms = self.machine.monotonic_ms() - began
            await asyncio.sleep((ROOM_EVERY_MS if freed else max(ROOM_EVERY_MS, 4 * took_ms)) / 1000)

    async def _prune(self, before: int, holds: list[str], still: Callable[[], bool] = lambda: True) -> int:
        """Delete what is older than a moment, a slice at a time, as long as ``still`` holds; how many events."""
        after: int | None = 0
        deleted = 0
        while after is not None and still():
            ids, after = await self.store.read(partial(prunable, before=before, after=after, holds=holds))
            if ids:
                await self.store.transact(partial(delete_events, ids=ids), frees=True)
                deleted += len(ids)
        return deleted

    def _admitted(self, account: str | None) -> list[str]:
        count = self.dispatcher.admitted
        return [f"{count} operation(s) are being answered"] if count else []

    def _save_clock(self) -> None:
        self.store.submit(self._write_clock, frees=True)  # one row, written over: it passes when the disk is full

    async def _clock_saved(self) -> None:
        """Return once the clock as it is now is durable; StoreFull when even that found no room."""
        await self.store.transact(self._write_clock, frees=True)

    def _write_clock(self, tx: Transaction) -> None:
        tx.write(_SAVE, ("clock", orjson.dumps(self.clock.state()).decode()))

    def _log_of_environment(self, function: Function, stream: str, lines: list[tuple[int, str]]) -> None:
        """Output of an environment outside any invocation goes to its function's log as well."""
        request = {"logGroupName": function.log_group, "logStreamName": stream, "lines": lines}
        call = Call.own("logs", "AppendOutput", function.account, function.region, request=request)
        self.store.submit(lambda tx: self.dispatcher.call(Context(self.parts, tx, call), call))


class _Memories(dict[str, Any]):
    """What each service keeps in memory, made when it is first asked for."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def __missing__(self, name: str) -> Any:
        make = self._registry.service(name).memory
        self[name] = made = make() if make is not None else None
        return made


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _end_process(lost: StoreLost) -> None:
    """What the disk holds is unknown, so nothing may be answered any more: the next start reads what is there."""
    _logger.critical("%s", lost)
    logging.shutdown()
    os._exit(70)
