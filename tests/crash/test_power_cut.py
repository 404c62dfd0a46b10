"""What a power cut leaves: the database and the log as of the last sync. SIGKILL cannot show a missing one.

A killed process loses nothing that it wrote, synced or not, because the operating system still has it. So the
real calls of ``fdatasync`` are counted here, and a platform is restarted from a copy of its files in which everything
that was not synced at some moment is cut off, or garbage.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from penstock.platform import Platform
from penstock.testing.platform import running_platform

LOG_HEADER_BYTES = 32  # sqlite.org/fileformat2.html#the_write_ahead_log
SEED = 20261121


class Syncs:
    """Counts the calls of ``fdatasync`` in every thread that starts while it watches."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_return" and argument is os.fdatasync:
            self.count += 1


@pytest.fixture
def syncs() -> Iterator[Syncs]:
    counting = Syncs()
    threading.setprofile(counting)
    yield counting
    threading.setprofile(None)


class WatchedLog:
    """A store's log, and how many bytes of it the disk holds for certain."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.synced_bytes = 0

    def sync(self, ended: Callable[[BaseException | None], object]) -> None:
        """Sync, and remember how far."""
        written = self._log.bytes + LOG_HEADER_BYTES

        def remember(failure: BaseException | None) -> None:
            self.synced_bytes = written
            ended(failure)

        self._log.sync(remember)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_log", "synced_bytes"):
            super().__setattr__(name, value)
        else:
            setattr(self._log, name, value)


async def queue_of(platform: Platform) -> str:
    return str((await platform.call("sqs", "CreateQueue", {"QueueName": "q"}))["QueueUrl"])


async def send(platform: Platform, url: str, body: str) -> None:
    await platform.call("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": body})


async def received(platform: Platform, url: str) -> list[str]:
    found: list[str] = []
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10}
    while messages := (await platform.call("sqs", "ReceiveMessage", request)).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


async def test_each_answer_alone_costs_one_sync_and_answers_together_share_one(tmp_path: Path, syncs: Syncs) -> None:
    async with running_platform(tmp_path / "data") as platform:
        url = await queue_of(platform)
        before = syncs.count
        for number in range(20):
            await send(platform, url, str(number))
            assert syncs.count - before >= number + 1, "an answer left before anything was synced"
        assert syncs.count - before == 20
        before, groups = syncs.count, platform.store.groups_synced
        await asyncio.gather(*(send(platform, url, str(number)) for number in range(200)))
        assert syncs.count - before <= 4
        assert syncs.count - before <= platform.store.groups_synced - groups


async def test_without_durability_nothing_is_synced(tmp_path: Path, syncs: Syncs) -> None:
    async with running_platform(tmp_path / "data", durability="os") as platform:
        url = await queue_of(platform)
        before = syncs.count
        for number in range(20):
            await send(platform, url, str(number))
        assert syncs.count == before


def cut(data: Path, copy: Path, synced_bytes: int, chance: random.Random, *, garbage: bool) -> None:
    """Copy a running platform's files as a power cut at this moment might leave them."""
    copy.mkdir()
    # Not with Python's own files: closing one of them would drop the platform's locks on the database.
    subprocess.run(["cp", data / "penstock.db", data / "penstock.db-wal", copy], check=True)
    log = copy / "penstock.db-wal"
    size = log.stat().st_size
    with log.open("r+b") as file:
        file.truncate(min(size, synced_bytes))
        if garbage and size > synced_bytes:
            file.seek(synced_bytes)
            file.write(chance.randbytes(size - synced_bytes))


@pytest.mark.parametrize("garbage", [False, True], ids=["cut off", "garbage"])
async def test_what_was_answered_before_a_power_cut_is_there_after_it(tmp_path: Path, garbage: bool) -> None:
    chance = random.Random(SEED)
    tried: list[str] = []
    answered: list[str] = []
    moments: list[tuple[Path, list[str]]] = []
    async with running_platform(tmp_path / "data") as platform:
        log = platform.store._log = WatchedLog(platform.store._log)  # type: ignore[assignment]
        url = await queue_of(platform)
        more = asyncio.Event()

        async def sender(name: str) -> None:
            for number in range(60):
                tried.append(f"{name}-{number}")
                await send(platform, url, f"{name}-{number}")
                answered.append(f"{name}-{number}")
                more.set()

        senders = [asyncio.ensure_future(sender(f"s{i}")) for i in range(8)]
        for number in range(6):
            goal = len(answered) + chance.randrange(20, 60)
            while len(answered) < goal and len(answered) < 8 * 60:
                more.clear()
                await more.wait()
            known, copy = list(answered), tmp_path / f"copy-{number}"
            cut(tmp_path / "data", copy, log.synced_bytes, chance, garbage=garbage)
            moments.append((copy, known))
        await asyncio.gather(*senders)
    assert any(known for _, known in moments)
    for copy, known in moments:
        async with running_platform(copy) as platform:
            present = await received(platform, url.replace(url.split("/")[2], platform.url.split("/")[2]))
        assert not set(known) - set(present), f"answered but not there: {sorted(set(known) - set(present))[:5]}"
        assert set(present) <= set(tried)
        assert len(present) == len(set(present))
