"""The embedded store: SQLite in WAL mode, one writer on the event loop, group commit.

Works run inline and join the open transaction while the previous group is being synced; then one COMMIT for all
of them and one fdatasync of the write-ahead log in a helper thread. ``synchronous=NORMAL`` never syncs a commit by
itself, so that thread's sync is what makes a group durable, and everything computed from the group (answers,
errors, reads, wake-ups) is held until then.

Invariants:
- at most one group is open (its transaction may have begun) and at most one is being synced;
- a work's changes are undone alone. Works and their attempts seldom fail once they have written, so there is no
  savepoint for that: the group is rolled back and its works are run again, then and for a while after with savepoints;
- when SQLite drops the whole transaction (a full disk), its works are run again, each in a transaction of its own. What
  makes deletes pass then, whatever fills the disk, is said in ``store/room.py``.

Rejected: a writer thread (a queue and two context switches per operation cost more than the work itself);
``synchronous=FULL`` (the sync would run on the event loop); a savepoint for every work (a tenth of an SQS send).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from penstock.base.errors import PenstockError, StoreError, StoreFull, StoreLost
from penstock.base.limits import GROUP_OPERATIONS, GUARDED_GROUPS, READER_THREADS, WAL_FULL_BYTES
from penstock.store.log import WriteAheadLog
from penstock.store.migrations import Script, migrate
from penstock.store.room import FULL_HINT, NO_ROOM, Reserve, is_no_room, open_reserve
from penstock.store.store import Done, Parameters, Reader, Row, Transaction
from penstock.store.transaction import RunAgain, SqliteTransaction

T = TypeVar("T")
Durability = Literal["full", "os"]

_logger = logging.getLogger("penstock.store")


class _Entry:
    """A work that ran in a group, and who waits for it."""

    __slots__ = ("committed", "done", "effects", "error", "frees", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], done: Done | None, frees: bool) -> None:
        self.work, self.done, self.frees = work, done, frees
        self.committed = False  # it was run again by itself: nothing later can undo it
        self.result: Any = None
        self.error: BaseException | None = None
        self.effects: Sequence[Callable[[], None]] = ()


def open_store(
    path: Path | None, scripts: Sequence[Script], *, durability: Durability = "full",
    lost: Callable[[StoreLost], None] | None = None,
) -> SqliteStore:  # fmt: skip
    """A store whose schema is up to date; StoreError, with what to do, when the file is damaged or has no room."""
    try:
        store = SqliteStore(path, durability=durability, lost=lost)
        migrate(store.connection, scripts, path)
    except sqlite3.Error as error:
        code = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else 0
        raise _cannot_open(path, code, error) from error
    return store


def _cannot_open(path: Path | None, code: int, error: sqlite3.Error) -> StoreError:
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StoreError(
            f"{path} is damaged ({error}): put a copy of the data directory back, save what `sqlite3 {path} .recover`"
            " still finds, or move the directory away and start with a new one"
        )
    if code in NO_ROOM:
        return StoreFull(f"{path} cannot be opened ({error}): free some disk space and start again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreError(f"{path} cannot be written ({error}): look at who owns it and its directory, or use --data")
    return StoreError(f"{path} cannot be opened ({error}): is another program using it?")


class SqliteStore:
    """See ``store.Store``. ``path`` is the database file, or None to keep everything in memory.

    ``lost`` is called when a sync fails: nobody knows what the disk holds then, and the process has to end.
    ``log_bytes`` is the length from which on a log that a reader keeps from starting anew takes no inserts.
    """

    def __init__(
        self, path: Path | None, *, durability: Durability = "full", lost: Callable[[StoreLost], None] | None = None,
        log_bytes: int = WAL_FULL_BYTES,
    ) -> None:  # fmt: skip
        if path is not None:
            open_reserve(path)
        self.connection = _connect(path)
        self.groups_synced = 0  # for the test that counts syncs per acknowledged group
        self._path = path
        self._log = WriteAheadLog(path, self.connection, log_bytes) if path is not None else None
        self._reserve = Reserve(path, self.connection) if path is not None else None
        self._syncs = path is not None and durability == "full"
        self._lost = lost
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tx = SqliteTransaction(self.connection)
        self._tx.may_insert = self._reserve is None or self._reserve.kept
        self._open: list[_Entry] = []
        self._syncing: list[_Entry] | None = None
        self._scheduled = False
        self._guarded_groups = 0  # how many groups from now on have a savepoint for each work
        self._closed = False
        self._read_threads = ThreadPoolExecutor(READER_THREADS, "penstock-read")
        self._readers: list[sqlite3.Connection] = []

    # --- works

    def submit(self, work: Callable[[Transaction], Any], done: Done | None = None, *, frees: bool = False) -> None:
        """Run a work now, in the open group; ``frees``: it gives room back, so it passes when the disk is full."""
        if self._closed:
            raise StoreError("the store is closed: the platform is stopping")
        entry = _Entry(work, done, frees)
        self._run(entry)
        if self._open or self._syncing is not None or self._tx.changed:
            self._admit(entry)
        else:  # nothing that is not durable has been seen: the answer may leave at once
            self._finish([entry])
            if self._tx.begun and not self._scheduled:
                self._schedule()

    def _run(self, entry: _Entry) -> None:
        tx = self._tx
        changed_before = tx.changed
        tx.open_work()
        limited = not tx.may_insert and not self._room_again()
        if limited and self._reserve is not None:
            tx.may_insert, tx.lean = entry.frees, self._reserve.lean()
        try:
            entry.result = entry.work(tx)
            if tx.saved:
                tx.keep_work()
            entry.effects = tx.effects
        except (Exception, RunAgain) as error:
            self._failed(entry, error, changed_before)
        if limited:
            tx.may_insert = tx.lean = False

    def _failed(self, entry: _Entry, error: Exception | RunAgain, changed_before: bool) -> None:
        tx = self._tx
        if is_no_room(error.__cause__ if isinstance(error, RunAgain) else error) or (
            tx.begun and not self.connection.in_transaction
        ):
            self._drop()
            self._rerun([*self._open, entry])
        elif tx.undo_work(changed_before):
            self._run_again([*self._open, entry])
        elif isinstance(error, RunAgain):  # it was the first of its group to write
            self._run_again([entry])
        else:
            entry.error = error

    def _drop(self) -> None:
        """Undo everything that the group has changed."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self._tx.closed()

    def _run_again(self, entries: list[_Entry]) -> None:
        """Run a group's works again, with a savepoint for each: one failed late, and their changes went with its."""
        tx = self._tx
        tx.guarded, self._guarded_groups = True, GUARDED_GROUPS
        tx.changed = any(entry.committed for entry in self._open)
        for entry in entries:
            if not entry.committed:
                entry.result, entry.error, entry.effects = None, None, ()
                self._run(entry)

    def _admit(self, entry: _Entry) -> None:
        self._open.append(entry)
        if self._syncing is None and not self._scheduled:
            self._schedule()
        elif len(self._open) >= GROUP_OPERATIONS and self._syncing is None:
            self._commit()

    def _schedule(self) -> None:
        self._scheduled = True
        self._running_loop().call_soon(self._commit)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # --- groups

    def _commit(self) -> None:
        self._scheduled = False
        if self._syncing is not None or self._closed:
            return  # the group goes on growing until the sync has ended
        tx, group = self._tx, self._open
        changed = tx.changed
        if tx.guarded:
            self._guarded_groups -= 1
            tx.guarded = self._guarded_groups > 0
        if tx.begun:
            try:
                self._commit_placed()
            except (sqlite3.Error, OSError) as error:
                _logger.warning("a commit failed (%s); its %d operations are run one by one", error, len(group))
                self._drop()
                self._rerun(group)
        tx.closed()
        log = self._log
        if log is not None and log.copied:
            log.restart()
        if not group and not changed:
            return
        self._open = []
        self._syncing = group
        if log is None or not changed or not self._syncs:
            self._released(None)
            return
        loop = self._running_loop()
        log.sync(lambda failure: loop.call_soon_threadsafe(self._released, failure))
        log.extend()

    def _commit_placed(self) -> None:
        if self._reserve is not None and self._tx.changed:
            self._reserve.place()
        self.connection.execute("COMMIT")

    def _released(self, failure: BaseException | None) -> None:
        if failure is not None:
            self._end_for_good(failure)
            return
        group, self._syncing = self._syncing or [], None
        self.groups_synced += 1
        self._finish(group)
        if (self._open or self._tx.begun) and not self._scheduled:
            self._schedule()
        if self._log is not None:
            if self._log.overlong and self._tx.may_insert:
                _logger.warning(
                    "a program that reads %s keeps its log from ending: no inserts until it stops", self._path
                )
                self._tx.may_insert = False
            self._log.copy_back(self._copied)

    def _copied(self) -> None:
        """In the copying thread: have the log restarted at the end of the next group."""
        self._running_loop().call_soon_threadsafe(self._commit)

    def _finish(self, group: list[_Entry]) -> None:
        for entry in group:
            for effect in entry.effects:
                try:
                    effect()
                except Exception:
                    _logger.exception("an effect after a commit failed")
        for entry in group:
            if entry.done is not None:
                try:
                    entry.done(entry.result, entry.error)
                except Exception:
                    _logger.exception("an answer could not be passed on")
            elif entry.error is not None and not isinstance(entry.error, PenstockError):
                _logger.error("a background change failed", exc_info=entry.error)

    def _rerun(self, entries: list[_Entry]) -> None:
        """Run works again, each in a transaction of its own, since the one they shared found no room."""
        tx = self._tx
        tx.guarded, self._guarded_groups = True, GUARDED_GROUPS
        for entry in entries:
            if entry.committed:
                continue
            entry.committed = True
            for tx.may_insert, tx.lean in self._ways(entry.frees):
                entry.result, entry.error, entry.effects = None, None, ()
                self._run_alone(entry)
                if not is_no_room(entry.error):
                    break
            if is_no_room(entry.error):
                entry.error, cause = StoreFull(f"the disk is full ({entry.error}): {FULL_HINT}"), entry.error
                entry.error.__cause__ = cause
        tx.changed = True  # what succeeded is committed and still has to be synced
        tx.may_insert = tx.lean = False

    def _ways(self, frees: bool) -> Iterator[tuple[bool, bool]]:
        """How a work is tried on a full disk, one after the other: whether it may insert, and has to be lean."""
        reserve = self._reserve
        if self._log is None or reserve is None:
            yield True, False
            return
        self._log.make_way()
        if reserve.kept:
            yield True, False  # there may be room for what is small
            if not frees:
                yield False, False
            reserve.spend()
        if not reserve.lean():
            yield frees, False
        yield frees, True

    def _run_alone(self, entry: _Entry) -> None:
        tx = self._tx
        tx.open_work()
        try:
            entry.result = entry.work(tx)
            tx.keep_work()
            if self.connection.in_transaction:
                self._commit_placed()
            entry.effects = tx.effects
            tx.closed()
        except Exception as error:
            self._drop()
            entry.error = error

    def _room_again(self) -> bool:
        """Whether there is room for inserts, which were refused. Found out between groups: the reserve is made anew."""
        tx, reserve = self._tx, self._reserve
        if reserve is None or self._log is None:
            tx.may_insert = True
        elif self._log.overlong:
            self._log.copy_back(self._copied)  # who held it may have gone
        elif not tx.begun:
            tx.may_insert = reserve.keep()
        return tx.may_insert

    def _end_for_good(self, failure: BaseException) -> None:
        lost = StoreLost(f"syncing the write-ahead log failed ({failure}): what the disk holds is unknown")
        self._closed = True
        for entry in [*(self._syncing or []), *self._open]:
            entry.error, entry.effects = lost, ()
        if self._lost is not None:
            self._lost(lost)

    # --- waiting

    async def transact(self, work: Callable[[Transaction], T], *, frees: bool = False) -> T:
        """Run a work and return its result once it is durable."""
        future: asyncio.Future[T] = self._running_loop().create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.submit(work, done, frees=frees)
        return await future

    @property
    def unsynced(self) -> bool:
        """Whether something has been changed that is not durable yet."""
        return self._tx.changed or self._syncing is not None or bool(self._open)

    async def synced(self) -> None:
        """Return once everything submitted so far is durable."""
        if not self.unsynced:
            return
        waiter: asyncio.Future[None] = self._running_loop().create_future()
        self._open.append(_Entry(_nothing, lambda result, error: _set(waiter), False))
        if self._syncing is None and not self._scheduled:
            self._schedule()
        await waiter

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a long read in a thread, on the last committed state, and return once that is durable."""
        if self._path is None:
            return await self.transact(query)
        result = await self._running_loop().run_in_executor(self._read_threads, self._read, query)
        await self.synced()
        return result

    def _read(self, query: Callable[[Reader], T]) -> T:
        connection = self._readers.pop() if self._readers else _connect_reader(self._path)
        try:
            connection.execute("BEGIN")
            return query(_Snapshot(connection))
        finally:
            connection.execute("ROLLBACK")
            self._readers.append(connection)

    async def close(self) -> None:
        """Make everything durable, and give up the database."""
        if not self._closed:
            await self.synced()
        self._closed = True
        if self._log is not None:
            self._log.close_threads()
        self._read_threads.shutdown(wait=True)
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self.connection.close()
        if self._log is not None and self._reserve is not None:
            self._log.close_files()
            self._reserve.close()

    @property
    def full(self) -> bool:
        """Whether inserts are refused until something is deleted, here or on the disk."""
        return self._reserve is not None and not self._tx.may_insert and not self._reserve.enough()


class _Snapshot:
    """A reading connection's view: one snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        row: Row | None = self._connection.execute(sql, parameters).fetchone()
        return row


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _nothing(tx: Transaction) -> None:
    return None


def _as_it_is(value: T) -> T:
    """An adapter that changes nothing. Where there is none, sqlite3 asks every None and every bytes whether it has one
    itself, and throws an AttributeError away: 0.3 µs for each, of which this leaves 0.1."""
    return value


def _connect(path: Path | None) -> sqlite3.Connection:
    for kind in (type(None), bytes):
        sqlite3.register_adapter(kind, _as_it_is)
    connection = sqlite3.connect(
        str(path) if path is not None else ":memory:", isolation_level=None, cached_statements=1024
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA cache_size = -4096")  # a larger one is slower: decisions/the-page-cache-is-small.md
    connection.execute("PRAGMA cache_spill = OFF")  # a group's pages are written with its commit, not before
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = OFF")  # as some builds have it on, which writes all that is deleted
    return connection


def _connect_reader(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = 1")
    return connection
