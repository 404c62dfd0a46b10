"""A reset of an account with much in its journal: void at once, gone in slices, in nobody's way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from penstock.base.limits import RESET_AT_ONCE
from penstock.engine.journal import WAITING
from penstock.engine.resetting import void_account
from penstock.platform import Platform
from penstock.testing.platform import running_platform

MINE, OTHER = "111111111111", "222222222222"
MANY = 20 * RESET_AT_ONCE

_EVENTS = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3)
INSERT INTO event (id, account, region, kind, source, at, payload)
SELECT ?1 + i, ?2, 'us-east-1', 'test:Put', 'arn:aws:sqs:us-east-1:000000000000:q', 0, x'7b7d' FROM n
"""
_DELIVERIES = """
INSERT INTO delivery (id, event, account, region, kind, source, target, state, due, attempts, at)
SELECT id + ?2, id, account, region, 'events:target', source, 'arn:aws:sqs:us-east-1:' || account || ':q', ?3, ?4, 0, 0
FROM event WHERE account = ?1
"""


async def with_journal(platform: Platform, account: str, count: int) -> None:
    """Give an account so many events and finished deliveries, as if it had been busy for long, and one that waits."""
    for _ in range(2 * count + 1):
        last = platform.names.id()
    first = last - 2 * count
    later = platform.clock.now() + 3_600_000

    def work(tx: Any) -> None:
        tx.write(_EVENTS, (first, account, count - 1))
        tx.write(_DELIVERIES, (account, count, 2, later))
        tx.write("UPDATE delivery SET state = ? WHERE id = ?", (WAITING, last - 1))

    await platform.store.transact(work)


async def told(platform: Platform, account: str) -> int:
    """How many events of an account the journal tells of (100 at most)."""
    return len((await platform.call("self", "ListEvents", {"account": account}))["events"])


async def rows(platform: Platform, account: str) -> int:
    """How many rows of the journal an account has."""
    sql = "SELECT (SELECT count(*) FROM event WHERE account = ?1) + (SELECT count(*) FROM delivery WHERE account = ?1)"
    return int((await platform.store.transact(lambda tx: tx.all(sql, (account,))))[0][0])


async def gone(platform: Platform) -> None:
    """Wait until everything void has been removed."""
    async with asyncio.timeout(60):
        while await platform.store.transact(lambda tx: tx.all("SELECT * FROM journal_void")):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_nothing_of_a_large_account_is_told_once_it_is_reset_and_others_keep_theirs(tmp_path: Path) -> None:
    async with running_platform(tmp_path) as platform:
        await with_journal(platform, MINE, MANY)
        await with_journal(platform, OTHER, 10)
        waiting = (await platform.call("self", "ListEvents", {"account": MINE, "state": "waiting"}))["events"]
        assert len(waiting) == 1
        await platform.reset(MINE)
        assert await rows(platform, MINE) > MANY, "nothing of it was left to be told"
        assert await told(platform, MINE) == 0
        assert "NotFound" in str(await failure(platform, waiting[0]["eventId"]))
        assert await told(platform, OTHER) == 10
        await platform.call("sqs", "CreateQueue", {"QueueName": "new"}, account=MINE)
        await gone(platform)
        assert await rows(platform, MINE) == 0
        assert await rows(platform, OTHER) == 20


async def failure(platform: Platform, event: str) -> Exception | None:
    """What a look at an event fails with."""
    try:
        await platform.call("self", "GetEvent", {"eventId": event})
    except Exception as error:
        return error
    return None


async def test_others_are_answered_while_a_large_account_is_being_removed(tmp_path: Path) -> None:
    async with running_platform(tmp_path) as platform:
        url = (await platform.call("sqs", "CreateQueue", {"QueueName": "q"}, account=OTHER))["QueueUrl"]
        await with_journal(platform, MINE, MANY)
        await platform.reset(MINE)
        sent = 0
        while await platform.store.transact(lambda tx: tx.all("SELECT * FROM journal_void")):
            await platform.call("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": "x"}, account=OTHER)
            sent += 1
        assert sent > MANY // 2000, f"only {sent} messages were taken meanwhile"


async def test_what_was_void_when_the_server_ended_is_removed_by_the_next_and_never_carried_out(tmp_path: Path) -> None:
    async with running_platform(tmp_path) as platform:
        await with_journal(platform, MINE, MANY)
        await platform.store.transact(lambda tx: void_account(tx, MINE, platform.names.id()))
        assert await rows(platform, MINE) > MANY
    async with running_platform(tmp_path) as again:
        again.clock.move_to(again.clock.now() + 7_200_000)  # what waited would be due now
        assert await told(again, MINE) == 0
        await gone(again)
        assert await rows(again, MINE) == 0
        assert (await again.quiet()).quiet


async def test_what_an_account_still_delivers_of_anothers_events_is_never_carried_out_after_its_reset(
    tmp_path: Path,
) -> None:
    async with running_platform(tmp_path) as platform:
        await with_journal(platform, OTHER, 10)
        url = (await platform.call("sqs", "CreateQueue", {"QueueName": "q"}, account=MINE))["QueueUrl"]
        # As a bus of its own does that others put events on.
        sql = "UPDATE delivery SET account = ?, target = ? WHERE account = ? AND state = ?"
        target = f"arn:aws:sqs:us-east-1:{MINE}:q"
        await platform.store.transact(lambda tx: tx.write(sql, (MINE, target, OTHER, WAITING)))
        await platform.reset(MINE)
        await platform.call("sqs", "CreateQueue", {"QueueName": "q"}, account=MINE)
        platform.clock.move_to(platform.clock.now() + 7_200_000)
        await gone(platform)
        assert (await platform.quiet()).quiet
        assert await rows(platform, MINE) == 0
        received = await platform.call("sqs", "ReceiveMessage", {"QueueUrl": url}, account=MINE)
        assert not received.get("Messages")
        assert await rows(platform, OTHER) == 19


async def test_a_reset_of_everything_is_as_quick(tmp_path: Path) -> None:
    async with running_platform(tmp_path) as platform:
        await with_journal(platform, MINE, MANY)
        await with_journal(platform, OTHER, MANY)
        await platform.reset(None)
        assert await told(platform, MINE) == 0 == await told(platform, OTHER)
        await gone(platform)
        assert await rows(platform, MINE) == 0 == await rows(platform, OTHER)
