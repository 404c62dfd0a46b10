"""Event source mappings on real queues: batches, windows, filters, failures, order, concurrency."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.base.errors import ApiError
from tests.services.lambda_.bench import Benches
from tests.services.lambda_.shop import ARN, Shop, bodies, records, shop


def fail(event: Any) -> Any:
    raise ValueError("no such order")


async def test_a_message_reaches_the_function_and_leaves_the_queue(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        made = await at.map()
        assert (made["State"], made["BatchSize"], made["MaximumBatchingWindowInSeconds"]) == ("Creating", 10, 0)
        assert (await on.call("GetEventSourceMapping", UUID=at.uuid))["State"] == "Enabled"
        await at.send("one")
        await on.settle()
        (record,) = records(0, on)
        assert (record["body"], record["eventSource"], record["eventSourceARN"]) == ("one", "aws:sqs", ARN + "orders")
        assert await at.left() == (0, 0)
        rows = await on.store.transact(lambda tx: tx.all("SELECT kind, source, target, state, run FROM delivery"))
        run = on.environments.invocations[0][1].run
        function = "arn:aws:lambda:us-east-1:000000000000:function:orders"
        assert rows == [("lambda:mapping", ARN + "orders", function, 2, run)]


async def test_what_waits_when_a_mapping_is_made_is_taken_in_batches(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.send(*map(str, range(7)))
        await at.map(BatchSize=3)
        assert sorted(len(batch) for batch in bodies(on)) == [1, 3, 3]
        assert sorted(body for batch in bodies(on) for body in batch) == [str(number) for number in range(7)]


async def test_a_failed_batch_comes_back_when_its_visibility_ends(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function(handler=fail)
        at = await shop(on, VisibilityTimeout="40")
        await at.map()
        await at.send("one")
        await on.settle()
        await on.advance(39_999)
        assert (len(on.environments.invocations), await at.left()) == (1, (0, 1))
        on.environments.handlers["orders"] = lambda event: event
        await on.advance(1)
        assert (len(on.environments.invocations), await at.left()) == (2, (0, 0))
        assert records(1, on)[0]["attributes"]["ApproximateReceiveCount"] == "2"


async def test_only_reported_items_come_back(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()

        def pick(event: Any) -> Any:
            bad = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
            return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}

        await on.function(handler=pick)
        at = await shop(on)
        await at.send("good", "bad", "fine")
        await at.map(FunctionResponseTypes=["ReportBatchItemFailures"])
        assert await at.left() == (0, 1)
        await on.advance(30_000)
        assert bodies(on)[-1] == ["bad"]


async def test_a_malformed_answer_fails_the_whole_batch(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function(handler=lambda event: {"batchItemFailures": [{"itemIdentifier": "nobody"}]})
        at = await shop(on)
        await at.send("a", "b")
        await at.map(FunctionResponseTypes=["ReportBatchItemFailures"])
        assert await at.left() == (0, 2)


async def test_a_message_that_fails_too_often_ends_in_the_dead_letter_queue(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function(handler=fail)
        dead = await shop(on, "dead")
        policy = orjson.dumps({"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": "2"}).decode()
        at = await shop(on, RedrivePolicy=policy)
        await at.map()
        await at.send("one")
        await on.advance(300_000)
        assert len(on.environments.invocations) == 2
        assert (await at.left(), await dead.left()) == ((0, 0), (1, 0))


async def test_filtered_messages_are_deleted_and_journaled_as_filtered(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map(FilterCriteria={"Filters": [{"Pattern": '{"body":{"kind":["order"]}}'}]})
        await at.send({"kind": "order", "id": 1}, {"kind": "other"}, "no json")
        await on.settle()
        assert [orjson.loads(body)["id"] for batch in bodies(on) for body in batch] == [1]
        assert await at.left() == (0, 0)
        assert sorted(state for state, _ in await on.states()) == [2, 5, 5]


async def test_a_window_gathers_a_batch(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function()
        at = await shop(on)
        await at.map(BatchSize=100, MaximumBatchingWindowInSeconds=5)
        await at.send("a")
        await on.settle()
        await on.advance(3_000)
        await at.send("b")
        await on.settle()
        assert bodies(on) == []
        await on.advance(2_000)
        assert bodies(on) == [["a", "b"]]


async def test_maximum_concurrency_is_kept(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        going, most = asyncio.Event(), 0

        async def wait(event: Any) -> None:
            nonlocal most
            most = max(most, on.environments.at_work)
            await going.wait()

        await on.function(handler=wait)
        at = await shop(on)
        await at.map(BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
        await at.send(*map(str, range(6)))
        while len(on.environments.invocations) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        going.set()
        await on.settle()
        assert (most, len(on.environments.invocations)) == (2, 6)


async def test_a_fifo_group_is_handled_in_order_one_batch_at_a_time(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        handled: list[str] = []

        async def slowly(event: Any) -> None:
            for record in event["Records"]:
                await asyncio.sleep(0)
                handled.append(record["body"])

        await on.function(handler=slowly)
        at = await shop(on, "orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        await at.map(BatchSize=2)
        for number in range(9):
            await at.send(f"a{number}", MessageGroupId="a")
            await at.send(f"b{number}", MessageGroupId="b")
        await on.settle()
        for group in "ab":
            assert [body for body in handled if body[0] == group] == [f"{group}{number}" for number in range(9)]


async def test_a_disabled_mapping_takes_nothing_until_it_is_enabled(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map(Enabled=False)
        await at.send("one")
        await on.settle()
        assert (on.environments.invocations, await at.left()) == ([], (1, 0))
        changed = await on.call("UpdateEventSourceMapping", UUID=at.uuid, Enabled=True)
        await on.settle()
        assert (changed["State"], bodies(on)) == ("Enabling", [["one"]])
        assert (await on.call("UpdateEventSourceMapping", UUID=at.uuid, Enabled=False))["State"] == "Disabling"
        assert (await on.call("GetEventSourceMapping", UUID=at.uuid))["State"] == "Disabled"


async def test_mappings_go_on_after_a_restart(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        await (await shop(on)).map()
    async with bench(tmp_path, real_queues=True) as on:
        await Shop(on, (await on.call_service("sqs", "GetQueueUrl", {"QueueName": "orders"}))["QueueUrl"], "").send("1")
        await on.settle()
        assert bodies(on) == [["1"]]


async def test_a_deleted_mapping_takes_nothing_more(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map()
        assert (await on.call("DeleteEventSourceMapping", UUID=at.uuid))["State"] == "Deleting"
        await on.settle()
        await at.send("one")
        await on.settle()
        assert on.environments.invocations == []
        with pytest.raises(ApiError, match="The resource you requested does not exist"):
            await on.call("GetEventSourceMapping", UUID=at.uuid)


async def test_the_last_of_changes_made_at_once_counts(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map()
        for last in (True, False):
            flips = [on.call("UpdateEventSourceMapping", UUID=at.uuid, Enabled=on_) for on_ in (not last, last)]
            await asyncio.gather(*flips)
            await at.send("one")
            await on.settle()
            assert await at.left() == ((0, 0) if last else (1, 0))
        await asyncio.gather(
            on.call("UpdateEventSourceMapping", UUID=at.uuid, Enabled=True),
            on.call("DeleteEventSourceMapping", UUID=at.uuid),
        )
        await on.settle()
        assert await at.left() == (1, 0)


async def test_a_mapping_whose_function_is_gone_leaves_the_queue_alone_until_it_is_back(
    tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map()
        await on.call("DeleteFunction", FunctionName="orders")
        await on.settle()
        await at.send("one")
        await on.settle()
        assert await at.left() == (1, 0)
        await on.function()
        await on.settle()
        assert bodies(on) == [["one"]]


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"BatchSize": 11}, "InvalidParameterValueException", "Maximum batch window in seconds must be greater than 0"),
        ({"BatchSize": 10_001}, "ValidationException", "less than or equal to 10000"),
        ({"ScalingConfig": {"MaximumConcurrency": 1}}, "ValidationException", "greater than or equal to 2"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "InvalidParameterValueException", "Invalid filter"),
        ({"EventSourceArn": ARN + "none"}, "InvalidParameterValueException", "Error occurred while ReceiveMessage"),
        ({"EventSourceArn": None}, "InvalidParameterValueException", "Unrecognized event source."),
        ({"EventSourceArn": ARN}, "InvalidParameterValueException", "Unrecognized event source."),
        ({"FunctionName": "none"}, "ResourceNotFoundException", "Function not found: "),
        ({"FunctionName": "slow"}, "InvalidParameterValueException", "visibility timeout: 30 seconds is less than Fu"),
        (
            {"EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}, "NotImplemented",
            "Kinesis streams as a source",
        ),
        ({"ParallelizationFactor": 2}, "NotImplemented", "ParallelizationFactor of CreateEventSourceMapping"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused(
    given: dict[str, Any], code: str, words: str, tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        await on.function("slow", Timeout=60)
        await shop(on)
        request = {"EventSourceArn": ARN + "orders", "FunctionName": "orders"} | given
        with pytest.raises(ApiError) as raised:
            await on.call("CreateEventSourceMapping", **request)
        assert (raised.value.code, words in raised.value.message) == (code, True), raised.value


async def test_a_queue_and_a_function_are_mapped_once(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on)
        await at.map()
        with pytest.raises(ApiError, match=f"existing mapping with UUID {at.uuid}"):
            await at.map()
        first = at.uuid
        await on.function(FunctionName="other")
        await at.map("other")
        with pytest.raises(ApiError, match=f"existing mapping with UUID {first}"):
            await on.call("UpdateEventSourceMapping", UUID=at.uuid, FunctionName="orders")
        await on.call("UpdateEventSourceMapping", UUID=at.uuid, FunctionName="other")


async def test_fifo_queues_have_no_window(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        at = await shop(on, "orders.fifo", FifoQueue="true")
        with pytest.raises(ApiError, match="Batching window is not supported for FIFO"):
            await at.map(MaximumBatchingWindowInSeconds=1)


async def test_mappings_are_found_by_source_and_function(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        await on.function()
        await on.function("other")
        first, second = await shop(on, "one"), await shop(on, "two")
        await first.map()
        await second.map("other")
        by_source = await on.call("ListEventSourceMappings", EventSourceArn=ARN + "one")
        by_function = await on.call("ListEventSourceMappings", FunctionName="other")
        assert [each["UUID"] for each in by_source["EventSourceMappings"]] == [first.uuid]
        assert [each["UUID"] for each in by_function["EventSourceMappings"]] == [second.uuid]


async def test_a_slow_mapping_blocks_no_other(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        going = asyncio.Event()

        async def wait(event: Any) -> None:
            await going.wait()

        handled = asyncio.Event()
        await on.function("slow", handler=wait)
        await on.function("fast", handler=lambda event: handled.set())
        slow, fast = await shop(on, "slow"), await shop(on, "fast")
        await slow.map("slow", BatchSize=1)
        await fast.map("fast")
        await slow.send(*map(str, range(20)))
        await fast.send("now")
        async with asyncio.timeout(5):
            await handled.wait()
        going.set()
        await on.settle()
        assert (await slow.left(), await fast.left()) == ((0, 0), (0, 0))
