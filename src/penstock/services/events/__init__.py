"""Amazon EventBridge: buses, rules, targets, schedules of rules."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import DeliveryKind, Service
from penstock.services.events import (
    bus_rules,
    buses,
    events,
    records,
    resources,
    schedules,
    tags,
    target,
    targets,
    warming,
)
from penstock.services.events.routing import DEAD_LETTER, FAN, TARGET, Memory
from penstock.services.events.rules import retry_wait_ms

SERVICE = Service(
    "events",
    operations_of(buses, bus_rules, targets, events, tags),
    model="events",
    memory=Memory,
    target=target.BusTarget(),
    kinds=[
        DeliveryKind(TARGET, retry_wait_ms, ended=target.ended, ended_delivered=False),
        DeliveryKind(FAN, retry_wait_ms),
        DeliveryKind(DEAD_LETTER, retry_wait_ms),
        DeliveryKind(schedules.SCHEDULE, retry_wait_ms),
    ],
    resources=resources.TYPES,
    start=warming.start,
    reset=records.forget,
)
