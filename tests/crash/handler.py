"""The function under the crash suite: passes on what it gets, and leaves a process behind that wants to live.

It runs as a Lambda handler, not in the tests.
"""

import os
import signal
import socket
import time

import boto3

sqs = boto3.client("sqs")


def _leave_somebody_behind() -> None:
    """A grandchild in a session of its own, which ignores signals and tells the witness that it lives."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.create_connection(("127.0.0.1", int(os.environ["WITNESS"])))
    while True:
        time.sleep(60)
        connection.getpeername()


_leave_somebody_behind()


def handler(event: dict, context: object) -> None:
    """Records of a queue, or an asynchronous event with an id: each goes to the queue of what came through."""
    for record in event.get("Records") or [{"body": event.get("id"), "attributes": {}}]:
        group = record["attributes"].get("MessageGroupId")
        if group is None:
            sqs.send_message(QueueUrl=os.environ["OUT"], MessageBody=record["body"])
        else:
            sqs.send_message(
                QueueUrl=os.environ["OUT_FIFO"],
                MessageBody=record["body"],
                MessageGroupId=group,
                MessageDeduplicationId=record["body"],
            )
