"""Deliveries: the short way, attempts and back-off, age, ordering keys, tokens, and what a crash leaves."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import ApiError, RefusedForNow, StoreFull, Throttled, Undeliverable
from penstock.base.limits import CUT_OFF, FAULTS, RELAY_RUNNING, RELAY_RUNNING_PER_TARGET
from penstock.engine.context import Context
from penstock.engine.journal import DELIVERED, EXPIRED, FAILED, RUNNING, WAITING
from tests.engine.bench_service import BOTH, SHELF, WORKS, Book
from tests.engine.harness import Engine, engine

SHELF_ARN = "arn:aws:shelf:us-east-1:000000000000:a"
WORKS_ARN = "arn:aws:works:us-east-1:000000000000:f"


async def emit(on: Engine, to: str, payload: bytes = b"{}", **given: Any) -> int:
    kind = "works:run" if ":works:" in to else "shelf:put"

    def work(cx: Context) -> int:
        event = cx.event("test:Put", to, payload)
        return cx.deliver(kind=kind, to=to, event=event, source=to, **given)

    return await on.work(kind.partition(":")[0], work)


def book(on: Engine, service: str) -> Book:
    return on.parts.states[service]


async def test_a_store_target_has_accepted_when_the_emitting_transaction_is_answered(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        await emit(on, SHELF_ARN, b"one")
        assert book(on, "shelf").accepted == [(SHELF_ARN, b"one")]
        assert await on.states() == [(DELIVERED, 1)]


async def test_a_store_target_that_refuses_is_tried_again_after_its_back_off(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "shelf").refusals[SHELF_ARN] = [RefusedForNow("not now"), RefusedForNow("not now")]
        await emit(on, SHELF_ARN)
        assert await on.states() == [(WAITING, 1)]
        await on.advance(999)
        assert await on.states() == [(WAITING, 1)]
        await on.advance(1)
        assert await on.states() == [(WAITING, 2)]
        await on.advance(2000)
        await on.settle()
        assert await on.states() == [(DELIVERED, 3)]
        assert len(book(on, "shelf").accepted) == 1


async def test_an_error_of_the_targets_service_ends_the_delivery_and_not_who_emitted_it(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "shelf").refusals[SHELF_ARN] = [ApiError("there is no such shelf", code="NotThere")]
        await emit(on, SHELF_ARN)
        assert await on.states() == [(FAILED, 1)]
        assert book(on, "shelf").ended[0][1].code == "NotThere"


async def test_a_mistake_in_a_target_fails_its_attempt_and_holds_up_no_other_delivery(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "shelf").refusals[SHELF_ARN] = [KeyError("group"), KeyError("group")]
        await emit(on, SHELF_ARN, b"one")
        await emit(on, f"{SHELF_ARN}2", b"two", not_before=on.clock.now() + 1000)
        await on.advance(1000)
        assert book(on, "shelf").accepted == [(f"{SHELF_ARN}2", b"two")]
        await on.advance(60_000)
        assert await on.states() == [(DELIVERED, 3), (DELIVERED, 1)]
        kept = await on.store.transact(lambda tx: tx.all("SELECT code, message FROM attempt"))
        assert kept == [("InternalFailure", "KeyError: 'group'")] * 2


async def test_a_code_target_runs_after_the_commit_with_its_attempt_counted_before(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").hold = asyncio.Event()
        await emit(on, WORKS_ARN, b"x")
        while not book(on, "works").attempted:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await on.states() == [(RUNNING, 1)]
        assert not on.quiet.look().quiet
        book(on, "works").hold.set()
        await on.settle()
        assert await on.states() == [(DELIVERED, 1)]
        assert book(on, "works").ended[0][1].result == b"done x"


async def test_how_an_attempt_ended_is_kept_as_soon_as_the_disk_has_room_for_it(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").endings = [StoreFull("no room")]
        await emit(on, WORKS_ARN, b"x")
        await on.settle()
        assert await on.states() == [(DELIVERED, 1)]
        assert [outcome.result for _, outcome in book(on, "works").ended] == [b"done x"]


async def test_an_end_that_fails_by_mistake_is_written_down_and_made_again_without_the_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").endings = [KeyError("detail")] * 2  # its group is run again after the first
        await emit(on, WORKS_ARN, b"x")
        await on.settle()
        assert await on.states() == [(DELIVERED, 1)]
        assert [outcome.result for _, outcome in book(on, "works").ended] == [b"done x"]
        assert len(book(on, "works").attempted) == 1
        assert "Penstock's own code failed" in caplog.text
        [(code, message, counted)] = await attempts(on)
        assert (code, counted) == ("PlatformFault", 0) and "KeyError: 'detail'" in message


async def test_an_end_that_always_fails_by_mistake_is_given_up_and_counted_as_the_platforms_fault(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        waits = {"not_before": on.clock.now() + 1000}  # so that the relay takes it, and not the short way
        book(on, "shelf").endings = [ApiError("there is no such queue")] * (FAULTS + 1)
        await emit(on, SHELF_ARN, b"x", **waits)
        await emit(on, WORKS_ARN, b"other", **waits)
        await on.advance(1000)
        assert await on.states() == [(WAITING, 0), (DELIVERED, 1)]
        await on.advance(60_000)
        assert [state for state, _ in await on.states()] == [FAILED, DELIVERED]
        assert [code for code, _, _ in await attempts(on)] == ["PlatformFault"] * FAULTS
        row = await on.store.transact(lambda tx: tx.one("SELECT value FROM platform_value WHERE name = 'faults'"))
        assert row is not None
        told = json.loads(row[0])
        assert told["count"] == FAULTS and "there is no such queue" in told["last"]["message"]


async def attempts(on: Engine) -> list[tuple[str, str, int]]:
    """What the journal has of attempts that failed."""
    rows = await on.store.transact(lambda tx: tx.all("SELECT code, message, counted FROM attempt ORDER BY rowid"))
    return [(code, message, counted) for code, message, counted in rows]


async def test_attempts_end_with_their_maximum(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "works").refusals[WORKS_ARN] = [RefusedForNow(f"failure {i}", code="E") for i in range(5)]
        await emit(on, WORKS_ARN, max_attempts=3)
        await on.advance(3_600_000)
        assert await on.states() == [(FAILED, 3)]
        outcome = book(on, "works").ended[0][1]
        assert (outcome.state, outcome.code, outcome.message) == (FAILED, "E", "failure 2")
        kept = await on.store.transact(lambda tx: tx.all("SELECT message, counted FROM attempt ORDER BY started"))
        assert kept == [("failure 0", 1), ("failure 1", 1), ("failure 2", 1)]


async def test_throttled_attempts_do_not_count(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "works").refusals[WORKS_ARN] = [Throttled("no room") for _ in range(4)]
        await emit(on, WORKS_ARN, max_attempts=1)
        await on.advance(10_000)
        await on.settle()
        assert await on.states() == [(DELIVERED, 1)]
        assert len(book(on, "works").attempted) == 5


async def test_a_delivery_past_its_age_expires_at_that_moment(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "works").refusals[WORKS_ARN] = [RefusedForNow("no") for _ in range(9)]
        await emit(on, WORKS_ARN, max_age_ms=90_000)
        await on.advance(89_999)
        assert (await on.states())[0][0] == WAITING
        await on.advance(1)
        await on.settle()
        assert (await on.states())[0][0] == EXPIRED
        assert book(on, "works").ended[0][1].message == "no"


async def test_an_undeliverable_event_is_not_tried_again(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "shelf").refusals[SHELF_ARN] = [Undeliverable("gone", code="Gone")]
        await emit(on, SHELF_ARN)
        assert await on.states() == [(FAILED, 1)]
        assert book(on, "shelf").ended[0][1].code == "Gone"


async def test_a_target_nobody_serves_fails_at_once_and_says_so(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        await emit(on, "arn:aws:nobody:us-east-1:000000000000:x")
        assert (await on.states())[0][0] == FAILED
        assert "nothing on this platform" in book(on, "shelf").ended[0][1].message


async def test_an_ordering_key_keeps_order_and_blocks_only_itself(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        on.clock.freeze()
        book(on, "shelf").refusals[SHELF_ARN] = [RefusedForNow("not now")]
        await emit(on, SHELF_ARN, b"a1", order="a")
        await emit(on, SHELF_ARN, b"a2", order="a")
        await emit(on, SHELF_ARN, b"b1", order="b")
        await emit(on, SHELF_ARN, b"none")
        assert [payload for _, payload in book(on, "shelf").accepted] == [b"b1", b"none"]
        await on.advance(1000)
        await on.settle()
        assert [payload for _, payload in book(on, "shelf").accepted] == [b"b1", b"none", b"a1", b"a2"]


async def test_an_ordering_key_of_a_code_target_runs_one_at_a_time(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").hold = asyncio.Event()
        for payload in (b"1", b"2", b"3"):
            await emit(on, WORKS_ARN, payload, order="k")
        await emit(on, WORKS_ARN, b"free")
        while len(book(on, "works").attempted) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert [payload for _, payload, _ in book(on, "works").attempted] == [b"1", b"free"]
        book(on, "works").hold.set()
        await on.settle()
        assert [payload for _, payload, _ in book(on, "works").attempted] == [b"1", b"free", b"2", b"3"]


async def test_not_before_waits_and_is_named_as_next(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        now = on.clock.freeze()
        await emit(on, SHELF_ARN, not_before=now + 5000)
        await on.settle()
        assert on.quiet.look().next == now + 5000
        await on.advance(5000)
        await on.settle()
        assert len(book(on, "shelf").accepted) == 1


async def test_the_outcome_resolves_its_token_once(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:

        def work(cx: Context) -> int:
            token = cx.parts.tokens.open_token(cx, {"step": 7})
            event = cx.event("test:Put", WORKS_ARN, b"x")
            cx.deliver(kind="works:run", to=WORKS_ARN, event=event, source=WORKS_ARN, reply_to=token)
            return token

        token = await on.work("works", work)
        await on.settle()
        [(detail, outcome)] = book(on, "works").replies
        assert (detail, outcome.state, outcome.result) == ({"step": 7}, DELIVERED, b"done x")
        assert not await on.store.transact(lambda tx: on.deliveries.resolve(on.parts, tx, token, outcome))


async def cut_off(folder: Path, *, emits: bool = False) -> list[tuple[int, int]]:
    """A server that ends while an attempt runs; how the deliveries stood when it had started."""
    async with engine(folder, SHELF, replace(WORKS, memory=lambda: Book(hold=asyncio.Event()))) as on:
        states = await on.states()
        if emits:
            await emit(on, WORKS_ARN, max_attempts=2)
        due = await on.store.transact(lambda tx: tx.one("SELECT due FROM delivery"))
        on.clock.move_to(due[0] if due else 0)  # the clock of a test's engine is not kept
        while not book(on, "works").attempted:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return states


async def test_what_ran_when_the_server_ended_is_run_again_at_once_and_its_attempt_does_not_count(
    tmp_path: Path,
) -> None:
    await cut_off(tmp_path, emits=True)
    async with engine(tmp_path, SHELF, WORKS) as again:
        await again.settle()
        assert await again.states() == [(DELIVERED, 1)]
        assert await attempts(again) == [
            ("Interrupted", "the server ended while this attempt ran: it does not count", 0)
        ]


async def test_what_the_ends_of_servers_cut_off_again_and_again_keeps_its_attempts(tmp_path: Path) -> None:
    await cut_off(tmp_path, emits=True)
    for _ in range(3):
        await cut_off(tmp_path)
    async with engine(tmp_path, SHELF, WORKS) as again:
        again.clock.freeze()
        assert await again.states() == [(WAITING, 0)]
        book(again, "works").refusals[WORKS_ARN] = [RefusedForNow("a failure of its own")]
        await again.advance(3_600_000)
        await again.settle()
        assert await again.states() == [(DELIVERED, 2)]


async def test_a_delivery_that_ends_the_server_every_time_ends_as_failed(tmp_path: Path) -> None:
    await cut_off(tmp_path, emits=True)
    for _ in range(CUT_OFF):
        states = await cut_off(tmp_path)
        assert states in ([(WAITING, 0)], [(RUNNING, 1)])
    assert await cut_off(tmp_path) == [(WAITING, 1)]
    async with engine(tmp_path, SHELF, WORKS) as again:
        assert await again.states() == [(FAILED, 2)]
        assert [counted for _, _, counted in await attempts(again)] == [0] * CUT_OFF + [1, 1]
        [(_, outcome)] = book(again, "works").ended
        assert outcome.code == "Interrupted"


async def test_many_targets_are_served_fairly(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").hold = asyncio.Event()
        for number in range(300):
            await emit(on, WORKS_ARN, str(number).encode())
        await emit(on, WORKS_ARN + "2", b"other")
        for _ in range(2000):
            await asyncio.sleep(0)
            if any(target == WORKS_ARN + "2" for target, _, _ in book(on, "works").attempted):
                break
        assert any(target == WORKS_ARN + "2" for target, _, _ in book(on, "works").attempted)
        book(on, "works").hold.set()
        await on.settle()
        assert len(book(on, "works").attempted) == 301


async def test_when_all_attempts_that_may_run_do_the_relay_rests_until_one_ends(tmp_path: Path) -> None:
    async with engine(tmp_path, BOTH) as on:
        queues = RELAY_RUNNING // RELAY_RUNNING_PER_TARGET
        hold = book(on, "both").hold = asyncio.Event()

        def work(cx: Context) -> None:
            for number in range(RELAY_RUNNING + 1):
                to = f"arn:aws:both:us-east-1:000000000000:f{number % queues if number < RELAY_RUNNING else queues}"
                event = cx.event("test:Put", to, b"x")
                cx.deliver(kind="both:run", to=to, event=event, source=to)

        await on.work("both", work)
        attempted = book(on, "both").attempted
        for _ in range(20_000):
            await asyncio.sleep(0)
            if len(attempted) == RELAY_RUNNING:
                break
        assert len(attempted) == RELAY_RUNNING
        for _ in range(200):
            await asyncio.sleep(0)
            if "the relay looks for what is due" not in on.relay.busy(None):
                break
        assert "the relay looks for what is due" not in on.relay.busy(None), "it looks again and again"
        hold.set()
        await on.settle()
        assert len(attempted) == RELAY_RUNNING + 1


async def begun(on: Engine, attempts: int) -> None:
    for _ in range(20_000):
        await asyncio.sleep(0)
        if len(book(on, "works").attempted) == attempts:
            return
    raise AssertionError(f"{len(book(on, 'works').attempted)} of {attempts} attempts began")


async def test_busy_targets_are_not_asked_again_at_every_turn(tmp_path: Path) -> None:
    async with engine(tmp_path, WORKS) as on:
        works = book(on, "works")
        hold = works.hold = asyncio.Event()
        for number in range(100):
            works.room[f"{WORKS_ARN}{number}"] = 0  # one that runs none is asked by an attempt all the same
            await emit(on, f"{WORKS_ARN}{number}")
            await emit(on, f"{WORKS_ARN}{number}")
        await begun(on, 100)
        works.asked = 0
        for turn in range(50):
            await emit(on, f"{WORKS_ARN}-free")
            await begun(on, 101 + turn)
        assert works.asked < 50 * 4
        hold.set()
        await on.settle()
        assert len(works.attempted) == 250


async def test_a_busy_target_is_asked_again_after_a_second_and_when_another_delivery_comes(tmp_path: Path) -> None:
    async with engine(tmp_path, WORKS) as on:
        works = book(on, "works")
        hold = works.hold = asyncio.Event()
        works.room[WORKS_ARN] = 0
        for payload in (b"1", b"2"):
            await emit(on, WORKS_ARN, payload)
        await begun(on, 1)
        works.room[WORKS_ARN] = 1
        on.clock.freeze()
        on.clock.move_to(on.clock.now() + 1000)
        on.clock.fire_due()
        await begun(on, 2)
        works.room[WORKS_ARN] = 0
        await emit(on, WORKS_ARN, b"3")
        for _ in range(200):
            await asyncio.sleep(0)
        works.room[WORKS_ARN] = 2
        await emit(on, WORKS_ARN, b"4")
        await begun(on, 4)
        hold.set()
        await on.settle()


async def test_a_turn_that_fails_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with engine(tmp_path, WORKS) as on:
        works = book(on, "works")
        works.mistakes = [None, KeyError("row")]  # the second time is in the transaction
        await emit(on, WORKS_ARN)
        for _ in range(20_000):
            await asyncio.sleep(0)
            if "a turn of the relay failed" in caplog.text:
                break
        await emit(on, WORKS_ARN + "2")  # whatever happens next wakes it, if not the second that it waits
        await begun(on, 2)
        await on.settle()
