"""What is removed without being asked for: everything that is no longer needed, and nothing else."""

from __future__ import annotations

from penstock.services.sqs.housekeeping import go_round
from tests.services.sqs.alone import Alone


def rows(sqs: Alone, table: str) -> int:
    """How many rows a table has."""
    (count,) = sqs.transact(lambda cx: cx.one(f"SELECT count(*) FROM {table}")) or (0,)
    return int(count)


def fill(sqs: Alone, url: str, count: int) -> None:
    """Send messages of three groups, each with a deduplication id of its own."""
    fifo = url.endswith(".fifo")
    for first in range(0, count, 10):
        sqs.call("SendMessageBatch", QueueUrl=url, Entries=[
            {"Id": str(n), "MessageBody": "x"}
            | ({"MessageGroupId": str(n % 3), "MessageDeduplicationId": str(n)} if fifo else {})
            for n in range(first, first + 10)
        ])  # fmt: skip


def test_expired_messages_go_in_slices_with_their_groups(sqs: Alone) -> None:
    for name in ("q", "q.fifo"):
        fill(sqs, sqs.queue(name, MessageRetentionPeriod="60"), 1200)
    sqs.pass_time(30)
    fill(sqs, "q", 10)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert rows(sqs, "sqs_message") == 2410
    sqs.pass_time(30)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert rows(sqs, "sqs_message") == 10 == sqs.counts("q")[0]
    assert rows(sqs, "sqs_group") == 0


def test_what_purged_and_deleted_queues_had_goes(sqs: Alone) -> None:
    for name in ("q", "q.fifo", "kept.fifo"):
        fill(sqs, sqs.queue(name), 600)
    sqs.receive("q.fifo", 10, ReceiveRequestAttemptId="1")
    sqs.call("PurgeQueue", QueueUrl="q")
    sqs.call("DeleteQueue", QueueUrl="q.fifo")
    sqs.send("q", "new")
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert rows(sqs, "sqs_message") == 601
    assert rows(sqs, "sqs_group") == 3
    assert rows(sqs, "sqs_dedup") == 600
    assert rows(sqs, "sqs_attempt") == rows(sqs, "sqs_emptied") == 0
    assert sqs.bodies("q") == ["new"]


def test_deduplication_ids_attempts_and_names_are_forgotten_in_time(sqs: Alone) -> None:
    fill(sqs, sqs.queue("q.fifo"), 600)
    sqs.receive("q.fifo", 10, ReceiveRequestAttemptId="1")
    sqs.queue("gone")
    sqs.call("DeleteQueue", QueueUrl="gone")
    sqs.pass_time(59.999)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert rows(sqs, "sqs_deleted") == 1
    sqs.pass_time(240)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert (rows(sqs, "sqs_deleted"), rows(sqs, "sqs_dedup"), rows(sqs, "sqs_attempt")) == (0, 600, 1)
    sqs.pass_time(1)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert (rows(sqs, "sqs_dedup"), rows(sqs, "sqs_attempt")) == (0, 0)


def test_more_queues_than_one_look_takes_are_all_looked_at(sqs: Alone) -> None:
    for number in range(250):
        sqs.queue(f"q{number:03}", MessageRetentionPeriod="60")
    for number in (0, 99, 100, 249):
        sqs.send(f"q{number:03}", "x")
    sqs.pass_time(60)
    sqs.loop.run_until_complete(go_round(sqs.parts))
    assert rows(sqs, "sqs_message") == 0
