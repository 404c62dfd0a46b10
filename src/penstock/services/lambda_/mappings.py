"""Event source mappings: create, update, get, list, delete."""

from __future__ import annotations

from dataclasses import replace

import orjson

from penstock.base.errors import ApiError
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_ import consumers, records
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from penstock.services.lambda_.mapping_rules import (
    AT_CREATION,
    COLUMNS,
    FIND,
    KEPT,
    REFUSED,
    SETTINGS,
    MappingRow,
    check_settings,
    check_source,
    describe,
    mapping_of,
)
from penstock.services.lambda_.rules import page, parse_reference
from penstock.services.lambda_.tags import check_tags

_LIST = f"SELECT {COLUMNS} FROM lambda_mapping WHERE account = ? AND region = ? ORDER BY uuid"
_SAME = "SELECT uuid FROM lambda_mapping WHERE source = ? AND account = ? AND region = ? AND function = ?"
_PUT = f"INSERT OR REPLACE INTO lambda_mapping ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"


@operation(kept=KEPT, refused=REFUSED)
def create_event_source_mapping(cx: Context, request: Request) -> Response:
    """Let a function consume a queue, from now on."""
    source = check_source(request.get("EventSourceArn"), cx.region)
    function = _function(cx, request["FunctionName"])
    settings = check_settings({member: request.get(member) for member in SETTINGS}, str(source))
    _check_unmapped(cx, source, function)
    _check_queue(cx, source, function)
    mapping = MappingRow(
        cx.names.uuid(), function.account, function.region, str(source), function.name,
        request.get("Enabled") is not False, settings, check_tags(request.get("Tags") or {}), cx.now,
    )  # fmt: skip
    _put(cx, mapping)
    return describe(mapping, "Creating")


@operation(kept=KEPT - {"Tags"}, refused={name: why for name, why in REFUSED.items() if name not in AT_CREATION})
def update_event_source_mapping(cx: Context, request: Request) -> Response:
    """Change a mapping; batches that are under way end as they were started."""
    old = _find(cx, request["UUID"])
    function = _function(cx, request["FunctionName"]) if request.get("FunctionName") else None
    given = {member: request[member] for member in SETTINGS if request.get(member) is not None}
    enabled = old.enabled if request.get("Enabled") is None else request["Enabled"]
    mapping = replace(
        old, function=function.name if function else old.function, enabled=enabled,
        settings=check_settings(old.settings | given, old.source), modified=cx.now,
    )  # fmt: skip
    if function is not None:
        _check_unmapped(cx, Arn.parse(mapping.source), function, besides=mapping.uuid)
        _check_queue(cx, Arn.parse(mapping.source), function)
    _put(cx, mapping)
    changing = {(True, False): "Disabling", (False, True): "Enabling"}.get((old.enabled, enabled), "Updating")
    return describe(mapping, changing)


@operation
def get_event_source_mapping(cx: Context, request: Request) -> Response:
    """One mapping."""
    return describe(_find(cx, request["UUID"]))


@operation
def list_event_source_mappings(cx: Context, request: Request) -> Response:
    """The mappings of the account and region, of one source or one function if asked."""
    found = [mapping_of(row) for row in cx.all(_LIST, (cx.account, cx.region))]
    if request.get("EventSourceArn"):
        found = [mapping for mapping in found if mapping.source == request["EventSourceArn"]]
    if request.get("FunctionName"):
        name = parse_reference(request["FunctionName"], None, cx.account, cx.region).name
        found = [mapping for mapping in found if mapping.function == name]
    rows, marker = page(request, found, lambda mapping: mapping.uuid)
    return {"EventSourceMappings": [describe(mapping) for mapping in rows], **marker}


@operation
def delete_event_source_mapping(cx: Context, request: Request) -> Response:
    """End a mapping: it takes nothing more, and finishes what it has taken."""
    mapping = _find(cx, request["UUID"])
    cx.write("DELETE FROM lambda_mapping WHERE uuid = ?", (mapping.uuid,))
    consumers.follow(cx, mapping.uuid)
    return describe(mapping, "Deleting")


def _put(cx: Context, mapping: MappingRow) -> None:
    cx.write(
        _PUT,
        (
            mapping.uuid, mapping.account, mapping.region, mapping.source, mapping.function, int(mapping.enabled),
            orjson.dumps(mapping.settings).decode(), orjson.dumps(mapping.tags).decode(), mapping.modified,
        ),
    )  # fmt: skip
    consumers.follow(cx, mapping.uuid)


def _find(cx: Context, uuid: str) -> MappingRow:
    row = cx.one(f"{FIND} AND account = ? AND region = ?", (uuid, cx.account, cx.region))
    if row is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    return mapping_of(row)


def _function(cx: Context, text: str) -> FunctionRow:
    return records.get(cx, parse_reference(text, None, cx.account, cx.region))


def _check_unmapped(cx: Context, source: Arn, function: FunctionRow, besides: str = "") -> None:
    """A queue and a function are mapped once."""
    for (uuid,) in cx.all(_SAME, (str(source), function.account, function.region, function.name)):
        if uuid != besides:
            raise ResourceConflict(
                f'The event source arn (" {source} ") and function (" {function.name} ") provided mapping already '
                f"exists. Please update or delete the existing mapping with UUID {uuid}"
            )


def _check_queue(cx: Context, source: Arn, function: FunctionRow) -> None:
    """AWS tries to receive from the queue before it makes a mapping, and compares the timeouts."""
    inner = cx.within(source.account, source.region)
    try:
        url = inner.call("sqs", "GetQueueUrl", {"QueueName": source.resource})["QueueUrl"]
        wanted = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
        attributes = inner.call("sqs", "GetQueueAttributes", wanted)["Attributes"]
    except ApiError as error:
        raise InvalidParameterValue(
            f"Error occurred while ReceiveMessage. SQS Error Code: {error.code}. SQS Error Message: {error.message}"
        ) from error
    visibility, timeout = int(attributes["VisibilityTimeout"]), function.settings["Timeout"]
    if visibility < timeout:
        raise InvalidParameterValue(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
        )
