"""The queues as everything that handles messages sees them: read once from their row, then from memory.

A queue in memory never changes: whoever changes its row calls ``forget``, and the next one reads the row again. It is
forgotten at once and again when the change is durable, because an operation of the same commit group may have read
the row in between. Forgetting too much costs one query; nothing else in memory is the truth of anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

import orjson

from penstock.base.clock import Timer
from penstock.base.names import Arn
from penstock.engine.context import Context, Parts
from penstock.services.sqs import attributes
from penstock.services.sqs.errors import QueueDoesNotExist
from penstock.services.sqs.rules import Rate

ROW: Final = "SELECT id, account, region, name, created, modified, purged, attributes, tags FROM sqs_queue"
_EVERYBODY: Final = 1 << 30


class Queue:
    """A queue's settings, times in ms. ``kept`` are the attributes that were given; purging changes ``id``."""

    __slots__ = (
        "account", "arn", "content_based", "created", "dedup_per_group", "delay", "fifo", "fifo_limited",
        "group_limited", "id", "kept", "maximum_receives", "modified", "name", "purged", "redrive", "region",
        "retention", "size", "tags", "visibility", "wait",
    )  # fmt: skip

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.id, self.account, self.region, self.name, self.created, self.modified, self.purged, kept, tags = row
        self.kept: dict[str, str] = orjson.loads(kept)
        self.tags: dict[str, str] = orjson.loads(tags)
        self.arn = f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"
        self.fifo: bool = self.name.endswith(".fifo")
        self.delay = self._number("DelaySeconds") * 1000
        self.visibility = self._number("VisibilityTimeout") * 1000
        self.wait = self._number("ReceiveMessageWaitTimeSeconds") * 1000
        self.retention = self._number("MessageRetentionPeriod") * 1000
        self.size = self._number("MaximumMessageSize")
        self.content_based = self.kept.get("ContentBasedDeduplication") == "true"
        self.dedup_per_group = self.kept.get("DeduplicationScope") == "messageGroup"
        self.group_limited = self.kept.get("FifoThroughputLimit") == "perMessageGroupId"
        self.fifo_limited = self.fifo and not self.group_limited
        self.redrive = attributes.redrive_of(self.kept.get("RedrivePolicy", ""))
        self.maximum_receives = self.redrive.maximum if self.redrive is not None else _EVERYBODY

    def _number(self, name: str) -> int:
        return int(self.kept.get(name, attributes.NUMBERS[name][2]))

    def url(self, host: str) -> str:
        """Its URL, as the caller reaches the platform."""
        return f"http://{host}/{self.account}/{self.name}"


@dataclass(slots=True)
class Memory:
    """What SQS keeps in memory per platform; a restart may lose all of it.

    ``alarms`` wake those who wait for a queue (ARN) when a hidden message becomes visible. ``taken`` bounds from above
    how many messages of a queue (id) are in flight.
    """

    queues: dict[tuple[str, str, str], Queue] = field(default_factory=dict)
    rate: Rate = field(default_factory=Rate)
    alarms: dict[str, Timer] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)

    def arm(self, parts: Parts, arn: str, due: int) -> None:
        """Wake everybody who waits for this queue at a moment of platform time, unless something wakes them before."""
        alarm = self.alarms.get(arn)
        if alarm is not None:
            if alarm.callback is not None and alarm.due <= due:
                return
            alarm.cancel()

        def ring() -> None:
            self.alarms.pop(arn, None)
            parts.wakes.wake(arn, _EVERYBODY)

        self.alarms[arn] = parts.clock.call_at(due, ring)

    def forget(self, account: str | None) -> None:
        """Forget the queues of an account that was reset (None: of all), and when their messages become visible."""
        self.queues.clear()
        for arn in [arn for arn in self.alarms if account in (None, Arn.parse(arn).account)]:
            self.alarms.pop(arn).cancel()


def find(cx: Context, account: str, region: str, name: str) -> Queue | None:
    """The queue of this name, or None."""
    memory: Memory = cx.memory
    key = (account, region, name)
    queue = memory.queues.get(key)
    if queue is None:
        row = cx.one(f"{ROW} WHERE account = ? AND region = ? AND name = ?", key)
        if row is None:
            return None
        queue = Queue(row)
        cx.after(partial(memory.queues.__setitem__, key, queue))
    return queue


@lru_cache(maxsize=4096)
def _parts_of(url: str) -> tuple[str, str]:
    """The account in a queue's URL ("" when it has none) and its name."""
    rest, _, name = url.rpartition("/")
    account = rest.rpartition("/")[2]
    return (account if len(account) == 12 and account.isdecimal() else ""), name


def by_url(cx: Context, url: str) -> Queue:
    """The queue with this URL, or of this name in the caller's account; QueueDoesNotExist.

    A URL's account counts, so that queues of other accounts can be used (policies are kept, not enforced); its region
    is the request's. (AWS takes a bare name as well.)
    """
    account, name = _parts_of(url)
    queue = find(cx, account or cx.call_.account, cx.call_.region, name)
    if queue is None:
        raise QueueDoesNotExist
    return queue


def by_arn(cx: Context, arn: str) -> Queue | None:
    """The queue with this ARN, or None."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    return find(cx, parsed.account, parsed.region, parsed.resource) if parsed.service == "sqs" else None


def forget(cx: Context, account: str, region: str, name: str) -> None:
    """Whoever looks for the queue from now on reads its row."""
    queues: dict[tuple[str, str, str], Queue] = cx.memory.queues
    key = (account, region, name)
    queues.pop(key, None)

    def again() -> None:
        queues.pop(key, None)

    cx.after(again)


def wake_everybody(cx: Context, arn: str) -> None:
    """Have everybody who waits for a queue look again: it changed, or is gone."""
    cx.wake(arn, _EVERYBODY)


def arm(cx: Context, arn: str, due: int) -> None:
    """A message of this queue becomes visible at ``due``: wake who waits then. Costs nothing when nobody does."""
    if cx.parts.wakes.waiting(arn):
        memory, parts = cx.memory, cx.parts
        cx.after(lambda: memory.arm(parts, arn, due))
