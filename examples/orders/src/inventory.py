"""Takes paid orders from stock: those of one product in the order in which they were paid."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response

sqs = boto3.client("sqs")
processor = SqsFifoPartialProcessor()


def take(record: Any) -> None:
    """Take one order's goods and have them packed."""
    order = json.loads(record.body)
    shelf = f"{order['product'][:1].upper()}{len(order['product'])}"
    sqs.send_message(QueueUrl=os.environ["PARCELS"], MessageBody=json.dumps(order | {"shelf": shelf}))


def handler(event: dict[str, Any], context: Any) -> Any:
    """A batch from the queue of the stock; after a failure the rest of its group waits for it."""
    return process_partial_response(event=event, record_handler=take, processor=processor, context=context)
