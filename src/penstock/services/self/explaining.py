"""Why the rules of buses took the events of a trace or did not, put together from what ``events`` says of each bus.

Nothing of it is kept: it is computed when asked, from the events as they were put and the rules as they are now. Where
the journal says otherwise (a rule has made hops and would not take the event any more), the reason tells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from penstock.base.errors import ApiError
from penstock.engine.context import WaitingContext

SLICE: Final = 100  # rules explained in one transaction
UNMATCHED: Final = 200  # rules of a bus that are told of although they did not take the event

_PUT: Final = "events:PutEvents"
_ROUTED: Final = "events:target"

View = Mapping[str, Any]


async def explanations(cx: WaitingContext, trace: View) -> list[dict[str, Any]]:
    """One explanation per event of a trace and bus that took it: where it was put, and where rules sent it on."""
    hops: Counter[tuple[str, str]] = Counter()
    buses: dict[str, dict[str, None]] = {}
    events = {event["eventId"]: event for event in trace["events"]}
    for event in events.values():
        if event["kind"] == _PUT:
            buses[event["eventId"]] = {event["source"]: None}
    for hop in trace["hops"]:
        if hop["kind"] != _ROUTED:
            continue
        hops[hop["eventId"], hop["source"]] += 1
        if ":event-bus/" in hop["target"] and hop["state"] == "delivered" and hop["eventId"] in buses:
            buses[hop["eventId"]][hop["target"]] = None
    return [await _explained(cx, events[event], bus, hops) for event in buses for bus in buses[event]]


async def _explained(cx: WaitingContext, event: View, bus: str, hops: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Every rule of one bus, asked for a slice at a time so that a large bus keeps nobody else waiting."""
    told: dict[str, Any] = {"eventId": event["eventId"], "bus": bus, "rules": [], "unmatched": 0}
    asked = {"EventId": event["eventId"], "EventBusName": bus, "Limit": SLICE, "After": ""}
    while True:
        try:
            answer = await cx.call(
                "events", "ExplainEvent", dict(asked), account=event["account"], region=event["region"]
            )
        except ApiError as error:
            return told | {"problem": error.message}
        for rule in answer["Rules"]:
            made = hops[event["eventId"], rule["Arn"]]
            told["unmatched"] += not rule["Matched"]
            if rule["Matched"] or made or told["unmatched"] <= UNMATCHED:
                told["rules"].append(_rule(rule, made))
        if "Next" not in answer:
            return told
        asked["After"] = answer["Next"]


def _rule(rule: View, hops: int) -> dict[str, Any]:
    reason = rule["Reason"]
    if rule["Matched"] and not hops:
        reason += ", but the rule made no hop: it has no targets, or has come or changed since"
    elif hops and not rule["Matched"]:
        reason += f", but the rule made {hops} hop{'s' * (hops != 1)} when the event came: it has changed since"
    return {
        "name": rule["Name"], "arn": rule["Arn"], "state": rule["State"], "matched": rule["Matched"], "hops": hops,
        "reason": reason, "alternatives": [_demands(demands) for demands in rule["Alternatives"]],
    }  # fmt: skip


def _demands(demands: Iterable[View]) -> list[dict[str, Any]]:
    return [
        {
            "path": one["Path"], "conditions": one["Conditions"], "met": one["Met"],
            "found": [orjson.dumps(value).decode() for value in one["Found"]], "count": one["Count"],
        }
        for one in demands
    ]  # fmt: skip
