"""Queues: creating, finding, configuring, listing, emptying, deleting and tagging them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from penstock.engine.context import Context, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.engine.paging import Paging
from penstock.services.sqs import attributes
from penstock.services.sqs.catalog import Queue, by_arn, by_url, find, forget, wake_everybody
from penstock.services.sqs.errors import (
    InvalidAttributeName,
    InvalidParameterValue,
    MissingParameter,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
)
from penstock.services.sqs.rules import DELETED_MS, LISTED, PURGE_MS, TAGS
from penstock.services.sqs.storage import Counts, counts, delay_anew, few
from penstock.store.store import Row

COUNTED_INLINE: Final = 2000  # messages that are counted inside a transaction; more are counted in a thread

_PAGING: Final = Paging("NextToken", "MaxResults", LISTED, InvalidParameterValue)
_KEPT: Final = frozenset(f"Attributes.{name}" for name in attributes.KEPT)


@operation(kept=_KEPT | {"tags"})
def create_queue(cx: Context, request: Request) -> Response:
    """Create a queue; one that exists with the same values of the given attributes is given back.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    """
    name: str = request["QueueName"]
    given = attributes.named(request.get("Attributes") or {})
    fifo = given.get("FifoQueue") == "true"
    attributes.check_name(name, fifo)
    kept = attributes.checked(given, fifo=fifo, new=True, current={})
    tags = request.get("tags") or {}
    _check_tags(tags, name, {})
    existing = find(cx, cx.account, cx.region, name)
    if existing is not None:
        wrong = attributes.different(kept, attributes.told(existing.kept, existing.fifo))
        if wrong is not None:
            raise QueueNameExists(
                f"A queue already exists with the same name and a different value for attribute {wrong}"
            )
        return {"QueueUrl": existing.url(cx.call_.host)}
    _check_not_deleted_recently(cx, name)
    kept = {key: value for key, value in kept.items() if value}
    arn = cx.arn(name)
    _check_dead_letter(cx, arn, fifo, kept)
    cx.write(
        "INSERT INTO sqs_queue (id, account, region, name, created, modified, attributes, tags, dead_letter)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (cx.names.id(), cx.account, cx.region, name, cx.now, cx.now, _json(kept), _json(tags), _dead_letter_of(kept)),
    )
    forget(cx, cx.account, cx.region, name)
    return {"QueueUrl": f"http://{cx.call_.host}/{cx.account}/{name}"}


def _check_not_deleted_recently(cx: Context, name: str) -> None:
    row = cx.one(
        "SELECT at FROM sqs_deleted WHERE account = ? AND region = ? AND name = ?", (cx.account, cx.region, name)
    )
    if row is not None and cx.now < row[0] + DELETED_MS:
        raise QueueDeletedRecently(
            "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        )


def _check_dead_letter(cx: Context, arn: str, fifo: bool, kept: dict[str, str]) -> None:
    """Check a queue's redrive policy against the dead-letter queue it names."""
    policy = attributes.redrive_of(kept.get("RedrivePolicy", ""))
    if policy is None:
        return
    target = policy.target
    if (target.account, target.region) != (cx.account, cx.region):
        raise policy.refused("Dead-letter target owner should be same as the source.")
    if target.resource.endswith(".fifo") != fifo:
        raise policy.refused("Dead-letter queue must be same type of queue as the source.")
    queue = by_arn(cx, str(target))
    if queue is None:
        raise policy.refused("Dead letter target does not exist.")
    if not attributes.allows(queue.kept.get("RedriveAllowPolicy", ""), arn):
        raise policy.refused(f"The redrive allow policy of the dead-letter queue does not permit {arn}.")


def _dead_letter_of(kept: dict[str, str]) -> str | None:
    policy = attributes.redrive_of(kept.get("RedrivePolicy", ""))
    return None if policy is None else str(policy.target)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@operation
def get_queue_url(cx: Context, request: Request) -> Response:
    """The URL of a queue of this name, in the caller's account or another one.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html
    """
    if not request["QueueName"]:
        raise InvalidParameterValue("Value for parameter QueueName is invalid. Reason: Must specify a queue name.")
    queue = find(cx, request.get("QueueOwnerAWSAccountId") or cx.account, cx.region, request["QueueName"])
    if queue is None:
        raise QueueDoesNotExist
    return {"QueueUrl": queue.url(cx.call_.host)}


@operation
def list_queues(cx: Context, request: Request) -> Response:
    """The URLs of the account's queues in this region by name, a page at a time when MaxResults is given.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html
    """
    prefix = request.get("QueueNamePrefix") or ""

    def listed(after: str, limit: int) -> list[Row]:
        return cx.all(
            "SELECT account, name FROM sqs_queue WHERE account = ? AND region = ? AND name >= ? AND name > ?"
            " AND name < ? ORDER BY name LIMIT ?",
            (cx.account, cx.region, prefix, after, prefix + "\uffff", limit),
        )

    urls, token = _page_of_urls(cx, request, listed)
    return {"QueueUrls": urls, **token} if urls else {}


def _page_of_urls(
    cx: Context, request: Request, listed: Callable[[str, int], list[Row]]
) -> tuple[list[str], dict[str, str]]:
    """The URLs of rows of (account, name), by name. Only a request with MaxResults is told how to go on, as on AWS."""
    size: int | None = request.get("MaxResults")
    if size is not None and not 1 <= size <= LISTED:
        raise InvalidParameterValue(
            f"Value {size} for parameter MaxResults is invalid. Reason: Must be between 1 and {LISTED}, inclusive."
        )
    rows, token = _PAGING.of(request, listed, lambda row: row[1])
    return [f"http://{cx.call_.host}/{account}/{name}" for account, name in rows], {} if size is None else token


@operation
def list_dead_letter_source_queues(cx: Context, request: Request) -> Response:
    """The URLs of the queues whose redrive policy names this one, by name.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListDeadLetterSourceQueues.html
    """
    queue = by_url(cx, request["QueueUrl"])

    def listed(after: str, limit: int) -> list[Row]:
        return cx.all(
            "SELECT account, name FROM sqs_queue WHERE dead_letter = ? AND name > ? ORDER BY name LIMIT ?",
            (queue.arn, after, limit),
        )

    urls, token = _page_of_urls(cx, request, listed)
    return {"queueUrls": urls, **token}


# --- attributes


def _attributes_now(cx: Context, request: Request) -> Response | None:
    """The answer where no long counting is needed for it; None where it is."""
    queue = by_url(cx, request["QueueUrl"])
    names = _asked(request)
    counted = None
    if names & attributes.COUNTS:
        if not few(cx.tx, queue.id, COUNTED_INLINE):
            return None
        counted = counts(cx.tx, queue.id, queue.retention, cx.now)
    return _attributes(queue, names, counted)


@operation(first=_attributes_now)
async def get_queue_attributes(cx: WaitingContext, request: Request) -> Response:
    """A queue's attributes; the counts are exact, whatever AWS calls them.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
    """
    queue = await cx.transact(lambda tx: by_url(tx, request["QueueUrl"]))
    now = cx.now
    counted = await cx.read(lambda reader: counts(reader, queue.id, queue.retention, now))
    return _attributes(queue, _asked(request), counted)


def _asked(request: Request) -> frozenset[str]:
    names = frozenset(request.get("AttributeNames") or ())
    for name in request.get("AttributeNames") or ():
        if name != "All" and name not in attributes.ALL:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    return attributes.ALL if "All" in names else names


def _attributes(queue: Queue, names: frozenset[str], counted: Counts | None) -> Response:
    told = attributes.told(queue.kept, queue.fifo)
    told["QueueArn"] = queue.arn
    told["CreatedTimestamp"] = str(queue.created // 1000)
    told["LastModifiedTimestamp"] = str(queue.modified // 1000)
    if counted is not None:
        told["ApproximateNumberOfMessages"] = str(counted.visible)
        told["ApproximateNumberOfMessagesNotVisible"] = str(counted.held)
        told["ApproximateNumberOfMessagesDelayed"] = str(counted.delayed)
    asked = {name: value for name, value in told.items() if name in names}
    return {"Attributes": asked} if asked else {}


@operation(kept=_KEPT)
def set_queue_attributes(cx: Context, request: Request) -> Response:
    """Change attributes of a queue; at once, where AWS takes up to a minute.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    queue = by_url(cx, request["QueueUrl"])
    given = attributes.named(request["Attributes"])
    if not given:
        raise MissingParameter("The request must contain the parameter Attribute.Name.")
    kept = attributes.checked(given, fifo=queue.fifo, new=False, current=queue.kept)
    if kept.get("RedrivePolicy"):
        _check_dead_letter(cx.within(queue.account, queue.region), queue.arn, queue.fifo, kept)
    if queue.fifo and "DelaySeconds" in kept:
        delay_anew(cx, queue, int(kept["DelaySeconds"]) * 1000)
    change_attributes(cx, queue, kept)
    return {}


def change_attributes(cx: Context, queue: Queue, changed: dict[str, str]) -> None:
    """Write checked attributes into a queue's row; an empty text removes one."""
    kept = {name: value for name, value in {**queue.kept, **changed}.items() if value}
    cx.write(
        "UPDATE sqs_queue SET attributes = ?, dead_letter = ?, modified = ? WHERE id = ?",
        (_json(kept), _dead_letter_of(kept), cx.now, queue.id),
    )
    forget(cx, queue.account, queue.region, queue.name)
    wake_everybody(cx, queue.arn)


# --- emptying, deleting


@operation
def purge_queue(cx: Context, request: Request) -> Response:
    """Remove every message of a queue, those in flight as well; at once, and at most once in 60 seconds.

    The queue gets a new id: what it had under the old one, deduplication ids as well, goes in slices. AWS was recorded
    to take a duplicate of what was purged (localstack/localstack, test_purge_queue_clears_fifo_deduplication_cache).

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
    """
    queue = by_url(cx, request["QueueUrl"])
    if queue.purged is not None and cx.now < queue.purged + PURGE_MS:
        raise PurgeQueueInProgress(f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.")
    new_id = cx.names.id()
    cx.write("INSERT INTO sqs_emptied (queue) VALUES (?)", (queue.id,))
    cx.write("UPDATE sqs_queue SET id = ?, purged = ? WHERE id = ?", (new_id, cx.now, queue.id))
    forget(cx, queue.account, queue.region, queue.name)
    cx.wake("sqs:housekeeping")
    return {}


@operation
def delete_queue(cx: Context, request: Request) -> Response:
    """Delete a queue with its messages; at once, and its name is free after 60 seconds.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
    """
    queue = by_url(cx, request["QueueUrl"])
    cx.write("INSERT INTO sqs_emptied (queue) VALUES (?)", (queue.id,))
    cx.write("DELETE FROM sqs_queue WHERE id = ?", (queue.id,))
    cx.write(
        "INSERT INTO sqs_deleted (account, region, name, at) VALUES (?,?,?,?)"
        " ON CONFLICT DO UPDATE SET at = excluded.at",
        (queue.account, queue.region, queue.name, cx.now),
    )
    forget(cx, queue.account, queue.region, queue.name)
    wake_everybody(cx, queue.arn)
    cx.wake("sqs:housekeeping")
    return {}


# --- tags


def _check_tags(tags: dict[str, str], name: str, existing: dict[str, str]) -> None:
    for key, value in tags.items():
        if not 1 <= len(key) <= 128:
            raise InvalidParameterValue("Tag keys must be between 1 and 128 characters in length.")
        if len(value) > 256:
            raise InvalidParameterValue("Tag values must be between 0 and 256 characters in length.")
        if key.lower().startswith("aws:"):
            raise InvalidParameterValue(f"Tag keys must not begin with aws: (this one is {key}).")
    if len(existing.keys() | tags.keys()) > TAGS:
        raise InvalidParameterValue(f"Too many tags added for queue {name}.")


@operation(kept={"Tags"})
def tag_queue(cx: Context, request: Request) -> Response:
    """Add tags to a queue, or give them new values.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_TagQueue.html
    """
    queue = by_url(cx, request["QueueUrl"])
    tags: dict[str, str] = request["Tags"]
    if not tags:
        raise MissingParameter("The request must contain the parameter Tags.")
    _check_tags(tags, queue.name, queue.tags)
    _keep_tags(cx, queue, {**queue.tags, **tags})
    return {}


@operation
def untag_queue(cx: Context, request: Request) -> Response:
    """Remove tags from a queue; one that is not there is no error.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_UntagQueue.html
    """
    queue = by_url(cx, request["QueueUrl"])
    keys = request["TagKeys"]
    if not keys or not all(1 <= len(key) <= 128 for key in keys):
        raise InvalidParameterValue("Tag keys must be between 1 and 128 characters in length.")
    _keep_tags(cx, queue, {key: value for key, value in queue.tags.items() if key not in keys})
    return {}


def _keep_tags(cx: Context, queue: Queue, tags: dict[str, str]) -> None:
    cx.write("UPDATE sqs_queue SET tags = ? WHERE id = ?", (_json(tags), queue.id))
    forget(cx, queue.account, queue.region, queue.name)


@operation
def list_queue_tags(cx: Context, request: Request) -> Response:
    """A queue's tags.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueueTags.html
    """
    tags = by_url(cx, request["QueueUrl"]).tags
    return {"Tags": dict(tags)} if tags else {}
