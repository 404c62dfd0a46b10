"""How a delivery reaches a bus.

A rule of another bus brings the event itself: it goes on under the same id, once (AWS lets an event pass from bus to
bus a single time, whatever the accounts and regions). What another service delivers, such as the record of a function's
asynchronous invocation, becomes the detail of a new event. A bus also delivers to itself (the rest of a long list of
targets) and to its rules (the moment of a schedule).
"""

from __future__ import annotations

from typing import Any

from penstock.base.errors import Undeliverable
from penstock.base.names import Arn, uuid_of
from penstock.engine.context import Context
from penstock.engine.journal import Delivery, Outcome
from penstock.engine.pattern import parse_event
from penstock.services.events import records, schedules
from penstock.services.events.records import Bus
from penstock.services.events.routing import DEAD_LETTER, FAN, TARGET, Travelling, route
from penstock.services.events.rules import (
    EVENT_AGE_SECONDS,
    HOP_ERROR,
    dead_letter_attributes,
    detail_of,
    new_event,
)

_RECEIVED = "SELECT at FROM event WHERE id = ?"


class BusTarget:
    """Buses take events; rules take the moments of their schedules."""

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        """Take a delivery to a bus or to a rule."""
        kind, _, name = Arn.parse(delivery.target).resource.partition("/")
        if kind == "rule" and delivery.kind == schedules.SCHEDULE:
            schedules.fire(cx, delivery)
            return
        bus = records.find_bus(cx, cx.account, cx.region, name) if kind == "event-bus" else None
        if bus is None:
            raise Undeliverable(f"Event bus {name} does not exist.", code="ResourceNotFoundException")
        if delivery.kind == TARGET:
            _forwarded(cx, bus, delivery, payload)
        elif delivery.kind == FAN:
            _rest(cx, bus, delivery, payload)
        else:
            _wrapped(cx, bus, delivery, payload)


def _received(cx: Context, delivery: Delivery) -> int:
    row = cx.one(_RECEIVED, (delivery.event,))
    return cx.now if row is None else int(row[0])


def _forwarded(cx: Context, bus: Bus, delivery: Delivery, payload: bytes) -> None:
    """An event that a rule of a bus sends here."""
    if delivery.detail.get("hopped"):
        raise Undeliverable(
            f"Event ingestion rejected for event {uuid_of(delivery.event)} because an event can be sent to an event bus"
            " target only once. This event was previously delivered to an event bus target.",
            code=HOP_ERROR,
        )
    value, trace = parse_event(payload), delivery.detail.get("AWSTraceHeader", "")
    route(cx, bus, Travelling(delivery.event, payload, value, _received(cx, delivery), hopped=True, trace=trace))


def _rest(cx: Context, bus: Bus, delivery: Delivery, payload: bytes) -> None:
    """The rest of the targets of an event that has many."""
    detail = delivery.detail
    event = Travelling(
        delivery.event, payload, parse_event(payload), detail["received"], detail["hopped"], detail["AWSTraceHeader"]
    )
    route(cx, bus, event, after=(detail["after"][0], detail["after"][1]))


def _wrapped(cx: Context, bus: Bus, delivery: Delivery, payload: bytes) -> None:
    """Something another service delivers: it becomes the detail of an event."""
    detail = detail_of(payload.decode(errors="replace"))
    if detail is None:
        raise Undeliverable("Detail is malformed.", code="MalformedDetail")
    id_ = cx.names.id()
    value, text = new_event(
        uuid_of(id_), source=delivery.detail.get("Source", "penstock"),
        detail_type=delivery.detail.get("DetailType", delivery.kind), account=delivery.account, region=bus.region,
        time_ms=cx.now, resources=delivery.detail.get("Resources", ()), detail=detail, detail_text=payload,
    )  # fmt: skip
    cx.event("events:PutEvents", bus.arn, text, id_=id_, cause=delivery.id)
    route(cx, bus, Travelling(id_, text, value, cx.now))


def ended(cx: Context, delivery: Delivery, outcome: Outcome) -> None:
    """An event is given up: it goes to the target's dead-letter queue."""
    if delivery.dead_letter is None:
        return
    detail: dict[str, Any] = {"MessageAttributes": dead_letter_attributes(delivery.source, delivery, outcome)}
    cx.deliver(
        kind=DEAD_LETTER, to=delivery.dead_letter, event=delivery.event, source=delivery.source,
        max_age_ms=1000 * EVENT_AGE_SECONDS, detail=detail,
    )  # fmt: skip
