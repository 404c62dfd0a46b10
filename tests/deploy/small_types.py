"""A platform of two small resource types on a real store: boxes, which are named and counted, and labels on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.errors import ApiError
from penstock.base.names import Names
from penstock.deploy.applications import Application, Applications, Prepare, Progress, Result
from penstock.deploy.prepare import prepare
from penstock.deploy.preparing import Prepared, Review, Wish
from penstock.engine.access import Keys
from penstock.engine.context import Context, Parts, WaitingContext
from penstock.engine.quiet import UnderWay
from penstock.engine.registry import Registry
from penstock.engine.resource import Declared, Physical, ResourceType
from penstock.engine.service import Service
from penstock.engine.wakes import Wakes
from penstock.store.blobs import Blobs
from penstock.store.migrations import migrate
from penstock.store.sqlite import SqliteStore

TABLES = """
CREATE TABLE box (name TEXT PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE label (id INTEGER PRIMARY KEY, box TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE history (id INTEGER PRIMARY KEY, what TEXT NOT NULL) STRICT;
"""


class BoxExists(ApiError):
    """A box of this name is there already."""

    code = "BoxAlreadyExists"


def _history(cx: Context, what: str) -> None:
    cx.write("INSERT INTO history (what) VALUES (?)", (what,))


def _box_name(declared: Declared) -> str:
    return str(declared.properties.get("Name", declared.generated_name))


async def _hang(cx: WaitingContext, declared: Declared) -> None:
    """What a crash interrupts: the work is done, and nobody hears of it."""
    if declared.properties.get("Note") == "hang":
        cx.parts.states["shelf"].set()
        await asyncio.Event().wait()


async def _create_box(cx: WaitingContext, declared: Declared) -> Physical:
    name = _box_name(declared)

    def work(inner: Context) -> None:
        if declared.properties.get("Note") == "refuse me":
            raise ApiError("the note is not acceptable; write another", code="BadNote")
        if inner.one("SELECT 1 FROM box WHERE name = ?", (name,)):
            raise BoxExists(f"there is a box {name}; choose another name")
        size, note = int(declared.properties.get("Size", 1)), str(declared.properties.get("Note", ""))
        inner.write("INSERT INTO box VALUES (?,?,?)", (name, size, note))
        _history(inner, f"create {name}")

    await cx.transact(work)
    await _hang(cx, declared)
    return Physical(
        name, {"Arn": f"arn:aws:box:{cx.region}:{cx.account}:{name}", "Size": declared.properties.get("Size")}
    )


async def _update_box(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    def work(inner: Context) -> None:
        if new.properties.get("Note") == "refuse me":
            raise ApiError("the note is not acceptable; write another", code="BadNote")
        size, note = int(new.properties.get("Size", 1)), str(new.properties.get("Note", ""))
        inner.write("UPDATE box SET size = ?, note = ? WHERE name = ?", (size, note, physical.id))
        _history(inner, f"update {physical.id}")

    await cx.transact(work)
    await _hang(cx, new)
    return Physical(physical.id, {**physical.attributes, "Size": new.properties.get("Size")})


async def _delete_box(cx: WaitingContext, physical: Physical) -> None:
    def work(inner: Context) -> None:
        if inner.one("SELECT 1 FROM label WHERE box = ?", (physical.id,)):
            raise ApiError("the box has labels; remove them first", code="BoxInUse")
        inner.write("DELETE FROM box WHERE name = ?", (physical.id,))
        _history(inner, f"delete {physical.id}")

    await cx.transact(work)


async def _create_label(cx: WaitingContext, declared: Declared) -> Physical:
    def work(inner: Context) -> int:
        box = declared.properties["Box"]
        if not inner.one("SELECT 1 FROM box WHERE name = ?", (box,)):
            raise ApiError(f"there is no box {box}; create it first", code="NoSuchBox")
        [(id_,)] = inner.tx.returning(
            "INSERT INTO label (box, text) VALUES (?,?) RETURNING id", (box, str(declared.properties.get("Text", "")))
        )
        _history(inner, f"label {box}")
        return int(id_)

    return Physical(str(await cx.transact(work)))


async def _find_label(cx: WaitingContext, declared: Declared) -> Physical | None:
    row = await cx.transact(
        lambda inner: inner.one("SELECT max(id) FROM label WHERE box = ?", (declared.properties["Box"],))
    )
    return None if row is None or row[0] is None else Physical(str(row[0]))


async def _update_label(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    text = str(new.properties.get("Text", ""))
    await cx.transact(lambda inner: inner.write("UPDATE label SET text = ? WHERE id = ?", (text, int(physical.id))))
    return physical


async def _delete_label(cx: WaitingContext, physical: Physical) -> None:
    def work(inner: Context) -> None:
        inner.write("DELETE FROM label WHERE id = ?", (int(physical.id),))
        _history(inner, "unlabel")

    await cx.transact(work)


BOX = ResourceType(
    "Toy::Shelf::Box", _create_box, _update_box, _delete_box, executed=frozenset({"Name", "Size", "Note", "Material"}),
    kept=frozenset({"Colour"}), refused={"Weight": "leave it out: boxes weigh nothing here"},
    replaced_by=frozenset({"Name", "Material"}), attributes=frozenset({"Arn", "Size"}), name_property="Name",
)  # fmt: skip
LABEL = ResourceType(
    "Toy::Shelf::Label", _create_label, _update_label, _delete_label, executed=frozenset({"Box", "Text"}),
    required=frozenset({"Box"}), replaced_by=frozenset({"Box"}), find=_find_label,
)  # fmt: skip


async def _prepare_here(wish: Wish, say: Callable[[str], None], review: Review) -> Prepared:
    """As the server does it, without a process for it: tests/deploy/test_preparing.py has that."""
    return prepare(wish, say, review)


class Given(Registry):
    """A registry of one service that is there already."""

    def __init__(self, service: Service) -> None:
        super().__init__({}, schemas=("penstock.engine", "penstock.deploy"))
        self.packages[service.name] = ""
        self._services[service.name] = service


class Shelf:
    """Applications on a store of its own; ``open`` it again to be the next server on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.tasks: list[asyncio.Task[Any]] = []
        self.progress: list[Progress] = []
        self.prepare: Prepare = _prepare_here  # a test may have it done otherwise

    def open(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        registry = Given(Service("shelf", {}, resources=(BOX, LABEL)))
        self.store = SqliteStore(self.data / "penstock.db", durability="os")
        migrate(self.store.connection, Registry({}, schemas=("penstock.engine", "penstock.deploy")).scripts(), None)
        if not self.store.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'box'").fetchone():
            self.store.connection.executescript(TABLES)
        machine, nothing = MachineClock(), cast(Any, None)
        self.parts = Parts(
            store=self.store, clock=PlatformClock(machine), machine=machine, names=Names(machine, 1), keys=Keys(),
            wakes=Wakes(), work=UnderWay(), states={"shelf": asyncio.Event()}, deliverer=nothing,
            caller=nothing, endpoint="",
            spawn=self.spawn, environments=nothing, pump=nothing, tokens=nothing, quiet=nothing, control=nothing,
            blobs=Blobs(self.data / "blobs"),
        )  # fmt: skip
        self.applications = Applications(self.parts, registry, data=self.data, prepare=self._prepare)

    async def _prepare(self, wish: Wish, say: Callable[[str], None], review: Review) -> Prepared:
        return await self.prepare(wish, say, review)

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=what))

    def write(self, template: str) -> Path:
        """A template file; its common head is supplied."""
        path = self.folder / "template.yaml"
        path.write_text(template)
        return path

    async def deploy(self, template: str, name: str = "app", **given: Any) -> Result:
        self.progress.clear()
        return await self.applications.deploy(Application(name, self.write(template), **given), self.progress.append)

    async def die_in(self, template: str) -> None:
        """Deploy until a box hangs, then end as a killed server does."""
        deployment = asyncio.create_task(self.deploy(template))
        await self.parts.states["shelf"].wait()
        deployment.cancel()
        await asyncio.wait([deployment])
        assert deployment.cancelled()

    async def rows(self, sql: str) -> Sequence[Any]:
        return await self.store.transact(lambda tx: tx.all(sql))

    async def boxes(self) -> dict[str, tuple[int, str]]:
        """Every box: logical part of its name → (size, note)."""
        return {
            (name.split("-")[1] if name.count("-") == 2 else name): (size, note)
            for name, size, note in await self.rows("SELECT name, size, note FROM box ORDER BY name")
        }


@asynccontextmanager
async def shelf(folder: Path) -> AsyncIterator[Shelf]:
    """A shelf, opened."""
    opened = Shelf(folder)
    opened.open()
    try:
        yield opened
    finally:
        await opened.store.close()


@pytest.fixture
async def an_empty_shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    """A shelf with nothing on it."""
    async with shelf(tmp_path) as opened:
        yield opened
