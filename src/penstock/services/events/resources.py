"""EventBridge's CloudFormation types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from penstock.base.errors import ApiError
from penstock.engine.context import WaitingContext
from penstock.engine.model.written import DOCUMENT, TAGS
from penstock.engine.resource import Declared, Physical, ResourceType, Wrong
from penstock.services.events import bus_rules, targets
from penstock.services.events.rules import DEFAULT_BUS, rule_arn

_BUS_SETTINGS: Final = ("Description", "KmsKeyIdentifier", "DeadLetterConfig")


def _tags(declared: Declared) -> list[dict[str, str]]:
    given = declared.properties.get("Tags") or []
    own = {tag["Key"]: str(tag["Value"]) for tag in given} if isinstance(given, list) else dict(given)
    return [{"Key": key, "Value": value} for key, value in {**declared.tags, **own}.items()]


async def _quietly(cx: WaitingContext, operation: str, request: dict[str, Any]) -> None:
    """Carry out a deletion; that the thing is gone already is no error."""
    try:
        await cx.call("events", operation, request)
    except ApiError as error:
        if error.code != "ResourceNotFoundException":
            raise


# --- AWS::Events::EventBus


async def create_bus(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the bus, with its policy."""
    properties = declared.properties
    request: dict[str, Any] = {"Name": properties["Name"], "Tags": _tags(declared)}
    request |= {name: properties[name] for name in (*_BUS_SETTINGS, "EventSourceName") if properties.get(name)}
    answer = await cx.call("events", "CreateEventBus", request)
    await _bus_policy(cx, properties)
    return _bus(properties["Name"], answer["EventBusArn"], properties)


async def update_bus(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change its settings, policy and tags."""
    properties = new.properties
    # What the template does not say any more is given empty: what is left out stays.
    none: dict[str, Any] = {name: type(value)() for name, value in old.properties.items() if name in _BUS_SETTINGS}
    settings = {name: properties[name] for name in _BUS_SETTINGS if properties.get(name)}
    await cx.call("events", "UpdateEventBus", {"Name": physical.id, **none, **settings})
    if properties.get("Policy") != old.properties.get("Policy"):
        await cx.call("events", "RemovePermission", {"EventBusName": physical.id, "RemoveAllPermissions": True})
        await _bus_policy(cx, properties)
    await _retag(cx, physical.attributes["Arn"], new, old)
    return _bus(physical.id, physical.attributes["Arn"], properties)


async def delete_bus(cx: WaitingContext, physical: Physical) -> None:
    """Delete the bus."""
    await _quietly(cx, "DeleteEventBus", {"Name": physical.id})


def _bus(name: str, arn: str, properties: Mapping[str, Any]) -> Physical:
    policy = properties.get("Policy")
    return Physical(name, {"Arn": arn, "Name": name, "Policy": orjson.dumps(policy).decode() if policy else ""})


async def _bus_policy(cx: WaitingContext, properties: Mapping[str, Any]) -> None:
    if properties.get("Policy"):
        policy = orjson.dumps(properties["Policy"]).decode()
        await cx.call("events", "PutPermission", {"EventBusName": properties["Name"], "Policy": policy})


async def _retag(cx: WaitingContext, arn: str, new: Declared, old: Declared) -> None:
    wanted, had = _tags(new), _tags(old)
    if wanted == had:
        return
    gone = {tag["Key"] for tag in had} - {tag["Key"] for tag in wanted}
    if gone:
        await cx.call("events", "UntagResource", {"ResourceARN": arn, "TagKeys": sorted(gone)})
    await cx.call("events", "TagResource", {"ResourceARN": arn, "Tags": wanted})


# --- AWS::Events::EventBusPolicy


async def create_policy(cx: WaitingContext, declared: Declared) -> Physical:
    """Put the statement into the bus's policy."""
    properties = declared.properties
    bus, statement = properties.get("EventBusName") or DEFAULT_BUS, properties["StatementId"]
    if properties.get("Statement"):
        request = {"EventBusName": bus, "StatementId": statement, "Statement": dict(properties["Statement"])}
        await cx.call("events", "PutPolicyStatement", request)
    else:
        request = {"EventBusName": bus, "StatementId": statement}
        request |= {name: properties[name] for name in ("Action", "Principal", "Condition") if properties.get(name)}
        await cx.call("events", "PutPermission", request)
    return Physical(f"{bus}|{statement}", {"EventBusName": bus, "StatementId": statement})


async def update_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Put the statement in its place."""
    return await create_policy(cx, new)


async def delete_policy(cx: WaitingContext, physical: Physical) -> None:
    """Take the statement out."""
    await _quietly(cx, "RemovePermission", dict(physical.attributes))


# --- AWS::Events::Rule


async def create_rule(cx: WaitingContext, declared: Declared) -> Physical:
    """Put the rule and its targets."""
    properties = declared.properties
    name = properties.get("Name") or declared.generated_name
    bus = _bus_name(properties)
    await cx.call("events", "PutRule", _rule(name, bus, declared) | {"Tags": _tags(declared)})
    await _put_targets(cx, name, bus, properties.get("Targets") or [])
    # Ref of a rule on a custom bus is "bus|rule", as CloudFormation makes it.
    id_ = name if bus == DEFAULT_BUS else f"{bus}|{name}"
    return Physical(id_, {"Arn": rule_arn(cx.account, cx.region, bus, name)})


async def update_rule(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Put the rule again, and make its targets those of the template."""
    bus, _, name = physical.id.rpartition("|")
    bus = bus or DEFAULT_BUS
    await cx.call("events", "PutRule", _rule(name, bus, new))
    wanted = new.properties.get("Targets") or []
    gone = {one["Id"] for one in old.properties.get("Targets") or []} - {one["Id"] for one in wanted}
    if gone:
        await cx.call("events", "RemoveTargets", {"Rule": name, "EventBusName": bus, "Ids": sorted(gone)})
    await _put_targets(cx, name, bus, wanted)
    await _retag(cx, physical.attributes["Arn"], new, old)
    return physical


async def delete_rule(cx: WaitingContext, physical: Physical) -> None:
    """Take the targets off and delete the rule."""
    bus, _, name = physical.id.rpartition("|")
    bus = bus or DEFAULT_BUS
    try:
        answer = await cx.call("events", "ListTargetsByRule", {"Rule": name, "EventBusName": bus})
    except ApiError as error:
        if error.code == "ResourceNotFoundException":
            return
        raise
    ids = [target["Id"] for target in answer["Targets"]]
    if ids:
        await _quietly(cx, "RemoveTargets", {"Rule": name, "EventBusName": bus, "Ids": ids})
    await _quietly(cx, "DeleteRule", {"Name": name, "EventBusName": bus})


def check_rule(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What PutRule and PutTargets would refuse of the pattern, the schedule and the targets."""
    request = _rule(declared.generated_name, DEFAULT_BUS, declared)
    pattern, schedule = request.get("EventPattern"), request.get("ScheduleExpression")
    bus = "" if "EventBusName" in unknown else _bus_name(declared.properties)
    if pattern or schedule or not unknown & {"EventPattern", "ScheduleExpression"}:
        try:
            bus_rules.check_trigger(pattern, schedule, bus)
        except ApiError as error:
            yield Wrong("EventPattern" if pattern else "ScheduleExpression" if schedule else None, error.message)
    for index, target in enumerate(declared.properties.get("Targets") or ()):
        if "Arn" in target and "Id" in target:
            try:
                targets.check_target(_target(target))
            except ApiError as error:
                yield Wrong(f"Targets.{index}", error.message)


def _bus_name(properties: Mapping[str, Any]) -> str:
    """A template may name the bus by its ARN."""
    named = properties.get("EventBusName") or DEFAULT_BUS
    return named.rpartition(":event-bus/")[2]


def _rule(name: str, bus: str, declared: Declared) -> dict[str, Any]:
    properties = declared.properties
    request: dict[str, Any] = {"Name": name, "EventBusName": bus}
    for member in ("Description", "RoleArn", "ScheduleExpression", "State"):
        if properties.get(member):
            request[member] = properties[member]
    pattern = properties.get("EventPattern")
    if pattern:
        request["EventPattern"] = pattern if isinstance(pattern, str) else orjson.dumps(pattern).decode()
    return request


async def _put_targets(cx: WaitingContext, name: str, bus: str, targets: list[dict[str, Any]]) -> None:
    if targets:
        given = [_target(target) for target in targets]
        await cx.call("events", "PutTargets", {"Rule": name, "EventBusName": bus, "Targets": given})


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    """A target as the API takes it: numbers of a template may be text."""
    request = dict(target)
    if request.get("RetryPolicy"):
        request["RetryPolicy"] = {name: int(value) for name, value in request["RetryPolicy"].items()}
    return request


TYPES: Final = [
    ResourceType(
        "AWS::Events::EventBus", create_bus, update_bus, delete_bus,
        executed=frozenset({"Name", "EventSourceName"}),
        kept=frozenset({"DeadLetterConfig", "Description", "KmsKeyIdentifier", "Policy", "Tags"}),
        refused={"LogConfig": "leave it out: the journal shows every event and delivery (penstock events)"},
        required=frozenset({"Name"}),
        replaced_by=frozenset({"Name", "EventSourceName"}),
        attributes=frozenset({"Arn", "Name", "Policy"}),
        name_limit=256,
        like="events.CreateEventBus",
        forms={"Policy": DOCUMENT, "Tags": TAGS},
    ),
    ResourceType(
        "AWS::Events::EventBusPolicy", create_policy, update_policy, delete_policy,
        executed=frozenset({"EventBusName", "StatementId"}),
        kept=frozenset({"Action", "Condition", "Principal", "Statement"}),
        required=frozenset({"StatementId"}),
        replaced_by=frozenset({"EventBusName", "StatementId"}),
        like="events.PutPermission",
        forms={"Statement": DOCUMENT},
    ),
    ResourceType(
        "AWS::Events::Rule", create_rule, update_rule, delete_rule,
        executed=frozenset({"EventBusName", "EventPattern", "Name", "ScheduleExpression", "State", "Targets"}),
        kept=frozenset({"Description", "RoleArn", "Tags", "Targets.RoleArn"}),
        refused={f"Targets.{name}": f"{targets.SUPPORTED}; leave it out" for name in sorted(targets.REFUSED)},
        replaced_by=frozenset({"Name", "EventBusName"}),
        attributes=frozenset({"Arn"}),
        like="events.PutRule",
        forms={"EventPattern": DOCUMENT, "Tags": TAGS, "Targets": "PutTargets.Targets"},
        check=check_rule,
        name_property="Name",
        name_limit=64,
    ),
]  # fmt: skip
