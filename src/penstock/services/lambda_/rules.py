"""Lambda's rules, pure: names and ARNs, limits, retries, what a batch's answer means.

Limits are AWS's unless they say otherwise: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from penstock.base.errors import ValidationError
from penstock.engine.paging import Paging, among
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceNotFound

T = TypeVar("T")
LATEST: Final = "$LATEST"

# --- invocations
SYNC_PAYLOAD_BYTES: Final = 6_291_456  # request and answer of a synchronous invoke
ASYNC_PAYLOAD_BYTES: Final = 1_048_576  # an asynchronous one: 1 MB since October 2025
CLIENT_CONTEXT_BYTES: Final = 3583  # base64, as it stands in the header
LOG_TAIL_BYTES: Final = 4096

# --- functions
NAME_CHARACTERS: Final = 64
TIMEOUT_SECONDS: Final = 900
MEMORY_MB: Final = 10_240
EPHEMERAL_MB: Final = 10_240
ENVIRONMENT_BYTES: Final = 4096
LAYERS: Final = 5
DIRECT_UPLOAD_BYTES: Final = 50 << 20  # a zip in the request itself
DIRECT_REQUEST_BYTES: Final = 70_167_211  # what AWS says that such a request may be: base64 and the rest
UNZIPPED_BYTES: Final = 250 << 20  # function and layers together
ACCOUNT_CODE_BYTES: Final = 75 << 30
POLICY_BYTES: Final = 20_480

# --- concurrency
ACCOUNT_CONCURRENCY: Final = 1000  # per region
UNRESERVED_MINIMUM: Final = 100  # of which reservations must leave these

# --- asynchronous invokes: .../dg/invocation-async-error-handling.html
RETRY_ATTEMPTS: Final = 2
EVENT_AGE_SECONDS: Final = 21_600
RETRY_MS: Final = (60_000, 120_000)
THROTTLE_MS: Final = (1_000, 300_000)  # the first wait and the longest
ERROR_MESSAGE_BYTES: Final = 1024  # of a dead letter's ErrorMessage

# --- mappings: .../dg/services-sqs-parameters.html; how they scale is the pump's
BATCH_SIZE: Final = 10
BATCH_SIZE_STANDARD: Final = 10_000
BATCH_SIZE_FIFO: Final = 10
BATCH_SIZE_WITHOUT_WINDOW: Final = 10
FILTERS: Final = 5

PAGING: Final = Paging("Marker", "MaxItems", 50, InvalidParameterValue, answered="NextMarker", most=50)

# Refused when a function sets them itself: .../dg/configuration-envvars.html
RESERVED_VARIABLES: Final = frozenset(
    {
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
    }
)  # fmt: skip

_REFERENCE = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class Reference(NamedTuple):
    """Which function a caller means. ``qualifier`` is None, "$LATEST" or what does not exist here."""

    account: str
    region: str
    name: str
    qualifier: str | None

    @property
    def arn(self) -> str:
        """The function's ARN, unqualified."""
        return function_arn(self.account, self.region, self.name)

    @property
    def qualified_arn(self) -> str:
        """The ARN as the caller named it."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn


def function_arn(account: str, region: str, name: str) -> str:
    """The unqualified ARN of a function."""
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def parse_reference(text: str, qualifier: str | None, account: str, region: str) -> Reference:
    """Understand a FunctionName: a name, a partial ARN or an ARN, each with or without a qualifier."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValidationError(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            "give a function's name, partial ARN (123456789012:function:name) or ARN"
        )
    if match["region"] is not None and match["region"] != region:
        raise ResourceNotFound(f"Functions from '{match['region']}' are not reachable in this region ('{region}')")
    named = match["qualifier"]
    if named and qualifier and named != qualifier:
        raise InvalidParameterValue(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Reference(match["account"] or account, region, match["name"], named or qualifier)


def not_found(reference: Reference) -> ResourceNotFound:
    """AWS's error for a function, version or alias that does not exist."""
    return ResourceNotFound(f"Function not found: {reference.qualified_arn}")


def timestamp(moment: int) -> str:
    """Platform milliseconds as Lambda writes LastModified: 2026-01-31T09:30:00.123+0000."""
    return f"{datetime.fromtimestamp(moment // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}+0000"


def record_timestamp(moment: int) -> str:
    """Platform milliseconds as destination records have them: 2026-01-31T09:30:00.123Z."""
    return f"{datetime.fromtimestamp(moment // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}Z"


def retry_wait_ms(attempts: int) -> int:
    """How long an asynchronous invoke waits after this many failed attempts."""
    return RETRY_MS[min(attempts, len(RETRY_MS)) - 1] if attempts > 0 else RETRY_MS[0]


def redelivery_wait_ms(attempts: int) -> int:
    """How long a record that a destination refused waits after this many attempts: 1 s, doubling to 5 minutes."""
    return min(THROTTLE_MS[0] << min(max(attempts - 1, 0), 20), THROTTLE_MS[1])


def throttle_wait_ms(age_ms: int) -> int:
    """How long a throttled event waits: its age, so that the waits double from 1 s to 5 minutes."""
    return min(max(age_ms, THROTTLE_MS[0]), THROTTLE_MS[1])


def event_too_large(size: int) -> str:
    """Lambda's words for an event that is too large for a function's queue."""
    return f"{size} byte payload is too large for the Event invocation type (limit {ASYNC_PAYLOAD_BYTES} bytes)"


def traced(header: str, request_id: str, run: int, at_ms: int) -> str:
    """The trace header that a function sees: its caller's, with what that leaves out, else an unsampled one of its own.

    Root is the event's (the same for all attempts, and to be found from its request id), Parent this run's.
    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    root = f"1-{at_ms // 1000:08x}-{request_id.replace('-', '')[-24:]}"
    parent = f"{run & 0xFFFFFFFFFFFFFFFF:016x}"
    if not header:
        return f"Root={root};Parent={parent};Sampled=0"
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";") if "=" in part)
    if "Root" not in parts:
        parts = {"Root": root, **parts}
    parts.setdefault("Parent", parent)
    parts.setdefault("Sampled", "0")
    return ";".join(f"{name}={value}" for name, value in parts.items())


def log_tail(lines: Iterable[str]) -> bytes:
    """The last 4 KB of an invocation's log."""
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines).encode()[-LOG_TAIL_BYTES:]


class MalformedResponse(ValueError):
    """A function's batch response names no usable failures: the whole batch counts as failed."""


def batch_failures(payload: bytes, ids: frozenset[str]) -> set[str]:
    """Which records a ReportBatchItemFailures answer reports; MalformedResponse when it makes no sense.

    An empty or null list, an empty or null answer: everything succeeded. Invalid JSON, an item without
    itemIdentifier, an empty or null one or one that is not in the batch: everything failed.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    try:
        response: Any = orjson.loads(payload) if payload.strip() else None
    except orjson.JSONDecodeError as error:
        raise MalformedResponse("the response is not JSON") from error
    if response is None:
        return set()
    if not isinstance(response, dict):
        # Not documented by AWS: an answer such as "done" reports no failure, so nothing failed.
        return set()
    items = response.get("batchItemFailures")
    if items is None:
        return set()
    if not isinstance(items, list):
        raise MalformedResponse("batchItemFailures is not a list")
    failed: set[str] = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(identifier, str) or identifier not in ids:
            raise MalformedResponse(f"itemIdentifier {identifier!r} names no record of the batch")
        failed.add(identifier)
    return failed


def page(request: Mapping[str, Any], items: Sequence[T], key: Callable[[T], str]) -> tuple[Sequence[T], dict[str, str]]:
    """A page of items in the order of their keys and, where there is more, ``{"NextMarker": …}``."""
    return PAGING.of(request, among(items, key), key)
