"""A mapping's settings, pure: what may be set, what AWS gives back.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.pattern.errors import PatternError
from penstock.engine.pattern.filters import compile_filters
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.rules import (
    BATCH_SIZE,
    BATCH_SIZE_FIFO,
    BATCH_SIZE_STANDARD,
    BATCH_SIZE_WITHOUT_WINDOW,
    FILTERS,
    function_arn,
)

COLUMNS: Final = "uuid, account, region, source, function, enabled, settings, tags, modified"
FIND: Final = f"SELECT {COLUMNS} FROM lambda_mapping WHERE uuid = ?"
PARTIAL: Final = "ReportBatchItemFailures"

# Executed. Each is given back as it was set.
SETTINGS: Final = (
    "BatchSize", "MaximumBatchingWindowInSeconds", "FilterCriteria", "FunctionResponseTypes", "ScalingConfig",
    "KMSKeyArn", "MetricsConfig",
)  # fmt: skip
KEPT: Final = frozenset({"Tags", "KMSKeyArn", "MetricsConfig"})

_STREAMS = "it applies to streams, which are not built yet; leave it out for a queue"
_KAFKA = "it applies to Kafka, which is not built; leave it out for a queue"
REFUSED: Final[Mapping[str, str]] = {
    "ParallelizationFactor": _STREAMS,
    "StartingPosition": _STREAMS,
    "StartingPositionTimestamp": _STREAMS,
    "DestinationConfig": f"{_STREAMS}: give the queue a redrive policy",
    "MaximumRecordAgeInSeconds": _STREAMS,
    "BisectBatchOnFunctionError": _STREAMS,
    "MaximumRetryAttempts": f"{_STREAMS}: give the queue a redrive policy",
    "TumblingWindowInSeconds": _STREAMS,
    "Topics": _KAFKA,
    "Queues": "it applies to Amazon MQ, which is not built; leave it out for a queue",
    "SourceAccessConfigurations": _KAFKA,
    "SelfManagedEventSource": _KAFKA,
    "AmazonManagedKafkaEventSourceConfig": _KAFKA,
    "SelfManagedKafkaEventSourceConfig": _KAFKA,
    "DocumentDBEventSourceConfig": "DocumentDB is not built; leave it out for a queue",
    "ProvisionedPollerConfig": "use ScalingConfig.MaximumConcurrency: batches are pushed here, not polled",
    "LoggingConfig": "leave it out: penstock trace shows what a mapping did with each message",
}

# What only creates have: the source of a mapping does not change.
AT_CREATION: Final = frozenset(
    {"StartingPosition", "StartingPositionTimestamp", "Topics", "Queues", "SelfManagedEventSource"}
)

_SOURCES: Final[Mapping[str, str]] = {
    "kinesis": "Kinesis streams",
    "dynamodb": "DynamoDB streams",
    "kafka": "Amazon MSK",
    "mq": "Amazon MQ",
    "rds": "DocumentDB",
}


@dataclass(frozen=True, slots=True)
class MappingRow:
    """A row of lambda_mapping, with its JSON read."""

    uuid: str
    account: str
    region: str
    source: str
    function: str
    enabled: bool
    settings: dict[str, Any]
    tags: dict[str, str]
    modified: int

    @property
    def function_arn(self) -> str:
        """The function's unqualified ARN."""
        return function_arn(self.account, self.region, self.function)

    @property
    def arn(self) -> str:
        """The mapping's own ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:event-source-mapping:{self.uuid}"


def mapping_of(row: tuple[Any, ...]) -> MappingRow:
    """A row of ``COLUMNS`` as a MappingRow."""
    uuid, account, region, source, function, enabled, settings, tags, modified = row
    return MappingRow(
        uuid, account, region, source, function, bool(enabled), orjson.loads(settings), orjson.loads(tags), modified
    )


def check_source(arn: str | None, region: str) -> Arn:
    """The queue a mapping takes from; refuses every other kind of source by name."""
    if not arn:
        raise InvalidParameterValue("Unrecognized event source.")
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise InvalidParameterValue("Unrecognized event source.") from None
    if parsed.service in _SOURCES:
        raise Unsupported(
            f"EventSourceArn: {_SOURCES[parsed.service]} as a source is not supported yet; use an SQS queue"
        )
    if parsed.service != "sqs":
        raise InvalidParameterValue("Unrecognized event source.")
    if parsed.region != region:
        raise InvalidParameterValue(f"The queue must be in the function's own region, {region}: {arn} is not.")
    return parsed


def check_settings(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A mapping's settings with defaults, checked; members that are None are left out."""
    checked = {member: value for member, value in settings.items() if value is not None}
    fifo = source.endswith(".fifo")
    size = checked.setdefault("BatchSize", BATCH_SIZE)
    window = checked.setdefault("MaximumBatchingWindowInSeconds", 0)
    if fifo and window:
        raise InvalidParameterValue("Batching window is not supported for FIFO queues.")
    limit = BATCH_SIZE_FIFO if fifo else BATCH_SIZE_STANDARD
    if size > limit:
        raise InvalidParameterValue(f"Batch size must be {limit} or less for this kind of queue: {size} is too much.")
    if size > BATCH_SIZE_WITHOUT_WINDOW and not window:
        raise InvalidParameterValue(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    _check_filters(checked)
    if not checked.get("ScalingConfig", {}).get("MaximumConcurrency"):
        checked.pop("ScalingConfig", None)
    return checked


def _check_filters(settings: dict[str, Any]) -> None:
    filters = (settings.get("FilterCriteria") or {}).get("Filters") or []
    if not filters:
        settings.pop("FilterCriteria", None)
        return
    if len(filters) > FILTERS:
        raise InvalidParameterValue(f"A mapping has at most {FILTERS} filters: {len(filters)} were given.")
    try:
        compile_filters(settings["FilterCriteria"])
    except PatternError as error:
        raise InvalidParameterValue(f"Invalid filter pattern definition. {error}") from error


def describe(mapping: MappingRow, state: str | None = None) -> dict[str, Any]:
    """An EventSourceMappingConfiguration as AWS answers it; ``state`` while a change is being made."""
    return {
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping.arn,
        "EventSourceArn": mapping.source,
        "FunctionArn": mapping.function_arn,
        "LastModified": mapping.modified / 1000,
        "State": state or ("Enabled" if mapping.enabled else "Disabled"),
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": [],
        **mapping.settings,
    }
