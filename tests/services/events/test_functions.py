"""Buses and functions: functions as targets, events from functions, destinations that are buses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.events.test_delivery import ACCOUNT, Shop
from tests.services.lambda_.bench import ROLE, zipped

FORWARD = b"""
import json, boto3
def handler(event, context):
    entry = {"Source": "forwarder", "DetailType": "Seen", "Detail": json.dumps({"first": event["id"]})}
    return boto3.client("events").put_events(Entries=[entry])["Entries"][0]
"""
ECHO = b"""
def handler(event, context):
    if event.get("fail"):
        raise ValueError("refused")
    return {"seen": event}
"""


@pytest.fixture
def shop(platform: Any) -> Shop:
    return Shop(platform)


def function(shop: Shop, name: str, source: bytes) -> str:
    arn: str = shop.platform.client("lambda").create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": zipped({"index.py": source})},
    )["FunctionArn"]  # fmt: skip
    return arn


def test_a_function_gets_an_event_and_puts_another(shop: Shop) -> None:
    shop.rule("in", {"source": ["shop"]}, {"Id": "f", "Arn": function(shop, "forward", FORWARD)})
    shop.rule("out", {"source": ["forwarder"]}, {"Id": "q", "Arn": shop.queue("q")})
    first = shop.put({"total": 1})
    (second,) = shop.bodies("q")
    assert second["detail"] == {"first": first}
    trace = shop.platform.call("self", "TraceEvent", {"eventId": first})
    assert second["id"] in [event["eventId"] for event in trace["events"]]


@pytest.mark.parametrize(
    ("payload", "result"),
    [({"total": 1}, "Success"), ({"total": 1, "fail": True}, "Failure")],
    ids=["success", "failure"],
)
def test_the_record_of_an_asynchronous_invocation_becomes_an_event(shop: Shop, payload: Any, result: str) -> None:
    arn = function(shop, "echo", ECHO)
    lambda_ = shop.platform.client("lambda")
    bus = {"Destination": shop.arn("events", "event-bus/default")}
    lambda_.put_function_event_invoke_config(
        FunctionName="echo", MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": bus, "OnFailure": bus}
    )
    shop.rule("records", {"source": ["lambda"]}, {"Id": "q", "Arn": shop.queue("q")})
    lambda_.invoke(FunctionName="echo", InvocationType="Event", Payload=json.dumps(payload))
    shop.platform.quiet()
    (event,) = shop.bodies("q")
    assert event["detail-type"] == f"Lambda Function Invocation Result - {result}"
    assert event["resources"] == [bus["Destination"], f"{arn}:$LATEST"]
    assert event["account"] == ACCOUNT
    assert event["detail"]["requestPayload"] == payload
    assert event["detail"]["requestContext"]["functionArn"] == f"{arn}:$LATEST"
