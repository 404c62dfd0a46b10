"""Takes an order, puts it on the queue of payments, and answers before anything else happens."""

import json
import os
from typing import Any

import boto3

sqs = boto3.client("sqs")


def handler(order: dict[str, Any], context: Any) -> dict[str, str]:
    """An order is {"id", "customer", "product", "quantity", "bank"}; the answer says under which message it goes on."""
    missing = [name for name in ("id", "customer", "product", "quantity", "bank") if not order.get(name)]
    if missing:
        raise ValueError(f"the order has no {', '.join(missing)}")
    sent = sqs.send_message(QueueUrl=os.environ["PAYMENTS"], MessageBody=json.dumps(order))
    return {"order": order["id"], "message": sent["MessageId"]}
