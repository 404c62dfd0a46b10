"""A reset: nothing old can write into the clean state, whatever was going on."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from penstock.base.names import id_of

CREATING = """
import boto3, uuid
def handler(event, context):
    sqs = boto3.client("sqs")
    while True:
        sqs.create_queue(QueueName=str(uuid.uuid4()))
"""


def zipped(source: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", source)
    return out.getvalue()


def test_functions_that_were_running_or_about_to_write_nothing_into_the_clean_state(own_platform: Any) -> None:
    functions, sqs = own_platform.client("lambda"), own_platform.client("sqs")
    functions.create_function(
        FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Runtime="python3.12", Handler="index.handler",
        Code={"ZipFile": zipped(CREATING)}, Timeout=60,
    )  # fmt: skip
    for _ in range(40):
        functions.invoke(FunctionName="f", InvocationType="Event")
    while not sqs.list_queues().get("QueueUrls"):
        pass
    own_platform.reset("000000000000")
    assert own_platform.quiet(timeout_s=20).quiet
    assert "QueueUrls" not in sqs.list_queues()
    assert own_platform.client("logs").describe_log_groups()["logGroups"] == []
    assert own_platform.call("self", "ListEvents", {})["events"] == []


def test_ids_go_on_where_they_were_although_the_machines_clock_was_set_back(own_platform: Any) -> None:
    sqs = own_platform.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    an_hour_ahead = own_platform.platform.names.id() + (3_600_000 << 19)
    own_platform.platform.names.resume_after(an_hour_ahead)
    first = sqs.send_message(QueueUrl=url, MessageBody="first")["MessageId"]
    own_platform.restart()
    sqs = own_platform.client("sqs")
    second = sqs.send_message(QueueUrl=f"{own_platform.url}/000000000000/q", MessageBody="second")["MessageId"]
    assert (id_of(second) or 0) > (id_of(first) or 0) > an_hour_ahead


def test_nothing_is_due_any_more_after_a_reset(platform: Any) -> None:
    platform.freeze()
    functions, sqs, events = (platform.client(name) for name in ("lambda", "sqs", "events"))
    url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    functions.create_function(
        FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Runtime="python3.12", Handler="index.handler",
        Code={"ZipFile": zipped(CREATING)},
    )  # fmt: skip
    functions.create_event_source_mapping(EventSourceArn="arn:aws:sqs:us-east-1:000000000000:q", FunctionName="f")
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
    events.put_rule(Name="hourly", ScheduleExpression="rate(1 hour)")
    assert platform.quiet().next is not None
    platform.reset("000000000000")
    assert platform.quiet().next is None
