"""What every store keeps to; SQLite on a disk and in memory run through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base.errors import StoreError
from penstock.store.sqlite import SqliteStore
from penstock.store.store import Transaction

TABLE = "CREATE TABLE thing (name TEXT PRIMARY KEY, value INTEGER) STRICT"
PUT = "INSERT INTO thing VALUES (?, ?)"
ALL = "SELECT name, value FROM thing ORDER BY name"


@pytest.fixture(params=["disk", "disk without sync", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(
        None if request.param == "memory" else tmp_path / "penstock.db",
        durability="os" if request.param == "disk without sync" else "full",
    )
    store.connection.execute(TABLE)
    yield store
    await store.close()


def put(name: str, value: int = 1):  # type: ignore[no-untyped-def]
    return lambda tx: tx.write(PUT, (name, value))


def fail_after_writing(tx: Transaction) -> None:
    tx.write(PUT, ("never", 0))
    raise ValueError("on purpose")


async def test_a_work_is_answered_with_its_result_once_it_is_durable(store: SqliteStore) -> None:
    assert await store.transact(lambda tx: (tx.write(PUT, ("a", 1)), tx.one(ALL))[1]) == ("a", 1)
    assert not store.unsynced


async def test_works_submitted_together_share_a_group_and_all_are_answered(store: SqliteStore) -> None:
    before = store.groups_synced
    await asyncio.gather(*(store.transact(put(f"n{i:03}", i)) for i in range(100)))
    assert store.groups_synced - before <= 2
    assert [row[1] for row in await store.transact(lambda tx: tx.all(ALL))] == list(range(100))


async def test_a_failed_work_undoes_only_its_own_changes(store: SqliteStore) -> None:
    results = await asyncio.gather(
        store.transact(put("first")),
        store.transact(fail_after_writing),
        store.transact(put("last")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, ValueError, int]
    assert [row[0] for row in await store.transact(lambda tx: tx.all(ALL))] == ["first", "last"]


async def test_works_that_shared_a_group_with_a_late_failure_are_run_again_in_order(store: SqliteStore) -> None:
    runs: list[str] = []
    effects: list[str] = []

    def work(name: str):  # type: ignore[no-untyped-def]
        def run(tx: Transaction) -> object:
            runs.append(name)
            tx.after(lambda: effects.append(name))
            if name == "reads":
                return tx.all(ALL)
            tx.write(PUT, (name, len(runs)))
            if name == "fails":
                raise ValueError("on purpose")
            return len(runs)

        return run

    names = ["first", "reads", "fails", "last", "fails"]
    results = await asyncio.gather(*(store.transact(work(name)) for name in names), return_exceptions=True)
    assert runs == ["first", "reads", "fails", "first", "reads", "fails", "last", "fails"]
    assert effects == ["first", "reads", "last"]
    assert results[1] == [("first", 4)], "a read tells what its group's works wrote when they were run again"
    assert [type(result) for result in results] == [int, list, ValueError, int, ValueError]
    assert await store.transact(lambda tx: tx.all(ALL)) == [("first", 4), ("last", 7)]


async def test_a_work_that_fails_first_in_its_group_leaves_nothing(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        await store.transact(fail_after_writing)
    await store.transact(put("after"))
    assert await store.transact(lambda tx: tx.all(ALL)) == [("after", 1)]


async def test_an_attempt_undoes_only_itself_and_its_effects(store: SqliteStore) -> None:
    seen: list[str] = []

    def work(tx: Transaction) -> str:
        tx.write(PUT, ("kept", 1))
        tx.after(lambda: seen.append("kept"))

        def inner(tx: Transaction) -> None:
            tx.write(PUT, ("undone", 1))
            tx.after(lambda: seen.append("undone"))
            raise ValueError

        try:
            tx.attempt(inner)
        except ValueError:
            tx.attempt(lambda tx: tx.write(PUT, ("second try", 1)))
        return "went on"

    assert await store.transact(work) == "went on"
    assert [row[0] for row in await store.transact(lambda tx: tx.all(ALL))] == ["kept", "second try"]
    assert seen == ["kept"]


async def test_an_attempt_that_fails_late_leaves_what_others_of_the_group_wrote(store: SqliteStore) -> None:
    def tries(tx: Transaction) -> str:
        tx.write(PUT, ("kept", 1))
        try:
            tx.attempt(fail_after_writing)
        except ValueError:
            tx.write(PUT, ("instead", 1))
        return "went on"

    results = await asyncio.gather(store.transact(put("before")), store.transact(tries), store.transact(put("later")))
    assert results == [1, "went on", 1]
    assert [row[0] for row in await store.transact(lambda tx: tx.all(ALL))] == ["before", "instead", "kept", "later"]


async def test_effects_come_after_the_commit_and_before_the_answer(store: SqliteStore) -> None:
    order: list[str] = []

    def work(tx: Transaction) -> None:
        tx.after(lambda: order.append("effect"))
        tx.write(PUT, ("a", 1))
        order.append("work")

    store.submit(work, lambda result, error: order.append("answer"))
    await store.synced()
    assert order == ["work", "effect", "answer"]


async def test_effects_of_a_failed_work_do_not_happen(store: SqliteStore) -> None:
    seen: list[str] = []

    def work(tx: Transaction) -> None:
        tx.after(lambda: seen.append("effect"))
        raise ValueError

    with pytest.raises(ValueError):
        await store.transact(work)
    assert seen == []


async def test_a_read_is_not_answered_before_what_it_saw_is_durable(store: SqliteStore) -> None:
    answered: list[str] = []
    store.submit(put("a"), lambda result, error: answered.append("write"))
    store.submit(lambda tx: tx.all(ALL), lambda result, error: answered.append(f"read {result}"))
    assert answered == []
    await store.synced()
    assert answered == ["write", "read [('a', 1)]"]


async def test_a_read_of_what_is_durable_is_answered_at_once(store: SqliteStore) -> None:
    await store.transact(put("a"))
    answered: list[object] = []
    store.submit(lambda tx: tx.one(ALL), lambda result, error: answered.append(result))
    assert answered == [("a", 1)]


async def test_a_long_read_sees_what_was_committed(store: SqliteStore) -> None:
    await store.transact(put("a"))
    assert await store.read(lambda reader: reader.all(ALL)) == [("a", 1)]
    assert not store.unsynced


async def test_a_closed_store_refuses_works(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        store.submit(lambda tx: None)


async def test_what_was_answered_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.connection.execute(TABLE)
    await store.transact(put("a"))
    await store.close()
    again = SqliteStore(tmp_path / "penstock.db")
    assert await again.transact(lambda tx: tx.all(ALL)) == [("a", 1)]
    await again.close()


async def test_every_acknowledged_group_was_synced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.connection.execute(TABLE)
    before = store.groups_synced
    for i in range(20):
        await store.transact(put(f"n{i}"))
    assert store.groups_synced - before == 20
    await store.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["put", "fail", "read", "yield"])), max_size=30))
async def test_any_mix_of_works_leaves_what_running_them_one_by_one_would(
    tmp_path_factory: pytest.TempPathFactory, works: list[tuple[str, str]]
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("store") / "penstock.db")
    store.connection.execute(TABLE)
    expected: dict[str, int] = {}
    waiting = []
    for number, (name, action) in enumerate(works):

        def work(tx: Transaction, name: str = name, number: int = number, action: str = action) -> list[object]:
            if action in ("put", "fail"):
                upsert = "INSERT INTO thing VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
                tx.write(upsert, (name, number))
            if action == "fail":
                raise ValueError
            return tx.all(ALL)

        if action == "yield":
            await asyncio.sleep(0)
            continue
        if action == "put":
            expected[name] = number
        waiting.append((asyncio.ensure_future(store.transact(work)), sorted(expected.items()), action))
        await asyncio.sleep(0) if number % 3 == 0 else None
    for future, _, action in waiting:
        result = (await asyncio.gather(future, return_exceptions=True))[0]
        if action == "fail":
            assert isinstance(result, ValueError)
    assert await store.transact(lambda tx: tx.all(ALL)) == sorted(expected.items())
    await store.close()
