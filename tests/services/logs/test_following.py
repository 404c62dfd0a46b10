"""Following a log: every chunk is looked at once, whoever wrote it."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from typing import Any

from penstock.services.logs import following
from penstock.store.store import Transaction
from penstock.testing.platform import PlatformThread
from tests.counting import steps

OTHER, QUIET = "111111111111", "222222222222"


def chunks(*rows: tuple[int, int]) -> list[tuple[Any, ...]]:
    """Rows of log_chunk: (id, group) each, in one stream of the group."""
    return [(id_, group, group, 1, 1, 1, 30, b'[[1,"x"]]') for id_, group in rows]


INSERT = "INSERT INTO log_chunk VALUES (?,?,?,?,?,?,?,?)"


def look(platform: PlatformThread, account: str, after: int) -> dict[str, Any]:
    return platform.call("logs", "ListWritten", {"after": after}, account=account)


def test_what_others_wrote_is_looked_at_once_a_bounded_number_at_a_time(platform: PlatformThread) -> None:
    for account in (OTHER, QUIET):
        platform.client("logs", account=account).create_log_group(logGroupName="app")
        platform.client("logs", account=account).create_log_stream(logGroupName="app", logStreamName="s")

    def write(tx: Transaction) -> None:
        groups = dict(tx.all("SELECT account, id FROM log_group"))  # type: ignore[arg-type]
        for group in groups.values():
            tx.write("UPDATE log_stream SET id = ? WHERE log_group = ?", (group, group))
        for row in chunks(*((number, groups[OTHER]) for number in range(1, 3001)), (3001, groups[QUIET])):
            tx.write(INSERT, row)

    platform.run(platform.platform.store.transact(write))
    first = look(platform, QUIET, 0)
    assert (first["lines"], first["next"], first["more"]) == ([], 2000, True)
    second = look(platform, QUIET, first["next"])
    assert ([line["message"] for line in second["lines"]], second["next"], second["more"]) == (["x"], 3001, False)
    assert look(platform, QUIET, 3001) == {"lines": [], "next": 3001, "more": False}
    busy = look(platform, OTHER, 0)
    assert (len(busy["lines"]), busy["next"], busy["more"]) == (200, 200, True)


def test_a_look_takes_as_many_steps_as_there_are_new_chunks_however_many_there_were() -> None:
    def cost(old: int) -> int:
        store = sqlite3.connect(":memory:")
        store.executescript(files("penstock.services.logs").joinpath("tables.sql").read_text())
        store.execute("INSERT INTO log_group VALUES (1, 'a', 'r', 'app', 1, NULL, NULL, 0, '{}')")
        store.execute("INSERT INTO log_stream VALUES (1, 1, 's', 1, NULL, NULL, NULL, 0)")
        store.executemany(INSERT, chunks(*((number, 1) for number in range(1, old + 3))))

        def look() -> None:
            assert len(store.execute(following._WRITTEN, (old, old + 2, "a", "r", 200)).fetchall()) == 2

        taken = steps(store, look)
        store.close()
        return taken

    assert cost(1000) <= cost(10) + 20
