"""The schema: named SQL scripts, each applied once, in order.

A change of a table is a further script, never an edit of an applied one. A directory with a script this Penstock
does not know was written by a newer one and is refused; before an existing directory gets new scripts it is copied.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.base.errors import SchemaTooNew, StoreError


@dataclass(frozen=True, slots=True)
class Script:
    """One step of the schema: ``name`` such as "engine/journal.sql", and its SQL."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """What tells an applied script from an edited one."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(connection: sqlite3.Connection, scripts: Sequence[Script], path: Path | None) -> list[str]:
    """Apply the scripts that are new to this database and return their names; all of them or none.

    SchemaTooNew when the database has scripts that are not among these; StoreError when one was edited.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS schema_script (name TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT")
    applied: dict[str, str] = dict(connection.execute("SELECT name, digest FROM schema_script"))
    known = {script.name: script for script in scripts}
    where = path.parent if path else "the store"
    if unknown := sorted(applied.keys() - known.keys()):
        raise SchemaTooNew(
            f"{where} was written by a newer Penstock (it has {', '.join(unknown)}): use that one, or another --data"
        )
    if edited := sorted(name for name, digest in applied.items() if known[name].digest != digest):
        raise StoreError(
            f"{where} was written by a development version whose {', '.join(edited)} was different:"
            " use that version, or another --data"
        )
    missing = [script for script in scripts if script.name not in applied]
    if missing and applied and path is not None:
        copy = path.with_suffix(f".before-{len(applied)}-scripts")
        copy.unlink(missing_ok=True)
        try:
            connection.execute("VACUUM INTO ?", (str(copy),))
        except sqlite3.Error:
            copy.unlink(missing_ok=True)  # of no use, and in the way when the disk is full
            raise
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in missing:
            for statement in statements(script.sql):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_script VALUES (?, ?)", (script.name, script.digest))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return [script.name for script in missing]


def statements(sql: str) -> list[str]:
    """A script's statements, one by one."""
    found: list[str] = []
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    if statement.strip() and not all(line.lstrip().startswith("--") for line in statement.split("\n") if line.strip()):
        raise StoreError(f"a statement does not end with a semicolon: {statement.strip()[:80]}")
    return found
