"""The graph of causes: what an event caused, and what caused it.

An event's ``cause`` is the id of an invocation (a run), of the hop that carried its cause, or of another event. A run
belongs to every hop it carried, so a batch's children belong to every event in the batch: the "tree" of an event
is a view of that graph, in which everything appears once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock.base.names import uuid_of
from penstock.services.self.views import events_of, hop_views, sliced
from penstock.store.store import Reader

STEPS = 1000  # steps from cause to effect that are followed at most
PAYLOAD_CHARACTERS = 4096  # of each payload of a trace

_EVENTS = "SELECT id FROM live_event AS event WHERE id IN ({})"
_HOPS = "SELECT id, run FROM live_delivery AS delivery WHERE event IN ({})"
_ATTEMPTS = "SELECT run FROM attempt WHERE run IS NOT NULL AND delivery IN ({})"
_CAUSED = "SELECT id FROM live_event AS event WHERE cause IN ({}) ORDER BY id"
_CAUSES = "SELECT cause FROM live_event AS event WHERE cause IS NOT NULL AND id IN ({})"
_OF_HOPS = (
    "SELECT event FROM live_delivery WHERE id IN ({0}) UNION SELECT event FROM live_delivery WHERE run IN ({0})"
)
_OF_ATTEMPTS = """
SELECT event FROM live_delivery AS delivery JOIN attempt ON attempt.delivery = delivery.id
WHERE attempt.run IN ({})
"""


def trace(reader: Reader, id_: int, limit: int, *, from_roots: bool, payloads: bool = False) -> dict[str, Any] | None:
    """The graph under an event, a run or a hop (or under what came from outside and led to it); None: no such id."""
    roots = _ids(sliced(reader, _EVENTS, [id_])) or causes(reader, [id_])
    if not roots:
        return None
    before = sorted(_parents(reader, roots))
    if from_roots:
        roots = _roots(reader, roots)
    found, truncated = _below(reader, roots, limit)
    return {
        "roots": [uuid_of(root) for root in roots],
        "causes": [uuid_of(event) for event in before],
        "events": events_of(reader, found, payloads=PAYLOAD_CHARACTERS if payloads else 0),
        "hops": hop_views(reader, "event", found, payloads=PAYLOAD_CHARACTERS if payloads else 0),
        "truncated": truncated,
    }


def _below(reader: Reader, roots: list[int], limit: int) -> tuple[list[int], bool]:
    """Ids of the events at and below the roots, breadth first; whether there are more than ``limit``."""
    found, step = dict.fromkeys(roots), roots
    for _ in range(STEPS):
        hops = sliced(reader, _HOPS, step)
        tried = sliced(reader, _ATTEMPTS, [row[0] for row in hops])
        keys = {*step, *(id_ for row in hops for id_ in row if id_ is not None), *_ids(tried)}
        step = [id_ for id_ in _ids(sliced(reader, _CAUSED, sorted(keys))) if id_ not in found]
        found.update(dict.fromkeys(step))
        if not step or len(found) > limit:
            break
    return sorted(found)[:limit], len(found) > limit or bool(step)


def causes(reader: Reader, keys: Iterable[int]) -> list[int]:
    """The events that runs, hops or events with these ids stand for."""
    ids = sorted(keys)
    found: set[int] = set(_ids(sliced(reader, _EVENTS, ids)))
    for begin in range(0, len(ids), 400):
        some = ids[begin : begin + 400]
        marks = ",".join("?" * len(some))
        found.update(_ids(reader.all(_OF_HOPS.format(marks), [*some, *some])))
    found.update(_ids(sliced(reader, _OF_ATTEMPTS, ids)))
    return sorted(found)


def _parents(reader: Reader, events: Iterable[int]) -> set[int]:
    return set(causes(reader, _ids(sliced(reader, _CAUSES, sorted(events))))) - set(events)


def _roots(reader: Reader, events: list[int]) -> list[int]:
    """What came from outside and led to these events; those of which the cause is forgotten count as well."""
    seen, roots, step = set(events), set[int](), set(events)
    for _ in range(STEPS):
        before: set[int] = set()
        for event in step:
            parents = _parents(reader, [event])
            if not parents:
                roots.add(event)
            before |= parents
        step = before - seen
        seen |= step
        if not step:
            break
    return sorted(roots)


def _ids(rows: Iterable[tuple[Any, ...]]) -> list[int]:
    return [row[0] for row in rows]
