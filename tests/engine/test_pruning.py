"""The journal is bounded: what is old and settled goes, in slices; what something still needs stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.engine.pruning import ALWAYS, delete_events, oversize, prunable
from penstock.store.store import Reader
from tests.engine.bench_service import SHELF, WORKS
from tests.engine.harness import Engine, engine
from tests.engine.test_delivery import SHELF_ARN, emit


async def prune(on: Engine, before: int, *holds: str) -> int:
    deleted, after = 0, 0
    while True:

        def look(reader: Reader, after: int = after) -> tuple[list[int], int | None]:
            return prunable(reader, before, after, holds)

        ids, further = await on.store.read(look)
        await on.store.transact(lambda tx, ids=ids: delete_events(tx, ids))
        deleted += len(ids)
        if further is None:
            return deleted
        after = further


async def counts(on: Engine) -> tuple[int, ...]:
    query = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)"
    row = await on.store.transact(lambda tx: tx.one(query))
    assert row is not None
    return row


async def test_old_events_go_with_their_hops_and_young_ones_stay(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        begun = on.clock.freeze()
        for _ in range(3):
            await emit(on, SHELF_ARN)
        await on.advance(1000)
        await emit(on, SHELF_ARN)
        assert await prune(on, begun) == 0
        assert await prune(on, begun + 1) == 3
        assert await counts(on) == (1, 1)


async def test_more_than_a_slice_goes_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.pruning.PRUNE_SLICE_ROWS", 2)
    async with engine(tmp_path, SHELF, WORKS) as on:
        for _ in range(7):
            await emit(on, SHELF_ARN)
        assert await prune(on, ALWAYS) == 7
        assert await counts(on) == (0, 0)


async def test_what_waits_stays_however_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.pruning.PRUNE_SLICE_ROWS", 1)
    async with engine(tmp_path, SHELF, WORKS) as on:
        now = on.clock.freeze()
        await emit(on, SHELF_ARN)
        await emit(on, SHELF_ARN, not_before=now + 1000)
        await emit(on, SHELF_ARN)
        assert await prune(on, ALWAYS) == 2
        assert await counts(on) == (1, 1)


async def test_what_a_service_refers_to_stays(tmp_path: Path) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        await emit(on, SHELF_ARN)
        await emit(on, SHELF_ARN)
        assert await prune(on, ALWAYS, "SELECT min(id) FROM event") == 1
        assert await counts(on) == (1, 1)


async def test_too_much_payload_names_the_moment_before_which_to_prune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path, SHELF, WORKS) as on:
        begun = on.clock.freeze()
        for _ in range(8):
            await emit(on, SHELF_ARN, bytes(100))
            await on.advance(10)
        assert await on.store.read(oversize) is None
        monkeypatch.setattr("penstock.engine.pruning.JOURNAL_BYTES", 500)
        assert await on.store.read(oversize) == begun + 20
