"""Sources: what a consumer takes batches from, and the targets a delivery goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from penstock.engine.context import Context, Parts, WaitingContext
from penstock.engine.journal import Delivery


@dataclass(slots=True)
class Claimed:
    """A record a consumer holds: ``handle`` settles it, ``record`` is what the consumer's event shows of it.

    ``event`` is the journal's event it carries, ``size`` its bytes in the consumer's event, ``id`` how the consumer
    names it when it reports a failure (SQS: the message id), ``until`` the platform ms at which its lease ends,
    ``order`` its ordering key (FIFO group) or None.
    """

    handle: Any
    event: int
    id: str
    record: dict[str, Any]
    size: int
    until: int
    order: str | None = None


class QueueSource(Protocol):
    """A source that hands out leases. Every method works in the source's own account and region."""

    def claim(self, cx: Context, arn: str, *, limit: int, lease_ms: int | None, max_bytes: int) -> list[Claimed]:
        """Take up to ``limit`` records for ``lease_ms`` (None: the source's own); counts as a receive."""

    def settle(self, cx: Context, arn: str, *, done: Sequence[Claimed], failed: Sequence[Claimed]) -> None:
        """Remove what is done; leave what failed to its lease, as the consumer's service does on AWS."""

    def release(self, cx: Context, arn: str, events: Sequence[int]) -> None:
        """Make the records that carry these journal events claimable at once: the server that held them is gone."""

    def available(self, cx: Context, arn: str) -> bool:
        """Whether ``claim`` would give anything now."""

    def next_available(self, cx: Context, arn: str) -> int | None:
        """Platform ms at which a record that is hidden now can be claimed (the earliest), or None."""


class StoreTarget(Protocol):
    """A target that only writes to the store: it accepts a delivery exactly once, in one transaction."""

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        """Take the delivery; RefusedForNow or Throttled when it cannot now, Undeliverable or an ApiError when never."""


class CodeTarget(Protocol):
    """A target that runs user code or leaves the machine: at least once, its attempt counted before it runs."""

    async def attempt(self, cx: WaitingContext, delivery: Delivery, payload: bytes) -> dict[str, Any]:
        """Carry the delivery out and return what is known of it: ``result`` (bytes) and anything for the journal.

        ``delivery.run`` is the id to run under. RefusedForNow, Throttled or Undeliverable when it failed.
        """

    def free(self, parts: Parts, arn: str) -> int:
        """How many attempts it would take now without throttling; 1 where that is not known yet."""


def is_code_target(target: StoreTarget | CodeTarget | None) -> TypeGuard[CodeTarget]:
    """Whether the target runs code, for some kinds of deliveries at least."""
    return hasattr(target, "attempt")


def is_store_target(target: StoreTarget | CodeTarget | None, kind: str = "") -> TypeGuard[StoreTarget]:
    """Whether the target only writes to the store for deliveries of this kind, and so accepts exactly once.

    A target may be both: it runs code for the kinds in its ``runs`` (a function, for what waits in its own queue) and
    accepts all others.
    """
    return hasattr(target, "accept") and kind not in getattr(target, "runs", ())
