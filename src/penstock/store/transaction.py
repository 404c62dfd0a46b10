"""The writer's connection, as one work after another sees it: a lazy group transaction, savepoints where wanted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from penstock.base.errors import StoreFailed, StoreFull
from penstock.store.room import FULL_HINT
from penstock.store.store import Parameters, Row, Transaction

T = TypeVar("T")
_MISTAKES = (
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG,
)  # fmt: skip


class RunAgain(BaseException):
    """A part of a work failed after it had written, and there is no savepoint to go back to: all is to be run again.

    No Exception, because it is none of the work's business.
    """


class SqliteTransaction:
    """The writer's connection, seen by one work at a time."""

    __slots__ = (
        "_change", "_connection", "_depth", "_execute", "begun", "changed", "effects", "guarded", "lean", "may_insert",
        "saved", "wrote",
    )  # fmt: skip

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._change = connection.cursor().execute  # what changes rows leaves none to fetch: one cursor is enough
        self._depth = 0
        self.begun = False  # the group's transaction
        self.changed = False  # anything written in the group
        self.guarded = False  # works and attempts have savepoints
        self.saved = False  # this work's savepoint
        self.wrote = False  # anything written by this work
        self.may_insert = True
        self.lean = False
        self.effects: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Open the group's transaction."""
        self._execute("BEGIN IMMEDIATE")
        self.begun = True

    def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Every row of the query's answer."""
        if not self.begun:
            self.begin()
        try:
            return self._execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _told(error) from error

    def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of the query's answer, or None."""
        if not self.begun:
            self.begin()
        try:
            row: Row | None = self._execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise _told(error) from error
        return row

    def _prepare(self, sql: str) -> None:
        if not self.begun:
            self.begin()
        if not self.may_insert and sql.startswith("INSERT"):
            raise StoreFull(f"the disk is full: {FULL_HINT}")
        if not self.wrote:
            if self.guarded and self.changed:
                self._execute("SAVEPOINT work")
                self.saved = True
            self.changed = self.wrote = True

    def write(self, sql: str, parameters: Parameters = ()) -> int:
        """Carry out a statement that changes rows and return how many it changed."""
        if not self.wrote or not self.may_insert:
            self._prepare(sql)
        try:
            return self._change(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise _told(error) from error

    def write_many(self, sql: str, parameters: Sequence[Parameters]) -> None:
        """Carry out one statement once per parameters."""
        if not self.wrote or not self.may_insert:
            self._prepare(sql)
        try:
            self._connection.executemany(sql, parameters)
        except sqlite3.Error as error:
            raise _told(error) from error

    def returning(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Carry out a statement that changes rows and has a RETURNING clause, and return its rows."""
        if not self.wrote or not self.may_insert:
            self._prepare(sql)
        try:
            return self._execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _told(error) from error

    def after(self, effect: Callable[[], None]) -> None:
        """Do this once the change is durable."""
        self.effects.append(effect)

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Run a work whose failure undoes only its own changes and effects; RunAgain when that takes savepoints."""
        if self.guarded:
            return self._attempt_guarded(work)
        wrote, effects = self.wrote, len(self.effects)
        self.wrote = False
        try:
            return work(self)
        except Exception as error:
            if self.wrote:
                raise RunAgain from error
            del self.effects[effects:]
            raise
        finally:
            self.wrote = self.wrote or wrote

    def _attempt_guarded(self, work: Callable[[Transaction], T]) -> T:
        if not self.wrote:
            self._prepare("")
        self._depth += 1
        name, effects = f"attempt_{self._depth}", len(self.effects)
        self._execute(f"SAVEPOINT {name}")
        try:
            result = work(self)
        except BaseException:
            if self._connection.in_transaction:
                self._execute(f"ROLLBACK TO {name}")
                self._execute(f"RELEASE {name}")
            del self.effects[effects:]
            raise
        else:
            self._execute(f"RELEASE {name}")
            return result
        finally:
            self._depth -= 1

    # --- one work's life, driven by the store

    def open_work(self) -> None:
        """A new work starts."""
        self.saved = self.wrote = False
        self.effects = []
        self._depth = 0

    def keep_work(self) -> None:
        """The work succeeded: its changes stay in the group."""
        if self.saved:
            self._execute("RELEASE work")

    def undo_work(self, changed_before: bool) -> bool:
        """The work failed: its changes go. True when there was no savepoint, and the changes of others are gone too."""
        if not self.wrote:
            return False
        if self.saved:
            self._execute("ROLLBACK TO work")
            self._execute("RELEASE work")
            return False
        self._execute("ROLLBACK")
        self.begun = False
        self.changed = changed_before
        return changed_before

    def closed(self) -> None:
        """The group's transaction has ended."""
        self.begun = self.changed = self.saved = self.wrote = False


def _told(error: sqlite3.Error) -> Exception:
    """What the store's own failure is to those who use it; a mistake in the statement stays what it is."""
    if not hasattr(error, "sqlite_errorcode") or error.sqlite_errorcode & 0xFF in _MISTAKES:
        return error
    return StoreFailed(f"the database failed: {error}")
