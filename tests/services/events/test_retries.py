"""Retries and dead letters, on a real engine whose queues refuse what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from penstock.base.errors import DeliveryError, RefusedForNow, Throttled
from penstock.engine.access import root
from penstock.engine.context import Call, Context
from penstock.engine.journal import Delivery
from penstock.engine.service import Service
from penstock.services import events
from penstock.services.events.rules import timestamp
from tests.engine.harness import ACCOUNT, REGION, Engine

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
REFUSED = RefusedForNow("the queue is busy", code="ServiceUnavailable")


class Queues:
    """Queues that remember what they were given; ``refusals`` are raised first."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any, dict[str, str]]] = []
        self.refusals: list[DeliveryError] = []
        self.tried: list[int] = []

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        if delivery.target == QUEUE:
            self.tried.append(cx.now)
            if self.refusals:
                raise self.refusals.pop(0)
        attributes = delivery.detail.get("MessageAttributes", {})
        shown = {name: value["StringValue"] for name, value in attributes.items()}
        self.received.append((delivery.target, orjson.loads(payload), shown))


class Bench(Engine):
    packages: ClassVar[dict[str, str]] = {"events": "penstock.services.events"}

    def __init__(self, data: Path) -> None:
        self.queues = Queues()
        super().__init__(data, events.SERVICE, Service("sqs", {}, target=self.queues))

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        call = Call("events", operation, request, ACCOUNT, REGION, root(ACCOUNT), self.parts.names.uuid())
        return await self.dispatcher.call_waiting(call)

    async def rule(self, **target: Any) -> str:
        await self.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
        given = {"Id": "q", "Arn": QUEUE, "DeadLetterConfig": {"Arn": DEAD}, "Input": '"made"', **target}
        await self.call("PutTargets", Rule="r", Targets=[given])
        return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"

    async def put(self) -> str:
        entry = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
        answer = await self.call("PutEvents", Entries=[entry])
        event: str = answer["Entries"][0]["EventId"]
        await self.settle()
        return event


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    running = Bench(tmp_path)
    running.clock.freeze()
    await running.start()
    yield running
    await running.stop()


async def test_a_target_that_refuses_for_now_is_tried_again_with_growing_waits(bench: Bench) -> None:
    await bench.rule()
    bench.queues.refusals = [REFUSED] * 3
    await bench.put()
    await bench.advance(60_000)
    waits = [later - earlier for earlier, later in zip(bench.queues.tried, bench.queues.tried[1:], strict=False)]
    assert waits == [1000, 2000, 4000]
    assert [(target, payload) for target, payload, _ in bench.queues.received] == [(QUEUE, "made")]


async def test_after_the_last_retry_the_event_itself_goes_to_the_dead_letter_queue(bench: Bench) -> None:
    arn = await bench.rule(RetryPolicy={"MaximumRetryAttempts": 2})
    bench.queues.refusals = [REFUSED] * 10
    event = await bench.put()
    await bench.advance(86_400_000)
    assert len(bench.queues.tried) == 3
    ((target, payload, attributes),) = bench.queues.received
    assert (target, payload["id"]) == (DEAD, event)
    assert attributes == {
        "RULE_ARN": arn, "TARGET_ARN": QUEUE, "ERROR_CODE": "ERROR_FROM_TARGET", "ERROR_MESSAGE": "the queue is busy",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "RETRY_ATTEMPTS": "2",
    }  # fmt: skip


async def test_an_event_that_grows_too_old_goes_to_the_dead_letter_queue(bench: Bench) -> None:
    await bench.rule(RetryPolicy={"MaximumEventAgeInSeconds": 60})
    bench.queues.refusals = [REFUSED] * 100
    await bench.put()
    await bench.advance(120_000)
    assert len(bench.queues.tried) == 6  # at 0, 1, 3, 7, 15 and 31 s
    ((_, _, attributes),) = bench.queues.received
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"
    assert attributes["RETRY_ATTEMPTS"] == "5"


async def test_throttling_does_not_use_up_attempts(bench: Bench) -> None:
    await bench.rule(RetryPolicy={"MaximumRetryAttempts": 0})
    bench.queues.refusals = [Throttled("slow down", code="ThrottlingException")] * 5
    await bench.put()
    await bench.advance(60_000)
    assert [target for target, _, _ in bench.queues.received] == [QUEUE]


async def test_without_a_dead_letter_queue_an_event_is_dropped_and_the_journal_shows_it(bench: Bench) -> None:
    await bench.rule(RetryPolicy={"MaximumRetryAttempts": 1}, DeadLetterConfig=None)
    bench.queues.refusals = [REFUSED] * 2
    await bench.put()
    await bench.advance(60_000)
    assert bench.queues.received == []
    assert await bench.states() == [(3, 2)]


async def test_the_default_policy_tries_for_a_day(bench: Bench) -> None:
    await bench.rule()
    bench.queues.refusals = [REFUSED] * 1000
    await bench.put()
    await bench.advance(2 * 86_400_000)
    assert len(bench.queues.tried) == 186
    assert bench.queues.tried[-1] - bench.queues.tried[0] < 86_400_000


@pytest.mark.parametrize(("schedule", "every_hours"), [("rate(1 hour)", 1), ("cron(0 0/2 * * ? *)", 2)])
async def test_of_the_moments_that_passed_while_nothing_ran_the_first_is_made_up_for(
    bench: Bench, schedule: str, every_hours: int
) -> None:
    hour = 3_600_000
    bench.clock.move_to(-(-bench.clock.now() // (2 * hour)) * 2 * hour)  # an even hour
    begin = bench.clock.now()
    await bench.call("PutRule", Name="tick", ScheduleExpression=schedule)
    await bench.call("PutTargets", Rule="tick", Targets=[{"Id": "q", "Arn": QUEUE, "InputPath": "$.time"}])
    bench.clock.move_to(begin + 7 * hour + 1)  # past several, as a start after a while finds it
    await bench.settle()
    assert [payload for _, payload, _ in bench.queues.received] == [timestamp(begin + every_hours * hour)]
    await bench.advance(2 * hour)
    times = [payload for _, payload, _ in bench.queues.received[1:]]
    assert times == [timestamp(begin + at * hour) for at in range(8, 10, every_hours)]
