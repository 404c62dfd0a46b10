"""What a service's folder offers, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.engine.context import Context, Parts
from penstock.engine.journal import Delivery, Outcome
from penstock.engine.operation import Operation
from penstock.engine.resource import ResourceType
from penstock.engine.source import CodeTarget, QueueSource, StoreTarget


@dataclass(frozen=True, slots=True)
class DeliveryKind:
    """How deliveries of one kind are retried and what happens when one ends.

    ``backoff(attempts)`` is the wait in ms before the next attempt after this many counted ones; ``throttle(age_ms)``
    the wait after a throttled one, which does not count. ``ended(cx, delivery, outcome)`` runs in the transaction
    that ends the delivery: dead letters, destinations; of those that were delivered only with ``ended_delivered``.
    """

    name: str
    backoff: Callable[[int], int]
    throttle: Callable[[int], int] = lambda age_ms: 1000
    ended: Callable[[Context, Delivery, Outcome], None] | None = None
    ended_delivered: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service.

    ``name`` is its name in ARNs; ``model`` its name in botocore's data (the service's own name unless given), or the
    path of a ``service-2.json`` of its own. ``memory`` makes what it keeps in memory per platform. ``start`` runs when
    the platform starts: takes up timers and consumers from its rows. ``reset`` deletes an account's rows (None: every
    account). ``holds`` are queries that select the event ids the service's rows refer to: "SELECT event FROM
    sqs_message". ``replied`` gets the outcome of a token the service opened. ``outside`` tells what only an outsider
    can finish: messages held by receivers, queues nobody consumes. ``throttling`` is the code for "no room now". Its
    tables are the ``tables*.sql`` of its folder (``Registry.scripts``).
    """

    name: str
    operations: Mapping[str, Operation]
    model: str | Path | None = None
    memory: Callable[[], Any] | None = None
    target: StoreTarget | CodeTarget | None = None
    source: QueueSource | None = None
    kinds: Sequence[DeliveryKind] = ()
    resources: Sequence[ResourceType] = ()
    start: Callable[[Parts], None] | None = None
    reset: Callable[[Context, str | None], None] | None = None
    holds: Sequence[str] = ()
    replied: Callable[[Context, dict[str, Any], Outcome], None] | None = None
    outside: Callable[[Context, str | None], list[str]] | None = None
    throttling: str = "ThrottlingException"
