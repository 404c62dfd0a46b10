"""Packs and ships: the last step of an order."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

sqs = boto3.client("sqs")
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def ship(record: Any) -> None:
    """Ship one order and say so."""
    order = json.loads(record.body)
    print(f"order {order['id']}: {order['quantity']} {order['product']} to {order['customer']}")
    sqs.send_message(QueueUrl=os.environ["SHIPPED"], MessageBody=json.dumps({"order": order["id"], "shipped": True}))


def handler(event: dict[str, Any], context: Any) -> Any:
    """A batch from the queue of parcels."""
    return process_partial_response(event=event, record_handler=ship, processor=processor, context=context)
