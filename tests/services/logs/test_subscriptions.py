"""Subscription filters: what is written to a group reaches a function that runs."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
from importlib.resources import files
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.cli.client import Client
from penstock.engine.resource import Declared
from penstock.services.logs import subscriptions
from penstock.services.logs.subscriptions import LOOP_ERROR, ROUNDS, SENT_BYTES
from penstock.testing.platform import PlatformThread
from tests.counting import steps
from tests.coverage.recorder import Recorder
from tests.services.applied import Applied
from tests.services.lambda_.bench import ROLE, zipped

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:{}"
ECHO = b"def handler(event, context):\n    print(event['awslogs']['data'])\n"
PRINTER = b"def handler(event, context):\n    print('ERROR', event)\n    print('fine')\n"


def make_function(platform: PlatformThread, source: bytes, name: str) -> Any:
    client = platform.client("lambda")
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zipped({"index.py": source})},
    )  # fmt: skip
    return client


@pytest.fixture
def logs(platform: PlatformThread) -> Any:
    """Logs with the group "app", its stream "s", and a function "reader" that prints what it gets."""
    make_function(platform, ECHO, "reader")
    client = platform.client("logs")
    client.create_log_group(logGroupName="app")
    client.create_log_stream(logGroupName="app", logStreamName="s")
    return client


def put(logs: Any, name: str = "f", pattern: str = "", group: str = "app", **given: Any) -> None:
    request = {"logGroupName": group, "filterName": name, "filterPattern": pattern} | given
    logs.put_subscription_filter(**{"destinationArn": FUNCTION.format("reader")} | request)


def write(platform: PlatformThread, logs: Any, *messages: str) -> None:
    now = platform.platform.parts.clock.now()
    events = [{"timestamp": now, "message": message} for message in messages]
    logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=events)
    platform.quiet()


def received(logs: Any) -> list[dict[str, Any]]:
    """What the function got, in order."""
    try:
        events = logs.filter_log_events(logGroupName="/aws/lambda/reader", filterPattern='-"RequestId" -INIT')["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(gzip.decompress(base64.b64decode(event["message"]))) for event in events]


def test_what_a_pattern_takes_reaches_the_function_as_it_was_written(platform: PlatformThread, logs: Any) -> None:
    put(logs, pattern="ERROR")
    write(platform, logs, "fine", "ERROR one", "ERROR two")
    write(platform, logs, "fine")
    (got,) = received(logs)
    stored = logs.filter_log_events(logGroupName="app", filterPattern="ERROR")["events"]
    assert got == {
        "messageType": "DATA_MESSAGE", "owner": "000000000000", "logGroup": "app", "logStream": "s",
        "subscriptionFilters": ["f"],
        "logEvents": [
            {"id": event["eventId"], "timestamp": event["timestamp"], "message": event["message"]} for event in stored
        ],
    }  # fmt: skip


def test_what_a_function_prints_is_sent_on_and_its_invocation_is_the_cause(platform: PlatformThread, logs: Any) -> None:
    client = make_function(platform, PRINTER, "printer")
    logs.create_log_group(logGroupName="/aws/lambda/printer")
    put(logs, pattern="ERROR", group="/aws/lambda/printer")
    answer = client.invoke(FunctionName="printer", Payload=b'{"order": 1}')
    platform.quiet()
    (got,) = received(logs)
    assert [event["message"] for event in got["logEvents"]] == ["ERROR {'order': 1}"]
    own = Client(platform.url, account="000000000000", region="us-east-1")
    trace = json.dumps(own.own("GET", f"/events/{answer['ResponseMetadata']['RequestId']}/trace"))
    assert "logs:SubscriptionFilter" in trace and FUNCTION.format("reader") in trace


def runs_of(platform: PlatformThread) -> list[str]:
    """The functions that ran, in order, and then what ended any delivery of a filter that was not made."""
    sql = "SELECT kind, target, outcome FROM delivery WHERE kind IN ('lambda:async', 'logs:subscription') ORDER BY id"
    sent = platform.run(platform.platform.store.read(lambda reader: reader.all(sql)))
    ran = [target.rpartition(":")[2] for kind, target, _ in sent if kind == "lambda:async"]
    return ran + [json.loads(outcome)["code"] for kind, _, outcome in sent if kind != "lambda:async" and outcome]


def test_a_function_that_came_to_write_to_the_group_it_subscribes_to_is_not_called_without_end(
    platform: PlatformThread, logs: Any
) -> None:
    client = make_function(platform, PRINTER, "printer")
    put(logs, destinationArn=FUNCTION.format("printer"))
    client.update_function_configuration(FunctionName="printer", LoggingConfig={"LogGroup": "app"})
    for _ in range(2):  # what is written afterwards is sent as ever
        write(platform, logs, "one")
    assert runs_of(platform) == ["printer"] * 2 * ROUNDS + [LOOP_ERROR] * 2


def test_two_functions_that_subscribe_to_each_other_do_not_call_without_end(
    platform: PlatformThread, logs: Any
) -> None:
    client = make_function(platform, PRINTER, "a")
    make_function(platform, PRINTER, "b")
    for writer, reader in ("a", "b"), ("b", "a"):
        logs.create_log_group(logGroupName=f"/aws/lambda/{writer}")
        put(logs, pattern="ERROR", group=f"/aws/lambda/{writer}", destinationArn=FUNCTION.format(reader))
    client.invoke(FunctionName="a", Payload=b"{}")
    platform.quiet()
    assert runs_of(platform) == ["b", "a"] * (ROUNDS // 2) + [LOOP_ERROR]


CALLER = b"""import boto3
def handler(event, context):
    boto3.client("lambda").invoke(FunctionName="%s", Payload=b"{}")
"""
WRITER = b"""import boto3
def handler(event, context):
    line = {"timestamp": %d, "message": "again"}
    boto3.client("logs").put_log_events(logGroupName="app", logStreamName="s", logEvents=[line])
"""


def test_a_function_that_has_others_write_for_it_while_it_waits_is_not_called_without_end(
    platform: PlatformThread, logs: Any
) -> None:
    now = platform.platform.parts.clock.now()
    for name, source in (("first", CALLER % b"second"), ("second", CALLER % b"third"), ("third", WRITER % now)):
        make_function(platform, source, name)
    put(logs, destinationArn=FUNCTION.format("first"))
    write(platform, logs, "one")
    assert runs_of(platform) == ["first"] * ROUNDS + [LOOP_ERROR]
    assert platform.platform.parts.keys.callers() == []


def test_how_often_something_was_sent_is_found_at_once_however_many_wait_for_others() -> None:
    def cost(waiting: int) -> int:
        store = sqlite3.connect(":memory:")
        store.executescript(files("penstock.engine").joinpath("journal.sql").read_text())
        for number in range(1, 301):  # each event is caused by the hop of the one before
            event = (2 * number, "a", "r", "k", "s", 1, 2 * number - 1)
            store.execute(
                "INSERT INTO event (id, account, region, kind, source, at, cause) VALUES (?,?,?,?,?,?,?)", event
            )
            hop = (2 * number - 1, 2 * number - 2, "a", "r", "k", "s", "t", 2, 1, 1, 1)
            store.execute(
                "INSERT INTO delivery (id, event, account, region, kind, source, target, state, due, attempts, at)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?)", hop,
            )  # fmt: skip
        callers = json.dumps([[1000 + number, 2000 + number] for number in range(waiting)] + [[5000, 600]])
        taken = steps(store, lambda: store.execute(subscriptions._ROUNDS, (5000, callers)).fetchall())
        store.close()
        return taken

    assert cost(1000) < cost(1) + 1000 * 30


def test_each_of_two_filters_gets_its_own_and_a_third_is_refused(platform: PlatformThread, logs: Any) -> None:
    put(logs, "a", "{ $.level = ERROR }")
    put(logs, "b", "two")
    with pytest.raises(ClientError, match="Resource limit exceeded") as error:
        put(logs, "c")
    assert error.value.response["Error"]["Code"] == "LimitExceededException"
    write(platform, logs, '{"level": "ERROR"}', "one two")
    assert sorted((got["subscriptionFilters"][0], got["logEvents"][0]["message"]) for got in received(logs)) == [
        ("a", '{"level": "ERROR"}'), ("b", "one two")
    ]  # fmt: skip


def test_filters_are_listed_replaced_and_deleted(platform: PlatformThread, logs: Any) -> None:
    put(logs, "a1", "one", distribution="Random")
    put(logs, "b1", "two")
    put(logs, "a1", "three")
    first = logs.describe_subscription_filters(logGroupName="app", limit=1)
    second = logs.describe_subscription_filters(logGroupName="app", limit=1, nextToken=first["nextToken"])
    (a,), (b,) = first["subscriptionFilters"], second["subscriptionFilters"]
    assert (a["filterName"], a["filterPattern"], a["distribution"]) == ("a1", "three", "ByLogStream")
    assert (b["destinationArn"], b["logGroupName"]) == (FUNCTION.format("reader"), "app")
    prefixed = logs.describe_subscription_filters(logGroupName="app", filterNamePrefix="b")
    assert prefixed["subscriptionFilters"] == [b]
    logs.delete_subscription_filter(logGroupName="app", filterName="b1")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="subscription filter does not exist"):
        logs.delete_subscription_filter(logGroupName="app", filterName="b1")
    write(platform, logs, "two")
    assert received(logs) == []


def test_a_group_of_the_same_name_begins_without_filters(platform: PlatformThread, logs: Any) -> None:
    put(logs)
    logs.delete_log_group(logGroupName="app")
    logs.create_log_group(logGroupName="app")
    assert logs.describe_subscription_filters(logGroupName="app")["subscriptionFilters"] == []


def test_much_at_once_comes_in_several_deliveries_and_all_of_it(platform: PlatformThread, logs: Any) -> None:
    put(logs)
    lines = [os.urandom(30_000).hex() for _ in range(2)] + ["x" * 100_000] * 8
    assert sum(map(len, lines)) > SENT_BYTES
    write(platform, logs, *lines)
    got = received(logs)
    assert len(got) == 2
    assert sorted(event["message"] for each in got for event in each["logEvents"]) == sorted(lines)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"destinationArn": "x"}, "InvalidParameterException", "no ARN"),
        ({"destinationArn": "arn:aws:sqs:us-east-1:000000000000:q"}, "InvalidParameterException", "vendor sqs"),
        ({"destinationArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}, "NotImplemented", "kinesis"),
        ({"destinationArn": "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"}, "NotImplemented", "firehose"),
        ({"destinationArn": FUNCTION.format("gone")}, "InvalidParameterException", "Could not execute the lambda"),
        ({"destinationArn": FUNCTION.format("reader").replace("us-east-1", "eu-west-1")}, "InvalidParameterException",
         "own account and region"),
        ({"roleArn": ROLE}, "InvalidParameterException", "cannot be used with roleArn"),
        ({"filterPattern": "{ $.a"}, "InvalidParameterException", "Invalid filter pattern"),
        ({"logGroupName": "/aws/lambda/reader"}, "InvalidParameterException", "call itself without end"),
        ({"logGroupName": "gone"}, "ResourceNotFoundException", "log group does not exist"),
        ({"applyOnTransformedLogs": True}, "NotImplemented", "applyOnTransformedLogs of PutSubscriptionFilter"),
    ],
)  # fmt: skip
def test_filters_that_cannot_be_are_refused(
    logs: Any, recorder: Recorder, given: dict[str, Any], code: str, words: str
) -> None:
    logs.create_log_group(logGroupName="/aws/lambda/reader")
    request = {
        "logGroupName": "app", "filterName": "f", "filterPattern": "", "destinationArn": FUNCTION.format("reader")
    }  # fmt: skip
    with pytest.raises(ClientError, match=words) as error:
        logs.put_subscription_filter(**request | given)
    assert error.value.response["Error"]["Code"] == code
    if "roleArn" in given:
        recorder.refusal("logs", "PutSubscriptionFilter", "roleArn")


def test_a_template_with_a_wrong_pattern_is_told_so(platform: PlatformThread) -> None:
    check = Applied(platform, "logs").type("AWS::Logs::SubscriptionFilter").check
    declared = Declared("Logical", "AWS::Logs::SubscriptionFilter", {"FilterPattern": "{ $.a"}, "name")
    cx: Any = None
    assert [wrong.property for wrong in check(cx, declared, frozenset())] == ["FilterPattern"]
    assert list(check(cx, declared, frozenset({"FilterPattern"}))) == []


def test_a_template_makes_changes_and_removes_a_filter(platform: PlatformThread, logs: Any) -> None:
    applied = Applied(platform, "logs")
    properties = {
        "LogGroupName": "app", "FilterPattern": "one", "DestinationArn": FUNCTION.format("reader"),
        "Distribution": "Random",
    }  # fmt: skip
    physical, declared = applied.create("AWS::Logs::SubscriptionFilter", **properties)
    (found,) = logs.describe_subscription_filters(logGroupName="app")["subscriptionFilters"]
    assert (found["filterName"], found["distribution"]) == (physical.id, "Random")
    applied.update(declared, physical, **properties | {"FilterPattern": "two"})
    (found,) = logs.describe_subscription_filters(logGroupName="app")["subscriptionFilters"]
    assert (found["filterName"], found["filterPattern"]) == (physical.id, "two")
    for _ in range(2):
        applied.delete("AWS::Logs::SubscriptionFilter", physical)
    assert logs.describe_subscription_filters(logGroupName="app")["subscriptionFilters"] == []
