"""Compiling the rules of large buses when the platform starts, in slices, so that no event waits for all of them.

An event that comes sooner compiles what it needs itself; what was compiled here counts only if the bus has the
revision it had when this began.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from penstock.engine.context import Call, Context, Parts
from penstock.services.events import records
from penstock.services.events.routing import Memory, Routes, add_rule
from penstock.store.store import Transaction

LARGE: Final = 200  # rules of a bus; fewer are compiled by its first event within some milliseconds
SLICE: Final = 100  # rules compiled in one go: about ten milliseconds

_BUSES: Final = "SELECT bus FROM events_rule GROUP BY bus HAVING count(*) >= ?"


def start(parts: Parts) -> None:
    """Begin, in the background."""
    parts.spawn(_warm(parts), "compiling the rules of large buses")


async def _warm(parts: Parts) -> None:
    for (bus,) in await parts.store.transact(lambda tx: tx.all(_BUSES, (LARGE,))):
        routes, last = Routes(), 0
        while last >= 0:
            last = await parts.store.transact(partial(_slice, parts, routes, bus, last))


def _slice(parts: Parts, routes: Routes, bus_id: int, last: int, tx: Transaction) -> int:
    """Compile the next rules; the id of the last one, or -1 when the bus is done."""
    row = tx.one("SELECT account, region, name FROM events_bus WHERE id = ?", (bus_id,))
    memory: Memory = parts.states["events"]
    if row is None or bus_id in memory.routes:
        return -1
    account, region, name = row
    cx = Context(parts, tx, Call.own("events", "Start", account, region))
    bus = records.find_bus(cx, account, region, name)
    if bus is None or (last and bus.revision != routes.revision):
        return -1
    routes.revision = bus.revision
    found = records.rules_after(cx, bus, last, SLICE)
    for rule in found:
        add_rule(cx, bus, rule, routes)
    if len(found) == SLICE:
        return found[-1].id

    def publish() -> None:
        memory.routes.setdefault(bus_id, routes)

    tx.after(publish)
    return -1
