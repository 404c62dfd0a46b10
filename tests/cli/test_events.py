"""``penstock events -f``: each event once, however many there were and come."""

from __future__ import annotations

from itertools import islice
from typing import Any

from penstock.cli import events
from penstock.cli.client import Client
from penstock.testing.platform import PlatformThread


def sender(platform: PlatformThread) -> Any:
    """Sends so many messages, and returns their ids in their order."""
    sqs = platform.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]

    def send(count: int) -> list[str]:
        ids: list[str] = []
        for begin in range(0, count, 10):
            entries = [{"Id": str(n), "MessageBody": "x"} for n in range(min(10, count - begin))]
            sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
            ids += [each["MessageId"] for each in sorted(sent, key=lambda each: int(each["Id"]))]
        return ids

    return send


def test_following_shows_the_latest_and_then_each_event_once(platform: PlatformThread) -> None:
    send = sender(platform)
    before, expected = send(250), list[str]()
    client = Client(platform.url, account="000000000000", region="us-east-1")
    bursts = iter([3, 0, 1030, 0, 2])

    def wait(seconds: float) -> None:
        expected.extend(send(next(bursts)))

    wanted = {"limit": 20, "newestFirst": True, "kind": "sqs"}
    shown = [event["eventId"] for event in islice(events.followed(client, wanted, wait), 20 + 3 + 1030 + 2)]
    assert shown == before[-20:] + expected
