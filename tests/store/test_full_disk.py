"""A full disk: writes fail clearly, reads and deletes go on, and writes resume when there is room again."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.base.clock import MachineClock
from penstock.base.errors import StoreError, StoreFull
from penstock.store.log import WriteAheadLog
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


@pytest.mark.slow
async def test_a_reader_that_never_leaves_stops_inserts_before_the_log_takes_the_disk(tmp_path: Path) -> None:
    limit = 66 << 20  # a little more than what is copied back
    store = SqliteStore(tmp_path / "penstock.db", log_bytes=limit)
    store.connection.execute("CREATE TABLE thing (name INTEGER PRIMARY KEY, value BLOB) STRICT")
    reader = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM thing").fetchall()
    megabyte = bytes(1 << 20)
    with pytest.raises(StoreFull):
        for n in range(400):
            await store.transact(lambda tx, n=n: tx.write(PUT, (n, megabyte)))
    log = tmp_path / "penstock.db-wal"
    assert log.stat().st_size < 2 * limit
    assert await store.transact(lambda tx: tx.write("DELETE FROM thing WHERE name = 0"), frees=True) == 1
    reader.close()
    async with asyncio.timeout(60):
        while True:  # taken again as soon as the log has been copied back
            try:
                assert await store.transact(lambda tx: tx.write(PUT, (0, megabyte))) == 1
                break
            except StoreFull:
                await asyncio.sleep(0.01)
    assert await store.transact(lambda tx: tx.one("SELECT name FROM thing ORDER BY name LIMIT 1")) == (0,)
    await store.close()


def test_a_log_that_cannot_be_copied_back_stays_and_is_copied_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "penstock.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    log = WriteAheadLog(path, connection)
    connection.execute("CREATE TABLE thing (name INTEGER PRIMARY KEY, value BLOB) STRICT")
    connection.execute(PUT, (1, bytes(1 << 20)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        log.restart()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the log cannot begin anew" in caplog.text
    log.restart()
    connection.execute(PUT, (2, b"small"))
    assert log.bytes < 1 << 20  # it began anew
    log.close_threads()
    connection.close()
    log.close_files()
