"""Watching files: what counts as a change, and when it is over."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.deploy.watch import SETTLE_LOOKS, Watch, in_words, settled


class Writing(Watch):
    """Somebody writes the file again at each of the first looks."""

    def __init__(self, path: Path, times: int) -> None:
        super().__init__({"code": path})
        self.path, self.times = path, times

    def changed(self) -> list[str]:
        if self.times:
            self.times -= 1
            self.path.write_text(self.path.read_text() + "x")
        return super().changed()


async def test_a_change_is_over_when_nobody_writes_any_more(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("")
    watch = Writing(file, times=3)
    assert await settled(watch) == ["code"]
    assert (watch.times, file.read_text(), await settled(watch)) == (0, "xxx", [])


async def test_what_is_written_all_the_time_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("")
    watch = Writing(file, times=1000)
    assert await settled(watch) == ["code"]
    assert watch.times == 1000 - SETTLE_LOOKS


def test_what_was_written_since_a_moment_counts_as_changed(tmp_path: Path) -> None:
    for name, seconds in (("old", 100), ("new", 200)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (seconds, seconds))
    watch = Watch({name: tmp_path / name for name in ("old", "new")}, since_ms=150_000)
    assert watch.changed() == ["new"]
    assert watch.changed() == []
    (tmp_path / "old").unlink()
    assert watch.changed() == ["old"]


def test_paths_are_told_as_seen_from_the_template(tmp_path: Path) -> None:
    (tmp_path / "shop" / "pay").mkdir(parents=True)
    paths = [tmp_path / "shop" / "template.yaml", tmp_path / "shop" / "pay", tmp_path / "shop" / "pay", tmp_path]
    assert in_words(paths, tmp_path / "shop") == f"{tmp_path}/, pay/, template.yaml"
