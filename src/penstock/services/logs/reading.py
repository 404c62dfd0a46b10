"""Reading log events in order of time, over one stream or many.

Events lie in chunks that were written together; chunks of different streams overlap in time. A chunk spans
``rules.SPAN_MS`` at most, so the chunks that may hold events at or after a moment begin at most that much earlier:
one index on (group or stream, first timestamp) serves both directions, and a page costs what it looks at, whatever
the group holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from penstock.services.logs.rules import SPAN_MS, Position
from penstock.store.store import Reader

_CHUNKS_AT_ONCE = 32


class Event(NamedTuple):
    """A log event: where it stands, whose it is, what it says."""

    position: Position
    stream: str
    message: str
    ingested: int


@dataclass(slots=True)
class Scope:
    """Which events of a group: from ``start`` to ``end`` (both included), of these streams (None: of all)."""

    group: int
    start: int
    end: int
    streams: dict[int, str] | None = None


def read(reader: Reader, scope: Scope, from_: Position | None, *, forward: bool) -> Iterator[Event]:
    """The events after (or, backward, before) a position, in order; None begins at the scope's edge."""
    if scope.streams is not None and not scope.streams:
        return iter(())
    return _forward(reader, scope, from_) if forward else _backward(reader, scope, from_)


def _forward(reader: Reader, scope: Scope, from_: Position | None) -> Iterator[Event]:
    names = _Names(reader, scope)
    start = max(scope.start, from_.timestamp) if from_ is not None else scope.start
    heap: list[tuple[int, int, int, list[Any], str, int]] = []
    for id_, stream, first_ts, ingested, lines in _chunks(reader, scope, start, forward=True):
        while heap and heap[0][0] < first_ts:
            yield from _emit(heap, scope, from_, step=1)
        name = names.of(stream)
        if name is not None:
            events = orjson.loads(lines)
            heapq.heappush(heap, (events[0][0], id_, 0, events, name, ingested))
    while heap:
        yield from _emit(heap, scope, from_, step=1)


def _backward(reader: Reader, scope: Scope, from_: Position | None) -> Iterator[Event]:
    names = _Names(reader, scope)
    end = min(scope.end, from_.timestamp) if from_ is not None else scope.end
    heap: list[tuple[int, int, int, list[Any], str, int]] = []
    for id_, stream, first_ts, ingested, lines in _chunks(reader, scope, end, forward=False):
        while heap and -heap[0][0] > first_ts + SPAN_MS:
            yield from _emit(heap, scope, from_, step=-1)
        name = names.of(stream)
        if name is not None:
            events = orjson.loads(lines)
            heapq.heappush(heap, (-events[-1][0], -id_, 1 - len(events), events, name, ingested))
    while heap:
        yield from _emit(heap, scope, from_, step=-1)


def _emit(heap: list[Any], scope: Scope, from_: Position | None, *, step: int) -> Iterator[Event]:
    """Take the first event off the heap, put its chunk back with the next one, and give it if it is in the scope."""
    _, id_key, index_key, events, name, ingested = heap[0]
    index = abs(index_key)
    timestamp, message = events[index]
    following = index + step
    if 0 <= following < len(events):
        heapq.heapreplace(heap, (step * events[following][0], id_key, step * following, events, name, ingested))
    else:
        heapq.heappop(heap)
    if not scope.start <= timestamp <= scope.end:
        return
    position = Position(timestamp, abs(id_key), index)
    if from_ is None or (position > from_ if step > 0 else position < from_):
        yield Event(position, name, message, ingested)


def _chunks(reader: Reader, scope: Scope, edge: int, *, forward: bool) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Chunks by their first timestamp, some at a time: (id, stream, first timestamp, ingested, lines)."""
    one = scope.streams is not None and len(scope.streams) == 1
    owner = next(iter(scope.streams)) if one and scope.streams else scope.group
    compare, order = (">", "ASC") if forward else ("<", "DESC")
    bound = "first_ts <= ?" if forward else "first_ts >= ?"
    limit = scope.end if forward else scope.start - SPAN_MS
    query = (
        "SELECT id, log_stream, first_ts, ingested, lines FROM log_chunk "
        f"WHERE {'log_stream' if one else 'log_group'} = ? AND (first_ts, id) {compare} (?, ?) AND {bound} "
        f"AND last_ts >= ? ORDER BY first_ts {order}, id {order} LIMIT ?"
    )
    beyond = (edge - SPAN_MS - 1, 0) if forward else (edge + 1, 0)
    while True:
        rows = reader.all(query, (owner, *beyond, limit, edge if forward else scope.start, _CHUNKS_AT_ONCE))
        yield from rows  # type: ignore[misc]
        if len(rows) < _CHUNKS_AT_ONCE:
            return
        beyond = (rows[-1][2], rows[-1][0])


class _Names:
    """Streams' names by id, None for those that are not wanted or were deleted."""

    def __init__(self, reader: Reader, scope: Scope) -> None:
        self._reader = reader
        self._wanted = scope.streams
        self._names: dict[int, str | None] = {}

    def of(self, stream: int) -> str | None:
        if self._wanted is not None:
            return self._wanted.get(stream)
        if stream not in self._names:
            row = self._reader.one("SELECT name FROM log_stream WHERE id = ?", (stream,))
            self._names[stream] = row[0] if row else None
        return self._names[stream]
