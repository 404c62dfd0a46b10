"""An engine on a real store, without HTTP and without environments: what the engine's own tests run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.names import Names
from penstock.engine.access import Keys, root
from penstock.engine.context import Call, Context, Parts
from penstock.engine.delivery import Deliveries
from penstock.engine.dispatcher import Dispatcher
from penstock.engine.pump import Pump
from penstock.engine.quiet import Quiet, UnderWay
from penstock.engine.registry import Registry
from penstock.engine.relay import Relay
from penstock.engine.service import Service
from penstock.engine.wakes import Wakes
from penstock.store.blobs import Blobs
from penstock.store.migrations import migrate
from penstock.store.sqlite import SqliteStore

T = TypeVar("T")
ACCOUNT, REGION = "000000000000", "us-east-1"


class Given(Registry):
    """A registry of services that are there already."""

    def __init__(self, *services: Service) -> None:
        super().__init__({})
        for service in services:
            self.packages[service.name] = ""
            self._services[service.name] = service
            self._kinds.update({kind.name: kind for kind in service.kinds})


class Engine:
    """The engine's parts, started; ``work`` runs something in a transaction of a service.

    ``packages`` are services whose tables are needed beside the engine's.
    """

    packages: ClassVar[dict[str, str]] = {}

    def __init__(self, data: Path, *services: Service) -> None:
        self.machine = MachineClock()
        self.clock = PlatformClock(self.machine)
        self.store = SqliteStore(data / "penstock.db")
        self.registry = Given(*services)
        schema = Registry(self.packages)
        migrate(self.store.connection, schema.scripts(), data / "penstock.db")
        self.deliveries = Deliveries(self.registry, lambda target, due: self.relay.hint(target, due))  # noqa: PLW0108
        self.relay = Relay(self.registry, self.deliveries)
        self.pump = Pump(self.registry)
        self.dispatcher = Dispatcher(self.registry)
        work = UnderWay()
        self.quiet = Quiet(
            self.store, self.clock, self.machine, [work.busy, self.relay.busy, self.pump.busy]
        )
        nothing = cast(Any, None)
        self.parts = Parts(
            store=self.store, clock=self.clock, machine=self.machine, names=Names(self.machine, 1), keys=Keys(),
            wakes=Wakes(), work=work, states={s.name: s.memory() for s in services if s.memory},
            deliverer=self.deliveries,
            caller=self.dispatcher, endpoint="", spawn=nothing, environments=nothing, pump=self.pump,
            tokens=self.deliveries, quiet=self.quiet, control=nothing, blobs=Blobs(data / "blobs"),
        )  # fmt: skip
        self.dispatcher.parts = self.pump.parts = self.parts

    async def start(self) -> None:
        self.clock.attach(asyncio.get_running_loop())
        await self.relay.start(self.parts)

    async def stop(self) -> None:
        self.clock.detach()
        await self.pump.close()
        await self.relay.close()
        await self.store.close()

    async def work(self, service: str, work: Callable[[Context], T]) -> T:
        call = Call(service, "Test", {}, ACCOUNT, REGION, root(ACCOUNT), "request")
        return await self.store.transact(lambda tx: work(Context(self.parts, tx, call)))

    async def settle(self) -> None:
        settled = await self.quiet.wait(timeout_ms=10_000)
        assert settled.quiet, settled.busy

    async def advance(self, ms: int) -> int:
        return await self.quiet.advance(self.clock.now() + ms, lambda: None)

    async def states(self) -> list[tuple[int, int]]:
        """(state, counted attempts) of every delivery, oldest first."""
        return await self.store.transact(lambda tx: tx.all("SELECT state, attempts FROM delivery ORDER BY id"))


@asynccontextmanager
async def engine(data: Path, *services: Service) -> AsyncIterator[Engine]:
    running = Engine(data, *services)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
