"""Buses and who may send to them."""

from __future__ import annotations

from typing import Any, Final

import orjson

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.events import records
from penstock.services.events.errors import (
    PolicyLengthExceeded,
    ResourceAlreadyExists,
    ResourceNotFound,
    ValidationException,
)
from penstock.services.events.records import Bus
from penstock.services.events.rules import DEFAULT_BUS, PAGING, POLICY_BYTES
from penstock.services.events.tags import checked_tags

_REFUSED: Final = {"LogConfig": "leave it out: the journal shows every event and delivery (penstock events)"}
_KEPT: Final = {"Description", "KmsKeyIdentifier", "DeadLetterConfig"}  # the last one is for failures of KMS only


@operation(kept={*_KEPT, "Tags"}, refused=_REFUSED)
def create_event_bus(cx: Context, request: Request) -> Response:
    """Make a bus. A partner's bus needs the partner's event source, and there are none here."""
    name = request["Name"]
    if request.get("EventSourceName"):
        raise ResourceNotFound(f"Event source {request['EventSourceName']} does not exist.")
    if "/" in name:
        raise ValidationException("Event bus name must not contain '/'.")
    if name == DEFAULT_BUS or records.find_bus(cx, cx.account, cx.region, name) is not None:
        raise ResourceAlreadyExists(f"Event bus {name} already exists.")
    bus = records.add_bus(cx, name, _settings(request, {}), checked_tags({}, request.get("Tags") or []))
    return {"EventBusArn": bus.arn, **bus.settings}


@operation(kept=_KEPT, refused=_REFUSED)
def update_event_bus(cx: Context, request: Request) -> Response:
    """Change a bus's settings; those left out stay, those given empty go."""
    bus = records.bus_of(cx, request.get("Name"))
    bus = bus._replace(settings=_settings(request, bus.settings))
    records.put_bus(cx, bus)
    return {"Arn": bus.arn, "Name": bus.name, **bus.settings}


def _settings(request: Request, current: dict[str, Any]) -> dict[str, Any]:
    settings = current | {name: request[name] for name in sorted(_KEPT) if request.get(name) is not None}
    return {name: value for name, value in settings.items() if value}


@operation
def delete_event_bus(cx: Context, request: Request) -> Response:
    """Delete a bus, which must have no rules; one that does not exist is no error."""
    name = request["Name"]
    if name == DEFAULT_BUS:
        raise ValidationException("Cannot delete event bus default.")
    bus = records.find_bus(cx, cx.account, cx.region, name)
    if bus is not None:
        if records.rules(cx, bus, "", "", 1):
            raise ValidationException(f"Event bus {name} can't be deleted since it has rules: delete its rules first.")
        cx.write("DELETE FROM events_bus WHERE id = ?", (bus.id,))
    return {}


@operation
def describe_event_bus(cx: Context, request: Request) -> Response:
    """A bus with its policy and settings."""
    bus = records.bus_of(cx, request.get("Name"))
    return _listed(bus) | bus.settings


@operation
def list_event_buses(cx: Context, request: Request) -> Response:
    """The buses of the account by name."""
    prefix = request.get("NamePrefix") or ""
    found, token = PAGING.of(
        request, lambda after, limit: records.buses(cx, prefix, after, limit), lambda bus: bus.name
    )
    return {"EventBuses": [_listed(bus) for bus in found], **token}


def _listed(bus: Bus) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Name": bus.name, "Arn": bus.arn, "CreationTime": bus.created / 1000, "LastModifiedTime": bus.modified / 1000,
    }  # fmt: skip
    if bus.settings.get("Description"):
        shown["Description"] = bus.settings["Description"]
    if bus.policy is not None:
        shown["Policy"] = bus.policy
    return shown


# --- permissions: kept until access is enforced


@operation(kept={"Action", "Principal", "StatementId", "Condition", "Policy"})
def put_permission(cx: Context, request: Request) -> Response:
    """Put a statement into a bus's policy, in place of the one with its id, or replace the whole policy."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    if request.get("Policy"):
        policy = _policy_of(request["Policy"])
    else:
        missing = [name for name in ("Action", "Principal", "StatementId") if not request.get(name)]
        if missing:
            raise ValidationException(f"Parameter(s) {', '.join(missing)} must be specified.")
        if request["Action"] != "events:PutEvents":
            raise ValidationException("Provided value in parameter 'action' is not supported.")
        policy = _with_statement(bus, _statement(bus, request))
    _put_policy(cx, bus, policy)
    return {}


def _statement(bus: Bus, request: Request) -> dict[str, Any]:
    principal = request["Principal"]
    statement: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": principal if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": request["Action"],
        "Resource": bus.arn,
    }
    condition = request.get("Condition")
    if condition:
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement


@operation(internal=True)
def put_policy_statement(cx: Context, request: Request) -> Response:
    """Put a whole statement (``Statement``) into the policy of ``EventBusName``: a template's EventBusPolicy."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    _put_policy(cx, bus, _with_statement(bus, {"Sid": request["StatementId"], **request["Statement"]}))
    return {}


@operation
def remove_permission(cx: Context, request: Request) -> Response:
    """Take a statement out of a bus's policy, or all of them."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    if request.get("RemoveAllPermissions"):
        records.put_bus(cx, bus._replace(policy=None))
        return {}
    policy = orjson.loads(bus.policy) if bus.policy is not None else {"Statement": []}
    left = [one for one in policy["Statement"] if one.get("Sid") != request.get("StatementId")]
    if len(left) == len(policy["Statement"]):
        raise ResourceNotFound("Statement with the provided id does not exist.")
    _put_policy(cx, bus, {**policy, "Statement": left})
    return {}


def _policy_of(text: str) -> dict[str, Any]:
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError:
        policy = None
    statements: Any = policy.get("Statement") if isinstance(policy, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(isinstance(one, dict) for one in statements):
        raise ValidationException("This policy contains invalid Json: give an object with a list of Statement.")
    return {**policy, "Statement": statements}


def _with_statement(bus: Bus, statement: dict[str, Any]) -> dict[str, Any]:
    policy: dict[str, Any] = orjson.loads(bus.policy) if bus.policy else {"Version": "2012-10-17", "Statement": []}
    others = [one for one in policy["Statement"] if one.get("Sid") != statement["Sid"]]
    return {**policy, "Statement": [*others, statement]}


def _put_policy(cx: Context, bus: Bus, policy: dict[str, Any]) -> None:
    text = orjson.dumps(policy).decode() if policy["Statement"] else None
    if text is not None and len(text.encode()) > POLICY_BYTES:
        raise PolicyLengthExceeded(f"The policy of event bus {bus.name} would exceed {POLICY_BYTES} bytes.")
    records.put_bus(cx, bus._replace(policy=text))
