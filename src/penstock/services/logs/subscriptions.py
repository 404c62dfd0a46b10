"""Subscription filters: what a pattern takes of newly written events is sent to a function, as it is written.

A write and what it sends are one transaction: each write is one delivery for each filter that takes some of it, into
the function's own durable queue. Source: "Log group-level subscription filters" in the CloudWatch Logs User Guide, and
PutSubscriptionFilter in the API Reference.

What a delivery's function writes, and what that causes, may be sent again, but not without end. AWS warns of such
loops, and cuts off those through a queue, a topic or a bucket after about 16 invocations ("Use Lambda recursive loop
detection to prevent infinite loops" in the Lambda Developer Guide).
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from penstock.base.errors import ApiError, Undeliverable, Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import rules
from penstock.services.logs.errors import InvalidParameter, LimitExceeded, ResourceNotFound
from penstock.services.logs.groups import find_group, group_arn
from penstock.services.logs.patterns import Pattern, PatternError, compile_pattern

SUBSCRIPTION: Final = "logs:subscription"  # a delivery's kind
FILTERS: Final = 2  # of one group: "CloudWatch Logs quotas"
SENT_BYTES: Final = 700_000  # of messages in one delivery: base64 makes a third more of what gzip leaves
RETRY_HOURS: Final = 24  # how long AWS tries
ROUNDS: Final = 16  # deliveries of filters, each caused by the one before, after which no other is made
LOOP_ERROR: Final = "RecursiveInvocationsDropped"  # as Lambda's metric
_FAST: Final = 1  # of gzip's levels: a third of the time that the default takes, in which nobody else is served
_NO_TRANSFORMERS: Final = "leave it out: log transformers are not here"
_NO_FIELDS: Final = "leave it out: system fields are not here"

_EVENT: Final = "logs:SubscriptionFilter"
_CAUSES: Final = 1000  # events, hops and runs that are looked at for how often something was sent already
# From a run to the events it carried, or to the run that waits for it while the journal does not know it yet (?2), from
# an event to its cause, as far back as the deliveries of filters that led to it most directly: each of these knows how
# many came before it. Who waits for whom is made a table of its own, which gets an index: there may be a thousand.
_ROUNDS: Final = f"""
WITH RECURSIVE waiting (run, caller) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2)
), led (id) AS (
    VALUES (?1)
    UNION SELECT event FROM led JOIN delivery ON delivery.id = led.id
    UNION SELECT event FROM led JOIN delivery ON delivery.run = led.id
    UNION SELECT event FROM led JOIN attempt ON attempt.run = led.id JOIN delivery ON delivery.id = attempt.delivery
    UNION SELECT caller FROM led JOIN waiting ON waiting.run = led.id
    UNION SELECT cause FROM led JOIN event ON event.id = led.id WHERE cause IS NOT NULL AND kind <> '{_EVENT}'
    LIMIT {_CAUSES}
)
SELECT max(coalesce(json_extract(detail, '$.rounds'), 0)) + 1
FROM led JOIN delivery ON delivery.event = led.id WHERE kind = '{SUBSCRIPTION}'
"""

Written = tuple[int, list[rules.Line]]  # a chunk's id and lines


@operation(
    kept={"distribution"},  # of streams among shards, which a function does not have
    refused={
        "applyOnTransformedLogs": _NO_TRANSFORMERS,
        "fieldSelectionCriteria": _NO_FIELDS,
        "emitSystemFields": _NO_FIELDS,
    },
)
def put_subscription_filter(cx: Context, request: Request) -> Response:
    """Make or replace a filter: what is written from now on goes to its function."""
    group = find_group(cx.tx, cx.account, cx.region, request["logGroupName"])
    try:
        compile_pattern(request["filterPattern"])
    except PatternError as error:
        raise InvalidParameter(f"Invalid filter pattern: {error}") from None
    _check_destination(cx, request, group.name)
    where = (group.id, request["filterName"])
    others = cx.one("SELECT count(*) FROM log_subscription WHERE log_group = ? AND name <> ?", where)
    if others is not None and others[0] >= FILTERS:
        raise LimitExceeded("Resource limit exceeded.")
    cx.write(
        "INSERT INTO log_subscription VALUES (?,?,?,?,?,?) ON CONFLICT (log_group, name) DO UPDATE SET "
        "pattern = excluded.pattern, destination = excluded.destination, distribution = excluded.distribution",
        (
            *where, request["filterPattern"], request["destinationArn"], request.get("distribution") or "ByLogStream",
            cx.now,
        ),
    )  # fmt: skip
    return {}


@operation
def describe_subscription_filters(cx: Context, request: Request) -> Response:
    """A group's filters by name, all or those whose name begins so."""
    group = find_group(cx.tx, cx.account, cx.region, request["logGroupName"])
    prefix = request.get("filterNamePrefix") or ""

    def listed(after: str, limit: int) -> list[Any]:
        return cx.all(
            "SELECT name, pattern, destination, distribution, created FROM log_subscription "
            "WHERE log_group = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
            (group.id, after, len(prefix), prefix, limit),
        )

    rows, token = rules.PAGING.of(request, listed, lambda row: row[0])
    return {
        "subscriptionFilters": [
            {
                "filterName": name,
                "logGroupName": group.name,
                "filterPattern": pattern,
                "destinationArn": destination,
                "distribution": distribution,
                "applyOnTransformedLogs": False,
                "creationTime": created,
            }
            for name, pattern, destination, distribution, created in rows
        ],
        **token,
    }


@operation
def delete_subscription_filter(cx: Context, request: Request) -> Response:
    """Delete a filter: what is written from now on is not sent."""
    group = find_group(cx.tx, cx.account, cx.region, request["logGroupName"])
    where = (group.id, request["filterName"])
    if not cx.write("DELETE FROM log_subscription WHERE log_group = ? AND name = ?", where):
        raise ResourceNotFound("The specified subscription filter does not exist.")
    return {}


def send(
    cx: Context, group: int, group_name: str, stream_name: str, written: Sequence[Written], run: int | None
) -> None:
    """Send what was just written to whoever subscribes to the group. ``run``: the invocation that wrote it, if any."""
    source = group_arn(cx.account, cx.region, group_name)
    cause = cx.principal.run if run is None else run
    rounds: int | None = None
    for name, pattern, destination in cx.all(
        "SELECT name, pattern, destination FROM log_subscription WHERE log_group = ? ORDER BY name", (group,)
    ):
        for events in _batches(_taken(written, _compiled(pattern))):
            data = {
                "messageType": "DATA_MESSAGE",
                "owner": cx.account,
                "logGroup": group_name,
                "logStream": stream_name,
                "subscriptionFilters": [name],
                "logEvents": events,
            }
            packed = base64.b64encode(gzip.compress(orjson.dumps(data), _FAST, mtime=0)).decode()
            payload = orjson.dumps({"awslogs": {"data": packed}})
            if rounds is None:
                rounds = _rounds(cx, cause)
            event = cx.event(_EVENT, source, payload, cause=cause)
            cx.deliver(
                kind=SUBSCRIPTION, to=destination, event=event, source=source, known=payload,
                max_age_ms=RETRY_HOURS * 3_600_000, detail={"rounds": rounds} if rounds else None,
                refused=_loop(group_name, destination) if rounds >= ROUNDS else None,
            )  # fmt: skip


def _rounds(cx: Context, cause: int | None) -> int:
    """How many deliveries of filters, one after another, have led to what this run or hop writes."""
    if cause is None:
        return 0
    row = cx.one(_ROUNDS, (cause, orjson.dumps(cx.parts.keys.callers()).decode()))
    return row[0] or 0 if row is not None else 0


def _loop(group_name: str, destination: str) -> Undeliverable:
    return Undeliverable(
        f"{ROUNDS} deliveries of subscription filters, each caused by the one before, have led to this one, which is "
        f"not made: {destination} causes what is written to {group_name}. Have it write to another group with "
        "LoggingConfig.LogGroup, or give the filter a pattern that does not take what it writes.",
        code=LOOP_ERROR,
    )


def retry_wait_ms(attempts: int) -> int:
    """How long a delivery that the function's queue refused waits: 1 s, doubling to 5 minutes; AWS tells no figure."""
    return min(1000 << min(max(attempts - 1, 0), 20), 300_000)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Pattern:
    return compile_pattern(pattern)


def _taken(written: Iterable[Written], pattern: Pattern) -> Iterator[dict[str, Any]]:
    """The events that a pattern takes, as functions see them."""
    for chunk, lines in written:
        for index, (timestamp, message) in enumerate(lines):
            if pattern.matches(message):
                # Bytes that are no UTF-8 are lone surrogates here, which JSON has no place for.
                text = message.encode("utf-8", "replace").decode()
                position = rules.Position(timestamp, chunk, index)
                yield {"id": rules.event_id(position), "timestamp": timestamp, "message": text}


def _batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for event in events:
        more = rules.size_of(event["message"])
        if batch and size + more > SENT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += more
    if batch:
        yield batch


def _check_destination(cx: Context, request: Request, group_name: str) -> None:
    """Only a function of the same account and region is a destination here, and not one that writes to this group."""
    try:
        arn = Arn.parse(request["destinationArn"])
    except ValueError:
        raise InvalidParameter(f"{request['destinationArn']} is no ARN: pass that of a function.") from None
    if arn.service in ("kinesis", "firehose", "logs"):
        raise Unsupported(
            f"destinationArn of PutSubscriptionFilter (logs): {arn.service} is not supported yet as a destination; "
            "name a function"
        )
    if arn.service != "lambda":
        raise InvalidParameter(
            f"PutSubscriptionFilter operation cannot work with destinationArn for vendor {arn.service}"
        )
    if request.get("roleArn"):
        raise InvalidParameter("destinationArn for vendor lambda cannot be used with roleArn")
    if (arn.account, arn.region) != (cx.account, cx.region):
        raise InvalidParameter("The function must be in the log group's own account and region: name another one.")
    try:
        configuration = cx.call("lambda", "GetFunctionConfiguration", {"FunctionName": request["destinationArn"]})
    except ApiError:
        raise InvalidParameter(
            "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute "
            f"your function: {request['destinationArn']} does not exist."
        ) from None
    if configuration["LoggingConfig"]["LogGroup"] == group_name:
        raise InvalidParameter(
            f"{request['destinationArn']} writes to {group_name} itself and would call itself without end: name "
            "another function, or have it write to another group with LoggingConfig.LogGroup."
        )
