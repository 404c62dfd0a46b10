"""The schema: each script once, newer directories refused, older ones copied first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from penstock.base.errors import DataDirectoryInUse, SchemaTooNew, StoreError
from penstock.store.lock import DirectoryLock, owner_of
from penstock.store.migrations import Script, migrate, statements

FIRST = Script(
    "a/one.sql", "CREATE TABLE one (x INTEGER); -- a comment; with a semicolon\nCREATE INDEX i ON one (x);\n"
)
SECOND = Script("a/two.sql", "CREATE TABLE two (x INTEGER);")


def open_(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_scripts_are_applied_once_in_order(tmp_path: Path) -> None:
    connection = open_(tmp_path / "db")
    assert migrate(connection, [FIRST, SECOND], tmp_path / "db") == ["a/one.sql", "a/two.sql"]
    assert migrate(connection, [FIRST, SECOND], tmp_path / "db") == []


def test_a_directory_of_a_newer_penstock_is_refused_by_name(tmp_path: Path) -> None:
    connection = open_(tmp_path / "db")
    migrate(connection, [FIRST, SECOND], tmp_path / "db")
    with pytest.raises(SchemaTooNew, match=r"a/two\.sql"):
        migrate(connection, [FIRST], tmp_path / "db")


def test_an_older_directory_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    connection = open_(tmp_path / "db")
    migrate(connection, [FIRST], tmp_path / "db")
    connection.execute("INSERT INTO one VALUES (7)")
    migrate(connection, [FIRST, SECOND], tmp_path / "db")
    copies = [path for path in tmp_path.iterdir() if "before" in path.name]
    assert [open_(copy).execute("SELECT x FROM one").fetchall() for copy in copies] == [[(7,)]]


def test_an_edited_script_is_refused(tmp_path: Path) -> None:
    connection = open_(tmp_path / "db")
    migrate(connection, [FIRST], tmp_path / "db")
    with pytest.raises(StoreError, match="development version"):
        migrate(connection, [Script(FIRST.name, FIRST.sql + "CREATE TABLE more (x);")], tmp_path / "db")


def test_a_script_that_fails_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    connection = open_(tmp_path / "db")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [FIRST, Script("a/bad.sql", "CREATE TABLE one (x);")], tmp_path / "db")
    assert migrate(connection, [FIRST], tmp_path / "db") == ["a/one.sql"]


def test_a_statement_without_its_semicolon_is_an_error() -> None:
    with pytest.raises(StoreError, match="semicolon"):
        statements("CREATE TABLE one (x)")


def test_a_taken_directory_names_its_owner(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    lock.describe({"pid": 7, "url": "http://127.0.0.1:4566"})
    with pytest.raises(DataDirectoryInUse, match="process id 7 at http://127"):
        DirectoryLock(tmp_path).acquire()
    assert owner_of(tmp_path) == {"pid": 7, "url": "http://127.0.0.1:4566"}
    lock.release()
    assert owner_of(tmp_path) is None
