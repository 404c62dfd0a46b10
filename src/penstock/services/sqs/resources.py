"""CloudFormation types: AWS::SQS::Queue and AWS::SQS::QueuePolicy.

docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queue.html and
aws-resource-sqs-queuepolicy.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from penstock.base.errors import ApiError
from penstock.base.names import Arn
from penstock.engine.context import Context, WaitingContext
from penstock.engine.model.written import DOCUMENT, TAGS, TEXT, TRUTH, list_of, number, structure, words
from penstock.engine.resource import Declared, Physical, ResourceType, Wrong, all_wrong
from penstock.services.sqs.attributes import FIFO_WORDS, KEPT, NUMBERS, check_name, checked

_NUMBERS: Final = frozenset(NUMBERS)
_WORDS: Final = frozenset(FIFO_WORDS)
_KEPT: Final = (KEPT - {"Policy"}) | {"Tags"}
_DOCUMENTS: Final = frozenset({"RedrivePolicy", "RedriveAllowPolicy"})


def _attributes(properties: Mapping[str, Any]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in properties.items():
        if name in _DOCUMENTS:
            attributes[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
        elif name == "FifoQueue":
            if _is_true(value):
                attributes[name] = "true"
        elif name in _WORDS or name == "SqsManagedSseEnabled":
            attributes[name] = str(value).lower() if isinstance(value, bool) else str(value)
        elif name in _NUMBERS or name == "KmsMasterKeyId":
            attributes[name] = str(value)
    return attributes


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _tags(declared: Declared) -> dict[str, str]:
    own = {tag["Key"]: str(tag["Value"]) for tag in declared.properties.get("Tags") or ()}
    return {**declared.tags, **own}


def _name(declared: Declared) -> str:
    name = declared.properties.get("QueueName")
    if name:
        return str(name)
    fifo = _is_true(declared.properties.get("FifoQueue", False))
    return declared.generated_name[: 80 - len(".fifo")] + ".fifo" if fifo else declared.generated_name


def _physical(cx: WaitingContext, name: str, url: str) -> Physical:
    arn = str(Arn("sqs", cx.region, cx.account, name))
    return Physical(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


def _free_name(cx: Context, name: str) -> None:
    """A template's queue can be made again at once: waiting 60 seconds for `down` and `up` would help nobody."""
    cx.write("DELETE FROM sqs_deleted WHERE account = ? AND region = ? AND name = ?", (cx.account, cx.region, name))


async def _create(cx: WaitingContext, declared: Declared) -> Physical:
    name = _name(declared)
    await cx.transact(lambda tx: _free_name(tx, name))
    answer = await cx.call(
        "sqs", "CreateQueue",
        {"QueueName": name, "Attributes": _attributes(declared.properties), "tags": _tags(declared)},
    )  # fmt: skip
    return _physical(cx, name, answer["QueueUrl"])


async def _update(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    attributes = _attributes(new.properties)
    attributes.pop("FifoQueue", None)
    for name in _attributes(old.properties).keys() - attributes.keys() - {"FifoQueue"}:
        # Not in the template any more: back to the default, which an empty text means for what is no number.
        attributes[name] = str(NUMBERS[name][2]) if name in NUMBERS else FIFO_WORDS.get(name, ("",))[0]
    if attributes.get("SqsManagedSseEnabled") == "":
        attributes["SqsManagedSseEnabled"] = "true"
    url = physical.id
    if attributes:
        await cx.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": attributes})
    before, after = _tags(old), _tags(new)
    if gone := [key for key in before if key not in after]:
        await cx.call("sqs", "UntagQueue", {"QueueUrl": url, "TagKeys": gone})
    if after and after != before:
        await cx.call("sqs", "TagQueue", {"QueueUrl": url, "Tags": after})
    return physical


async def _delete(cx: WaitingContext, physical: Physical) -> None:
    await _unless_gone(cx, "DeleteQueue", {"QueueUrl": physical.id})


async def _unless_gone(cx: WaitingContext, operation: str, request: dict[str, Any]) -> None:
    try:
        await cx.call("sqs", operation, request)
    except ApiError as error:
        if error.code != "QueueDoesNotExist":
            raise


def _check(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What CreateQueue would refuse. Which queue the dead-letter queue is may not be known yet: any other will do."""
    properties = dict(declared.properties)
    fifo = _is_true(properties.get("FifoQueue", False))
    name = _name(declared)
    policy = properties.get("RedrivePolicy")
    if isinstance(policy, dict):
        known_later = str(Arn("sqs", cx.region, cx.account, "known-later"))
        properties["RedrivePolicy"] = {"deadLetterTargetArn": known_later, "maxReceiveCount": 1, **policy}
    if "RedriveAllowPolicy" in unknown:
        properties.pop("RedriveAllowPolicy", None)
    beside = {"FifoQueue": "true"} if fifo else {}
    yield from all_wrong(
        lambda request: checked(request, fifo=fifo, new=True, current={}), _attributes(properties), beside
    )
    if "QueueName" in properties:
        try:
            check_name(name, fifo)
        except ApiError as error:
            yield Wrong("QueueName", error.message)


_REDRIVE: Final = structure({"deadLetterTargetArn": TEXT, "maxReceiveCount": number()},
                            needs=("deadLetterTargetArn", "maxReceiveCount"), or_text=True)  # fmt: skip
_REDRIVE_ALLOW: Final = structure({"redrivePermission": TEXT, "sourceQueueArns": list_of(TEXT)}, or_text=True)

QUEUE: Final = ResourceType(
    name="AWS::SQS::Queue",
    create=_create,
    update=_update,
    delete=_delete,
    executed=(_NUMBERS | _WORDS | _DOCUMENTS | {"QueueName", "FifoQueue"}) - _KEPT,
    kept=_KEPT,
    replaced_by=frozenset({"QueueName", "FifoQueue"}),
    attributes=frozenset({"Arn", "QueueName", "QueueUrl"}),
    name_property="QueueName",
    name_limit=80,
    forms={
        **{name: number(low, high) for name, (low, high, _) in NUMBERS.items()},
        **{name: words(*allowed) for name, allowed in FIFO_WORDS.items()},
        "ContentBasedDeduplication": TRUTH,
        "FifoQueue": TRUTH,
        "SqsManagedSseEnabled": TRUTH,
        "QueueName": TEXT,
        "KmsMasterKeyId": TEXT,
        "RedrivePolicy": _REDRIVE,
        "RedriveAllowPolicy": _REDRIVE_ALLOW,
        "Tags": TAGS,
    },
    check=_check,
)


async def _set_policy(cx: WaitingContext, declared: Declared) -> Physical:
    document = declared.properties["PolicyDocument"]
    text = document if isinstance(document, str) else orjson.dumps(document, default=str).decode()
    queues = [str(url) for url in declared.properties["Queues"]]
    for url in queues:
        await cx.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": text}})
    return Physical(declared.generated_name, {"Id": declared.generated_name, "Queues": queues})


async def _update_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    left = set(old.properties["Queues"]) - set(new.properties["Queues"])
    await _remove_policy(cx, sorted(left))
    made = await _set_policy(cx, new)
    return Physical(physical.id, made.attributes)


async def _delete_policy(cx: WaitingContext, physical: Physical) -> None:
    await _remove_policy(cx, physical.attributes.get("Queues") or ())


async def _remove_policy(cx: WaitingContext, urls: Any) -> None:
    for url in urls:
        await _unless_gone(cx, "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": ""}})


def _check_policy(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What SetQueueAttributes would refuse of the document."""
    if (document := declared.properties.get("PolicyDocument")) is None:
        return
    text = document if isinstance(document, str) else orjson.dumps(document, default=str).decode()
    try:
        checked({"Policy": text}, fifo=False, new=True, current={})
    except ApiError as error:
        yield Wrong("PolicyDocument", error.message)


QUEUE_POLICY: Final = ResourceType(
    name="AWS::SQS::QueuePolicy",
    create=_set_policy,
    update=_update_policy,
    delete=_delete_policy,
    executed=frozenset({"Queues"}),
    kept=frozenset({"PolicyDocument"}),
    required=frozenset({"Queues", "PolicyDocument"}),
    attributes=frozenset({"Id"}),
    forms={"Queues": list_of(TEXT), "PolicyDocument": DOCUMENT},
    check=_check_policy,
)
