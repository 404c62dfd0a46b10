"""SQS by itself on the real store, in memory and without HTTP, on a clock that stands still: for property tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.errors import ApiError
from penstock.base.names import Names
from penstock.engine.access import Keys, root
from penstock.engine.context import Call, Context, Parts
from penstock.engine.delivery import Deliveries
from penstock.engine.dispatcher import Dispatcher
from penstock.engine.quiet import UnderWay
from penstock.engine.registry import Registry
from penstock.engine.wakes import Wakes
from penstock.services.sqs.catalog import Memory
from penstock.store.migrations import migrate
from penstock.store.sqlite import SqliteStore

T = TypeVar("T")
ACCOUNT, REGION = "000000000000", "us-east-1"


def redrive(name: str, maximum: int) -> str:
    """A redrive policy that names a queue of the account."""
    return json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", "maxReceiveCount": maximum})


class Alone:
    """One account's SQS. ``call`` is synchronous; ``pass_time`` moves the clock."""

    def __init__(self, registry_of: Callable[..., Registry] = Registry) -> None:
        self.loop = asyncio.new_event_loop()
        self.trace_header = ""  # what the X-Amzn-Trace-Id header of requests says
        machine = MachineClock()
        self.clock = PlatformClock(machine)
        self.clock.freeze()
        registry = registry_of({"sqs": "penstock.services.sqs"})
        self.store = SqliteStore(None)
        migrate(self.store.connection, registry.scripts(), None)
        self.dispatcher = Dispatcher(registry)
        missing = cast(Any, None)
        deliveries = Deliveries(registry, lambda target, due: None)
        self.parts = self.dispatcher.parts = Parts(
            store=self.store, clock=self.clock, machine=machine, names=Names(machine, seed=1), keys=Keys(),
            wakes=Wakes(), work=UnderWay(), states={"sqs": Memory()}, deliverer=deliveries, caller=self.dispatcher,
            endpoint="", spawn=missing, environments=missing, pump=missing, tokens=deliveries, quiet=missing,
            control=missing, blobs=missing,
        )  # fmt: skip

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation, checked as over HTTP."""
        call = Call(
            "sqs", operation, request, ACCOUNT, REGION, root(ACCOUNT), "request", self.trace_header, "localhost:4566"
        )
        return self.loop.run_until_complete(self.dispatcher.call_waiting(call))

    def transact(self, work: Callable[[Context], T]) -> T:
        """Run a work in one transaction of the service."""
        call = Call("sqs", "Test", {}, ACCOUNT, REGION, root(ACCOUNT), "request")
        return self.loop.run_until_complete(self.store.transact(lambda tx: work(Context(self.parts, tx, call))))

    def receive(self, url: str, limit: int = 10, **request: Any) -> list[dict[str, Any]]:
        """Receive up to ``limit`` messages."""
        messages: list[dict[str, Any]] = self.call(
            "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=limit, **request
        ).get("Messages", [])
        return messages

    def bodies(self, url: str, limit: int = 10, **request: Any) -> list[str]:
        """The bodies of up to ``limit`` messages received."""
        return [message["Body"] for message in self.receive(url, limit, **request)]

    def send(self, url: str, body: str, **request: Any) -> dict[str, Any]:
        """Send a message."""
        return self.call("SendMessage", QueueUrl=url, MessageBody=body, **request)

    def fails(self, operation: str, **request: Any) -> ApiError:
        """Call an operation that must fail, and return its error."""
        try:
            answer = self.call(operation, **request)
        except ApiError as error:
            return error
        raise AssertionError(f"{operation} {request} should have failed; it answered {answer}")

    def queue(self, name: str, **attributes: str) -> str:
        """Create a queue and return its URL."""
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        url: str = self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def counts(self, url: str) -> tuple[int, int, int]:
        """How many messages are visible, held, delayed."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                 "ApproximateNumberOfMessagesDelayed")  # fmt: skip
        told = self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=list(names))["Attributes"]
        visible, held, delayed = (int(told[name]) for name in names)
        return visible, held, delayed

    def pass_time(self, seconds: float) -> None:
        """Let platform time pass."""
        self.clock.move_to(self.clock.now() + round(seconds * 1000))

    def close(self) -> None:
        """Give everything back."""
        self.loop.run_until_complete(self.store.close())
        self.loop.close()
