"""AWS Lambda: functions, their invocations and event source mappings."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import DeliveryKind, Service
from penstock.services.lambda_ import (
    asynchronous,
    concurrency,
    consumers,
    functions,
    invocations,
    invoke_configs,
    layers,
    life,
    mappings,
    policies,
    resources,
    tags,
)
from penstock.services.lambda_.records import NAME, Memory
from penstock.services.lambda_.rules import redelivery_wait_ms, retry_wait_ms, throttle_wait_ms
from penstock.services.lambda_.target import FunctionTarget

SERVICE = Service(
    NAME,
    operations_of(functions, invocations, invoke_configs, concurrency, policies, layers, mappings, tags),
    model="lambda",
    memory=Memory,
    target=FunctionTarget(),
    kinds=[
        DeliveryKind(asynchronous.ASYNC, retry_wait_ms, throttle_wait_ms, asynchronous.ended),
        DeliveryKind(asynchronous.DESTINATION, redelivery_wait_ms, throttle_wait_ms),
        DeliveryKind(consumers.MAPPING, consumers.no_backoff),
    ],
    resources=resources.TYPES,
    start=life.start,
    reset=life.reset,
    throttling="TooManyRequestsException",
)
