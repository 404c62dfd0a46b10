"""``penstock send``: a message to a queue."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for, physical_of
from penstock.cli.problems import NOT_FOUND, WRONG_USE, Problem
from penstock.cli.show import console, print_json

STANDARD_INPUT = "-"


def send(
    queue: Annotated[str, typer.Argument(help="The queue's name (here or in its template), URL or ARN.")],
    body: Annotated[str, typer.Argument(help="The message's body; - reads standard input.")],
    group: Annotated[str | None, typer.Option("--group", help="FIFO: the message group.")] = None,
    deduplication: Annotated[str | None, typer.Option("--dedup", help="FIFO: the deduplication id.")] = None,
    delay: Annotated[int | None, typer.Option("--delay", help="Seconds before it can be received.", min=0)] = None,
    attributes: Annotated[
        list[str] | None, typer.Option("--attr", metavar="NAME=VALUE", help="A message attribute (text); repeatable.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Send a message to a queue and print its id.

    Examples:

    \b
      penstock send orders '{"id": 1}'
      penstock send orders.fifo '{"id": 1}' --group customer-7 --dedup 1
      cat order.json | penstock send orders -
    """
    client = client_for(url, data, account, region)
    request: dict[str, Any] = {"QueueUrl": queue_url(queue, client.url, client.account)}
    request["MessageBody"] = sys.stdin.read() if body == STANDARD_INPUT else body
    given = {"MessageGroupId": group, "MessageDeduplicationId": deduplication, "DelaySeconds": delay}
    request |= {name: value for name, value in given.items() if value is not None}
    if attributes:
        request["MessageAttributes"] = dict(_attribute(each) for each in attributes)
    try:
        answer = client.json("sqs", "AmazonSQS.SendMessage", request)
    except Problem as problem:
        if problem.exit_code != NOT_FOUND:
            raise
        found = physical_of(client, queue, "AWS::SQS::Queue", problem)
        answer = client.json("sqs", "AmazonSQS.SendMessage", request | {"QueueUrl": found})
    if as_json:
        print_json(answer)
    else:
        console().print(answer["MessageId"], markup=False)


def queue_url(queue: str, url: str, account: str) -> str:
    """A queue's URL on this server, from its name, ARN or URL."""
    if "://" in queue:
        return queue
    if queue.startswith("arn:"):
        parts = queue.split(":")
        return f"{url}/{parts[4]}/{parts[5]}" if len(parts) == 6 else queue
    return f"{url}/{account}/{queue}"


def _attribute(given: str) -> tuple[str, dict[str, str]]:
    name, equals, value = given.partition("=")
    if not equals:
        raise Problem(f"--attr {given} has no value: write NAME=VALUE", exit_code=WRONG_USE)
    return name, {"DataType": "String", "StringValue": value}
