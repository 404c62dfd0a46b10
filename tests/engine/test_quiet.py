"""Quiet and advance: what blocks, what is next, and in which order things happen when time is moved."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock.base.errors import ApiError, RefusedForNow
from tests.engine.bench_service import SHELF, WORKS
from tests.engine.harness import engine
from tests.engine.test_delivery import WORKS_ARN, book, emit


async def test_an_unsynced_change_is_not_quiet(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        await on.settle()
        on.store.submit(lambda tx: tx.write("INSERT INTO platform_value VALUES ('x', '1')"))
        assert on.quiet.look().busy == ["changes are being made durable"]
        await on.settle()


async def test_work_under_way_is_named(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        ticket = on.parts.work.begin("INIT of function f", "000000000000")
        settled = await on.quiet.wait(timeout_ms=5)
        assert (settled.quiet, settled.busy) == (False, ["INIT of function f"])
        assert (await on.quiet.wait("111111111111", timeout_ms=1000)).quiet
        on.parts.work.end(ticket)
        await on.settle()


async def test_advance_settles_each_moment_before_the_next(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        begun = on.clock.freeze()
        book(on, "works").refusals[WORKS_ARN] = [RefusedForNow("once"), RefusedForNow("twice")]
        await emit(on, WORKS_ARN, b"x")
        await on.settle()
        await on.advance(1_000_000)
        started = await on.store.transact(lambda tx: tx.all("SELECT started FROM attempt ORDER BY started"))
        ended = await on.store.transact(lambda tx: tx.one("SELECT started FROM delivery"))
        assert [row[0] - begun for row in [*started, ended]] == [0, 60_000, 180_000]
        assert on.clock.now() == begun + 1_000_000


async def test_a_flowing_clock_flows_on_after_an_advance(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        before = on.clock.now()
        await on.advance(10_000)
        assert not on.clock.frozen
        assert on.clock.now() >= before + 10_000


async def test_timers_that_set_each_other_for_ever_end_the_advance_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.engine.quiet.ADVANCE_FIRINGS", 100)
    async with engine(tmp_path, SHELF, WORKS) as on:

        def again() -> None:
            on.clock.call_at(on.clock.now(), again)

        again()
        with pytest.raises(ApiError, match="did not settle"):
            await on.advance(1)


async def test_quiet_waits_for_a_delivery_that_runs(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        book(on, "works").hold = asyncio.Event()
        await emit(on, WORKS_ARN)
        assert not (await on.quiet.wait(timeout_ms=20)).quiet
        asyncio.get_running_loop().call_later(0.01, book(on, "works").hold.set)
        await on.settle()
        assert len(book(on, "works").ended) == 1
