"""What every part of the shop knows: how to put an event on its bus. Who takes it, the rules say."""

import json
import os
from typing import Any

import boto3

events = boto3.client("events")


class NotTaken(Exception):
    """The bus has refused an event; a later attempt may succeed."""


def tell(what: str, order: dict[str, Any]) -> str:
    """Put an event about an order on the bus; its id."""
    entry = {"EventBusName": os.environ["BUS"], "Source": "shop", "DetailType": what, "Detail": json.dumps(order)}
    answer = events.put_events(Entries=[entry])["Entries"][0]
    if "ErrorCode" in answer:
        raise NotTaken(f"{what} of order {order['id']}: {answer['ErrorMessage']}")
    return str(answer["EventId"])
