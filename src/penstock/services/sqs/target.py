"""How a delivery reaches a queue: the message refers to the delivery's event, and is there exactly once.

``delivery.detail`` may hold ``MessageGroupId``, ``MessageDeduplicationId``, ``MessageAttributes`` (as in SendMessage)
and ``AWSTraceHeader``. The MessageId is that of the hop, so that one event can reach a queue more than once.
"""

from __future__ import annotations

from penstock.base.errors import Undeliverable
from penstock.engine.context import Context
from penstock.engine.journal import Delivery
from penstock.services.sqs import moves
from penstock.services.sqs.catalog import by_arn
from penstock.services.sqs.messages import deliver_body

SENDER: str = "AIDAIENQZJOLO23YVJ4VO"  # SenderId of what AWS's services send: one they all share


class QueueTarget:
    """Queues as a target of deliveries; also a move task, which delivers its slices to itself."""

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        """Put the payload into the queue; Undeliverable or the ApiError of a send when it can never be put there."""
        if delivery.kind == moves.KIND.name:
            moves.move(cx, moves.task_of(delivery.target))
            return
        queue = by_arn(cx, delivery.target)
        if queue is None:
            raise Undeliverable(
                f"The queue {delivery.target} does not exist.", code="AWS.SimpleQueueService.NonExistentQueue"
            )
        detail = delivery.detail
        event = delivery.event
        if delivery.payload is not None:
            # Not the event's own payload: what the queue holds is a fact of its own, caused by this hop.
            event = cx.event(delivery.kind, queue.arn, payload, cause=delivery.id)
        deliver_body(
            cx, queue, payload, event=event, message=delivery.id, attributes=detail.get("MessageAttributes"),
            trace=detail.get("AWSTraceHeader"), group=detail.get("MessageGroupId"),
            dedup=detail.get("MessageDeduplicationId"), sender=SENDER,
        )  # fmt: skip
