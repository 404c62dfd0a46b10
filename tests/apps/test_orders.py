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


def test_every_order_is_shipped_once_and_what_failed_is_driven_back(platform: PlatformThread) -> None:
    outputs = deploy(platform, BanksDown="sunk")
    placed = [place(platform, outputs["Accept"], number, "sunk" if number % 4 == 0 else "safe") for number in range(12)]
    assert [each["order"] for each in placed] == [f"o-{number}" for number in range(12)]
    platform.quiet()
    shipped = sorted(each["order"] for each in taken(platform, outputs["Shipped"]))
    assert shipped == sorted(f"o-{number}" for number in range(12) if number % 4)

    platform.freeze()
    platform.advance(seconds=200)  # the payments that failed come back, fail again, and are put aside
    sqs = platform.client("sqs")
    depth = sqs.get_queue_attributes(
        QueueUrl=outputs["PaymentsFailed"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    assert depth == {"ApproximateNumberOfMessages": "3"}

    deploy(platform, BanksDown="")  # the bank is back
    sqs.start_message_move_task(SourceArn=outputs["PaymentsFailedArn"])
    platform.advance(seconds=60)
    platform.quiet()
    shipped = sorted(each["order"] for each in taken(platform, outputs["Shipped"]))
    assert shipped == ["o-0", "o-4", "o-8"]
    assert taken(platform, outputs["PaymentsFailed"]) == []
    platform.resume()
