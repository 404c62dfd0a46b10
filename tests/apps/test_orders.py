"""examples/orders, deployed as it is and driven by boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.deploy.applications import Application, Result
from penstock.testing.platform import PlatformThread
from tests.apps.wheels import offline

TEMPLATE = Path(__file__).parents[2] / "examples" / "orders" / "template.yaml"
REQUIREMENTS = ("aws-lambda-powertools", "jmespath", "typing-extensions")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformThread]:
    folder = tmp_path_factory.mktemp("orders")
    environment = offline(folder / "wheels", *REQUIREMENTS)
    with PlatformThread(folder / "data", cache=folder / "cache", environment=environment) as platform:
        yield platform


def deployed(platform: PlatformThread, **parameters: str) -> Result:
    application = Application("orders", TEMPLATE, parameters={"ChargeMs": "1"} | parameters)
    return platform.run(platform.platform.applications.deploy(application))


def deploy(platform: PlatformThread, **parameters: str) -> dict[str, Any]:
    return dict(deployed(platform, **parameters).outputs)


def place(platform: PlatformThread, function: str, number: int, bank: str = "safe") -> dict[str, Any]:
    order = {"id": f"o-{number}", "customer": "ada", "product": ("tea", "ink")[number % 2], "quantity": 1, "bank": bank}
    answer = platform.client("lambda").invoke(FunctionName=function, Payload=json.dumps(order))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return dict(json.loads(answer["Payload"].read()))


def taken(platform: PlatformThread, queue: str) -> list[dict[str, Any]]:
    """Every message of a queue, received and deleted."""
    sqs = platform.client("sqs")
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_an_order_that_lacks_something_is_refused_to_its_sender(platform: PlatformThread) -> None:
    outputs = deploy(platform)
    answer = platform.client("lambda").invoke(FunctionName=outputs["Accept"], Payload=b'{"id": "o-1"}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorMessage"] == "the order has no customer, product, quantity, bank"
    platform.quiet()
    assert taken(platform, outputs["Shipped"]) == []
    assert deployed(platform).changes == (), "deploying the same again changes nothing"


def depth(platform: PlatformThread, queue: str) -> int:
    found = platform.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(found["ApproximateNumberOfMessages"])


def logged(platform: PlatformThread, function: str, what: str) -> list[str]:
    """The lines of a function's log with these words, in order."""
    name = next(
        each["FunctionName"]
        for each in platform.client("lambda").list_functions()["Functions"]
        if each["FunctionName"].startswith(f"orders-{function}-")
    )
    pages = platform.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=f"/aws/lambda/{name}", filterPattern=f'"{what}"')
    return [event["message"].strip() for page in found for event in page["events"]]


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return sorted(int(each["id"].removeprefix("o-")) for each in messages)


def test_every_order_is_shipped_once_and_what_failed_is_driven_back(platform: PlatformThread) -> None:
    outputs = deploy(platform, BanksDown="sunk")
    placed = [place(platform, outputs["Accept"], number, "sunk" if number % 4 == 0 else "safe") for number in range(12)]
    assert [each["order"] for each in placed] == [f"o-{number}" for number in range(12)]
    platform.quiet()
    assert numbers(taken(platform, outputs["Shipped"])) == [number for number in range(12) if number % 4]
    reserved = [line.split()[1] for line in logged(platform, "Inventory", "on shelf")]
    assert reserved == [f"o-{number}:" for number in range(12)], "one after the other, paid or not"
    assert len(logged(platform, "Accounting", "OrderPlaced")) == 12
    assert len(logged(platform, "Accounting", "OrderPaid")) == len(logged(platform, "Accounting", "OrderShipped")) == 9

    platform.freeze()
    platform.advance(seconds=200)  # the payments that failed come back, fail again, and are put aside
    assert depth(platform, outputs["Failed"]) == 3

    deploy(platform, BanksDown="")  # the bank is back
    platform.client("sqs").start_message_move_task(SourceArn=outputs["FailedArn"])
    platform.advance(seconds=60)
    platform.quiet()
    assert numbers(taken(platform, outputs["Shipped"])) == [0, 4, 8]
    assert depth(platform, outputs["Failed"]) == 0
    platform.resume()


def test_an_event_that_a_target_does_not_take_waits_and_is_driven_back(platform: PlatformThread) -> None:
    outputs = deploy(platform, BanksDown="")
    sqs = platform.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=outputs["Payments"], AttributeNames=["All"])["Attributes"]
    sqs.delete_queue(QueueUrl=outputs["Payments"])
    event = place(platform, outputs["Accept"], 77)["event"]
    platform.quiet()
    assert any("o-77" in line for line in logged(platform, "Inventory", "on shelf")), "the other targets have it"
    received = sqs.receive_message(QueueUrl=outputs["Failed"], MessageAttributeNames=["All"], VisibilityTimeout=0)
    (message,) = received["Messages"]
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert told["ERROR_CODE"] == "NO_RESOURCE" and ":rule/orders-shop/orders-Pay-" in told["RULE_ARN"]
    assert json.loads(message["Body"])["id"] == event, "it is kept as it was put"

    platform.freeze()
    platform.advance(seconds=61)  # the name of a deleted queue is free after a minute
    settings = {name: attributes[name] for name in ("VisibilityTimeout", "RedrivePolicy", "Policy")}
    sqs.create_queue(QueueName=outputs["Payments"].rpartition("/")[2], Attributes=settings)
    sqs.start_message_move_task(SourceArn=outputs["FailedArn"], DestinationArn=told["TARGET_ARN"])
    platform.advance(seconds=10)
    platform.quiet()
    assert numbers(taken(platform, outputs["Shipped"])) == [77]
    platform.resume()
