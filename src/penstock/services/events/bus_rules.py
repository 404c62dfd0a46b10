"""Rules of a bus (the pure rules of the service are in ``rules.py``)."""

from __future__ import annotations

from typing import Any

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.events import records, schedules
from penstock.services.events.errors import ValidationException
from penstock.services.events.records import Bus, Rule
from penstock.services.events.rules import DEFAULT_BUS, PAGING, checked_pattern
from penstock.services.events.tags import checked_tags


@operation(kept={"Description", "RoleArn", "Tags"})
def put_rule(cx: Context, request: Request) -> Response:
    """Make or replace a rule; what is left out is gone, but its targets and tags stay."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    pattern, schedule = request.get("EventPattern") or None, request.get("ScheduleExpression") or None
    check_trigger(pattern, schedule, bus.name)
    old = records.find_rule(cx, bus, request["Name"])
    revision = records.revise(cx, bus)
    rule = Rule(
        old.id if old else cx.names.id(), bus.id, request["Name"], pattern, schedule, request.get("State") or "ENABLED",
        request.get("Description") or None, request.get("RoleArn") or None, old.created_by if old else cx.account,
        old.tags if old else checked_tags({}, request.get("Tags") or []), revision, revision,
    )  # fmt: skip
    records.put_rule(cx, rule)
    schedules.begin(cx, bus, rule)
    return {"RuleArn": bus.rule_arn(rule.name)}


def check_trigger(pattern: str | None, schedule: str | None, bus: str) -> None:
    """Check what a rule is set off by; InvalidEventPattern, ValidationException."""
    if pattern is None and schedule is None:
        raise ValidationException("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule is not None:
        if bus != DEFAULT_BUS:
            raise ValidationException("ScheduleExpression is supported only on the default event bus.")
        schedules.check(schedule)
    if pattern is not None:
        checked_pattern(pattern)


def _change_state(cx: Context, request: Request, state: str) -> None:
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.rule_of(cx, bus, request["Name"])
    if rule.state == state:
        return
    revision = records.revise(cx, bus)
    rule = rule._replace(state=state, revision=revision, timer=revision)
    records.put_rule(cx, rule)
    schedules.begin(cx, bus, rule)


@operation
def enable_rule(cx: Context, request: Request) -> Response:
    """Let a rule take events again; its schedule begins anew."""
    _change_state(cx, request, "ENABLED")
    return {}


@operation
def disable_rule(cx: Context, request: Request) -> Response:
    """Have a rule take no events."""
    _change_state(cx, request, "DISABLED")
    return {}


@operation(kept={"Force"})
def delete_rule(cx: Context, request: Request) -> Response:
    """Delete a rule, which must have no targets; one that does not exist is no error. ``Force`` changes nothing: it
    is for rules that AWS services manage, and there are none."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.find_rule(cx, bus, request["Name"])
    if rule is not None:
        if records.targets(cx, rule.id, limit=1):
            raise ValidationException("Rule can't be deleted since it has targets.")
        cx.write("DELETE FROM events_rule WHERE id = ?", (rule.id,))
        records.revise(cx, bus, removed=True)
    return {}


@operation
def describe_rule(cx: Context, request: Request) -> Response:
    """A rule."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.rule_of(cx, bus, request["Name"])
    return _listed(bus, rule) | {"CreatedBy": rule.created_by}


@operation
def list_rules(cx: Context, request: Request) -> Response:
    """The rules of a bus by name."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    prefix = request.get("NamePrefix") or ""
    found, token = PAGING.of(
        request, lambda after, limit: records.rules(cx, bus, prefix, after, limit), lambda rule: rule.name
    )
    return {"Rules": [_listed(bus, rule) for rule in found], **token}


@operation
def list_rule_names_by_target(cx: Context, request: Request) -> Response:
    """The names of the rules of a bus that have this target."""
    bus = records.bus_of(cx, request.get("EventBusName"))

    def some(after: str, limit: int) -> list[str]:
        rows = cx.all(
            "SELECT DISTINCT name FROM events_rule JOIN events_target ON events_target.rule = events_rule.id "
            "WHERE arn = ? AND bus = ? AND name > ? ORDER BY name LIMIT ?",
            (request["TargetArn"], bus.id, after, limit),
        )
        return [row[0] for row in rows]

    found, token = PAGING.of(request, some, lambda name: name)
    return {"RuleNames": list(found), **token}


def _listed(bus: Bus, rule: Rule) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Name": rule.name, "Arn": bus.rule_arn(rule.name), "EventPattern": rule.pattern, "State": rule.state,
        "Description": rule.description, "ScheduleExpression": rule.schedule, "RoleArn": rule.role,
        "EventBusName": bus.name,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}
