"""Rules with a schedule: the next moment is a delivery of the rule to itself, not before then."""

from __future__ import annotations

from typing import Any, Final

from penstock.base.names import uuid_of
from penstock.engine.context import Context
from penstock.engine.journal import Delivery
from penstock.services.events import cron, records
from penstock.services.events.errors import ValidationException
from penstock.services.events.records import Bus, Rule
from penstock.services.events.routing import Travelling, scheduled
from penstock.services.events.rules import new_event, rule_of_arn

SCHEDULE: Final = "events:schedule"


def check(expression: str) -> None:
    """ValidationException when this is no schedule expression."""
    try:
        cron.parse(expression)
    except ValueError:
        raise ValidationException("Parameter ScheduleExpression is not valid.") from None


def begin(cx: Context, bus: Bus, rule: Rule) -> None:
    """Set a rule's schedule going, from now on; timers set before are void."""
    if rule.schedule is not None and rule.enabled:
        event = cx.event("events:PutRule", bus.rule_arn(rule.name), rule.schedule.encode())
        _plan(cx, bus, rule, event, cx.now)


def _plan(cx: Context, bus: Bus, rule: Rule, event: int, moment: int) -> None:
    due = cron.parse(rule.schedule or "").next_after(moment, cx.now)
    if due is None:
        return
    arn = bus.rule_arn(rule.name)
    detail: dict[str, Any] = {"timer": rule.timer}
    cx.deliver(kind=SCHEDULE, to=arn, event=event, source=arn, not_before=due, detail=detail)


def fire(cx: Context, delivery: Delivery) -> None:
    """The moment has come: send the scheduled event to the rule's targets and plan the next one.

    A rule that is gone, disabled or was put again meanwhile lets the moment pass. Of the moments that passed while no
    server ran this is the first; the others are left out.
    """
    account, region, bus_name, name = rule_of_arn(delivery.target)
    bus = records.find_bus(cx, account, region, bus_name)
    rule = records.find_rule(cx, bus, name) if bus is not None else None
    if bus is None or rule is None or not rule.enabled or rule.schedule is None:
        return
    if rule.timer != delivery.detail["timer"]:
        return
    id_ = cx.names.id()
    value, payload = new_event(
        uuid_of(id_), source="aws.events", detail_type="Scheduled Event", account=account, region=region,
        time_ms=delivery.due, resources=[delivery.target], detail={}, detail_text=b"{}",
    )  # fmt: skip
    cx.event("events:Schedule", delivery.target, payload, id_=id_)  # by time alone: no tick causes the one after it
    scheduled(cx, bus, rule, Travelling(id_, payload, value, cx.now))
    _plan(cx, bus, rule, id_, delivery.due)
