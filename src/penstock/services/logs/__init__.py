"""Amazon CloudWatch Logs: groups, streams, events and the filter pattern language."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import DeliveryKind, Service
from penstock.services.logs import (
    events,
    exports,
    following,
    groups,
    policies,
    retention,
    streams,
    subscriptions,
    writing,
)
from penstock.services.logs.resources import RESOURCES
from penstock.services.logs.target import GroupTarget

SERVICE = Service(
    "logs",
    operations_of(groups, streams, events, following, writing, policies, subscriptions, exports),
    model="logs",
    target=GroupTarget(),
    kinds=[DeliveryKind(subscriptions.SUBSCRIPTION, subscriptions.retry_wait_ms)],
    resources=RESOURCES,
    memory=retention.Sweeping,
    start=retention.start,
    reset=groups.reset,
)
