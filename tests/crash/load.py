"""Load on a server that is killed: what was tried, and what was acknowledged.

Every sender works through numbers. A FIFO sender tries one number until it is acknowledged, as producers do, and
goes on to the next one; all others try each number once.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.crash.server import Refused

PACE_S = 0.004  # between two requests of one sender, so that functions can follow
PATIENCE_S = 0.02  # after a request that failed


@dataclass
class Sent:
    """What one sender did: ``tried`` holds ``acknowledged``, and what was under way when the server died."""

    tried: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)


class Sender(threading.Thread):
    """Sends one number after the other until it is told to stop."""

    def __init__(self, port: int, name: str, request: Callable[[str, int], dict[str, Any]], *, persist: bool) -> None:
        super().__init__(name=name, daemon=True)
        self._port = port
        self._request = request
        self._persist = persist
        self._connection: http.client.HTTPConnection | None = None
        self._stopping = threading.Event()
        self.sent = Sent()
        self.failure: BaseException | None = None

    def run(self) -> None:
        number = 0
        try:
            while not self._stopping.is_set():
                body = f"{self.name}-{number}"
                if not self.sent.tried or self.sent.tried[-1] != body:
                    self.sent.tried.append(body)
                acknowledged = self._send(body, number)
                if acknowledged:
                    self.sent.acknowledged.append(body)
                if acknowledged or not self._persist:
                    number += 1
                self._stopping.wait(PACE_S if acknowledged else PATIENCE_S)
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """End after the request that is under way."""
        self._stopping.set()

    def _send(self, body: str, number: int) -> bool:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            self._connection.request(**self._request(body, number))
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return False
        if answer.status == 503:  # it is starting, or stopping
            return False
        if answer.status >= 300:
            raise Refused(f"{body}: {answer.status} {content!r}")
        return True


def _sqs(operation: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": "POST",
        "url": "/",
        "body": json.dumps(content),
        "headers": {
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/sqs/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    }


def to_queue(url: str) -> Callable[[str, int], dict[str, Any]]:
    """Requests that send to a standard queue, every tenth with a delay of a second."""
    return lambda body, number: _sqs(
        "SendMessage", {"QueueUrl": url, "MessageBody": body} | ({"DelaySeconds": 1} if number % 10 == 9 else {})
    )


def to_fifo(url: str, group: str) -> Callable[[str, int], dict[str, Any]]:
    """Requests that send to one group of a FIFO queue; a repeated one is the same message."""
    return lambda body, number: _sqs(
        "SendMessage",
        {"QueueUrl": url, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": body},
    )


def to_function(name: str) -> Callable[[str, int], dict[str, Any]]:
    """Requests that invoke a function asynchronously."""
    return lambda body, number: {
        "method": "POST",
        "url": f"/2015-03-31/functions/{name}/invocations",
        "body": json.dumps({"id": body}),
        "headers": {
            "X-Amz-Invocation-Type": "Event",
            "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/lambda/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    }


def to_bus(name: str) -> Callable[[str, int], dict[str, Any]]:
    """Requests that put an event on a bus; its detail holds the body."""
    return lambda body, number: {
        "method": "POST",
        "url": "/",
        "body": json.dumps(
            {
                "Entries": [
                    {"EventBusName": name, "Source": "crash", "DetailType": "t", "Detail": json.dumps({"id": body})}
                ]
            }
        ),
        "headers": {
            "X-Amz-Target": "AWSEvents.PutEvents",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/events/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    }
