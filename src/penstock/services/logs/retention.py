"""Removing what is over: events beyond their group's retention, and the chunks of what was deleted.

Readers never see either; this gives the room back, in slices, so that nobody waits for it. The rows say what is to
be removed; the timer on the platform clock is a hint that is set again after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.base.clock import Timer
from penstock.base.limits import PRUNE_SLICE_ROWS
from penstock.engine.context import Parts
from penstock.services.logs.rules import DAY_MS
from penstock.store.store import Transaction

GRAIN_MS: Final = 3_600_000  # expired chunks are removed once an hour of platform time: AWS takes up to 72 hours

_EARLIEST = (
    "SELECT min((SELECT min(c.first_ts) FROM log_chunk c WHERE c.log_group = g.id) + g.retention_days * ?) "
    "FROM log_group g WHERE g.retention_days IS NOT NULL"
)
_EXPIRED = (
    "SELECT c.id, c.log_stream, c.bytes FROM log_group g JOIN log_chunk c ON c.log_group = g.id "
    "WHERE g.retention_days IS NOT NULL AND c.first_ts <= ?1 - g.retention_days * ?2 "
    "AND c.last_ts <= ?1 - g.retention_days * ?2 LIMIT ?3"
)


@dataclass(slots=True)
class Sweeping:
    """What the service keeps in memory: the timer for the next expiry, and whether a sweep is under way."""

    timer: Timer | None = None
    sweeping: bool = False
    again: bool = False

    @property
    def armed(self) -> bool:
        """Whether the next expiry is waited for, or a sweep is about to look for it."""
        return self.timer is not None or self.sweeping


def start(parts: Parts) -> None:
    """Remove what became due while no server ran, and wait for the rest."""
    sweep(parts)


def sweep(parts: Parts) -> None:
    """Remove everything that is over, in the background."""
    memory: Sweeping = parts.states["logs"]
    if memory.sweeping:
        memory.again = True
        return
    memory.sweeping = True
    if memory.timer is not None:
        memory.timer.cancel()
        memory.timer = None
    parts.spawn(_sweep(parts, memory), "removing expired log events")


def arm(parts: Parts) -> None:
    """Sweep when the next event expires, unless that is waited for already."""
    if not parts.states["logs"].armed:
        sweep(parts)


async def _sweep(parts: Parts, memory: Sweeping) -> None:
    try:
        while True:
            memory.again = False
            while await parts.store.transact(lambda tx: _slice(tx, parts.clock.now()), frees=True):
                pass
            if not memory.again:
                break
    finally:
        memory.sweeping = False
    earliest = await parts.store.transact(lambda tx: tx.one(_EARLIEST, (DAY_MS,)))
    if earliest is not None and earliest[0] is not None and not memory.armed:
        due = max(earliest[0], parts.clock.now()) + GRAIN_MS
        memory.timer = parts.clock.call_at(due, lambda: sweep(parts))


def _slice(tx: Transaction, now: int) -> bool:
    """Remove one slice; whether there may be more."""
    doomed = tx.one("SELECT owner, id FROM log_doomed LIMIT 1")
    if doomed is not None:
        return _remove_doomed(tx, *doomed)
    rows = tx.all(_EXPIRED, (now, DAY_MS, PRUNE_SLICE_ROWS))
    for chunk, stream, size in rows:
        tx.write("DELETE FROM log_chunk WHERE id = ?", (chunk,))
        tx.write("UPDATE log_stream SET bytes = bytes - ? WHERE id = ?", (size, stream))
    return len(rows) == PRUNE_SLICE_ROWS


def _remove_doomed(tx: Transaction, owner: str, id_: int) -> bool:
    where = "log_group = ?" if owner == "log_group" else "log_stream = ?"
    removed = tx.write(
        f"DELETE FROM log_chunk WHERE id IN (SELECT id FROM log_chunk WHERE {where} LIMIT ?)", (id_, PRUNE_SLICE_ROWS)
    )
    if removed == PRUNE_SLICE_ROWS:
        return True
    if owner == "log_group":
        removed = tx.write(
            "DELETE FROM log_stream WHERE id IN (SELECT id FROM log_stream WHERE log_group = ? LIMIT ?)",
            (id_, PRUNE_SLICE_ROWS),
        )
        if removed == PRUNE_SLICE_ROWS:
            return True
    tx.write("DELETE FROM log_doomed WHERE owner = ? AND id = ?", (owner, id_))
    return True
