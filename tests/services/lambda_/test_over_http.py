"""Lambda with boto3 over HTTP and real Python environments: the whole way."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread
from tests.services.lambda_.bench import ROLE, zipped

ARN = "arn:aws:{}:us-east-1:000000000000:{}"
EVENT = b"""
def handler(event, context):
    print("handled", event)
    return {"event": event, "request": context.aws_request_id, "arn": context.invoked_function_arn}
"""
COUNTER = b"""
import json
calls = 0
def handler(event, context):
    global calls
    calls += 1
    bad = [r["messageId"] for r in event["Records"] if json.loads(r["body"])["bad"]]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""
SENDER = b"""
import boto3
def handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="after")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=str(event))
"""
LOGGING = b"""
import logging
log = logging.getLogger()
def handler(event, context):
    log.info("one")
    log.warning("two")
    print("plain")
"""
FAILING = b"""
def handler(event, context):
    raise KeyError("order")
"""


def function(platform: PlatformThread, source: bytes, name: str = "orders", **given: Any) -> Any:
    """A client, and a function made with it."""
    client = platform.client("lambda")
    request = {
        "FunctionName": name, "Runtime": "python3.12", "Role": ROLE, "Handler": "index.handler",
        "Code": {"ZipFile": zipped({"index.py": source})},
    }  # fmt: skip
    client.create_function(**request | given)
    return client


def queue(platform: PlatformThread, name: str, **attributes: str) -> tuple[Any, str]:
    """A client, and a queue made with it."""
    client = platform.client("sqs")
    return client, client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def received(client: Any, url: str) -> list[dict[str, Any]]:
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def test_an_invoke_answers_with_result_log_and_request_id(platform: PlatformThread) -> None:
    client = function(platform, EVENT)
    answer = client.invoke(FunctionName="orders", Payload=b'{"order": 1}', LogType="Tail")
    payload = orjson.loads(answer["Payload"].read())
    assert payload["event"] == {"order": 1}
    assert payload["arn"] == ARN.format("lambda", "function:orders")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert payload["request"] == request_id
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert f"START RequestId: {request_id} Version: $LATEST" in lines
    assert "handled {'order': 1}" in lines
    assert answer["ExecutedVersion"] == "$LATEST"
    platform.quiet()
    events = platform.client("logs").filter_log_events(logGroupName="/aws/lambda/orders")["events"]
    assert "handled {'order': 1}" in [event["message"].rstrip() for event in events]


def test_logs_in_json_have_their_levels(platform: PlatformThread) -> None:
    levels = {"ApplicationLogLevel": "WARN", "SystemLogLevel": "DEBUG"}
    client = function(platform, LOGGING, LoggingConfig={"LogFormat": "JSON", "LogGroup": "mine", **levels})
    request_id = client.invoke(FunctionName="orders")["ResponseMetadata"]["RequestId"]
    platform.quiet()
    events = platform.client("logs").filter_log_events(logGroupName="mine")["events"]
    lines = [event["message"].strip() for event in events]
    assert "plain" in lines
    documents = [orjson.loads(line) for line in lines if line != "plain"]
    assert [document["message"] for document in documents if "message" in document] == ["two"]
    system = {document["type"]: document["record"] for document in documents if "type" in document}
    assert list(system) == ["platform.initStart", "platform.start", "platform.runtimeDone", "platform.report"]
    assert system["platform.report"]["requestId"] == request_id
    assert system["platform.report"]["status"] == "success"
    assert system["platform.report"]["metrics"]["memorySizeMB"] == 128


def test_only_failures_are_told_at_system_level_warn(platform: PlatformThread) -> None:
    client = function(platform, FAILING, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"})
    client.invoke(FunctionName="orders")
    platform.quiet()
    events = platform.client("logs").filter_log_events(logGroupName="/aws/lambda/orders")["events"]
    documents = [orjson.loads(event["message"]) for event in events]
    types = [document["type"] for document in documents if "type" in document]
    assert types == ["platform.runtimeDone", "platform.report"]
    (error,) = [document for document in documents if "errorType" in document]
    assert (error["errorType"], error["level"]) == ("KeyError", "ERROR")


def test_a_functions_error_is_reported_as_aws_does(platform: PlatformThread) -> None:
    answer = function(platform, FAILING).invoke(FunctionName="orders")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    document = orjson.loads(answer["Payload"].read())
    assert (document["errorType"], document["errorMessage"]) == ("KeyError", "'order'")


def test_a_payload_of_several_megabytes_goes_there_and_back(platform: PlatformThread) -> None:
    client = function(platform, b"def handler(event, context):\n    return event\n")
    payload = orjson.dumps("x" * 5_000_000)
    assert client.invoke(FunctionName="orders", Payload=payload)["Payload"].read() == payload


def test_a_large_package_is_uploaded_and_runs(platform: PlatformThread) -> None:
    files = {
        "index.py": b"def handler(event, context):\n    return len(open('data').read())\n",
        "data": b"x" * 9_000_000,
    }
    client = function(platform, b"", Code={"ZipFile": zipped(files)})
    assert client.invoke(FunctionName="orders")["Payload"].read() == b"9000000"


def test_new_code_is_what_the_next_invoke_runs(platform: PlatformThread) -> None:
    client = function(platform, b"def handler(event, context):\n    return 1\n")
    assert client.invoke(FunctionName="orders")["Payload"].read() == b"1"
    client.update_function_code(
        FunctionName="orders", ZipFile=zipped({"index.py": b"def handler(event, context):\n    return 2\n"})
    )
    assert client.invoke(FunctionName="orders")["Payload"].read() == b"2"


def test_a_layer_is_found_under_opt(platform: PlatformThread) -> None:
    layers = platform.client("lambda")
    arn = layers.publish_layer_version(LayerName="tools", Content={"ZipFile": zipped({"python/tool.py": b"N = 7\n"})})[
        "LayerVersionArn"
    ]
    source = b"import tool\ndef handler(event, context):\n    return tool.N\n"
    client = function(platform, source, Layers=[arn])
    assert client.invoke(FunctionName="orders")["Payload"].read() == b"7"


def test_a_failing_event_ends_in_the_dead_letter_queue_after_two_retries(platform: PlatformThread) -> None:
    sqs, url = queue(platform, "dead")
    platform.freeze()
    client = function(platform, FAILING, DeadLetterConfig={"TargetArn": ARN.format("sqs", "dead")})
    answer = client.invoke(FunctionName="orders", InvocationType="Event", Payload=b'{"order": 1}')
    assert answer["StatusCode"] == 202
    platform.advance(seconds=179)
    assert received(sqs, url) == []
    platform.advance(seconds=1)
    (message,) = received(sqs, url)
    attributes = message["MessageAttributes"]
    assert message["Body"] == '{"order": 1}'
    assert attributes["RequestID"]["StringValue"] == answer["ResponseMetadata"]["RequestId"]
    assert attributes["ErrorMessage"]["StringValue"] == "'order'"


def test_what_a_function_sends_is_caused_by_its_run(platform: PlatformThread) -> None:
    sqs, url = queue(platform, "after")
    client = function(platform, SENDER, Timeout=20)
    answer = client.invoke(FunctionName="orders", Payload=b'"hello"')
    assert "FunctionError" not in answer, answer["Payload"].read()
    platform.quiet()
    (message,) = received(sqs, url)
    assert message["Body"] == "hello"
    store = platform.platform.store
    rows = platform.run(store.transact(lambda tx: tx.all("SELECT id, kind, cause FROM event ORDER BY id")))
    ((run, _, _),) = [row for row in rows if row[1] == "lambda:Invoke"]
    assert [row[2] for row in rows if row[1] == "sqs:SendMessage"] == [run]


def test_a_mapping_hands_messages_on_and_failed_ones_come_back(platform: PlatformThread) -> None:
    sqs, url = queue(platform, "orders", VisibilityTimeout="30")
    client = function(platform, COUNTER)
    platform.freeze()
    client.create_event_source_mapping(
        EventSourceArn=ARN.format("sqs", "orders"), FunctionName="orders",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )  # fmt: skip
    entries = [{"Id": str(n), "MessageBody": orjson.dumps({"bad": n == 3}).decode()} for n in range(5)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    platform.quiet()
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] == dict(
        zip(names, "01", strict=True)
    )


def test_errors_carry_awss_codes_and_types(platform: PlatformThread) -> None:
    client = platform.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException) as raised:
        client.invoke(FunctionName="none")
    response = raised.value.response
    assert response["Error"]["Message"] == f"Function not found: {ARN.format('lambda', 'function:none')}"
    assert (response["Type"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("User", 404)
    function(platform, EVENT)
    client.put_function_concurrency(FunctionName="orders", ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as raised:
        client.invoke(FunctionName="orders")
    response = raised.value.response
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    with pytest.raises(ClientError) as refused:
        client.publish_version(FunctionName="orders")
    assert "PublishVersion of lambda is not supported" in refused.value.response["Error"]["Message"]


def test_waiting_events_and_mappings_survive_a_restart(own_platform: PlatformThread) -> None:
    sqs, url = queue(own_platform, "done")
    client = function(own_platform, FAILING)
    client.put_function_event_invoke_config(
        FunctionName="orders", DestinationConfig={"OnFailure": {"Destination": ARN.format("sqs", "done")}}
    )
    own_platform.freeze()
    client.invoke(FunctionName="orders", InvocationType="Event", Payload=b"1")
    own_platform.quiet()
    own_platform.restart()
    own_platform.advance(seconds=180)
    (message,) = received(sqs, url)
    assert orjson.loads(message["Body"])["requestContext"]["condition"] == "RetriesExhausted"


def test_a_rule_runs_a_function_from_its_own_durable_queue(platform: PlatformThread) -> None:
    events = platform.client("events")
    sqs, url = queue(platform, "dead")
    platform.freeze()
    function(platform, FAILING, DeadLetterConfig={"TargetArn": ARN.format("sqs", "dead")})
    events.put_rule(Name="orders", EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="orders", Targets=[{"Id": "1", "Arn": ARN.format("lambda", "function:orders")}])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "order", "Detail": '{"id": 1}'}])
    platform.advance(seconds=180)
    (message,) = received(sqs, url)
    assert orjson.loads(message["Body"])["detail"] == {"id": 1}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "'order'"


def test_the_record_of_a_success_reaches_an_event_bus(platform: PlatformThread) -> None:
    events = platform.client("events")
    sqs, url = queue(platform, "results")
    events.put_rule(Name="results", EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="results", Targets=[{"Id": "1", "Arn": ARN.format("sqs", "results")}])
    client = function(platform, b"def handler(event, context):\n    return event\n")
    bus, arn = ARN.format("events", "event-bus/default"), ARN.format("lambda", "function:orders")
    client.put_function_event_invoke_config(
        FunctionName="orders", DestinationConfig={"OnSuccess": {"Destination": bus}}
    )
    client.invoke(FunctionName="orders", InvocationType="Event", Payload=b'{"order": 1}')
    platform.quiet()
    (message,) = received(sqs, url)
    event = orjson.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("lambda", "Lambda Function Invocation Result - Success")
    assert event["resources"] == [bus, f"{arn}:$LATEST"]
    assert event["detail"]["requestPayload"] == event["detail"]["responsePayload"] == {"order": 1}


def test_a_warm_invoke_costs_the_server_few_calls(tmp_path: Path) -> None:
    count = 0

    def seen(frame: FrameType, what: str, _: object) -> None:
        nonlocal count
        count += what == "call" and bool(re.search("penstock/(services|runtime)/", frame.f_code.co_filename))

    async def profile(function: Callable[[FrameType, str, object], None] | None) -> None:
        sys.setprofile(function)

    with PlatformThread(tmp_path) as own:
        client = function(own, EVENT, "warm")
        client.invoke(FunctionName="warm")
        own.quiet()
        own.run(profile(seen))
        for _ in range(20):
            client.invoke(FunctionName="warm")
        own.run(profile(None))
    assert count / 20 < 110
