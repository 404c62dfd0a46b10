"""``make demo``: start a server, deploy the orders, send some, show the tree of one, drive a failure back, stop.

It uses the command line as a user would, and boto3 as the application does. Nothing is left running or on the disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3

HERE = Path(__file__).parent
PENSTOCK = [sys.executable, "-m", "penstock"]


def penstock(*arguments: str, quiet: bool = False) -> str:
    """Run a command, show it and what it prints, and return that."""
    print(f"\n$ penstock {' '.join(arguments)}", flush=True)
    done = subprocess.run([*PENSTOCK, *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd=HERE)
    if not quiet:
        print(done.stdout, end="", flush=True)
    return done.stdout


def place(functions: Any, name: str, order: dict[str, Any]) -> dict[str, Any]:
    """Hand an order in, as a shop's front end would."""
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(order))
    told: dict[str, Any] = json.loads(answer["Payload"].read())
    print(f"order {order['id']} ({order['bank']} bank) was accepted: event {told['event']}")
    return told


def main() -> None:
    """The whole story."""
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
        where = ("--data", folder)
        made = json.loads(penstock("up", "--detach", "--json", "--port", "0", *where, quiet=True))
        try:
            show(made, where)
        finally:
            penstock("down", "--stop", *where)


def show(made: dict[str, Any], where: tuple[str, ...]) -> None:
    """Orders go through; one fails and is driven back."""
    outputs = made["application"]["outputs"]
    given: dict[str, Any] = {
        "endpoint_url": made["url"],
        "region_name": "us-east-1",
        "aws_access_key_id": "000000000000",
        "aws_secret_access_key": "any",
    }
    functions, sqs = boto3.client("lambda", **given), boto3.client("sqs", **given)
    print(f"deployed to {made['url']}\n")
    orders = [
        {"id": f"o-{number}", "customer": "ada", "product": product, "quantity": 1, "bank": bank}
        for number, (product, bank) in enumerate([("tea", "safe"), ("ink", "sunk"), ("tea", "safe")], start=1)
    ]
    told = [place(functions, outputs["Accept"], order) for order in orders]
    penstock("trace", told[0]["event"], "--wait", "--roots", *where)

    print("\nWhich rules took it, and which did not:")
    penstock("trace", told[0]["event"], "--why", *where)

    print("\nThe bank called sunk does not answer. Two minutes later the payment has failed twice:")
    penstock("clock", *where, "advance", "125s")
    penstock("trace", told[1]["event"], *where)

    print("\nThe bank is back; what failed is driven back from the dead-letter queue:")
    penstock("up", "--param", "BanksDown=", "--json", *where, quiet=True)
    sqs.start_message_move_task(SourceArn=outputs["FailedArn"])
    penstock("clock", *where, "advance", "10s")
    penstock("trace", told[1]["event"], *where)


if __name__ == "__main__":
    main()
