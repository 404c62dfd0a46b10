"""Names of the query protocol which botocore's models no longer have, because their services moved to JSON.

SQS: the request parameters and example answers of each action in the Amazon SQS API Reference
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/): lists and maps are flattened, their
elements named in the singular.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _elements(name: str) -> dict[str, Any]:
    return {"flattened": True, "member": {"locationName": name}}


def _entries(name: str, key: str = "Name") -> dict[str, Any]:
    return {
        "flattened": True,
        "locationName": name,
        "key": {"locationName": key},
        "value": {"locationName": "Value"},
    }


NAMES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "sqs": {
        "AWSAccountIdList": _elements("AWSAccountId"),
        "ActionNameList": _elements("ActionName"),
        "AttributeNameList": _elements("AttributeName"),
        "MessageSystemAttributeList": _elements("MessageSystemAttributeName"),
        "MessageAttributeNameList": _elements("MessageAttributeName"),
        "QueueUrlList": _elements("QueueUrl"),
        "TagKeyList": _elements("TagKey"),
        "StringList": _elements("StringListValue"),
        "BinaryList": _elements("BinaryListValue"),
        "MessageList": _elements("Message"),
        "SendMessageBatchRequestEntryList": _elements("SendMessageBatchRequestEntry"),
        "DeleteMessageBatchRequestEntryList": _elements("DeleteMessageBatchRequestEntry"),
        "ChangeMessageVisibilityBatchRequestEntryList": _elements("ChangeMessageVisibilityBatchRequestEntry"),
        "SendMessageBatchResultEntryList": _elements("SendMessageBatchResultEntry"),
        "DeleteMessageBatchResultEntryList": _elements("DeleteMessageBatchResultEntry"),
        "ChangeMessageVisibilityBatchResultEntryList": _elements("ChangeMessageVisibilityBatchResultEntry"),
        "BatchResultErrorEntryList": _elements("BatchResultErrorEntry"),
        "ListMessageMoveTasksResultEntryList": _elements("ListMessageMoveTasksResultEntry"),
        "QueueAttributeMap": _entries("Attribute"),
        "MessageSystemAttributeMap": _entries("Attribute"),
        "MessageBodyAttributeMap": _entries("MessageAttribute"),
        "MessageBodySystemAttributeMap": _entries("MessageSystemAttribute"),
        "TagMap": _entries("Tag", "Key"),
    }
}

NAMESPACES: Mapping[str, str] = {"sqs": "http://queue.amazonaws.com/doc/2012-11-05/"}
