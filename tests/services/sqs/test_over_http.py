"""SQS with boto3 over HTTP on a whole platform: waiting, moved clocks, move tasks, restarts, templates."""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from penstock.engine.access import root
from penstock.engine.context import Call, WaitingContext
from penstock.engine.resource import Declared, Physical, ResourceType
from penstock.testing.platform import PlatformThread
from tests.services.sqs.alone import redrive

ARN = "arn:aws:sqs:us-east-1:000000000000:"
POLL_S = 20


def poll(
    platform: PlatformThread, client: Any, url: str, pool: ThreadPoolExecutor, at_most: int = 10
) -> Future[list[dict[str, Any]]]:
    """Begin a long poll, and return once it waits, whoever else does."""
    arn = ARN + url.rpartition("/")[2]
    before = platform.run(_waiting(platform, arn))
    asked = {"QueueUrl": url, "WaitTimeSeconds": POLL_S, "MaxNumberOfMessages": at_most}
    begun = pool.submit(lambda: client.receive_message(**asked).get("Messages", []))
    while platform.run(_waiting(platform, arn)) == before and not begun.done():
        pass
    return begun


async def _waiting(platform: PlatformThread, arn: str) -> int:
    return len(platform.platform.parts.wakes._waiting.get(arn, ()))


@pytest.fixture
def pool() -> Any:
    """Threads for clients that wait."""
    with ThreadPoolExecutor(8) as threads:
        yield threads


def test_long_polls_wake_with_what_was_sent_as_many_as_there_are_messages(
    platform: PlatformThread, pool: ThreadPoolExecutor
) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    polls = [poll(platform, client, url, pool, at_most=1) for _ in range(3)]
    platform.quiet()
    for number in range(3):
        client.send_message(QueueUrl=url, MessageBody=str(number))
    got = [message["Body"] for each in polls for message in each.result(POLL_S / 2)]
    assert sorted(got) == ["0", "1", "2"]


def test_a_long_poll_wakes_when_a_moved_clock_makes_a_message_visible(
    platform: PlatformThread, pool: ThreadPoolExecutor
) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    platform.freeze()
    client.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=600)
    begun = poll(platform, client, url, pool)
    platform.advance(seconds=599)
    assert not begun.done()
    platform.advance(seconds=1)
    (message,) = begun.result(POLL_S / 2)
    again = poll(platform, client, url, pool)
    client.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert [each["MessageId"] for each in again.result(POLL_S / 2)] == [message["MessageId"]]


def test_a_long_poll_of_a_group_wakes_when_its_lock_goes(platform: PlatformThread, pool: ThreadPoolExecutor) -> None:
    client = platform.client("sqs")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = client.create_queue(QueueName="q.fifo", Attributes=attributes)["QueueUrl"]
    for body in ("1", "2"):
        client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    (first,) = client.receive_message(QueueUrl=url)["Messages"]
    begun = poll(platform, client, url, pool)
    client.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert [message["Body"] for message in begun.result(POLL_S / 2)] == ["2"]


def test_a_long_poll_ends_when_its_queue_does(platform: PlatformThread, pool: ThreadPoolExecutor) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    begun = poll(platform, client, url, pool)
    client.delete_queue(QueueUrl=url)
    with pytest.raises(client.exceptions.QueueDoesNotExist):
        begun.result(POLL_S / 2)


def test_a_receiver_that_hung_up_gets_no_message(platform: PlatformThread, pool: ThreadPoolExecutor) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": POLL_S}).encode()
    host, port = platform.url.removeprefix("http://").split(":")
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as dead:
        dead.sendall(head.encode() + body)
        while not platform.run(_waiting(platform, ARN + "q")):
            pass
    begun = poll(platform, client, url, pool)
    client.send_message(QueueUrl=url, MessageBody="x")
    assert [message["Body"] for message in begun.result(POLL_S / 2)] == ["x"]


def test_errors_have_aws_codes(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    with pytest.raises(client.exceptions.QueueDoesNotExist) as error:
        client.get_queue_url(QueueName="nothing")
    assert error.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    client.create_queue(QueueName="q")
    with pytest.raises(client.exceptions.QueueNameExists) as error:
        client.create_queue(QueueName="q", Attributes={"DelaySeconds": "1"})
    assert error.value.response["Error"]["Code"] == "QueueAlreadyExists"
    client.purge_queue(QueueUrl="q")
    with pytest.raises(client.exceptions.PurgeQueueInProgress) as error:
        client.purge_queue(QueueUrl="q")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError) as error:
        client.receive_message(QueueUrl="q", MaxNumberOfMessages=11)
    assert error.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_accounts_and_regions_have_their_own_queues(platform: PlatformThread) -> None:
    ours, theirs = platform.client("sqs"), platform.client("sqs", account="111111111111")
    elsewhere = platform.client("sqs", region="eu-west-1")
    url = theirs.create_queue(QueueName="q")["QueueUrl"]
    assert url.endswith("/111111111111/q")
    for client in (ours, elsewhere):
        with pytest.raises(client.exceptions.QueueDoesNotExist):
            client.get_queue_url(QueueName="q")
    assert ours.get_queue_url(QueueName="q", QueueOwnerAWSAccountId="111111111111")["QueueUrl"] == url
    ours.send_message(QueueUrl=url, MessageBody="x")
    (message,) = theirs.receive_message(QueueUrl=url, AttributeNames=["SenderId"])["Messages"]
    assert message["Attributes"] == {"SenderId": "000000000000"}


def test_what_was_answered_survives_a_restart(own_platform: PlatformThread) -> None:
    client = own_platform.client("sqs")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = client.create_queue(QueueName="q.fifo", Attributes=attributes)["QueueUrl"]
    for number in range(3):
        client.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId="g")
    (held,) = client.receive_message(QueueUrl=url)["Messages"]
    own_platform.restart()
    client = own_platform.client("sqs")
    assert "Messages" not in client.receive_message(QueueUrl=url), "the group is still locked"
    client.delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    client.send_message(QueueUrl=url, MessageBody="0", MessageGroupId="g")
    received = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in received] == ["1", "2"]


# --- move tasks


def buried(client: Any, count: int, **attributes: str) -> tuple[str, str]:
    """A queue and its dead-letter queue with messages that were given up; their URLs."""
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    policy = {"RedrivePolicy": redrive("dead", 1), "VisibilityTimeout": "0"}
    url = client.create_queue(QueueName="q", Attributes=policy)["QueueUrl"]
    for number in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(number, min(number + 10, count))]
        client.send_message_batch(QueueUrl=url, Entries=entries)
    while client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        pass
    return url, dead


def count(client: Any, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def test_a_move_task_drives_messages_back_as_new_ones(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    url, dead = buried(client, 1050)
    while count(client, dead) < 1050:  # what is received once more is given up
        client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert (count(client, url), count(client, dead)) == (0, 1050)
    handle = client.start_message_move_task(SourceArn=ARN + "dead")["TaskHandle"]
    assert handle
    platform.quiet()
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert task["StartedTimestamp"] > 0
    del task["StartedTimestamp"]
    assert task == {
        "Status": "COMPLETED", "SourceArn": ARN + "dead", "ApproximateNumberOfMessagesMoved": 1050,
        "ApproximateNumberOfMessagesToMove": 1050,
    }  # fmt: skip
    assert (count(client, url), count(client, dead)) == (1050, 0)
    (message,) = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_move_task_leaves_what_stands_behind_a_held_message_of_its_group(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    dead = client.create_queue(QueueName="dead.fifo", Attributes=fifo)["QueueUrl"]
    back = {**fifo, "RedrivePolicy": redrive("dead.fifo", 1)}
    url = client.create_queue(QueueName="q.fifo", Attributes=back)["QueueUrl"]
    for body in ("a1", "a2", "a3", "b1", "b2"):
        client.send_message(QueueUrl=dead, MessageBody=body, MessageGroupId=body[0])
    held = client.receive_message(QueueUrl=dead, MaxNumberOfMessages=2)["Messages"]
    client.change_message_visibility(QueueUrl=dead, ReceiptHandle=held[0]["ReceiptHandle"], VisibilityTimeout=0)
    client.start_message_move_task(SourceArn=ARN + "dead.fifo", DestinationArn=ARN + "q.fifo")
    platform.quiet()
    moved = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in moved] == ["a1", "b1", "b2"]
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead.fifo")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    client.delete_message(QueueUrl=dead, ReceiptHandle=held[1]["ReceiptHandle"])
    (left,) = client.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
    assert left["Body"] == "a3"


def test_a_rate_is_kept_and_a_task_can_be_cancelled(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    _, dead = buried(client, 10)
    other = client.create_queue(QueueName="other")["QueueUrl"]
    platform.freeze()
    request = {"SourceArn": ARN + "dead", "DestinationArn": ARN + "other", "MaxNumberOfMessagesPerSecond": 2}
    handle = client.start_message_move_task(**request)["TaskHandle"]
    with pytest.raises(ClientError, match="There is already a task running"):
        client.start_message_move_task(**request)
    platform.quiet()
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"], task["TaskHandle"]) == ("RUNNING", 0, handle)
    platform.advance(seconds=2)
    assert (count(client, dead), count(client, other)) == (6, 4)
    cancelled = client.cancel_message_move_task(TaskHandle=handle)
    assert cancelled["ApproximateNumberOfMessagesMoved"] == 4
    platform.advance(seconds=10)
    assert (count(client, dead), count(client, other)) == (6, 4)
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert task["Status"] == "CANCELLED" and "TaskHandle" not in task
    with pytest.raises(client.exceptions.UnsupportedOperation):
        client.cancel_message_move_task(TaskHandle=handle)


def test_a_task_fails_when_its_destination_goes(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    buried(client, 4)
    client.create_queue(QueueName="other")
    platform.freeze()
    client.start_message_move_task(SourceArn=ARN + "dead", DestinationArn=ARN + "other", MaxNumberOfMessagesPerSecond=1)
    platform.advance(seconds=1)
    client.delete_queue(QueueUrl="other")
    platform.advance(seconds=1)
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert task["Status"] == "FAILED"
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert task["ApproximateNumberOfMessagesMoved"] == 1


def test_what_a_task_needs_is_said(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    client.create_queue(QueueName="q")
    for request, code, sentence in (
        ({"SourceArn": ARN + "nothing"}, "ResourceNotFoundException", "SourceArn parameter doesn't exist."),
        ({"SourceArn": ARN + "q"}, "InvalidParameterValue", "must be configured as a Dead Letter Queue."),
        ({"SourceArn": ARN + "q", "DestinationArn": ARN + "x"}, "ResourceNotFoundException", "DestinationArn"),
        ({"SourceArn": ARN + "q", "MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue", "between 1 and 500"),
    ):
        with pytest.raises(ClientError, match=sentence) as error:
            client.start_message_move_task(**request)
        assert error.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="Value for parameter TaskHandle is invalid"):
        client.cancel_message_move_task(TaskHandle="nothing")
    for digits in (20, 5000):
        handle = b64encode(json.dumps({"taskId": "9" * digits, "sourceArn": ARN + "q"}).encode()).decode()
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            client.cancel_message_move_task(TaskHandle=handle)


def test_a_rated_task_goes_on_after_a_restart(own_platform: PlatformThread) -> None:
    client = own_platform.client("sqs")
    _, dead = buried(client, 6)
    own_platform.freeze()
    client.start_message_move_task(SourceArn=ARN + "dead", MaxNumberOfMessagesPerSecond=2)
    own_platform.advance(seconds=1)
    own_platform.restart()
    client = own_platform.client("sqs")
    own_platform.advance(seconds=10)
    assert count(client, dead) == 0
    (task,) = client.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 6)


# --- beside AWS


def test_what_only_an_outsider_can_finish_is_told(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    for body in ("a", "b"):
        client.send_message(QueueUrl=url, MessageBody=body)
    client.receive_message(QueueUrl=url)
    assert platform.run(platform.platform.outside(None)) == [
        "queue q: 1 message held by receivers", "queue q: 1 message to be received",
    ]  # fmt: skip


def test_a_reset_leaves_nothing(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="x")
    platform.reset()
    assert "QueueUrls" not in client.list_queues()
    client.create_queue(QueueName="q")
    assert "Messages" not in client.receive_message(QueueUrl=url)


def test_counts_of_a_large_queue_are_exact(platform: PlatformThread) -> None:
    client = platform.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    for _ in range(250):
        entries = [{"Id": str(n), "MessageBody": "x", "DelaySeconds": 900 * (n % 2)} for n in range(10)]
        client.send_message_batch(QueueUrl=url, Entries=entries)
    client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    told = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert [told["ApproximateNumberOfMessages" + kind] for kind in ("", "NotVisible", "Delayed")] == [
        "1240", "10", "1250",
    ]  # fmt: skip


# --- templates


def context(platform: PlatformThread) -> WaitingContext:
    parts = platform.platform.parts
    call = Call("sqs", "Deploy", {}, "000000000000", "us-east-1", root("000000000000"), "r", host="127.0.0.1:4566")
    return WaitingContext(parts, call)


def type_of(platform: PlatformThread, name: str) -> ResourceType:
    return next(each for each in platform.platform.registry.service("sqs").resources if each.name == name)


def queue_of(**properties: Any) -> Declared:
    return Declared("Orders", "AWS::SQS::Queue", properties, "stack-Orders-ABC", "stack", {"stack": "s"})


def test_a_templates_queue_is_made_changed_and_removed(platform: PlatformThread) -> None:
    client, cx, queue = platform.client("sqs"), context(platform), type_of(platform, "AWS::SQS::Queue")
    first = queue_of(DelaySeconds=5, FifoQueue=True, ContentBasedDeduplication=True, VisibilityTimeout=7,
                     Tags=[{"Key": "a", "Value": "1"}])  # fmt: skip
    made = platform.run(queue.create(cx, first))
    name = "stack-Orders-ABC.fifo"
    assert made.id.endswith(f"/000000000000/{name}")
    assert made.attributes["Arn"] == ARN + name and made.attributes["QueueName"] == name
    assert client.list_queue_tags(QueueUrl=made.id)["Tags"] == {"stack": "s", "a": "1"}
    second = queue_of(FifoQueue=True, VisibilityTimeout=8)
    changed = platform.run(queue.update(cx, second, first, made))
    assert changed.id == made.id
    told = client.get_queue_attributes(QueueUrl=made.id, AttributeNames=["All"])["Attributes"]
    wanted = {"DelaySeconds": "0", "ContentBasedDeduplication": "false", "VisibilityTimeout": "8", "FifoQueue": "true"}
    assert {key: told[key] for key in wanted} == wanted
    assert client.list_queue_tags(QueueUrl=made.id)["Tags"] == {"stack": "s"}
    platform.run(queue.delete(cx, made))
    platform.run(queue.delete(cx, made))
    platform.run(queue.create(cx, first))


def test_a_templates_policy_is_kept_by_its_queues(platform: PlatformThread) -> None:
    client, cx, policy = platform.client("sqs"), context(platform), type_of(platform, "AWS::SQS::QueuePolicy")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    declared = Declared("P", "AWS::SQS::QueuePolicy", {"Queues": [url], "PolicyDocument": document}, "stack-P-1")

    def told() -> dict[str, str]:
        answer: dict[str, Any] = client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return answer.get("Attributes", {})

    made: Physical = platform.run(policy.create(cx, declared))
    assert "sqs:*" in told()["Policy"]
    platform.run(policy.delete(cx, made))
    assert told() == {}


def test_the_old_query_protocol_works_too(platform: PlatformThread) -> None:
    """As SDKs from before November 2023 speak it; botocore's newer model has lost its member names."""

    def call(action: str, **parameters: str) -> str:
        body = urlencode({"Action": action, "Version": "2012-11-05", **parameters}).encode()
        credential = "000000000000/20261121/us-east-1/sqs/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"}
        with urlopen(Request(platform.url, body, headers)) as answer:
            return str(answer.read().decode())

    url = re.findall("<QueueUrl>(.*)</QueueUrl>", call("CreateQueue", QueueName="q"))[0]
    sent = call(
        "SendMessage", QueueUrl=url, MessageBody="x < y",
        **{"MessageAttribute.1.Name": "a", "MessageAttribute.1.Value.DataType": "String",
           "MessageAttribute.1.Value.StringValue": "b"},
    )  # fmt: skip
    assert "<MD5OfMessageBody>" in sent and "<MD5OfMessageAttributes>" in sent
    received = call("ReceiveMessage", QueueUrl=url, **{"MessageAttributeName.1": "All", "AttributeName.1": "All"})
    assert "<Body>x &lt; y</Body>" in received and "<Name>SentTimestamp</Name>" in received
    handle = re.findall("<ReceiptHandle>(.*)</ReceiptHandle>", received)[0]
    call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    told = call("GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "All"})
    assert "<Name>ApproximateNumberOfMessagesNotVisible</Name><Value>0</Value>" in told
    with pytest.raises(HTTPError) as error:
        call("SendMessage", QueueUrl=url + "x", MessageBody="x")
    told = error.value.read().decode()
    assert "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in told
    assert "<Message>The specified queue does not exist for this wsdl version.</Message>" in told
