"""Looking things up in the journal: events, one event with its hops, and everything an event caused.

All of it reads in a thread, on the last durable state, so that looking never slows what is looked at.
"""

from __future__ import annotations

import sys
from typing import Any

from penstock.engine.context import WaitingContext
from penstock.engine.journal import STATES
from penstock.engine.operation import Request, Response, operation
from penstock.services.self import explaining, graph
from penstock.services.self.errors import NotFound
from penstock.services.self.returning import add_returns
from penstock.services.self.rules import journal_id, milliseconds, seconds
from penstock.services.self.views import EVENT, event_view, events_of, hop_views
from penstock.store.store import Reader

DEFAULT_PAGE = 100  # events of a listing
DEFAULT_GRAPH = 1000  # events of a trace


@operation
async def list_events(cx: WaitingContext, request: Request) -> Response:
    """A page of events, oldest first unless ``newestFirst``; the caller's account unless another is named."""
    where, parameters = _filters(request, cx.account)
    newest_first = bool(request.get("newestFirst"))
    limit = request.get("limit", DEFAULT_PAGE)
    if request.get("after"):
        where.append("event.id < ?" if newest_first else "event.id > ?")
        parameters.append(journal_id(request["after"]))
    sql = f"{EVENT} WHERE {' AND '.join(where)} ORDER BY event.id {'DESC' if newest_first else 'ASC'} LIMIT ?"
    rows = await cx.read(lambda reader: reader.all(sql, [*parameters, limit + 1]))
    events = [event_view(row) for row in rows[:limit]]
    return {"events": events} | ({"next": events[-1]["eventId"]} if len(rows) > limit else {})


def _filters(request: Request, account: str) -> tuple[list[str], list[Any]]:
    where, parameters = ["1"], list[Any]()
    if not request.get("allAccounts"):
        where.append("event.account = ?")
        parameters.append(request.get("account") or account)
    if kind := request.get("kind"):
        where.append("event.kind = ?" if ":" in kind else "event.kind GLOB ? || ':*'")
        parameters.append(kind)
    if source := request.get("source"):
        if source.startswith("arn:"):
            where.append("event.source = ?")
            parameters.append(source)
        else:
            where.append("(event.source GLOB '*:' || ? OR event.source GLOB '*/' || ?)")
            parameters += [source, source]
    for name, comparison in (("since", ">="), ("until", "<")):
        if request.get(name) is not None:
            where.append(f"event.at {comparison} ?")
            parameters.append(milliseconds(request[name]))
    if request.get("outsideOnly"):
        where.append("event.cause IS NULL")
    if state := request.get("state"):
        where.append("EXISTS (SELECT 1 FROM live_delivery AS hop WHERE hop.event = event.id AND hop.state = ?)")
        parameters.append(STATES.index(state))
    return where, parameters


@operation
async def get_event(cx: WaitingContext, request: Request) -> Response:
    """One event with its payload and its hops."""
    id_ = journal_id(request["eventId"])

    def look(reader: Reader) -> Response | None:
        events = events_of(reader, [id_])
        if not events:
            return None
        row = reader.one("SELECT payload FROM live_event AS event WHERE id = ?", (id_,))
        return {
            "event": events[0],
            "hops": hop_views(reader, "event", [id_], payloads=sys.maxsize),
            **_payload(row[0] if row else None),
        }

    found = await cx.read(look)
    if found is None:
        raise _not_found(request["eventId"])
    await add_returns(cx, found["hops"])
    return found


def _payload(payload: bytes | None) -> Response:
    if payload is None:
        return {}
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payloadBase64": payload}


@operation
async def trace_event(cx: WaitingContext, request: Request) -> Response:
    """Everything an event caused, and with ``fromRoots`` everything that what caused it caused."""
    id_ = journal_id(request["eventId"])
    limit = request.get("limit", DEFAULT_GRAPH)
    from_roots, payloads = bool(request.get("fromRoots")), bool(request.get("payloads"))
    found = await cx.read(lambda reader: graph.trace(reader, id_, limit, from_roots=from_roots, payloads=payloads))
    if found is None:
        raise _not_found(request["eventId"])
    found["now"] = seconds(cx.now)
    await add_returns(cx, found["hops"])
    if request.get("why"):
        found["explanations"] = await explaining.explanations(cx, found)
    return found


def _not_found(public: str) -> NotFound:
    return NotFound(
        f"The journal has no event {public}: it was reset, pruned, or never here. `penstock events` lists what is there"
    )
