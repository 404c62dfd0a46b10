"""Requests that nobody would send on purpose: each gets an answer that blames the caller, soon, and costs nothing.

No answer is a 500, no connection hangs, and the server is no larger afterwards.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import random
import socket
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.exceptions import ClientError

from penstock.engine.model import OperationModel, load
from penstock.engine.registry import Registry
from penstock.platform import SERVICES
from tests.crash.server import Server
from tests.wire.shapes import Values

SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "20261121"))
ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "8"))  # of every operation
ANSWER_S = 20.0  # a machine under load answers by then; most answers take a millisecond
GROWTH_BYTES = 24 << 20  # caches, and pages that the allocator keeps
# Invocations of what happens to exist would run it, and long polls wait as they are asked to.
WAITING = {"WaitTimeSeconds", "timeoutSeconds", "bySeconds", "to"}
LEFT_OUT = {"Reset", "WaitForQuiet", "AdvanceClock", "FreezeClock", "DeployApplication"}

pytestmark = pytest.mark.slow

ODD: list[Any] = [
    None, True, False, 0, -1, 2**63, 1e308, "", "\0", "\ud800", "x" * 70_000, "../../etc/passwd", "é\U0001f600", [], {},
    [[]], [None], {"": None}, {"a": {"b": {"c": []}}}, "arn:aws:sqs:::", "arn:aws:iam::aws:policy/", "http://x/y/z",
    "' OR 1=1 --", "{", "[1,", "%", "* ?", "2**99", "NaN",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("fuzz") / "data")
    server.start()
    yield server
    server.kill()


def operations() -> list[tuple[str, OperationModel]]:
    """Every operation that is executed here."""
    registry = Registry(SERVICES)
    return [
        (name, load(service.model or name).operation(operation))
        for name in SERVICES
        for service in [registry.service(name)]
        for operation, made in sorted(service.operations.items(), key=lambda item: item[0].startswith("Delete"))
        if not made.internal and operation not in LEFT_OUT
    ]


def known(url: str) -> dict[str, list[Any]]:
    """Names of things that exist, by the members that name them: so that requests get beyond validation."""
    account = "arn:aws:{}:us-east-1:000000000000:{}"
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    trust = '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
    queues = [f"{url}/000000000000/fuzz", f"{url}/000000000000/fuzz.fifo"]
    return {
        "QueueUrl": queues, "QueueName": ["fuzz", "fuzz.fifo"], "SourceArn": [account.format("sqs", "fuzz")],
        "DestinationArn": [account.format("sqs", "fuzz")], "MessageBody": ["text", "{}"], "MessageGroupId": ["a"],
        "MessageDeduplicationId": ["a", "b"], "AttributeNames": [["All"], ["Policy"]], "Id": ["a", "b"],
        "Attributes": [{"VisibilityTimeout": "3"}, {"DelaySeconds": "1", "ReceiveMessageWaitTimeSeconds": "0"}],
        "logGroupName": ["fuzz", "other"], "logStreamName": ["fuzz"], "logGroupIdentifier": ["fuzz"],
        "filterPattern": ["ERROR", "{ $.a = 1 }", "[a, ...]"], "timestamp": [1_795_000_000_000], "message": ["text"],
        "RoleName": ["fuzz", "other"], "UserName": ["fuzz"], "GroupName": ["fuzz"], "PolicyName": ["fuzz"],
        "InstanceProfileName": ["fuzz"], "PolicyArn": ["arn:aws:iam::000000000000:policy/fuzz"],
        "PolicyDocument": [policy], "AssumeRolePolicyDocument": [trust], "Path": ["/", "/a/"],
        "RoleArn": ["arn:aws:iam::000000000000:role/fuzz"], "RoleSessionName": ["fuzz"],
        "FunctionName": ["fuzz"], "EventBusName": ["default", "fuzz"], "Rule": ["fuzz"], "Name": ["fuzz"],
        "EventPattern": ['{"source": ["a"]}'], "Event": ['{"source": "a", "detail": {}}'], "Source": ["a"],
        "DetailType": ["a"], "Detail": ["{}", '{"a": [1]}'], "Arn": [account.format("sqs", "fuzz")],
        "queueUrl": queues, "nextToken": ["fuzz"], "NextToken": ["fuzz"], "Marker": ["fuzz"],
    }  # fmt: skip


def prepare(server: Server) -> None:
    """Make the things that ``known`` names, those that are gone again."""
    policy = '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    trust = '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
    sqs, logs, iam, events = (server.client(name) for name in ("sqs", "logs", "iam", "events"))
    functions = server.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return event")
    for make in (
        lambda: sqs.create_queue(QueueName="fuzz"),
        lambda: sqs.create_queue(QueueName="fuzz.fifo", Attributes={"FifoQueue": "true"}),
        lambda: logs.create_log_group(logGroupName="fuzz"),
        lambda: logs.create_log_stream(logGroupName="fuzz", logStreamName="fuzz"),
        lambda: iam.create_role(RoleName="fuzz", AssumeRolePolicyDocument=trust),
        lambda: iam.create_user(UserName="fuzz"),
        lambda: iam.create_group(GroupName="fuzz"),
        lambda: iam.create_instance_profile(InstanceProfileName="fuzz"),
        lambda: iam.create_policy(PolicyName="fuzz", PolicyDocument=policy),
        lambda: events.create_event_bus(Name="fuzz"),
        lambda: events.put_rule(Name="fuzz", EventPattern='{"source": ["a"]}'),
        lambda: functions.create_function(
            FunctionName="fuzz", Runtime="python3.12", Handler="index.handler", Code={"ZipFile": code.getvalue()},
            Role="arn:aws:iam::000000000000:role/fuzz",
        ),
    ):  # fmt: skip
        try:
            make()
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error


def plausible(value: Any, names: dict[str, list[Any]], chance: random.Random) -> Any:
    """A random request with what is known filled in, and fewer of its optional members."""
    if isinstance(value, dict):
        return {
            key: chance.choice(names[key]) if key in names else plausible(each, names, chance)
            for key, each in value.items()
            if key in names or chance.random() < 0.7
        }
    return [plausible(each, names, chance) for each in value] if isinstance(value, list) else value


def damaged(value: Any, chance: random.Random, harm: float) -> Any:
    """A copy of a request with something wrong in it, mostly."""
    if chance.random() < harm:
        return chance.choice(ODD)
    if isinstance(value, dict):
        made = {key: damaged(each, chance, harm) for key, each in value.items() if chance.random() > harm / 2}
        if chance.random() < harm / 2:
            made[chance.choice(["", "unknown", "\ud800", "__class__"])] = chance.choice(ODD)
        return made
    if isinstance(value, list):
        return [damaged(each, chance, harm) for each in value for _ in range(chance.choice((1, 1, 1, 0, 2)))]
    return value


def plain(value: Any) -> Any:
    """As JSON can carry it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items() if key not in WAITING}
    return [plain(each) for each in value] if isinstance(value, list) else value


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """As the query protocol carries it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for number, each in enumerate(value, start=1):
            yield from flat(each, f"{prefix}.member.{number}")
    else:
        yield prefix, json.dumps(value) if not isinstance(value, str) else value


def written(model: OperationModel, content: Any, chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a request in the service's own protocol, as far as it is that any more."""
    protocol = model.service.protocols[0]
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential=1/20260101/us-east-1/{model.service.signing_name}/x"}
    content = plain(content)
    if protocol.startswith("json") or "json" in model.service.protocols:
        version = model.service.metadata.get("jsonVersion", "1.0")
        headers["X-Amz-Target"] = f"{model.service.metadata.get('targetPrefix', 'x')}.{model.name}"
        headers["Content-Type"] = f"application/x-amz-json-{version}"
        return "POST", "/", json.dumps(content).encode(), headers
    if protocol == "query":
        pairs = [("Action", model.name), ("Version", model.service.metadata["apiVersion"]), *flat(content)]
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return (
            "POST",
            "/",
            urlencode([(k.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for k, v in pairs]).encode(),
            headers,
        )
    path = model.request_uri
    for name in model.input_members:
        given = content.get(name) if isinstance(content, dict) else None
        text = quote(str(given or "x").encode("utf-8", "replace")[:200], safe="")
        path = path.replace(f"{{{name}}}", text).replace(f"{{{name}+}}", text)
    return model.http_method, path, json.dumps(content).encode(), headers | {"Content-Type": "application/json"}


def ask(server: Server, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def size_of(server: Server) -> tuple[int, int]:
    """Resident bytes and open files of the server."""
    process = Path(f"/proc/{server.pid}")
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) * 1024, len(list((process / "fd").iterdir()))


def requests_of(url: str, seed: int, round_: int) -> Iterator[tuple[str, tuple[str, str, bytes, dict[str, str]]]]:
    """One request for every operation, with the operation's name: in even rounds without damage."""
    chance = random.Random(f"{seed}-{round_}")
    names = known(url)
    for name, model in operations():
        values = Values(f"{seed}-{round_}-{name}-{model.name}")
        content = values.structure(model.input.shape) if model.input is not None else {}
        content = plausible(content, names, chance)
        if round_ % 2:
            content = damaged(content, chance, chance.choice((0.02, 0.1)))
        yield f"{name} {model.name}", written(model, content, chance)


def test_damaged_requests_are_answered_as_the_callers_fault_and_leave_nothing(server: Server) -> None:
    assert len(operations()) > 150
    before = size_of(server)
    seen: Counter[int] = Counter()
    for round_ in range(ROUNDS):
        if round_ % 2 == 0:
            prepare(server)
        for what, request in requests_of(server.url, SEED, round_):
            status, answer = ask(server, *request)
            seen[status] += 1
            assert status != 500 and status < 504, f"{what}: {status} {answer!r}\n{request!r}"
        if round_ == 1:
            before = size_of(server)  # every operation is compiled now
    assert seen[200] > ROUNDS * 10, f"hardly any request got beyond validation: {seen}"
    assert server.own("GET", "/health")
    grown, files = size_of(server)[0] - before[0], size_of(server)[1] - before[1]
    assert grown < GROWTH_BYTES, f"the server grew by {grown >> 20} MB"
    assert files <= 8, f"{files} files stayed open"


@pytest.mark.parametrize("number", range(40))
def test_bytes_that_are_no_http_end_the_connection_and_nothing_else(server: Server, number: int) -> None:
    chance = random.Random(f"{SEED}-{number}")
    good = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n{}"
    sent = bytearray(good * chance.choice((1, 2)))
    for _ in range(chance.randrange(1, 30)):
        place = chance.randrange(len(sent))
        choice = chance.randrange(3)
        if choice == 0:
            sent[place] = chance.randrange(256)
        elif choice == 1:
            sent[place:place] = chance.randbytes(chance.randrange(1, 20))
        else:
            del sent[place : place + chance.randrange(1, 5)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S) as connection:
        connection.sendall(bytes(sent))
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 500"), f"{bytes(sent)!r}\n{answer!r}"
    assert server.own("GET", "/health")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 50_000, b'"' + b"\\ud800" * 10 + b'"', b"\xff\xfe", b"1e999999", b"", b"null", b"[]"],
    ids=["nested lists", "nested objects", "surrogates", "no text", "infinite", "empty", "null", "list"],
)
def test_bodies_that_are_no_object_are_refused(server: Server, body: bytes) -> None:
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    status, answer = ask(server, "POST", "/", body, headers)
    assert 400 <= status < 500, answer
