"""The AWS SDKs of other languages, typed errors and all: each does the same and has to see the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.testing.platform import PlatformThread

from .preparing import GO, JAVA, JAVASCRIPT, Client

EXPECTED: dict[str, Any] = {
    # SQS: name of the queue, whether GetQueueUrl finds it, an attribute
    "created": ["orders", True, "7"],
    # body, receive count, attributes of each kind: every SDK checks the MD5 of each itself
    "received": ["héllo ✓", "1", "värde", "1.5", "00ff"],
    "again": "2",
    "awaited": "awaited",
    "batch": [["a", "b"], [["c", "InvalidParameterValue", True]]],
    "batchReceived": [["1", "2"], 2],
    # each group's order, a duplicate has its original's id, sequence numbers grow
    "fifo": [["1", "2"], ["3"], True, True],
    # EventBridge: one entry of three is bad, one matches
    "put": [1, ["", "", "MalformedDetail"]],
    "routed": ["shop", "Order", 11, "1970-01-01T00:00:00Z", True],
    "arns": ["arn:aws:events:us-east-1:000000000000:event-bus/shop",
             "arn:aws:events:us-east-1:000000000000:rule/shop/large"],
    "tested": [True, False],
    # typed errors
    "errors": ["QueueDoesNotExist", "EmptyBatchRequest", "ReceiptHandleIsInvalid", "ResourceNotFoundException",
               "InvalidEventPatternException", "ResourceAlreadyExistsException"],
}  # fmt: skip


@pytest.mark.parametrize("client", [JAVASCRIPT, GO, JAVA], ids=lambda client: client.name)
def test_an_sdk_of_another_language_sees_what_aws_would_show_it(platform: PlatformThread, client: Client) -> None:
    answers = json.loads(client.run(platform.url))
    # Java's classes all end with Exception.
    answers["errors"] = [
        each if each in EXPECTED["errors"] else each.removesuffix("Exception") for each in answers["errors"]
    ]
    assert answers == EXPECTED
    platform.quiet()
