"""Targets of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.engine.path import Path, PathError, Template
from penstock.services.events import records
from penstock.services.events.errors import LimitExceeded, ValidationException
from penstock.services.events.records import Target
from penstock.services.events.rules import PAGING, RESERVED, TARGETS

SERVICES: Final = ("sqs", "lambda", "events", "logs")  # that can be targets here
_OF_EVENTS: Final = ("event-bus/", "api-destination/", "target/")  # target/create-snapshot is one built in
SUPPORTED: Final = "targets here are SQS queues, Lambda functions, log groups and event buses"
REFUSED: Final = frozenset(
    {
        "AppSyncParameters", "BatchParameters", "EcsParameters", "HttpParameters", "KinesisParameters",
        "RedshiftDataParameters", "RunCommandParameters", "SageMakerPipelineParameters",
    }
)  # fmt: skip
_INPUTS: Final = ("Input", "InputPath", "InputTransformer")


@operation(kept={"Targets.RoleArn"})
def put_targets(cx: Context, request: Request) -> Response:
    """Add targets to a rule or replace those with the same ids; all of them or none."""
    for target in request["Targets"]:
        _arn(target)  # what AWS refuses too is told before what only this platform does
    for target in request["Targets"]:
        check_target(target)
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.rule_of(cx, bus, request["Rule"])
    for target in request["Targets"]:
        settings = {name: value for name, value in target.items() if name not in ("Id", "Arn") and value is not None}
        cx.write(
            "INSERT OR REPLACE INTO events_target VALUES (?,?,?,?)",
            (rule.id, target["Id"], target["Arn"], orjson.dumps(settings).decode()),
        )
    count = cx.one("SELECT count(*) FROM events_target WHERE rule = ?", (rule.id,))
    if count is not None and count[0] > TARGETS:
        raise LimitExceeded("The requested resource exceeds the maximum number allowed.")
    records.put_rule(cx, rule._replace(revision=records.revise(cx, bus)))
    return {"FailedEntryCount": 0, "FailedEntries": []}


@operation(kept={"Force"})
def remove_targets(cx: Context, request: Request) -> Response:
    """Take targets off a rule; ids it does not have are no error. ``Force`` is for rules that AWS services manage."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.rule_of(cx, bus, request["Rule"])
    for id_ in request["Ids"]:
        cx.write("DELETE FROM events_target WHERE rule = ? AND id = ?", (rule.id, id_))
    records.put_rule(cx, rule._replace(revision=records.revise(cx, bus)))
    return {"FailedEntryCount": 0, "FailedEntries": []}


@operation
def list_targets_by_rule(cx: Context, request: Request) -> Response:
    """The targets of a rule by id."""
    bus = records.bus_of(cx, request.get("EventBusName"))
    rule = records.rule_of(cx, bus, request["Rule"])
    found, token = PAGING.of(
        request, lambda after, limit: records.targets(cx, rule.id, after, limit), lambda target: target.id
    )
    return {"Targets": [_listed(target) for target in found], **token}


def _listed(target: Target) -> dict[str, Any]:
    return {"Id": target.id, "Arn": target.arn, **target.settings}


def _arn(target: Mapping[str, Any]) -> Arn:
    try:
        arn = Arn.parse(target["Arn"])
    except ValueError:
        arn = None
    if arn is None or (arn.service == "events" and not arn.resource.startswith(_OF_EVENTS)):
        raise ValidationException(
            f"Parameter {target['Arn']} is not valid. Reason: Provided Arn is not in correct format."
        )
    return arn


def check_target(target: Mapping[str, Any]) -> None:
    """Check one target; ValidationException in AWS's words, Unsupported for what this platform refuses."""
    arn, id_ = _arn(target), target["Id"]
    for name in sorted(REFUSED):
        if target.get(name) is not None:
            raise Unsupported(f"{name} of PutTargets (events) is not supported: {SUPPORTED}")
    if arn.service not in SERVICES or (arn.service == "events" and not arn.resource.startswith("event-bus/")):
        raise Unsupported(f"the target {arn} is not supported: {SUPPORTED}; have one of these pass the event on")
    if (
        arn.service == "sqs"
        and arn.resource.endswith(".fifo")
        and not (target.get("SqsParameters") or {}).get("MessageGroupId")
    ):
        raise ValidationException(f"Parameter(s) SqsParameters must be specified for target: {id_}.")
    _check_dead_letter((target.get("DeadLetterConfig") or {}).get("Arn"))
    _check_input(arn, id_, target)


def _check_dead_letter(text: str | None) -> None:
    """Only a standard queue can be one: docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html."""
    if not text:
        return
    try:
        arn = Arn.parse(text)
    except ValueError:
        arn = None
    if arn is None or arn.service != "sqs" or arn.resource.endswith(".fifo"):
        raise ValidationException(
            f"Parameter DeadLetterConfig.Arn is not valid. Reason: {text} is not the ARN of a standard SQS queue."
        )


def _check_input(arn: Arn, id_: str, target: Mapping[str, Any]) -> None:
    given = [name for name in _INPUTS if target.get(name)]
    if len(given) > 1:
        raise ValidationException(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {id_}."
        )
    if given and arn.service == "events":
        raise Unsupported(
            f"{given[0]} of target {id_} is not supported: an event bus takes the event as it is; leave {given[0]} out"
        )
    if target.get("Input"):
        try:
            orjson.loads(target["Input"])
        except orjson.JSONDecodeError as error:
            raise ValidationException(f"JSON syntax error in input for target {id_} : {error}") from None
    try:
        if target.get("InputPath"):
            Path(target["InputPath"])
        if target.get("InputTransformer"):
            _check_transformer(id_, target["InputTransformer"])
    except PathError as error:
        raise ValidationException(f"Invalid InputPath for target {id_} : {error}") from None


def _check_transformer(id_: str, transformer: Mapping[str, Any]) -> None:
    paths = transformer.get("InputPathsMap") or {}
    for path in paths.values():
        Path(path)
    template = Template(transformer["InputTemplate"])
    for name in template.names:
        if name not in paths and name not in RESERVED:
            raise ValidationException(f"InputTemplate for target {id_} contains invalid placeholder {name}.")
    try:
        template.check()
    except PathError as error:
        raise ValidationException(f"Invalid InputTemplate for target {id_} : {error}.") from None
