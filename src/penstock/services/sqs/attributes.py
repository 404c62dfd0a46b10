"""A queue's attributes: which there are, what they may be, their defaults. Pure.

docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html. Attributes are kept as AWS
gives them: text by name. Redrive policies are told in their canonical form, as AWS does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from penstock.base.names import Arn
from penstock.services.sqs.errors import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    OverLimit,
)
from penstock.services.sqs.rules import POLICY_STATEMENTS

# Attributes that are numbers: what they may be, and what they are when not given.
NUMBERS: Final[Mapping[str, tuple[int, int, int]]] = {
    "DelaySeconds": (0, 900, 0),
    "MaximumMessageSize": (1024, 1_048_576, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 43_200, 30),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
}
# Attributes of FIFO queues that are words: what they may be; the first is the default.
FIFO_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
# Attributes that are kept and told, and change nothing here: messages are not encrypted at rest, policies not enforced.
KEPT: Final = frozenset({"Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"})
COUNTS: Final = frozenset({
    "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
})  # fmt: skip
TOLD: Final = COUNTS | {"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"}
SETTABLE: Final = frozenset({
    *NUMBERS, *FIFO_WORDS, "FifoQueue", "Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId",
    "SqsManagedSseEnabled",
})  # fmt: skip
ALL: Final = SETTABLE | TOLD

_NUMBER: Final = re.compile("[0-9]{1,10}")  # Python reads none of more than 4,300 digits
_QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_UNSUPPORTED_FORMAT: Final = (
    "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create the redrive allow policy, as"
    " it’s in an unsupported format."
)

Texts = dict[str, str]


def check_name(name: str, fifo: bool) -> None:
    """Check a queue's name; InvalidParameterValue."""
    stem = name.removesuffix(".fifo") if fifo else name
    if fifo and stem == name:
        raise InvalidParameterValue("The name of a FIFO queue can only include alphanumeric characters, hyphens, or"
                                    " underscores, must end with .fifo suffix and be 1 to 80 in length.")  # fmt: skip
    if _QUEUE_NAME.fullmatch(stem) is None or len(name) > 80:
        raise InvalidParameterValue(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )


def named(given: Mapping[str, str]) -> Texts:
    """The attributes given, by their plain names: white space around a name is no part of it. Truth values in their
    plain form, too.

    AWS documents neither; README.md, "Differences from AWS", says what the first rests on.
    """
    return {name.strip(): _plain(value) for name, value in given.items()}


def _plain(value: str) -> str:
    """``True`` is as good as ``true``: AWS was recorded to take both, and tells the latter."""
    return value.lower() if value in ("True", "TRUE", "False", "FALSE") else value


def checked(given: Mapping[str, str], *, fifo: bool, new: bool, current: Mapping[str, str]) -> Texts:
    """The attributes to keep of those given, checked and in canonical form; an empty text removes one.

    ``current`` are those the queue has. InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue. That a
    redrive policy's dead-letter queue exists and allows it is for the caller to check.
    """
    kept: Texts = {}
    for name, value in given.items():
        if name not in SETTABLE:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
        if name in FIFO_WORDS and not fifo:
            if name == "ContentBasedDeduplication":  # older than the other two, and not named by AWS's newer sentence
                raise InvalidAttributeName(f"Unknown Attribute {name}.")
            raise InvalidAttributeName(f"You can specify the {name} only when FifoQueue is set to true.")
        kept[name] = _checked(name, value, fifo, new)
    after = {**current, **kept}
    if (
        after.get("FifoThroughputLimit") == "perMessageGroupId"
        and after.get("DeduplicationScope", "queue") != "messageGroup"
    ):
        raise InvalidAttributeValue(
            "The value 'perMessageGroupId' for FifoThroughputLimit is allowed only when the value for"
            " DeduplicationScope is 'messageGroup'."
        )
    if kept.get("KmsMasterKeyId") and kept.get("SqsManagedSseEnabled") == "true":
        raise InvalidAttributeName(
            "You can use one type of server-side encryption (SSE) at one time."
            " You can either enable KMS SSE or SQS SSE."
        )
    if kept.get("KmsMasterKeyId"):
        kept["SqsManagedSseEnabled"] = "false"
    elif kept.get("SqsManagedSseEnabled") == "true" and current.get("KmsMasterKeyId"):
        kept["KmsMasterKeyId"] = kept["KmsDataKeyReusePeriodSeconds"] = ""
    return kept


def _checked(name: str, value: str, fifo: bool, new: bool) -> str:
    if name in NUMBERS:
        low, high, _ = NUMBERS[name]
        if not _NUMBER.fullmatch(value) or not low <= int(value) <= high:
            raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")
        return str(int(value))
    if name == "FifoQueue":
        # A standard queue is made by not asking for a FIFO queue: AWS does not know "false".
        if value == "true" and fifo:
            return "true"
        if new or not fifo:
            raise InvalidAttributeName("Unknown Attribute FifoQueue.")
        raise InvalidAttributeValue(
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
        )
    if name in FIFO_WORDS or name == "SqsManagedSseEnabled":
        if value not in FIFO_WORDS.get(name, ("false", "true")):
            raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")
        return value
    if name == "Policy":
        return _checked_policy(value)
    if name == "RedrivePolicy":
        policy = redrive_of(value)
        return "" if policy is None else policy.text
    if name == "RedriveAllowPolicy":
        return _checked_allow(value)
    return value


def _checked_policy(text: str) -> str:
    if not text:
        return ""
    policy = _json(text)
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements or not all(isinstance(each, dict) for each in statements):
        raise InvalidAttributeValue("Invalid value for the parameter Policy.")
    if len(statements) > POLICY_STATEMENTS:
        raise OverLimit(
            f"{len(statements)} statements were found in the submitted policy, max allowed is {POLICY_STATEMENTS}"
        )
    return text


# --- redrive


@dataclass(frozen=True, slots=True)
class Redrive:
    """A redrive policy: after ``maximum`` receives a message goes to the queue ``target``."""

    target: Arn
    maximum: int
    given: str

    @property
    def text(self) -> str:
        """The policy as AWS tells it."""
        return orjson.dumps({"deadLetterTargetArn": str(self.target), "maxReceiveCount": self.maximum}).decode()

    def refused(self, reason: str) -> InvalidParameterValue:
        """The error that says why it cannot be."""
        return _invalid("RedrivePolicy", self.given, reason)


def redrive_of(text: str) -> Redrive | None:
    """A redrive policy out of its text; None when there is none (""). InvalidAttributeValue, InvalidParameterValue."""
    if not text:
        return None
    policy = _json(text)
    if not isinstance(policy, dict):
        raise InvalidAttributeValue(
            "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map."
        )
    for needed in ("maxReceiveCount", "deadLetterTargetArn"):
        if needed not in policy:
            raise _invalid("RedrivePolicy", text, f"Redrive policy does not contain mandatory attribute: {needed}.")
    if len(policy) > 2:
        raise _invalid(
            "RedrivePolicy", text, "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn]."
        )
    count = policy["maxReceiveCount"]
    if isinstance(count, bool) or not re.fullmatch(r"\d{1,4}", str(count)) or not 1 <= int(count) <= 1000:
        raise _invalid(
            "RedrivePolicy", text,
            f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive.",
        )  # fmt: skip
    try:
        target = Arn.parse(str(policy["deadLetterTargetArn"]))
    except ValueError:
        raise _invalid("RedrivePolicy", text, "Invalid value for deadLetterTargetArn.") from None
    if target.service != "sqs":
        raise _invalid("RedrivePolicy", text, "Only SQS queues are valid resources for deadLetterTargetArn.")
    return Redrive(target, int(count), text)


def allows(text: str, source_arn: str) -> bool:
    """Whether a dead-letter queue with this redrive-allow policy ("": none) takes messages of that queue."""
    if not text:
        return True
    policy = orjson.loads(text)
    permission = policy["redrivePermission"]
    return permission == "allowAll" or (permission == "byQueue" and source_arn in policy["sourceQueueArns"])


def _checked_allow(text: str) -> str:
    if not text:
        return ""
    policy = _json(text)
    if (
        not isinstance(policy, dict)
        or policy.get("redrivePermission") not in ("allowAll", "denyAll", "byQueue")
        or policy.keys() - {"redrivePermission", "sourceQueueArns"}
    ):
        raise InvalidAttributeValue(_UNSUPPORTED_FORMAT)
    arns = policy.get("sourceQueueArns")
    if arns is not None and not (isinstance(arns, list) and all(isinstance(arn, str) for arn in arns)):
        raise InvalidAttributeValue(_UNSUPPORTED_FORMAT)
    reason = "Amazon SQS can't create the redrive allow policy."
    if policy["redrivePermission"] != "byQueue":
        if arns is not None:
            raise _invalid(
                "RedriveAllowPolicy", text,
                f"{reason} To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
            )  # fmt: skip
    elif not arns:
        raise _invalid(
            "RedriveAllowPolicy", text,
            f"{reason} When you specify the byQueue permission type, you must also specify one or more"
            " sourceQueueArns values.",
        )  # fmt: skip
    elif len(arns) > 10:
        raise _invalid(
            "RedriveAllowPolicy", text, f"{reason} The maximum number of source queue ARNs you can specify is 10."
        )
    return orjson.dumps(policy).decode()


def _invalid(name: str, value: str, reason: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Value {value} for parameter {name} is invalid. Reason: {reason}")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


# --- telling


def told(kept: Mapping[str, str], fifo: bool) -> Texts:
    """Every settable attribute of a queue, those that were not given with their defaults."""
    attributes = {
        name: str(default) for name, (_, _, default) in NUMBERS.items() if name != "KmsDataKeyReusePeriodSeconds"
    }
    attributes["SqsManagedSseEnabled"] = "true"
    if fifo:
        attributes["FifoQueue"] = "true"
        attributes.update({name: words[0] for name, words in FIFO_WORDS.items()})
    attributes.update(kept)
    if "KmsMasterKeyId" in kept:
        attributes.setdefault("KmsDataKeyReusePeriodSeconds", str(NUMBERS["KmsDataKeyReusePeriodSeconds"][2]))
    return attributes


def different(given: Mapping[str, str], existing: Mapping[str, str]) -> str | None:
    """The first attribute given for a queue that exists already which has another value there; None: none has."""
    return next((name for name, value in given.items() if existing.get(name, "") != value), None)
