"""Events: putting them on buses, testing patterns, and why a rule took one or did not."""

from __future__ import annotations

from typing import Any

from penstock.base.names import id_of, uuid_of
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.engine.pattern import compile, parse_event
from penstock.services.events import records
from penstock.services.events.errors import ResourceNotFound, ValidationException
from penstock.services.events.records import Bus, Rule
from penstock.services.events.routing import Travelling, route
from penstock.services.events.rules import (
    REQUEST_BYTES,
    bus_arn,
    checked_pattern,
    detail_of,
    entry_bytes,
    entry_error,
    new_event,
    tested_event,
)

_EVENT = "SELECT account, region, source, payload FROM event WHERE id = ?"
_MALFORMED = {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


@operation(
    refused={"EndpointId": "leave it out: there are no global endpoints here; put events on a bus of one region"},
)
def put_events(cx: Context, request: Request) -> Response:
    """Put up to ten events on buses; each entry is taken or refused alone.

    An entry for a bus that does not exist is taken, as AWS does: the journal keeps the event, and no rule matches it.
    """
    entries = request["Entries"]
    if sum(entry_bytes(entry) for entry in entries) > REQUEST_BYTES:
        raise ValidationException("Total size of the entries in the request is over the limit.")
    found: dict[str | None, tuple[str, str, str, Bus | None]] = {}
    results = [_put(cx, entry, found) for entry in entries]
    return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}


def _put(
    cx: Context, entry: dict[str, Any], found: dict[str | None, tuple[str, str, str, Bus | None]]
) -> dict[str, Any]:
    error = entry_error(entry)
    if error is not None:
        return {"ErrorCode": error[0], "ErrorMessage": error[1]}
    detail = detail_of(entry["Detail"])
    if detail is None:
        return dict(_MALFORMED)
    named = entry.get("EventBusName")
    if named not in found:
        place = records.place_of(cx, named)
        found[named] = (*place, records.find_bus(cx, *place))
    account, region, name, bus = found[named]
    id_ = cx.names.id()
    event_id, time = uuid_of(id_), entry.get("Time")
    value, payload = new_event(
        event_id, source=entry["Source"], detail_type=entry["DetailType"], account=cx.account, region=region,
        time_ms=cx.now if time is None else round(time * 1000), resources=entry.get("Resources") or (), detail=detail,
        detail_text=entry["Detail"],
    )  # fmt: skip
    there = cx if (account, region) == (cx.account, cx.region) else cx.within(account, region)
    there.event("events:PutEvents", bus_arn(account, region, name), payload, id_=id_)
    if bus is not None:
        trace = entry.get("TraceHeader") or cx.call_.trace_header
        route(there, bus, Travelling(id_, payload, value, cx.now, trace=trace))
    return {"EventId": event_id}


@operation
def test_event_pattern(cx: Context, request: Request) -> Response:
    """Whether a pattern matches an event, which must have the fields every event has."""
    pattern = checked_pattern(request["EventPattern"])
    return {"Result": pattern.matches(tested_event(request["Event"]))}


@operation(internal=True)
def explain_event(cx: Context, request: Request) -> Response:
    """Why each rule of a bus took an event or did not, computed now from the event as it was put.

    ``EventId`` is the event's; ``EventBusName`` a name or ARN, else the bus it was put on. ``After`` is a rule's name
    and ``Limit`` a number of rules, for those who go on from ``Next``. The answer has ``EventBusArn`` and ``Rules``:
    Name, Arn, State, Matched, Reason (a sentence), Alternatives (per combination of ``$or`` the demands: Path,
    Conditions, Met, Found, Count). ResourceNotFound when the event or the bus is gone.
    """
    id_ = id_of(request["EventId"])
    row = cx.one(_EVENT, (id_,)) if id_ is not None else None
    if row is None or row[3] is None:
        raise ResourceNotFound(f"Event {request['EventId']} is not in the journal any more.")
    account, region, source, payload = row
    bus = records.bus_of(cx.within(account, region), request.get("EventBusName") or source)
    value = parse_event(payload)
    limit = request.get("Limit", -1)
    found = records.rules(cx, bus, "", request.get("After", ""), limit)
    answer: Response = {"EventBusArn": bus.arn, "Rules": [_explained(bus, rule, value) for rule in found]}
    return answer | ({"Next": found[-1].name} if len(found) == limit else {})


def _explained(bus: Bus, rule: Rule, event: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"Name": rule.name, "Arn": bus.rule_arn(rule.name), "State": rule.state}
    if rule.pattern is None:
        return shown | {"Matched": False, "Reason": "the rule has a schedule and no pattern", "Alternatives": []}
    why = compile(rule.pattern).why(event)
    reason = why.reason if rule.enabled else f"the rule is disabled ({why.reason})"
    alternatives = [
        [
            {
                "Path": one.path,
                "Conditions": list(one.conditions),
                "Met": one.met,
                "Found": list(one.found),
                "Count": one.count,
            }
            for one in demands
        ]
        for demands in why.alternatives
    ]
    return shown | {"Matched": why.matched and rule.enabled, "Reason": reason, "Alternatives": alternatives}
