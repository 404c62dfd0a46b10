"""What SQS promises, as pure functions and limits: visibility, receipt handles, FIFO groups, deduplication.

The idea everything rests on: a message can be received when ``visible_at <= now < sent_at + retention``. A delay, a
visibility timeout and a change of visibility are values of ``visible_at``; nothing has to happen when they end. A
FIFO group can be received from when its first message is visible, up to the first one that is not. The developer guide
locks the whole group while one of its messages is in flight; AWS was recorded to give out those before it
(localstack/localstack, tests/aws/services/sqs/test_sqs.py, test_fifo_group_visibility_extends and its neighbours).

Quotas: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, quotas-queues.html,
quotas-fifo.html. Sentences: as AWS answers them, recorded by public test suites that ran against it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from hashlib import sha256
from heapq import heapify, heappop, heapreplace
from struct import Struct
from typing import Any, Final, NamedTuple, TypeVar
from zlib import crc32

from penstock.services.sqs.errors import InvalidParameterValue, ReceiptHandleIsInvalid

T = TypeVar("T")

# --- quotas
BATCH_ENTRIES: Final = 10  # entries of one batch request
BATCH_BYTES: Final = 1_048_576  # bytes of all messages of one batch (1 MiB since August 2025)
RECEIVE_MESSAGES: Final = 10  # messages of one receive
DELAY_SECONDS: Final = 900
WAIT_SECONDS: Final = 20
VISIBILITY_SECONDS: Final = 43_200  # 12 hours, counted from the receive
IN_FLIGHT: Final = 120_000  # messages held by receivers, of one queue; quotas-queues.html and quotas-fifo.html
DEDUPLICATION_MS: Final = 300_000  # FIFO-queues-exactly-once-processing.html
ATTEMPT_MS: Final = 300_000  # how long a ReceiveRequestAttemptId is remembered: API_ReceiveMessage.html
PURGE_MS: Final = 60_000  # between two purges of a queue: API_PurgeQueue.html
DELETED_MS: Final = 60_000  # before a deleted queue's name is free: API_DeleteQueue.html
LISTED: Final = 1000  # queues of one list
TAGS: Final = 50
FIFO_REQUESTS: Final = 300  # of one action, per second of the machine's clock, per queue or message group
MOVE_RATE: Final = 500  # messages per second: API_StartMessageMoveTask.html
MOVE_TASKS_LISTED: Final = 10
POLICY_ACTIONS: Final = 7  # API_AddPermission.html
POLICY_STATEMENTS: Final = 20  # quotas-policies.html

# --- our own bounds
EXPIRED_SLICE: Final = 500  # expired messages removed in one go
MOVE_SLICE: Final = 100  # messages moved in one transaction
TENANTS: Final = 100  # tenants of a standard queue among which one receive is shared out
TENANT_HELD: Final = 1000  # messages in flight of a tenant, beyond which it counts as having this many

SEQUENCE_BASE: Final = 18_000_000_000_000_000_000  # sequence numbers have twenty digits

_PUNCTUATED: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_HANDLE: Final = Struct(">QQI")
_HANDLE_BYTES: Final = _HANDLE.size + 4


def count_of(request: Mapping[str, Any], name: str, at_most: int) -> int:
    """How many a request asks for: one, unless it says."""
    count: int | None = request.get(name)
    if count is None:
        return 1
    if not 1 <= count <= at_most:
        raise InvalidParameterValue(
            f"Value {count} for parameter {name} is invalid. Reason: Must be between 1 and {at_most}, if provided."
        )
    return count


def valid_entry_id(id_: str) -> bool:
    """Whether this may name an entry of a batch."""
    return _ENTRY_ID.fullmatch(id_) is not None


def check_fifo_name(value: str, parameter: str) -> None:
    """Check a MessageGroupId, MessageDeduplicationId or ReceiveRequestAttemptId; InvalidParameterValue."""
    if _PUNCTUATED.fullmatch(value) is None:
        raise InvalidParameterValue(
            f"Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only include"
            " alphanumeric and punctuation characters. 1 to 128 in length."
        )


# --- receipt handles


class Receipt(NamedTuple):
    """What a receipt handle says: which message of which queue, and at which of its receives it was given."""

    queue: int
    id: int
    receives: int


def handle_of(queue: int, id_: int, receives: int) -> str:
    """The receipt handle of one receive of a message: another one for each receive."""
    body = _HANDLE.pack(queue, id_, receives)
    return "AQEB" + b64encode(body + crc32(body).to_bytes(4, "big")).decode()


def receipt_of(handle: str) -> Receipt:
    """What a handle says; ReceiptHandleIsInvalid when it is none."""
    if handle.startswith("AQEB"):
        try:
            raw = b64decode(handle[4:], validate=True)
        except (Base64Error, ValueError):
            raw = b""
        if len(raw) == _HANDLE_BYTES and crc32(raw[:-4]).to_bytes(4, "big") == raw[-4:]:
            return Receipt(*_HANDLE.unpack(raw[:-4]))
    raise ReceiptHandleIsInvalid("The input receipt handle is invalid.")


def check_visibility(seconds: int, received: int | None, now: int) -> None:
    """Check a new visibility timeout: 12 hours at most, counted from the receive; InvalidParameterValue."""
    if not 0 <= seconds <= VISIBILITY_SECONDS:
        raise InvalidParameterValue(
            f"Value {seconds} for parameter VisibilityTimeout is invalid."
            " Reason: VisibilityTimeout must be an integer between 0 and 43200."
        )
    if received is not None and now + seconds * 1000 - received > VISIBILITY_SECONDS * 1000:
        raise InvalidParameterValue(
            f"Value {seconds} for parameter VisibilityTimeout is invalid."
            f" Reason: Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_SECONDS} seconds]."
        )


# --- FIFO


def sequence_number(id_: int) -> str:
    """The sequence number of a message in a FIFO queue: twenty digits that grow with its place."""
    return str(SEQUENCE_BASE + id_)


def content_deduplication(body: bytes) -> str:
    """The MessageDeduplicationId that content-based deduplication makes of a body."""
    return sha256(body).hexdigest()


def deduplication_scope(group: str, per_group: bool) -> str:
    """Where a deduplication id must be unique: in the queue, or in the message group."""
    return "=" + group if per_group else ""


# --- fair queues


def fair_share(waiting: Mapping[str | None, Sequence[T]], held: Mapping[str | None, int], limit: int) -> list[T]:
    """Which of the waiting messages of each tenant a receive gets: the tenant with the fewest messages in flight is
    served first, its oldest message first.

    AWS says that a tenant with disproportionately many messages in flight must not delay the others, and not how
    (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html). Tenants that hold equally
    many are served in the order of ``waiting``.
    """
    queues = [(held.get(tenant, 0), number, list(reversed(messages)))
              for number, (tenant, messages) in enumerate(waiting.items()) if messages]  # fmt: skip
    heapify(queues)
    share: list[T] = []
    while queues and len(share) < limit:
        holds, number, messages = queues[0]
        share.append(messages.pop())
        if messages:
            heapreplace(queues, (holds + 1, number, messages))
        else:
            heappop(queues)
    return share


# --- throughput


class Rate:
    """Requests counted per second of the machine's clock, per action and scope; throughput is no platform time."""

    __slots__ = ("_counts", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._counts: dict[tuple[int, str, str], int] = {}

    def allows(self, queue: int, action: str, scope: str, machine_ms: float) -> bool:
        """Count one request; False when the limit of this second is used up."""
        second = int(machine_ms // 1000)
        if second != self._second:
            self._second = second
            self._counts.clear()
        key = (queue, action, scope)
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        return count <= FIFO_REQUESTS
