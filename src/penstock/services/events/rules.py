"""What EventBridge promises, as pure functions and limits: events, entries, names, retries, dead letters.

Quotas: docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html and the API reference of PutEvents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from penstock.base.names import Arn
from penstock.engine.journal import EXPIRED, Delivery, Outcome
from penstock.engine.paging import Paging
from penstock.engine.pattern import Pattern, PatternError, compile, parse_event
from penstock.engine.pattern.complexity import complexity
from penstock.services.events.errors import InvalidEventPattern, ValidationException

DEFAULT_BUS: Final = "default"

# --- quotas
REQUEST_BYTES: Final = 1_048_576  # of all entries of one PutEvents (1 MB since 2026): API_PutEvents.html
DETAIL_TYPE_LENGTH: Final = 128  # characters: API_PutEventsRequestEntry.html
ENTRY_TIME_BYTES: Final = 14  # what a Time counts: eb-putevent-size.html
RETRY_ATTEMPTS: Final = 185  # unless the target says otherwise: eb-rule-retry-policy.html
EVENT_AGE_SECONDS: Final = 86_400
NESTING: Final = 500  # levels of a detail (AWS: 1000): ours, so that every target's input can be made of it
POLICY_BYTES: Final = 10_240  # of a bus's policy
TARGETS: Final = 100  # of one rule; AWS's own quota is 5 and is raised on request
WILDCARD_COMPLEXITY: Final = 10  # of a rule's pattern; AWS tells the error, not the number: met by those it refused
TAGS: Final = 50
PAGING: Final = Paging("NextToken", "Limit", 100, ValidationException)

# --- our own bounds
FAN_OUT: Final = 100  # deliveries one event makes in one go; a longer list goes on from where it was
BUSES_REMEMBERED: Final = 256  # buses whose rules are kept compiled in memory
ERROR_BYTES: Final = 1000  # of a dead letter's ERROR_MESSAGE

FIRST_RETRY_MS: Final = 1000
LONGEST_RETRY_MS: Final = 480_000  # 185 retries then take 23.6 hours: within the age an event may have

HOP_ERROR: Final = "THIRD_ACCOUNT_HOP_DETECTED"
NOT_JSON_ERROR: Final = "INVALID_JSON"  # a template's input is no JSON any more
TOO_LONG_ERROR: Final = "INVALID_PARAMETER"  # a template's input is longer than any target takes


def timestamp(ms: int) -> str:
    """A time as events tell it: 2026-11-21T13:05:00Z."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19]}Z"


def bus_arn(account: str, region: str, name: str) -> str:
    """A bus's ARN."""
    return str(Arn("events", region, account, f"event-bus/{name}"))


def rule_arn(account: str, region: str, bus: str, name: str) -> str:
    """A rule's ARN; the default bus is not named in it."""
    return str(Arn("events", region, account, f"rule/{name}" if bus == DEFAULT_BUS else f"rule/{bus}/{name}"))


def rule_of_arn(arn: str) -> tuple[str, str, str, str]:
    """(account, region, bus, rule) of a rule's ARN; ValueError when it is none."""
    parsed = Arn.parse(arn)
    kind, _, rest = parsed.resource.partition("/")
    bus, _, name = rest.rpartition("/")
    if parsed.service != "events" or kind != "rule" or not name:
        raise ValueError(f"not a rule: {arn!r}")
    return parsed.account, parsed.region, bus or DEFAULT_BUS, name


# --- entries and events


def entry_bytes(entry: Mapping[str, Any]) -> int:
    """What an entry counts of the size a request may have."""
    size = ENTRY_TIME_BYTES if entry.get("Time") is not None else 0
    for name in ("Source", "DetailType", "Detail"):
        text = entry.get(name) or ""
        size += len(text) if text.isascii() else len(text.encode())
    return size + sum(len(resource.encode()) for resource in entry.get("Resources") or ())


def entry_error(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """(code, message) of what is wrong with an entry before its detail is read, or None."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    if len(entry["DetailType"]) > DETAIL_TYPE_LENGTH:
        reason = f"DetailType is longer than {DETAIL_TYPE_LENGTH} characters."
        return "InvalidArgument", f"Parameter DetailType is not valid. Reason: {reason}"
    if entry["Source"].startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    return None


def detail_of(text: str) -> dict[str, Any] | None:
    """The detail of an entry, parsed; None when it is not a JSON object, or nested too deeply."""
    try:
        value = parse_event(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or (text.count("{") + text.count("[") > NESTING and _too_deep(value)):
        return None
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(NESTING):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def new_event(
    id_: str, *, source: str, detail_type: str, account: str, region: str, time_ms: int, resources: Sequence[str],
    detail: Any, detail_text: str | bytes,
) -> tuple[dict[str, Any], bytes]:  # fmt: skip
    """An event, as a value to be matched and as the text that targets get; the detail's text is not rewritten."""
    event: dict[str, Any] = {
        "version": "0",
        "id": id_,
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": timestamp(time_ms),
        "region": region,
        "resources": list(resources),
    }
    text = detail_text.strip()
    payload = orjson.dumps({**event, "detail": orjson.Fragment(text)})
    event["detail"] = detail
    return event, payload


def checked_pattern(text: str) -> Pattern:
    """A pattern that a rule may have; InvalidEventPattern in AWS's words."""
    try:
        pattern = compile(text)
    except PatternError as error:
        raise InvalidEventPattern(f"Event pattern is not valid. Reason: {error}") from error
    if complexity(pattern, WILDCARD_COMPLEXITY) > WILDCARD_COMPLEXITY:
        raise InvalidEventPattern(
            "Event pattern is not valid. Reason: Rule is too complex - try using fewer wildcard characters or fewer"
            " repeating character sequences after a wildcard character"
        )
    return pattern


# AWS documents "resources" too, and was recorded to do without it (localstack/localstack, test_events_patterns.py).
EVENT_FIELDS: Final = ("id", "account", "source", "time", "region", "detail-type")


def tested_event(text: str) -> dict[str, Any]:
    """The event of a TestEventPattern; ValidationException when it lacks what every event has."""
    try:
        event = parse_event(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise ValidationException("Parameter Event is not valid. Reason: Event is not a valid JSON object.")
    for name in EVENT_FIELDS:
        if name not in event:
            raise ValidationException(f"Parameter Event is not valid. Reason: {name} is a required field of an event.")
    return event


def reserved_values(event: Mapping[str, Any], rule: str, arn: str, received_ms: int) -> dict[str, Any]:
    """The variables every input template has: eb-transform-target-input.html, "Predefined variables".

    The event without its detail has ``detailType``, as AWS's has.
    """
    return {
        "aws.events.rule-arn": arn,
        "aws.events.rule-name": rule,
        "aws.events.event.ingestion-time": timestamp(received_ms),
        "aws.events.event": {
            "detailType" if name == "detail-type" else name: value for name, value in event.items() if name != "detail"
        },
        "aws.events.event.json": event,
    }


RESERVED: Final = frozenset(reserved_values({}, "", "", 0))

# --- retries and dead letters


def retry_wait_ms(attempts: int) -> int:
    """How long an event waits after this many failed attempts: doubling from a second, up to eight minutes."""
    return min(FIRST_RETRY_MS << min(attempts - 1, 20), LONGEST_RETRY_MS)


_GONE: Final = re.compile(r"NotFound|NonExistent|DoesNotExist")
_CODES: Final = {
    "InvalidParameterValue": "INVALID_PARAMETER",
    "InvalidParameterValueException": "INVALID_PARAMETER",
    "MissingParameter": "INVALID_PARAMETER",
    "InvalidMessageContents": "INVALID_PARAMETER",
    "RequestEntityTooLargeException": "INVALID_PARAMETER",
    "ValidationException": "INVALID_PARAMETER",
    "RequestThrottled": "THROTTLING",
    "ThrottlingException": "THROTTLING",
    "TooManyRequestsException": "THROTTLING",
    "AccessDeniedException": "NO_PERMISSIONS",
    "AccessDenied": "NO_PERMISSIONS",
    "InternalFailure": "INTERNAL_ERROR",
}
# Never tried again:
_FINAL: Final = frozenset({"NO_RESOURCE", "NO_PERMISSIONS", "INVALID_PARAMETER", HOP_ERROR, NOT_JSON_ERROR})


def error_code(code: str) -> str:
    """EventBridge's code for how a target failed: eb-rule-dlq.html, "Considerations for dead-letter queues"."""
    if code.isupper():
        return code
    if _GONE.search(code):
        return "NO_RESOURCE"
    return _CODES.get(code, "ERROR_FROM_TARGET" if code else "UNKNOWN")


def dead_letter_attributes(rule: str, delivery: Delivery, outcome: Outcome) -> dict[str, Any]:
    """The message attributes of an event that was given up; the message is the event as it was put."""
    exhausted = None
    if outcome.state == EXPIRED:
        exhausted = "MaximumEventAgeInSeconds"
    elif delivery.max_attempts is not None and delivery.attempts >= delivery.max_attempts:
        exhausted = "MaximumRetryAttempts"
    message = outcome.message.encode()[:ERROR_BYTES].decode(errors="ignore") or "The event could not be delivered."
    attributes = {
        "RULE_ARN": rule,
        "TARGET_ARN": delivery.target,
        "ERROR_CODE": error_code(outcome.code),
        "ERROR_MESSAGE": message,
    }
    if exhausted is not None and error_code(outcome.code) not in _FINAL:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        attributes["RETRY_ATTEMPTS"] = str(max(delivery.attempts - 1, 0))
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
