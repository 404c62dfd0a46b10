"""The durable queue in front of every function: retries, dead letters, destinations.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html and
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from penstock.base.names import Arn, uuid_of
from penstock.engine import journal
from penstock.engine.context import Context
from penstock.engine.journal import DELIVERED, EXPIRED, Delivery, Outcome
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.records import find, reference_of_arn
from penstock.services.lambda_.rules import (
    ERROR_MESSAGE_BYTES,
    EVENT_AGE_SECONDS,
    LATEST,
    RETRY_ATTEMPTS,
    record_timestamp,
)

ASYNC: Final = "lambda:async"  # an event waits for a function
DESTINATION: Final = "lambda:destination"  # a record or a dead letter is on its way

_CONFIG = (
    "SELECT retry_attempts, age_seconds, on_success, on_failure FROM lambda_invoke_config "
    "WHERE account = ? AND region = ? AND name = ?"
)
_THROTTLED: Final = "TooManyRequestsException"


class InvokeConfig(NamedTuple):
    """How a function's events are retried, and where their records go."""

    retry_attempts: int
    age_seconds: int
    on_success: str | None
    on_failure: str | None


def invoke_config(cx: Context, row: FunctionRow) -> InvokeConfig:
    """A function's settings for asynchronous invokes; AWS's defaults where it has none."""
    found = cx.one(_CONFIG, (row.account, row.region, row.name))
    if found is None:
        return InvokeConfig(RETRY_ATTEMPTS, EVENT_AGE_SECONDS, None, None)
    attempts, age, on_success, on_failure = found
    return InvokeConfig(
        RETRY_ATTEMPTS if attempts is None else attempts, EVENT_AGE_SECONDS if age is None else age,
        on_success, on_failure,
    )  # fmt: skip


def enqueue(
    cx: Context,
    row: FunctionRow,
    *,
    event: int,
    source: str,
    request_id: str | None = None,
    payload: bytes | None = None,
    trace_header: str = "",
) -> None:
    """Queue an event for a function. All attempts have one request id; a new one unless given."""
    config = invoke_config(cx, row)
    detail = {"request_id": request_id or uuid_of(cx.names.id())}
    if trace_header:
        detail["trace_header"] = trace_header
    cx.within(row.account, row.region).deliver(
        kind=ASYNC, to=row.arn, event=event, source=source, payload=payload, max_attempts=1 + config.retry_attempts,
        max_age_ms=config.age_seconds * 1000, detail=detail,
    )  # fmt: skip


def ended(cx: Context, delivery: Delivery, outcome: Outcome) -> None:
    """An event is through, or given up: write the records and dead letters the function asks for."""
    reference = reference_of_arn(delivery.target)
    row = find(cx, reference.account, reference.region, reference.name)
    if row is None:
        return
    inner = cx.within(row.account, row.region)
    config = invoke_config(inner, row)
    payload = journal.payload_of(cx.tx, delivery)
    request_id = delivery.detail.get("request_id", "")
    destination = config.on_success if outcome.state == DELIVERED else config.on_failure
    if destination:
        record = invocation_record(row.arn, request_id, delivery.attempts, payload, outcome, cx.now)
        _send(inner, row, delivery, destination, record, _event_detail(destination, row.arn, outcome))
    dead_letter = (row.settings.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letter and outcome.state != DELIVERED:
        _send(inner, row, delivery, dead_letter, payload, {"MessageAttributes": _attributes(request_id, outcome)})


def _send(cx: Context, row: FunctionRow, delivery: Delivery, to: str, payload: bytes, detail: dict[str, Any]) -> None:
    cx.deliver(
        kind=DESTINATION, to=to, event=delivery.event, source=row.arn, payload=payload,
        max_age_ms=EVENT_AGE_SECONDS * 1000, as_role=row.settings["Role"], detail=detail,
    )  # fmt: skip


def invocation_record(
    function_arn: str, request_id: str, attempts: int, payload: bytes, outcome: Outcome, now: int
) -> bytes:
    """The record a destination gets of an asynchronous invocation."""
    condition = {DELIVERED: "Success", EXPIRED: "EventAgeExceeded"}.get(outcome.state, "RetriesExhausted")
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": record_timestamp(now),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{function_arn}:{LATEST}",
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": _embedded(payload),
    }
    if outcome.state == DELIVERED or outcome.result is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": LATEST}
        if outcome.state != DELIVERED:
            context["functionError"] = "Unhandled"
        record["responseContext"] = context
        record["responsePayload"] = _embedded(outcome.result or b"null")
    return orjson.dumps(record)


def _embedded(payload: bytes) -> Any:
    """JSON goes into the record as it is; anything else as text."""
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode(errors="replace")
    return orjson.Fragment(payload)


def _event_detail(destination: str, function_arn: str, outcome: Outcome) -> dict[str, Any]:
    """How the record appears on an event bus; other targets take it as it is."""
    if Arn.parse(destination).service != "events":
        return {}
    result = "Success" if outcome.state == DELIVERED else "Failure"
    return {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {result}",
        "Resources": [destination, f"{function_arn}:{LATEST}"],
    }


def _attributes(request_id: str, outcome: Outcome) -> dict[str, Any]:
    """The attributes of a dead letter; the body is the event itself."""
    ran = outcome.result is not None  # and failed
    status = "200" if ran else "429" if outcome.code == _THROTTLED else "500"
    message = outcome.message.encode()[:ERROR_MESSAGE_BYTES].decode(errors="ignore") or outcome.code or "Expired"
    return {
        "RequestID": {"DataType": "String", "StringValue": request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": status},
        "ErrorMessage": {"DataType": "String", "StringValue": message},
    }
