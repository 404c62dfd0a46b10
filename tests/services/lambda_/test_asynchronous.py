"""The durable queue in front of every function, on a clock that the tests move."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.base.errors import ApiError, CannotRun
from tests.services.lambda_.bench import Bench, Benches

QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
DONE = "arn:aws:sqs:us-east-1:000000000000:done"


def fail(event: Any) -> Any:
    raise ValueError("no such order")


async def send(on: Bench, payload: Any = None, name: str = "orders") -> None:
    assert (await on.invoke(name, payload, InvocationType="Event"))["StatusCode"] == 202


def request_ids(on: Bench) -> list[str]:
    return [invocation.request_id for _, invocation in on.environments.invocations]


async def test_an_event_is_taken_and_runs_afterwards(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await send(on, {"order": 1})
        await on.settle()
        ((_, invocation),) = on.environments.invocations
        assert orjson.loads(invocation.payload) == {"order": 1}
        assert await on.states() == [(2, 1)]


async def test_a_failing_event_is_tried_again_after_one_and_two_minutes_under_one_request_id(
    tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function(handler=fail, DeadLetterConfig={"TargetArn": QUEUE})
        await send(on, {"order": 1})
        await on.settle()
        for wait_ms, runs in ((59_999, 1), (1, 2), (119_999, 2), (1, 3), (86_400_000, 3)):
            await on.advance(wait_ms)
            assert len(on.environments.invocations) == runs
        assert len(set(request_ids(on))) == 1
        ((target, payload, detail),) = on.mailbox.received
        assert (target, orjson.loads(payload)) == (QUEUE, {"order": 1})
        assert detail["MessageAttributes"] == {
            "RequestID": {"DataType": "String", "StringValue": request_ids(on)[0]},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {"DataType": "String", "StringValue": "no such order"},
        }


async def test_waiting_events_survive_a_restart(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function(handler=fail)
        await send(on)
        await on.settle()
        frozen_at = on.clock.now()
    async with bench(tmp_path) as on:
        on.clock.restore(offset_ms=0, frozen_at=frozen_at, latest=frozen_at)
        on.environments.handlers["orders"] = lambda event: event
        await on.settle()
        assert on.environments.invocations == []
        await on.advance(60_000)
        assert len(on.environments.invocations) == 1


async def test_fewer_retries_can_be_asked_for(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function(handler=fail)
        await on.call("PutFunctionEventInvokeConfig", FunctionName="orders", MaximumRetryAttempts=0)
        await send(on)
        await on.advance(600_000)
        assert len(on.environments.invocations) == 1


async def test_a_throttled_event_waits_for_hours_without_an_attempt(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function(DeadLetterConfig={"TargetArn": QUEUE})
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        await send(on, 1)
        await on.advance(5 * 3_600_000)
        assert (on.environments.invocations, on.mailbox.received) == ([], [])
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        await on.advance(300_000)
        assert len(on.environments.invocations) == 1


async def attempts_in_vain(on: Bench) -> int:
    ((count,),) = await on.store.transact(lambda tx: tx.all("SELECT count(*) FROM attempt"))
    return int(count)


async def test_a_busy_functions_queue_is_read_as_fast_as_it_takes_events(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()

        async def slow(event: Any) -> Any:
            await on.store.transact(lambda tx: None)
            return event

        await on.function(handler=slow)
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=2)
        await asyncio.gather(*(send(on, number) for number in range(400)))
        await on.advance(300_000)
        taken = sorted(orjson.loads(invocation.payload) for _, invocation in on.environments.invocations)
        assert taken == list(range(400))
        assert await attempts_in_vain(on) == 0


async def test_the_queue_of_a_function_that_throttles_is_read_slowly(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        await asyncio.gather(*(send(on, number) for number in range(100)))
        await on.advance(10_000)
        assert 10 <= await attempts_in_vain(on) <= 12
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=2)
        await on.advance(300_000)
        assert len(on.environments.invocations) == 100


async def test_an_event_that_gets_too_old_is_recorded_as_expired(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        arn = await on.function(DeadLetterConfig={"TargetArn": QUEUE})
        await on.call(
            "PutFunctionEventInvokeConfig", FunctionName="orders", MaximumEventAgeInSeconds=60,
            DestinationConfig={"OnFailure": {"Destination": DONE}},
        )  # fmt: skip
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        await send(on, {"order": 1})
        await on.advance(59_000)
        assert on.mailbox.received == []
        await on.advance(1_000)
        by_target = {target: (payload, detail) for target, payload, detail in on.mailbox.received}
        record = orjson.loads(by_target[DONE][0])
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestContext"]["functionArn"] == f"{arn}:$LATEST"
        assert record["requestPayload"] == {"order": 1}
        assert "responsePayload" not in record
        attributes = by_target[QUEUE][1]["MessageAttributes"]
        assert attributes["ErrorCode"]["StringValue"] == "429"


async def test_destinations_get_awss_record(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        arn = await on.function(handler=lambda event: {"ok": True} if event["good"] else fail(event))
        await on.call(
            "PutFunctionEventInvokeConfig", FunctionName="orders", MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": QUEUE}, "OnSuccess": {"Destination": DONE}},
        )  # fmt: skip
        await send(on, {"good": True})
        await on.settle()
        ((target, payload, _),) = on.mailbox.received
        assert target == DONE
        record = orjson.loads(payload)
        assert record.pop("timestamp").endswith("Z")
        assert record == {
            "version": "1.0",
            "requestContext": {
                "requestId": request_ids(on)[0],
                "functionArn": f"{arn}:$LATEST",
                "condition": "Success",
                "approximateInvokeCount": 1,
            },
            "requestPayload": {"good": True},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
            "responsePayload": {"ok": True},
        }
        on.mailbox.received.clear()
        await send(on, {"good": False})
        await on.advance(60_000)
        ((target, payload, _),) = on.mailbox.received
        record = orjson.loads(payload)
        assert target == QUEUE
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 2
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert record["responsePayload"] == {"errorMessage": "no such order", "errorType": "ValueError"}


async def test_a_function_is_a_destination_and_runs_under_its_own_request_id(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        after = await on.function("after")
        await on.call(
            "PutFunctionEventInvokeConfig", FunctionName="orders",
            DestinationConfig={"OnSuccess": {"Destination": after}},
        )  # fmt: skip
        await send(on, {"order": 1})
        await on.settle()
        first, second = on.environments.invocations
        assert (first[0].name, second[0].name) == ("orders", "after")
        assert orjson.loads(second[1].payload)["requestPayload"] == {"order": 1}
        assert len(set(request_ids(on))) == 2


async def test_an_event_for_a_deleted_function_ends(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()
        await on.function(handler=fail)
        await send(on)
        await on.settle()
        await on.call("DeleteFunction", FunctionName="orders")
        await on.advance(60_000)
        assert [state for state, _ in await on.states()] == [3]


async def test_a_runtime_that_comes_back_gets_the_event(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        on.clock.freeze()

        def cannot(event: Any) -> Any:
            raise CannotRun("install Node.js")

        await on.function(handler=cannot)
        await send(on, 1)
        await on.settle()
        on.environments.handlers["orders"] = lambda event: event
        await on.advance(1_000)
        assert await on.states() == [(2, 1)]


async def test_settings_are_put_updated_and_deleted(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        with pytest.raises(ApiError, match="doesn't have an EventInvokeConfig"):
            await on.call("GetFunctionEventInvokeConfig", FunctionName="orders")
        await on.call("PutFunctionEventInvokeConfig", FunctionName="orders", MaximumRetryAttempts=1)
        await on.call("UpdateFunctionEventInvokeConfig", FunctionName="orders", MaximumEventAgeInSeconds=90)
        found = await on.call("GetFunctionEventInvokeConfig", FunctionName="orders")
        assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (1, 90)
        assert found["FunctionArn"] == f"{arn}:$LATEST"
        await on.call("PutFunctionEventInvokeConfig", FunctionName="orders", MaximumEventAgeInSeconds=61)
        (listed,) = (await on.call("ListFunctionEventInvokeConfigs", FunctionName="orders"))[
            "FunctionEventInvokeConfigs"
        ]
        assert "MaximumRetryAttempts" not in listed
        await on.call("DeleteFunctionEventInvokeConfig", FunctionName="orders")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("arn:aws:sns:us-east-1:000000000000:t", "sns is not supported yet as a destination"),
        ("arn:aws:s3:::bucket", "s3 is not supported yet as a destination"),
        ("arn:aws:sqs:us-east-1:000000000000:q.fifo", "name a standard SQS queue"),
        ("arn:aws:sqs:us-east-1:000000000000:", "name an ARN"),
        ("arn:aws:lambda:us-east-1:000000000000:function:orders", "as a destination for itself"),
        ("arn:aws:lambda:us-east-1:000000000000:function:orders:$LATEST", "as a destination for itself"),
        ("arn:aws:lambda:us-east-1:000000000000:function:gone", "there is no such function"),
        ("arn:aws:lambda:us-east-1:000000000000:function:orders-after:1", "there is no such function"),
    ],
)
async def test_destinations_that_cannot_be_are_refused(target: str, words: str, tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        with pytest.raises(ApiError, match=words):
            await on.call(
                "PutFunctionEventInvokeConfig", FunctionName="orders",
                DestinationConfig={"OnFailure": {"Destination": target}},
            )  # fmt: skip
