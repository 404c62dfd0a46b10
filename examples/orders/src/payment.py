"""Charges orders, a batch at a time. What cannot be charged fails alone: the rest of its batch goes on."""

import json
import os
import time
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

import shop

processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
banks_down = {bank.strip() for bank in os.environ["BANKS_DOWN"].split(",") if bank.strip()}


class BankDown(Exception):
    """The bank does not answer; a later attempt may succeed."""


def charge(record: Any) -> None:
    """Charge one order and tell that it is paid."""
    order = json.loads(record.body)["detail"]
    if order["bank"] in banks_down:
        raise BankDown(f"{order['bank']} does not answer: order {order['id']} is not paid")
    time.sleep(int(os.environ["CHARGE_MS"]) / 1000)
    shop.tell("OrderPaid", order)


def handler(event: dict[str, Any], context: Any) -> Any:
    """A batch of events from the queue of payments; the answer names the messages that failed."""
    return process_partial_response(event=event, record_handler=charge, processor=processor, context=context)
