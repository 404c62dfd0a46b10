"""Members of requests that the other tests have no use for: each is executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.cli.client import Client
from penstock.testing.platform import PlatformThread

TEMPLATE = """
Parameters: {Seconds: {Type: Number, Default: 1}}
Resources:
  Orders: {Type: AWS::SQS::Queue, Properties: {QueueName: orders, VisibilityTimeout: !Ref Seconds}}
  Disk: {Type: AWS::EFS::FileSystem}
"""


@pytest.fixture
def own(platform: PlatformThread) -> Iterator[Client]:
    yield Client(platform.url, account="000000000000", region="us-east-1")


def test_an_application_with_tags_and_stubs_is_deployed_and_watched(
    own: Client, platform: PlatformThread, tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    request = {
        "template": str(template), "parameters": {"Seconds": "7"}, "tags": {"team": "red"}, "stubUnknown": True,
    }  # fmt: skip
    *_, last = own.progress("POST", "/applications", {"name": "shop", **request})
    assert "AWS::EFS::FileSystem" in str(last["done"]["warnings"])
    sqs = platform.client("sqs")
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"]["team"] == "red"
    watching = own.progress("POST", "/applications/shop/watch", request | {"parameters": {"Seconds": "8"}})
    assert any("done" in line for line in watching)
    watching.close()  # type: ignore[attr-defined]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert told == {"VisibilityTimeout": "8"}


def test_what_is_shown_can_be_limited(own: Client, platform: PlatformThread) -> None:
    sqs = platform.client("sqs")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    for number in range(3):
        id_ = sqs.send_message(QueueUrl=url, MessageBody=str(number))["MessageId"]
    assert len(own.own("GET", "/sqs/messages", QueueUrl=url, Limit=2)["messages"]) == 2
    assert len(own.own("GET", "/events", since="2020-01-01T00:00:00Z", outsideOnly="true")["events"]) == 3
    assert own.own("GET", "/events", since="2999-01-01T00:00:00Z")["events"] == []
    assert own.own("GET", f"/events/{id_}/trace", limit=1)["events"]
    assert own.own("POST", "/quiet", {"account": "000000000000", "timeoutSeconds": 5})["quiet"] is True


def test_a_reset_of_everything_reaches_every_account(own: Client, platform: PlatformThread) -> None:
    other = platform.client("sqs", account="111122223333")
    other.create_queue(QueueName="theirs")
    own.own("POST", "/reset", {"everything": True})
    assert other.list_queues().get("QueueUrls", []) == []
