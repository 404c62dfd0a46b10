"""A server whose disk has no room left: it refuses to store, and everything else goes on until there is room again.

Each test runs on a small file system that is filled to the last byte, and on files that must not grow any more.
"""

from __future__ import annotations

import io
import signal
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.store.small_disk import FileSizes, SmallServer, Tmpfs

MEGABYTES = {"file system": 56, "file size": 24}
SMALL = 600  # messages of some bytes
LAST = "x" * 60_000  # the first message that is taken when there is room again
ROLE = "arn:aws:iam::000000000000:role/r"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(params=list(MEGABYTES))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallServer]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "file system":
        disk: Tmpfs | FileSizes = Tmpfs(folder, MEGABYTES[request.param])
        if not disk.made:
            disk.close()
            pytest.skip("no file system can be mounted here without root; the limit on files' sizes is tested instead")
    else:
        disk = FileSizes(folder, MEGABYTES[request.param])
    server = SmallServer(disk, folder, tmp_path / "server.log")
    server.start()
    yield server
    server.kill()
    disk.close()


class Queue:
    """A queue of the server that is running now."""

    def __init__(self, server: SmallServer, name: str) -> None:
        self._server, self.name = server, name
        server.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})

    @property
    def sqs(self) -> Any:
        """A client."""
        return self._server.client("sqs")

    @property
    def url(self) -> str:
        """Its address; the port is another after each start."""
        return f"{self._server.url}/000000000000/{self.name}"

    def send(self, body: str) -> None:
        """Send one message."""
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def send_many(self, count: int) -> None:
        """Send small messages, ten at a time."""
        sqs = self.sqs
        for start in range(0, count, 10):
            entries = [{"Id": str(at), "MessageBody": f"{start + at}"} for at in range(10)]
            assert not sqs.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")

    def consume(self, count: int) -> list[str]:
        """Receive and delete so many messages, each by itself."""
        sqs, bodies = self.sqs, []
        while len(bodies) < count:
            wanted = min(10, count - len(bodies))
            answer = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=wanted, VisibilityTimeout=60)
            for message in answer["Messages"]:
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies


def fill(server: SmallServer, queue: Queue, sent: Sequence[str] = ()) -> list[str]:
    """Send until there is no room, then take what is left of the disk; what was acknowledged. None is like ``sent``."""
    sqs, acknowledged = queue.sqs, []
    for number in range(2000):
        body = f"{len(sent)}-{number}:".ljust(60_000, "x")
        try:
            sqs.send_message(QueueUrl=queue.url, MessageBody=body)
        except ClientError as error:
            told = error.response["Error"]
            assert told["Code"] == "RequestThrottled" and "the disk is full" in told["Message"], told
            assert "free some disk space" in told["Message"], told
            server.disk.fill(server.pid)
            return acknowledged
        acknowledged.append(body)
    raise AssertionError("the disk never became full")


def refused(queue: Queue) -> bool:
    """Whether a send is refused for want of room."""
    try:
        queue.send(LAST)
    except ClientError as error:
        assert "the disk is full" in error.response["Error"]["Message"], error.response
        return True
    return False


def wait_for_room(queue: Queue) -> None:
    """Send until it is taken: room is looked for once a second, where the machine has time for it."""
    pause = threading.Event()
    for _ in range(400):
        if not refused(queue):
            return
        pause.wait(0.05)
    raise AssertionError("sends are refused for ever")


def own(server: SmallServer, path: str, body: bytes = b"{}") -> None:
    """A POST to Penstock's own API."""
    request = urllib.request.Request(f"{server.url}/_penstock{path}", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.code} {error.read()!r}") from error


def test_receives_and_deletes_go_on_for_long_on_a_full_disk_and_sends_resume(server: SmallServer) -> None:
    small, large = Queue(server, "small"), Queue(server, "large")
    small.send_many(SMALL)
    sent = fill(server, large)
    assert refused(large)
    own(server, "/clock/freeze")
    own(server, "/clock/resume")
    assert sorted(small.consume(SMALL), key=int) == [str(number) for number in range(SMALL)]
    sent += fill(server, large, sent)  # where files must not grow, a little room has come of that
    own(server, "/clock/freeze")
    own(server, "/clock/resume")
    server.disk.empty(server.pid)
    wait_for_room(large)
    assert set(large.consume(len(sent) + 1)) == {*sent, LAST}


def test_deletes_make_room_on_a_disk_that_stays_full(server: SmallServer) -> None:
    large = Queue(server, "large")
    sent = fill(server, large)
    for _ in range(2):
        gone = large.consume(len(sent) * 3 // 4)  # more than the 8 MB that have to be free
        assert set(gone) <= set(sent)
        wait_for_room(large)
        sent = [*(set(sent) - set(gone)), *fill(server, large, sent), LAST]


def test_what_gives_room_back_passes_on_a_full_disk(server: SmallServer) -> None:
    functions, queue, other = server.client("lambda"), Queue(server, "q"), Queue(server, "other")
    other.send_many(100)
    code = {"ZipFile": zipped(b"def handler(event, context): pass")}
    functions.create_function(FunctionName="f", Runtime="python3.12", Handler="app.handler", Role=ROLE, Code=code)
    events = server.client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["s"]}')
    fill(server, queue)
    functions.delete_function(FunctionName="f")
    events.delete_rule(Name="r")
    sqs = queue.sqs
    sqs.purge_queue(QueueUrl=other.url)
    sqs.delete_queue(QueueUrl=other.url)
    assert sqs.list_queues(QueueNamePrefix="other").get("QueueUrls") is None
    server.disk.fill(server.pid)
    own(server, "/reset", b'{"everything": true}')
    assert sqs.list_queues().get("QueueUrls") is None
    wait_for_room(Queue(server, "new"))


def test_consumers_go_on_emptying_their_queues_on_a_full_disk(server: SmallServer) -> None:
    functions, small, large = server.client("lambda"), Queue(server, "small"), Queue(server, "large")
    small.sqs.set_queue_attributes(QueueUrl=small.url, Attributes={"VisibilityTimeout": "5"})
    code = {"ZipFile": zipped(b"def handler(event, context): pass")}
    functions.create_function(FunctionName="f", Runtime="python3.12", Handler="app.handler", Role=ROLE, Code=code)
    arn = "arn:aws:sqs:us-east-1:000000000000:small"
    functions.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    functions.create_event_source_mapping(FunctionName="f", EventSourceArn=arn)
    small.send_many(SMALL)
    fill(server, large)
    functions.delete_function_concurrency(FunctionName="f")
    pause, names = threading.Event(), ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for _ in range(600):
        counts = small.sqs.get_queue_attributes(QueueUrl=small.url, AttributeNames=names)["Attributes"]
        if set(counts.values()) == {"0"}:
            return
        pause.wait(0.1)
    raise AssertionError(f"still {counts} after a minute; the server said\n{server.tail()}")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_server_that_ended_while_its_disk_was_full_starts_with_no_room(server: SmallServer, sign: int) -> None:
    small, large = Queue(server, "small"), Queue(server, "large")
    small.send_many(100)
    sent = fill(server, large)
    small.consume(10)
    server.kill(sign)
    server.disk.fill(0)
    server.start()
    sent += fill(server, large, sent)
    assert len(small.consume(90)) == 90
    first = large.consume(5)
    assert set(first) <= set(sent)
    server.disk.empty(server.pid)
    wait_for_room(large)
    assert set(large.consume(len(sent) - 4)) == {*sent, LAST} - set(first)


def test_code_that_has_no_room_is_refused_and_leaves_nothing(server: SmallServer) -> None:
    functions, queue = server.client("lambda"), Queue(server, "q")
    fill(server, queue)
    queue.consume(1)
    with pytest.raises(ClientError) as error:
        functions.create_function(
            FunctionName="f", Runtime="python3.12", Handler="app.handler", Role=ROLE,
            Code={"ZipFile": zipped(b"def handler(event, context): pass\n", incompressible(30 << 20))},
        )  # fmt: skip
    assert "free" in error.value.response["Error"]["Message"], error.value.response
    assert not list((server.data / "blobs").iterdir())


def test_a_large_body_that_has_no_room_is_refused_and_the_server_goes_on(server: SmallServer) -> None:
    functions, queue = server.client("lambda"), Queue(server, "q")
    code = {"ZipFile": zipped(b"def handler(event, context): return len(event)")}
    functions.create_function(FunctionName="f", Runtime="python3.12", Handler="app.handler", Role=ROLE, Code=code)
    fill(server, queue)
    with pytest.raises(ClientError) as error:
        functions.invoke(FunctionName="f", InvocationType="Event", Payload=b'"' + b"x" * 900_000 + b'"')
    assert "the disk is full" in error.value.response["Error"]["Message"], error.value.response
    assert len(queue.consume(3)) == 3


def zipped(source: bytes, ballast: bytes = b"") -> bytes:
    """A zip of app.py, and of something large."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app.py", source)
        archive.writestr("ballast", ballast)
    return out.getvalue()


def incompressible(size: int) -> bytes:
    """Bytes for a zip that stores them as they are."""
    return bytes(range(256)) * (size // 256)
