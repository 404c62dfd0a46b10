"""Rows of the journal as this API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from penstock.base.names import uuid_of
from penstock.engine.journal import RUNNING, STATES, WAITING
from penstock.services.self.rules import seconds
from penstock.store.store import Reader, Row

SLICE = 500  # ids in one query

EVENT = """
SELECT event.id, event.account, event.region, event.kind, event.source, event.at, event.cause, event.caller,
    coalesce(length(event.payload), 0),
    (SELECT count(*) FROM live_delivery AS delivery WHERE delivery.event = event.id),
    (SELECT count(*) FROM live_delivery AS delivery WHERE delivery.event = event.id AND delivery.state IN (3, 4)),
    (SELECT count(*) FROM live_delivery AS delivery WHERE delivery.event = event.id AND delivery.state < 2)
FROM live_event AS event
"""
HOP = """
SELECT delivery.id, delivery.event, delivery.kind, delivery.source, delivery.target, delivery.state, delivery.at,
    delivery.due, delivery.started, delivery.ended, delivery.attempts, delivery.max_attempts, delivery.expires,
    delivery.dead_letter, delivery.order_key, delivery.run, delivery.outcome, delivery.payload,
    coalesce(length(delivery.payload), (SELECT length(payload) FROM live_event AS event WHERE id = delivery.event), 0),
    CASE WHEN delivery.run IS NULL THEN NULL
        ELSE (SELECT count(*) FROM live_delivery AS other WHERE other.run = delivery.run) END
FROM live_delivery AS delivery
"""
ATTEMPT = "SELECT delivery, started, ended, counted, run, code, message FROM attempt"


def event_view(row: Row) -> dict[str, Any]:
    """A row of EVENT."""
    return {
        "eventId": uuid_of(row[0]), "account": row[1], "region": row[2], "kind": row[3], "source": row[4],
        "at": seconds(row[5]), "cause": public(row[6]), "caller": row[7], "size": row[8], "hops": row[9],
        "failedHops": row[10], "waitingHops": row[11],
    }  # fmt: skip


def events_of(reader: Reader, ids: Sequence[int], *, payloads: int = 0) -> list[dict[str, Any]]:
    """Those of these events that the journal has; ``payloads`` many characters of the payload of each."""
    found = [event_view(row) for row in sliced(reader, f"{EVENT} WHERE event.id IN ({{}}) ORDER BY event.id", ids)]
    if payloads:
        begun = "SELECT id, substr(payload, 1, {}) FROM live_event AS event WHERE payload IS NOT NULL AND id IN ({{}})"
        texts = {uuid_of(row[0]): row[1] for row in sliced(reader, begun.format(payloads * 4 + 4), ids)}
        found = [event | _text(texts.get(event["eventId"]), payloads) for event in found]
    return found


def _text(payload: bytes | None, characters: int) -> dict[str, Any]:
    if payload is None:
        return {}
    text = payload.decode(errors="replace")
    return {"payload": text[:characters]} | ({"payloadTruncated": True} if len(text) > characters else {})


def hop_views(reader: Reader, column: str, ids: Sequence[int], *, payloads: int = 0) -> list[dict[str, Any]]:
    """The hops of which ``column`` (id, event, run) is one of these ids, each with its failed attempts.

    ``payloads``: so many characters of what each target got, where that is not the event's own payload.
    """
    rows = sliced(reader, f"{HOP} WHERE delivery.{column} IN ({{}}) ORDER BY delivery.id", ids)
    failed: dict[int, list[dict[str, Any]]] = {}
    of_hops = [row[0] for row in rows]
    for row in sliced(reader, f"{ATTEMPT} WHERE delivery IN ({{}}) ORDER BY delivery, started", of_hops):
        failed.setdefault(row[0], []).append(_attempt_view(row))
    return [_hop_view(row, failed.get(row[0], []), payloads) for row in rows]


def _attempt_view(row: Row) -> dict[str, Any]:
    return {
        "started": seconds(row[1]), "ended": seconds(row[2]), "counted": bool(row[3]), "runId": public(row[4]),
        "code": row[5], "message": row[6],
    }  # fmt: skip


def _hop_view(row: Row, failed: list[dict[str, Any]], payloads: int) -> dict[str, Any]:
    outcome = orjson.loads(row[16]) if row[16] else {}
    waits = row[5] < 2
    held = row[5] == RUNNING and row[8] is None  # a batch that fills, or is throttled: it runs at ``due``
    view = {
        "hopId": uuid_of(row[0]), "eventId": uuid_of(row[1]), "kind": row[2], "source": row[3], "target": row[4],
        "state": STATES[WAITING if held else row[5]], "at": seconds(row[6]), "due": seconds(row[7]) if waits else None,
        "started": seconds(row[8]), "ended": seconds(row[9]), "attempts": row[10], "maxAttempts": row[11],
        "expires": seconds(row[12]), "deadLetter": row[13], "orderKey": row[14], "runId": public(row[15]),
        "runHops": row[19], "size": row[18], "code": outcome.pop("code", "") or None,
        "message": outcome.pop("message", "") or None, "failed": failed,
        "outcome": orjson.dumps(outcome).decode() if outcome else None,
    }  # fmt: skip
    if payloads:
        view |= _text(row[17], payloads)
    return {name: value for name, value in view.items() if value is not None}


def public(id_: int | None) -> str | None:
    """An id's public form."""
    return None if id_ is None else uuid_of(id_)


def sliced(reader: Reader, sql: str, ids: Sequence[int]) -> list[Row]:
    """Carry out a query with a list of ids in its ``{}``, some at a time."""
    rows: list[Row] = []
    for begin in range(0, len(ids), SLICE):
        some = ids[begin : begin + SLICE]
        rows += reader.all(sql.format(",".join("?" * len(some))), some)
    return rows
