"""A queue with a mapping to a function of the bench, and what the function has got of it."""

from __future__ import annotations

from typing import Any

import orjson

from tests.services.lambda_.bench import Bench

ARN = "arn:aws:sqs:us-east-1:000000000000:"


class Shop:
    """A queue, a function and a mapping between them."""

    def __init__(self, on: Bench, url: str, name: str) -> None:
        self.on, self.url, self.name = on, url, name
        self.uuid = ""

    async def send(self, *bodies: Any, **given: Any) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else orjson.dumps(body).decode()
            request = {"QueueUrl": self.url, "MessageBody": text, **given}
            await self.on.call_service("sqs", "SendMessage", request)

    async def map(self, function: str = "orders", **given: Any) -> dict[str, Any]:
        made = await self.on.call(
            "CreateEventSourceMapping", EventSourceArn=ARN + self.name, FunctionName=function, **given
        )
        self.uuid = made["UUID"]
        await self.on.settle()
        return made

    async def left(self) -> tuple[int, int]:
        """Messages that are visible, and that are hidden."""
        request = {"QueueUrl": self.url, "AttributeNames": ["All"]}
        found = (await self.on.call_service("sqs", "GetQueueAttributes", request))["Attributes"]
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])


async def shop(on: Bench, name: str = "orders", **attributes: str) -> Shop:
    """A queue, not mapped yet."""
    request = {"QueueName": name, "Attributes": attributes}
    return Shop(on, (await on.call_service("sqs", "CreateQueue", request))["QueueUrl"], name)


def bodies(on: Bench) -> list[list[str]]:
    """The bodies in every batch so far."""
    return [[record["body"] for record in records(number, on)] for number in range(len(on.environments.invocations))]


def records(number: int, on: Bench) -> list[dict[str, Any]]:
    """What a batch consisted of."""
    found: list[dict[str, Any]] = orjson.loads(on.environments.invocations[number][1].payload)["Records"]
    return found


def received(on: Bench) -> list[str]:
    """How often the messages of the last batch had been received."""
    return [record["attributes"]["ApproximateReceiveCount"] for record in records(-1, on)]
