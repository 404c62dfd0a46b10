"""Batches of mappings that find no concurrency left: tried again, in time, with room kept for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from penstock.services.lambda_ import admission
from penstock.services.lambda_.errors import TooManyRequests
from penstock.services.lambda_.records import memory_of
from tests.services.lambda_.bench import Benches
from tests.services.lambda_.shop import bodies, received, shop

_TRIES = "SELECT counted, code, ended - started, message FROM attempt ORDER BY rowid"


async def test_a_throttled_function_loses_nothing(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        at = await shop(on)
        await at.map()
        await at.send("one")
        await on.settle()
        assert (on.environments.invocations, await at.left()) == ([], (0, 1))
        await on.advance(29_999)
        assert on.environments.invocations == []
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        await on.advance(1)  # the visibility timeout ends
        assert (bodies(on), received(on)) == ([["one"]], ["2"])
        tries = await on.store.transact(lambda tx: tx.all(_TRIES))
        assert [row[:3] for row in tries] == [
            (0, "TooManyRequestsException", 7_500), (1, "TooManyRequestsException", 0)
        ]  # fmt: skip
        assert tries[0][3].endswith(" (5 times)")


async def test_a_throttled_batch_is_tried_again_while_its_messages_are_hidden(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        at = await shop(on)
        await at.map()
        await at.send("one")
        await on.settle()
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        await on.advance(500)
        assert (bodies(on), received(on), await at.left()) == ([["one"]], ["1"], (0, 0))


async def test_room_is_kept_for_a_batch_that_was_turned_away(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        held: list[asyncio.Event] = []

        async def wait(event: Any) -> None:
            if "Records" not in event:
                held.append(asyncio.Event())
                await held[-1].wait()

        async def until(sql: str, count: int) -> None:
            while (await on.store.transact(lambda tx: tx.all(sql)))[0][0] < count:  # noqa: ASYNC110
                await asyncio.sleep(0)

        await on.function(handler=wait)
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=2)
        at = await shop(on)
        await at.map()
        for number in range(6):
            await on.invoke(payload={"number": number}, InvocationType="Event")
        while len(held) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await at.send("one")
        await until("SELECT count(*) FROM attempt", 1)
        held[0].set()
        await until("SELECT count(*) FROM delivery WHERE kind = 'lambda:async' AND state = 2", 1)
        for _ in range(50):  # turns in which another event could begin
            await on.store.synced()
            await asyncio.sleep(0)
        assert len(on.environments.invocations) == 2, "an event took the unit that was kept for the batch"
        on.clock.move_to(on.clock.now() + 500)
        on.clock.fire_due()
        await until("SELECT count(*) FROM delivery WHERE kind = 'lambda:mapping' AND state = 2", 1)
        for number in range(1, 6):
            while len(held) <= number:  # noqa: ASYNC110
                await asyncio.sleep(0)
            held[number].set()
        await on.settle()
        assert (len(held), len(on.environments.invocations)) == (6, 7)


@pytest.mark.parametrize(("visible_seconds", "tries"), [(5, 1), (6, 2)])
async def test_a_throttled_batch_is_not_tried_when_it_would_run_past_its_visibility_timeout(
    tmp_path: Path, bench: Benches, visible_seconds: int, tries: int
) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function(Timeout=5)
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        at = await shop(on, "orders.fifo", FifoQueue="true", VisibilityTimeout=str(visible_seconds))
        await at.map()
        await at.send("one", MessageGroupId="a", MessageDeduplicationId="1")
        await on.settle()
        await on.advance(500)
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        await on.advance(visible_seconds * 1000 - 501)
        assert on.environments.invocations == []
        counts = await on.store.transact(lambda tx: tx.all("SELECT counted FROM attempt ORDER BY rowid"))
        assert counts == [(0,)] * (tries - 1) + [(1,)]
        await on.advance(1)
        assert (bodies(on), received(on)) == ([["one"]], ["2"])


async def test_a_throttled_batch_that_wakes_after_its_visibility_timeout_is_not_run(
    tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        at = await shop(on, "orders.fifo", FifoQueue="true")
        await at.map()
        await at.send("one", MessageGroupId="a", MessageDeduplicationId="1")
        await on.settle()
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        on.clock.move_to(on.clock.now() + 60_000)  # the machine has slept
        on.clock.fire_due()
        await on.settle()
        assert (bodies(on), received(on)) == ([["one"]], ["2"])


async def test_a_throttled_batch_of_a_mapping_that_is_disabled_comes_back_later(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        on.clock.freeze()
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        at = await shop(on)
        await at.map()
        await at.send("one")
        await on.settle()
        await on.call("UpdateEventSourceMapping", UUID=at.uuid, Enabled=False)
        await on.settle()
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        await on.advance(30_000)
        assert (on.environments.invocations, await at.left()) == ([], (1, 0))


async def test_of_all_units_half_at_most_are_kept_and_new_batches_leave_them(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=4)
        await on.invoke()
        memory = memory_of(on.parts)
        [loaded] = memory.functions.values()
        for _ in range(4):
            admission.admit(memory, loaded)
        for run in (1, 2, 3):
            with pytest.raises(TooManyRequests):
                admission.admit_batch(memory, loaded, run, 0)
        admission.dismiss(memory, loaded)
        admission.dismiss(memory, loaded)
        assert (admission.left(memory, loaded), admission.left_for_events(memory, loaded, 0)) == (2, 0)
        admission.dismiss(memory, loaded)
        assert admission.left_for_events(memory, loaded, 0) == 1, "more than half of four were kept"
        admission.admit(memory, loaded)
        with pytest.raises(TooManyRequests):
            admission.admit_batch(memory, loaded, 4, 0)
        admission.admit_batch(memory, loaded, 2, 0)
        admission.admit(memory, loaded)  # a synchronous invoke takes what is there
        assert admission.left(memory, loaded) == 0
        admission.dismiss(memory, loaded)
        assert admission.left_for_events(memory, loaded, 0) < 1
        assert admission.left_for_events(memory, loaded, admission.KEPT_MS) == 1, "kept for those who never came"
