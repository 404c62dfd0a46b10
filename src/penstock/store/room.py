"""Room on the disk, taken before it is needed, so that a full disk stops inserts and nothing else.

Four things hold, whatever else fills the disk:
- every page of a committed change has its place in the database's file (``Reserve.place``), so copying the log back
  needs no room;
- the log's file never is shorter than ``WAL_RESERVE_BYTES``; it is copied back before that is used up, and begins anew.
  While no server runs, a file "reserve" keeps that room for the next start;
- some pages of the database belong to one row which holds nothing. Deletes and our own bookkeeping, which need pages
  before they give any back, get them by deleting that row; it is made again before inserts go on;
- when those are nearly used up, no record is made any more of what is over (``Transaction.lean``): then a delete needs
  no page.

Rejected: a file of ballast that is deleted when the disk is full. It helps once, and anybody may take what it frees.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from penstock.base.errors import StoreFailed
from penstock.base.limits import PAGE_RESERVE_BYTES, ROOM_BYTES, WAL_RESERVE_BYTES

_PLACE_BYTES = 1 << 20  # the database's file is made longer by so much at once, where the disk has it
_LEAST_PAGES = 16  # of the reserve: less is not worth being kept
_NO_ROOM_ON_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_HINT = "free some disk space, or delete or purge what is not needed; writes resume by themselves"
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)  # a quota and a limit of files' sizes are I/O errors to SQLite


def is_no_room(error: BaseException | None) -> bool:
    """Whether a write failed for want of room, or because the disk cannot be written at all."""
    if isinstance(error, StoreFailed):
        error = error.__cause__
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in NO_ROOM
    return isinstance(error, OSError) and error.errno in _NO_ROOM_ON_DISK


def room_on_disk(path: Path) -> int:
    """Bytes that this process may still take of the disk that has this file."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def allocate(file: int, end: int) -> None:
    """Make a file at least so long, with the room for it; OSError when there is none."""
    length = os.fstat(file).st_size
    if length >= end:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, length, end - length)
    else:  # macOS
        os.pwrite(file, bytes(end - length), length)


class Reserve:
    """The room that one database has taken ahead; ``kept`` is false while its pages are being used."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._file = os.open(path, os.O_RDWR)  # stays open: closing it would drop the process's locks on it
        self._page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        self.kept = False
        with suppress(sqlite3.Error):  # no room: inserts are refused before they use what there is
            connection.execute("CREATE TABLE IF NOT EXISTS store_reserve (pages BLOB)")
            self.kept = connection.execute("SELECT 1 FROM store_reserve").fetchone() is not None
        if not self.kept:
            self._make()

    def place(self) -> None:
        """Have a place in the database's file for every page of the open transaction; OSError when there is no room."""
        needed = self._needed()
        if os.fstat(self._file).st_size >= needed:
            return
        try:
            allocate(self._file, needed + _PLACE_BYTES)
        except OSError:
            allocate(self._file, needed)

    def keep(self) -> bool:
        """Whether there is room for inserts again; makes the reserve anew, too. Only between transactions."""
        if not self.enough():
            return False
        if not self.kept:
            self._make()
        return self.kept

    def enough(self) -> bool:
        """Whether there is room for inserts: free pages of the database, else the disk's, which are taken at once."""
        if self._free_pages() * self._page_bytes >= ROOM_BYTES:
            return True
        if room_on_disk(self._path) < ROOM_BYTES:
            return False
        try:
            allocate(self._file, self._needed() + ROOM_BYTES)
        except OSError:  # a quota, or a limit
            return False
        return True

    def _needed(self) -> int:
        return int(self._connection.execute("PRAGMA page_count").fetchone()[0]) * self._page_bytes

    def _make(self) -> None:
        bytes_ = PAGE_RESERVE_BYTES
        while not self.kept and bytes_ >= _LEAST_PAGES * self._page_bytes:
            self.kept = self._insert(bytes_)
            bytes_ //= 4

    def _insert(self, bytes_: int) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT INTO store_reserve VALUES (zeroblob(?))", (bytes_,))
            self.place()
            self._connection.execute("COMMIT")
            return True
        except (sqlite3.Error, OSError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if not is_no_room(error):
                raise
            return False

    def spend(self) -> None:
        """Let deletes and our own bookkeeping use the pages. Only between transactions."""
        self.kept = False
        with suppress(sqlite3.Error):  # the log has no room either: nothing is lost by having tried
            self._connection.execute("DELETE FROM store_reserve")

    def lean(self) -> bool:
        """Whether so little is left of the pages that records of what is over have to be left out."""
        return not self.kept and self._free_pages() * self._page_bytes < PAGE_RESERVE_BYTES // 2

    def _free_pages(self) -> int:
        return int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])

    def close(self) -> None:
        """Keep the log's room for the next start; only once the connection is closed, which removes the log."""
        os.close(self._file)
        ballast = os.open(_ballast(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with suppress(OSError):
                allocate(ballast, WAL_RESERVE_BYTES)
        finally:
            os.close(ballast)


def open_reserve(path: Path) -> None:
    """Give the room that was kept since the last server stopped to the log that is about to be made."""
    _ballast(path).unlink(missing_ok=True)


def _ballast(path: Path) -> Path:
    return path.with_name("reserve")
