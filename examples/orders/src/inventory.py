"""Reserves goods: one order after the other, so that who ordered first gets the last piece."""

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response

processor = SqsFifoPartialProcessor()


def reserve(record: Any) -> None:
    """Reserve one order's goods."""
    order = json.loads(record.body)["detail"]
    shelf = f"{order['product'][:1].upper()}{len(order['product'])}"
    print(f"order {order['id']}: {order['quantity']} {order['product']} on shelf {shelf}")


def handler(event: dict[str, Any], context: Any) -> Any:
    """A batch of events from the queue of the stock; after a failure the rest waits for it."""
    return process_partial_response(event=event, record_handler=reserve, processor=processor, context=context)
