"""From an event on a bus to deliveries: which rules match, what each target gets, how it is retried.

All rules of a bus are compiled into one index, kept in memory. It belongs to one revision of the bus: as long as the
bus's row has that revision nothing of it has changed. An index that is behind is brought up to date from the rows that
changed since; one that was brought up to date by a transaction of which we do not know that it was kept is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from penstock.base.errors import Undeliverable
from penstock.engine.context import Context
from penstock.engine.path import MISSING, NotJson, Path, TooLong, Transformer, write_json
from penstock.engine.pattern import Index, compile
from penstock.services.events import records
from penstock.services.events.records import Bus, Rule
from penstock.services.events.rules import (
    BUSES_REMEMBERED,
    EVENT_AGE_SECONDS,
    FAN_OUT,
    NOT_JSON_ERROR,
    RETRY_ATTEMPTS,
    TOO_LONG_ERROR,
    reserved_values,
)

TARGET: Final = "events:target"  # an event is on its way from a rule to a target
FAN: Final = "events:fan-out"  # the rest of a long list of targets
DEAD_LETTER: Final = "events:dead-letter"  # an event that was given up


class Destination(NamedTuple):
    """A target of a rule, ready for use."""

    id: str
    arn: str
    attempts: int
    age_ms: int
    dead_letter: str | None
    role: str | None
    group: str | None
    constant: bytes | None
    path: Path | None
    transformer: Transformer | None


class Route(NamedTuple):
    """A rule, ready for use."""

    id: int
    name: str
    arn: str
    destinations: tuple[Destination, ...]


@dataclass(slots=True)
class Routes:
    """The enabled rules of a bus at one revision. ``kept``: the transaction that made them so is durable."""

    revision: int = 0
    index: Index[int] = field(default_factory=Index)
    rules: dict[int, Route] = field(default_factory=dict)
    kept: bool = True


class Memory:
    """What the service remembers: the routes of each bus, by the bus's id."""

    def __init__(self) -> None:
        self.routes: dict[int, Routes] = {}


def destination(target: records.Target) -> Destination:
    """A target made ready: its input is parsed once. PathError when it cannot be."""
    settings = target.settings
    retry = settings.get("RetryPolicy") or {}
    transformer = settings.get("InputTransformer")
    return Destination(
        target.id,
        target.arn,
        1 + retry.get("MaximumRetryAttempts", RETRY_ATTEMPTS),
        1000 * retry.get("MaximumEventAgeInSeconds", EVENT_AGE_SECONDS),
        (settings.get("DeadLetterConfig") or {}).get("Arn"),
        settings.get("RoleArn"),
        (settings.get("SqsParameters") or {}).get("MessageGroupId"),
        settings["Input"].encode() if settings.get("Input") else None,
        Path(settings["InputPath"]) if settings.get("InputPath") else None,
        Transformer(transformer.get("InputPathsMap") or {}, transformer["InputTemplate"]) if transformer else None,
    )


def route_of(cx: Context, bus: Bus, rule: Rule) -> Route:
    """A rule made ready."""
    found = tuple(destination(target) for target in records.targets(cx, rule.id))
    return Route(rule.id, rule.name, bus.rule_arn(rule.name), found)


def add_rule(cx: Context, bus: Bus, rule: Rule, routes: Routes) -> None:
    """Take a rule up as it stands; one that takes no events is taken out."""
    if rule.enabled and rule.pattern is not None:
        routes.index.add(rule.id, compile(rule.pattern))
        routes.rules[rule.id] = route_of(cx, bus, rule)
    else:
        routes.index.remove(rule.id)
        routes.rules.pop(rule.id, None)


def routes_of(cx: Context, bus: Bus) -> Routes:
    """The rules of a bus as they stand in this transaction."""
    memory: Memory = cx.memory
    routes = memory.routes.get(bus.id)
    if routes is not None and routes.revision == bus.revision:
        return routes
    if routes is None or not routes.kept or routes.revision > bus.revision:
        routes = Routes()
        memory.routes[bus.id] = routes
        while len(memory.routes) > BUSES_REMEMBERED:
            del memory.routes[next(iter(memory.routes))]
    if bus.removed > routes.revision and routes.rules:
        for gone in routes.rules.keys() - records.rule_ids(cx, bus):
            routes.index.remove(gone)
            del routes.rules[gone]
    for rule in records.rules_since(cx, bus, routes.revision):
        add_rule(cx, bus, rule, routes)
    routes.revision, routes.kept = bus.revision, False
    current = routes

    def kept() -> None:
        if current.revision == bus.revision:
            current.kept = True

    cx.after(kept)
    return routes


class Travelling:
    """An event on a bus: its text, and the value that patterns are matched with.

    ``hopped``: a bus target has brought it here, so no other will take it on. ``trace`` is the X-Ray trace header;
    targets that have a place for it get it.
    """

    __slots__ = ("_whole", "hopped", "id", "payload", "received", "trace", "value")

    def __init__(
        self, id_: int, payload: bytes, value: Mapping[str, Any], received: int, hopped: bool = False, trace: str = ""
    ) -> None:
        self.id, self.payload, self.value = id_, payload, value
        self.received = received  # platform ms
        self.hopped, self.trace = hopped, trace
        self._whole: Any = None

    @property
    def whole(self) -> Any:
        """The value that targets' inputs are made of: its numbers are as they were written. Parsed once for all."""
        if self._whole is None:
            self._whole = json.loads(self.payload)
        return self._whole


def route(cx: Context, bus: Bus, event: Travelling, after: tuple[int, str] | None = None) -> None:
    """Deliver an event to the targets of every rule of a bus that it matches.

    Only so many at once, in the order of (rule's id, target's id): what is left goes on ``after`` the last one by a
    delivery to the bus itself.
    """
    routes = routes_of(cx, bus)
    matched = [routes.rules[rule] for rule in sorted(routes.index.matching(event.value))]
    plan = [(rule, target) for rule in matched for target in rule.destinations]
    if after is not None:
        plan = [(rule, target) for rule, target in plan if (rule.id, target.id) > after]
    for rule, target in plan[:FAN_OUT]:
        send(cx, rule, target, event)
    if len(plan) > FAN_OUT:
        rule, target = plan[FAN_OUT - 1]
        detail = {
            "after": [rule.id, target.id], "hopped": event.hopped, "received": event.received,
            "AWSTraceHeader": event.trace,
        }  # fmt: skip
        cx.deliver(kind=FAN, to=bus.arn, event=event.id, source=bus.arn, detail=detail)


def send(cx: Context, rule: Route, target: Destination, event: Travelling) -> None:
    """Send an event to one target of a rule."""
    detail: dict[str, Any] = {"target": target.id}
    if target.group is not None:
        detail["MessageGroupId"] = target.group
    if event.hopped:
        detail["hopped"] = True
    if event.trace:
        detail["AWSTraceHeader"] = event.trace
    payload = refused = None
    try:
        payload = input_of(rule, target, event)
    except NotJson as error:
        refused = Undeliverable(str(error), code=NOT_JSON_ERROR)
    except TooLong as error:
        refused = Undeliverable(str(error), code=TOO_LONG_ERROR)
    cx.deliver(
        kind=TARGET, to=target.arn, event=event.id, source=rule.arn, payload=payload, max_attempts=target.attempts,
        max_age_ms=target.age_ms, dead_letter=target.dead_letter,
        order=target.group if target.arn.endswith(".fifo") else None,
        as_role=target.role, detail=detail, known=event.payload, refused=refused,
    )  # fmt: skip


def input_of(rule: Route, target: Destination, event: Travelling) -> bytes | None:
    """What a target gets; None: the event itself. An InputPath that leads nowhere gives ``null``. NotJson, TooLong."""
    if target.constant is not None:
        return target.constant
    if target.path is not None:
        found = target.path.find(event.whole)
        return b"null" if found is MISSING else write_json(found).encode()
    if target.transformer is not None:
        reserved = reserved_values(event.whole, rule.name, rule.arn, event.received)
        return target.transformer.transform(event.whole, reserved).encode()
    return None


def scheduled(cx: Context, bus: Bus, rule: Rule, event: Travelling) -> None:
    """Send a rule's own scheduled event to its targets."""
    ready = route_of(cx, bus, rule)
    for target in ready.destinations:
        send(cx, ready, target, event)
