"""Tags of buses and rules: kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.events import records
from penstock.services.events.errors import ResourceNotFound, ValidationException
from penstock.services.events.records import Bus, Rule
from penstock.services.events.rules import TAGS, rule_of_arn


def checked_tags(current: Mapping[str, str], given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags with those given added, as AWS allows them."""
    tags = {**current, **{tag["Key"]: tag["Value"] for tag in given}}
    if len(tags) > TAGS:
        raise ValidationException(f"A resource has at most {TAGS} tags.")
    if any(tag["Key"].lower().startswith("aws:") for tag in given):
        raise ValidationException("Tag keys that begin with aws: are reserved: choose other keys.")
    return tags


def _tagged(cx: Context, arn: str) -> tuple[Bus, Rule | None]:
    try:
        parsed = Arn.parse(arn)
        if parsed.resource.startswith("event-bus/"):
            return records.bus_of(cx, arn), None
        account, region, bus_name, rule_name = rule_of_arn(arn)
    except ValueError:
        raise ValidationException(
            f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
        ) from None
    bus = records.find_bus(cx, account, region, bus_name)
    if bus is None:
        raise ResourceNotFound(f"Event bus {bus_name} does not exist.")
    return bus, records.rule_of(cx, bus, rule_name)


def _write(cx: Context, bus: Bus, rule: Rule | None, tags: dict[str, str]) -> None:
    if rule is None:
        records.put_bus(cx, bus._replace(tags=tags))
    else:
        records.put_rule(cx, rule._replace(tags=tags))


@operation(kept={"Tags"})
def tag_resource(cx: Context, request: Request) -> Response:
    """Add or replace tags of a bus or a rule."""
    bus, rule = _tagged(cx, request["ResourceARN"])
    _write(cx, bus, rule, checked_tags((rule or bus).tags, request["Tags"]))
    return {}


@operation
def untag_resource(cx: Context, request: Request) -> Response:
    """Remove tags of a bus or a rule."""
    bus, rule = _tagged(cx, request["ResourceARN"])
    gone = set(request["TagKeys"])
    _write(cx, bus, rule, {key: value for key, value in (rule or bus).tags.items() if key not in gone})
    return {}


@operation
def list_tags_for_resource(cx: Context, request: Request) -> Response:
    """The tags of a bus or a rule."""
    bus, rule = _tagged(cx, request["ResourceARN"])
    tags: list[dict[str, Any]] = [{"Key": key, "Value": value} for key, value in (rule or bus).tags.items()]
    return {"Tags": tags}
