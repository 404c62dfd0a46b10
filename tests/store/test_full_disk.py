"""A full disk: writes fail clearly, reads and deletes go on, and writes resume when there is room again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.base.clock import MachineClock
from penstock.base.errors import StoreError, StoreFull
from penstock.store.sqlite import SqliteStore, open_store
from penstock.store.store import Transaction

PUT = "INSERT INTO thing VALUES (?, ?)"
PAGES = 200


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "penstock.db")
    store.connection.execute("CREATE TABLE thing (name INTEGER PRIMARY KEY, value BLOB) STRICT")
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0] + PAGES
    store.connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own full disk
    yield store
    await store.close()


async def fill(store: SqliteStore) -> list[int]:
    """Write until there is no room, in groups of many; return what was acknowledged."""
    kept: list[int] = []
    for start in range(0, 4000, 50):
        works = [store.transact(lambda tx, n=n: tx.write(PUT, (n, bytes(3000)))) for n in range(start, start + 50)]
        results = await asyncio.gather(*works, return_exceptions=True)
        kept += [start + at for at, result in enumerate(results) if result == 1]
        if errors := [result for result in results if result != 1]:
            assert all(isinstance(error, StoreFull) for error in errors)
            return kept
    raise AssertionError("the disk never became full")


async def test_what_was_acknowledged_while_the_disk_filled_up_is_there(store: SqliteStore) -> None:
    kept = await fill(store)
    assert [row[0] for row in await store.transact(lambda tx: tx.all("SELECT name FROM thing ORDER BY name"))] == kept


async def test_deletes_pass_on_a_full_disk_and_writes_resume_after_them(store: SqliteStore) -> None:
    kept = await fill(store)
    deleted = await store.transact(lambda tx: tx.write("DELETE FROM thing WHERE name < 100"), frees=True)
    assert deleted == 100
    await store.transact(lambda tx: tx.write(PUT, (100_000, bytes(3000))))
    left = await store.transact(lambda tx: tx.one("SELECT count(*) FROM thing"))
    assert left == (len(kept) - 100 + 1,)


async def test_only_those_that_fail_again_fail(store: SqliteStore) -> None:
    await fill(store)

    def read(tx: Transaction) -> object:
        return tx.one("SELECT count(*) FROM thing")

    results = await asyncio.gather(
        store.transact(lambda tx: tx.write("UPDATE thing SET name = -1 WHERE name = 1")),
        store.transact(lambda tx: tx.write(PUT, (200_000, bytes(300_000)))),
        store.transact(read),
        return_exceptions=True,
    )
    assert results[0] == 1
    assert isinstance(results[1], StoreFull)
    assert isinstance(results[2], tuple)


async def test_a_work_that_fails_late_on_a_full_disk_leaves_nothing(store: SqliteStore) -> None:
    await fill(store)

    def change_and_fail(tx: Transaction) -> None:
        tx.write("UPDATE thing SET name = -1 WHERE name = 1")
        tx.write("UPDATE thing SET name = -2 WHERE name = 2")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await store.transact(change_and_fail)
    assert await store.transact(lambda tx: tx.one("SELECT count(*) FROM thing WHERE name < 0")) == (0,)


def test_a_damaged_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    for content in (b"no database at all" * 500, b"SQLite format 3\0" + bytes(range(256)) * 40):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"is damaged .* move the directory away"):
            open_store(path, [])


async def test_a_reader_that_holds_the_log_open_delays_no_write(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.connection.execute("CREATE TABLE thing (name INTEGER PRIMARY KEY, value BLOB) STRICT")
    reader = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM thing").fetchall()
    megabyte, slowest, clock = bytes(1 << 20), 0, MachineClock()
    for n in range(80):  # the log is copied back from 64 MB on
        started = clock.now_ms()
        await store.transact(lambda tx, n=n: tx.write(PUT, (n, megabyte)))
        slowest = max(slowest, clock.now_ms() - started)
    assert slowest < 3000, "a write waited for the reader"
    assert await store.transact(lambda tx: tx.one("SELECT count(*) FROM thing")) == (80,)
    reader.close()
    await store.close()
