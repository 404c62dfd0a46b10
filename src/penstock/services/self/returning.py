"""When what a mapping has failed on comes again: asked of the queue, since the journal only knows what has happened.

A function that fails leaves its messages hidden until their visibility timeout ends, or until whatever its code, or
somebody else, has changed that to (docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.base.names import Arn, id_of
from penstock.engine.context import WaitingContext

SLICE: Final = 100  # events asked for in one transaction
_MAPPING: Final = "lambda:mapping"

Hop = dict[str, Any]


async def add_returns(cx: WaitingContext, hops: Sequence[Hop]) -> None:
    """Give the last hop of a mapping, where it failed, the moment of the next attempt (``due``) as it is now.

    Where the message has been received as often as it may be, ``deadLetter`` is the queue it goes to then.
    """
    last = {(hop["source"], hop["eventId"]): hop for hop in hops}
    failed: dict[str, dict[str, Hop]] = {}
    for (source, event), hop in last.items():
        if hop["kind"] == _MAPPING and hop["state"] == "failed" and _is_mapped(cx, hop):
            failed.setdefault(source, {})[event] = hop
    for source, of_events in failed.items():
        arn, events = Arn.parse(source), list(of_events)
        for begin in range(0, len(events), SLICE):
            asked = {"QueueArn": source, "EventIds": [id_of(event) for event in events[begin : begin + SLICE]]}
            told = await cx.call(arn.service, "HiddenMessages", asked, account=arn.account, region=arn.region)
            for message in told["messages"]:
                hop = of_events[message["eventId"]]
                hop["due"] = message["visibleAt"]
                if "deadLetter" in message:
                    hop["deadLetter"] = message["deadLetter"]


def _is_mapped(cx: WaitingContext, hop: Hop) -> bool:
    """Whether the mapping still takes from the queue."""
    return any(consumer.target == hop["target"] for consumer in cx.parts.pump.consumers(hop["source"]))
