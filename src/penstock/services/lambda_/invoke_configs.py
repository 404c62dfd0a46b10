"""Settings of asynchronous invokes: retries, age, destinations."""

from __future__ import annotations

from typing import Any

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceNotFound
from penstock.services.lambda_.records import find, get, reference_of, reference_of_arn
from penstock.services.lambda_.rules import LATEST, page

_COLUMNS = "retry_attempts, age_seconds, on_success, on_failure, modified"
_FIND = f"SELECT {_COLUMNS} FROM lambda_invoke_config WHERE account = ? AND region = ? AND name = ?"
_PUT = f"INSERT OR REPLACE INTO lambda_invoke_config (account, region, name, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"
_DELETE = "DELETE FROM lambda_invoke_config WHERE account = ? AND region = ? AND name = ?"

Config = tuple[int | None, int | None, str | None, str | None, int]


@operation
def put_function_event_invoke_config(cx: Context, request: Request) -> Response:
    """Set how asynchronous invokes are retried and where records go; what is left out returns to its default."""
    if all(request.get(name) is None for name in _SETTINGS):
        raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")
    row = get(cx, reference_of(cx, request))
    destinations = request.get("DestinationConfig") or {}
    return _store(
        cx, row,
        (
            request.get("MaximumRetryAttempts"), request.get("MaximumEventAgeInSeconds"),
            _destination(cx, destinations, "OnSuccess", row), _destination(cx, destinations, "OnFailure", row), cx.now,
        ),
    )  # fmt: skip


@operation
def update_function_event_invoke_config(cx: Context, request: Request) -> Response:
    """Change some of these settings; what is left out stays."""
    row = get(cx, reference_of(cx, request))
    attempts, age, on_success, on_failure, _ = _find(cx, row)
    destinations = request.get("DestinationConfig") or {}
    if destinations.get("OnSuccess") is not None:
        on_success = _destination(cx, destinations, "OnSuccess", row)
    if destinations.get("OnFailure") is not None:
        on_failure = _destination(cx, destinations, "OnFailure", row)
    if request.get("MaximumRetryAttempts") is not None:
        attempts = request["MaximumRetryAttempts"]
    if request.get("MaximumEventAgeInSeconds") is not None:
        age = request["MaximumEventAgeInSeconds"]
    return _store(cx, row, (attempts, age, on_success, on_failure, cx.now))


@operation
def get_function_event_invoke_config(cx: Context, request: Request) -> Response:
    """A function's settings for asynchronous invokes."""
    row = get(cx, reference_of(cx, request))
    return _describe(row, _find(cx, row))


@operation
def list_function_event_invoke_configs(cx: Context, request: Request) -> Response:
    """The settings of the function's one version, if it has any."""
    row = get(cx, reference_of(cx, request))
    found = cx.all(_FIND, (row.account, row.region, row.name))
    shown, _ = page(request, found, lambda found: LATEST)
    return {"FunctionEventInvokeConfigs": [_describe(row, each) for each in shown]}


@operation
def delete_function_event_invoke_config(cx: Context, request: Request) -> Response:
    """Return to the defaults: two retries, six hours, no records."""
    row = get(cx, reference_of(cx, request))
    _find(cx, row)
    cx.write(_DELETE, (row.account, row.region, row.name))
    return {}


_SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


def _find(cx: Context, row: FunctionRow) -> Config:
    found = cx.one(_FIND, (row.account, row.region, row.name))
    if found is None:
        raise ResourceNotFound(f"The function {row.arn}:{LATEST} doesn't have an EventInvokeConfig")
    return found


def _store(cx: Context, row: FunctionRow, config: Config) -> Response:
    cx.write(_PUT, (row.account, row.region, row.name, *config))
    return _describe(row, config)


def _describe(row: FunctionRow, config: Config) -> Response:
    attempts, age, on_success, on_failure, modified = config
    answer: Response = {
        "LastModified": modified / 1000,
        "FunctionArn": f"{row.arn}:{LATEST}",
        "DestinationConfig": {
            "OnSuccess": {"Destination": on_success} if on_success else {},
            "OnFailure": {"Destination": on_failure} if on_failure else {},
        },
    }
    if attempts is not None:
        answer["MaximumRetryAttempts"] = attempts
    if age is not None:
        answer["MaximumEventAgeInSeconds"] = age
    return answer


def _destination(cx: Context, destinations: dict[str, Any], condition: str, row: FunctionRow) -> str | None:
    """A destination's ARN, if what it names can be one."""
    target: str | None = (destinations.get(condition) or {}).get("Destination")
    if not target:
        return None
    try:
        arn = Arn.parse(target)
    except ValueError:
        raise InvalidParameterValue(f"The destination {target} is invalid: name an ARN.") from None
    if arn.service in ("sns", "s3"):
        raise Unsupported(
            f"DestinationConfig.{condition}.Destination: {arn.service} is not supported yet as a destination; "
            "name a standard SQS queue, a function or an event bus"
        )
    if arn.service not in ("sqs", "lambda", "events") or (arn.service == "sqs" and target.endswith(".fifo")):
        raise InvalidParameterValue(
            f"The destination ARN {target} is invalid: name a standard SQS queue, a function or an event bus."
        )
    if arn.service == "lambda":
        named = reference_of_arn(target)
        if named.arn == row.arn:
            raise InvalidParameterValue("You can't specify the function as a destination for itself.")
        if find(cx, named.account, named.region, named.name) is None or named.qualifier not in (None, LATEST):
            raise InvalidParameterValue(f"The destination ARN {target} is invalid: there is no such function.")
    return target
