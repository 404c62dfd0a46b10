"""Laws of the pump on real queues, whatever is sent while it takes, handles and settles.

- When it is quiet, no enabled consumer's queue has a message that could be taken now.
- Once time has moved past every delay and visibility timeout, everything was handled, and of a FIFO group in order.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.pump import Consumer, Handled
from penstock.engine.source import Claimed
from penstock.platform import Platform
from penstock.testing.platform import running_platform

ACCOUNT, REGION = "000000000000", "us-east-1"
QUEUES = ("plain", "slow", "ordered.fifo")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(QUEUES), st.integers(1, 12), st.sampled_from([0, 0, 0, 1, 30])),
        st.tuples(st.just("turns"), st.integers(1, 40)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("advance"), st.sampled_from([1, 31])),
        st.tuples(st.just("restart"), st.sampled_from(QUEUES)),
    ),
    max_size=12,
)


class Worker:
    """Handles batches of one queue; every message whose number says so fails the first time."""

    def __init__(self, platform: Platform, queue: str) -> None:
        self.handled: list[str] = []
        self._failed: set[str] = set()
        self._slow = queue == "slow"
        self.consumer = Consumer(
            id=queue, kind="lambda:mapping", source=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}", account=ACCOUNT,
            target=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:none", region=REGION, batch_size=3, handle=self._handle,
            window_ms=500 if queue == "plain" else 0, max_concurrency=2,
        )  # fmt: skip

    async def _handle(self, records: list[Claimed], run: int) -> Handled:
        for _ in range(5 if self._slow else 1):
            await asyncio.sleep(0)
        failed: set[str] = set()
        blocked: set[str | None] = set()
        for record in records:
            body = record.record["body"]
            if (int(body.split("-")[-1]) % 5 == 4 and body not in self._failed) or (record.order in blocked):
                self._failed.add(body)
                failed.add(record.id)
                if record.order is not None:
                    blocked.add(record.order)
            else:
                self.handled.append(body)
        return Handled(frozenset(failed), "Planned", "it fails once")


class World:
    """A platform with three queues, each with a worker."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.sent: dict[str, list[str]] = {queue: [] for queue in QUEUES}
        self.workers = {queue: Worker(platform, queue) for queue in QUEUES}
        self.sending: list[asyncio.Future[Any]] = []

    async def prepare(self) -> None:
        for queue in QUEUES:
            attributes = {"VisibilityTimeout": "20"} | ({"FifoQueue": "true"} if queue.endswith(".fifo") else {})
            await self.platform.call("sqs", "CreateQueue", {"QueueName": queue, "Attributes": attributes})
            self.platform.pump.start(self.workers[queue].consumer)

    def send(self, queue: str, count: int, delay: int) -> None:
        """Send without waiting: answers and takes share their groups."""
        url = f"{self.platform.url}/{ACCOUNT}/{queue}"
        for _ in range(count):
            number = len(self.sent[queue])
            body = f"{queue}-{number % 2}-{number}"
            request: dict[str, Any] = {"QueueUrl": url, "MessageBody": body}
            if queue.endswith(".fifo"):
                request |= {"MessageGroupId": f"g{number % 2}", "MessageDeduplicationId": body}
            else:
                request["DelaySeconds"] = delay
            self.sent[queue].append(body)
            self.sending.append(asyncio.ensure_future(self.platform.call("sqs", "SendMessage", request)))

    async def check_quiet(self) -> None:
        """Quiet, and nothing is there to take."""
        settled = await self.platform.quiet(timeout_ms=20_000)
        assert settled.quiet, settled.busy
        for queue in QUEUES:
            request = {"QueueUrl": f"{self.platform.url}/{ACCOUNT}/{queue}"}
            left = (await self.platform.call("sqs", "ReceiveMessage", request)).get("Messages")
            assert not left, f"quiet, and {left} could be taken from {queue}"

    async def act(self, action: tuple[Any, ...]) -> None:
        kind, *given_ = action
        if kind == "send":
            self.send(*given_)
        elif kind == "turns":
            for _ in range(given_[0]):
                await asyncio.sleep(0)
        elif kind == "settle":
            await asyncio.gather(*self.sending)
            await self.check_quiet()
        elif kind == "advance":
            await self.platform.advance(by_ms=given_[0] * 1000)
        elif kind == "restart":
            self.platform.pump.start(self.workers[given_[0]].consumer)


async def live(folder: Path, actions: list[tuple[Any, ...]]) -> None:
    async with running_platform(folder, memory=True) as platform:
        await platform.freeze()
        world = World(platform)
        await world.prepare()
        for action in actions:
            await world.act(action)
        await asyncio.gather(*world.sending)
        for _ in range(4):
            await platform.advance(by_ms=31_000)
        await world.check_quiet()
        for queue, worker in world.workers.items():
            assert sorted(worker.handled) == sorted(world.sent[queue])
        for group in "01":
            ordered = [body for body in world.workers["ordered.fifo"].handled if body.split("-")[1] == group]
            assert ordered == [body for body in world.sent["ordered.fifo"] if body.split("-")[1] == group]


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_quiet_leaves_nothing_to_take_and_everything_is_handled_in_order(actions: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder), actions))
