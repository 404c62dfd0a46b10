"""``penstock up --watch``: what is saved in an editor runs at once, in a real server, shown on its terminal."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from penstock.cli.client import Client

from .test_up import environment, finish, start

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Timeout: 60
    Environment: {Variables: {STARTED: !Ref Started, GO: !Ref Go}}
Resources:
  Started: {Type: AWS::SQS::Queue}
  Go: {Type: AWS::SQS::Queue}
  Kept: {Type: AWS::SQS::Queue}
  Python:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: python/, Handler: app.handler, Runtime: python3.12}
  Node:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: node/, Handler: app.handler, Runtime: nodejs20.x}
Outputs:
  Python: {Value: !Ref Python}
  Node: {Value: !Ref Node}
  Started: {Value: !Ref Started}
  Go: {Value: !Ref Go}
  Kept: {Value: !Ref Kept}
"""
# Both answer with their edition; asked to wait, they say so in one queue and answer after a message in another.
PYTHON = """
import os
import boto3
EDITION = "first"
def handler(event, context):
    if event.get("wait"):
        sqs = boto3.client("sqs")
        sqs.send_message(QueueUrl=os.environ["STARTED"], MessageBody=EDITION)
        while not sqs.receive_message(QueueUrl=os.environ["GO"], WaitTimeSeconds=20).get("Messages"):
            pass
    return EDITION
"""
NODE = """
const EDITION = "first";
const sqs = async (operation, request) => (await fetch(process.env.AWS_ENDPOINT_URL, {
  method: "POST", body: JSON.stringify(request), headers: {
    "content-type": "application/x-amz-json-1.0", "x-amz-target": `AmazonSQS.${operation}`,
    authorization: `AWS4-HMAC-SHA256 Credential=${process.env.AWS_ACCESS_KEY_ID}/20200101/us-east-1/sqs/aws4_request`,
  }})).json();
exports.handler = async (event) => {
  if (event.wait) {
    await sqs("SendMessage", { QueueUrl: process.env.STARTED, MessageBody: EDITION });
    while (!(await sqs("ReceiveMessage", { QueueUrl: process.env.GO, WaitTimeSeconds: 20 })).Messages) {}
  }
  return EDITION;
};
"""
FILES = {"template.yaml": TEMPLATE, "python/app.py": PYTHON, "node/app.js": NODE}


class Watched:
    """An application under ``up --watch``, and what its terminal shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process, said = start(folder, "--watch", "--memory", "--port", "0")
        self.said = said
        self.url = next(line.split("=", 1)[1] for line in said if "AWS_ENDPOINT_URL" in line)
        self.sqs, self.functions = self.client("sqs"), self.client("lambda")
        own = Client(self.url, account="000000000000", region="us-east-1")
        self.outputs: dict[str, str] = own.own("GET", "/applications/shop")["outputs"]

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="000000000000",
            aws_secret_access_key="x", config=Config(read_timeout=90, retries={"max_attempts": 0}),
        )  # fmt: skip

    def until(self, words: str) -> str:
        """The next line of the terminal that has these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if words in line:
                return line
        raise AssertionError("\n".join(self.said))

    def answer(self, function: str, **event: Any) -> Any:
        found = self.functions.invoke(FunctionName=self.outputs[function], Payload=json.dumps(event).encode())
        assert "FunctionError" not in found, found
        return json.loads(found["Payload"].read())

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = Watched(tmp_path / "shop")
    try:
        yield found
    finally:
        if found.process.poll() is None:
            finish(found.process, signal.SIGKILL)


@pytest.mark.parametrize(("function", "file"), [("Python", "python/app.py"), ("Node", "node/app.js")])
def test_an_edited_handler_is_live_while_what_is_in_flight_finishes(watched: Watched, function: str, file: str) -> None:
    kept, answers = watched.outputs["Kept"], []
    watched.sqs.send_message(QueueUrl=kept, MessageBody="from before")
    assert watched.answer(function) == "first"
    in_flight = threading.Thread(target=lambda: answers.append(watched.answer(function, wait=True)))
    in_flight.start()
    receive = {"QueueUrl": watched.outputs["Started"], "WaitTimeSeconds": 20}
    assert watched.sqs.receive_message(**receive)["Messages"][0]["Body"] == "first"

    watched.until("watching")
    edited = time.monotonic()
    watched.edit(file, '"first"', '"second"')
    assert function in watched.until("update complete")
    assert watched.answer(function) == "second"
    # A second is what is promised on an idle machine (bench measures it); tests run beside each other.
    assert time.monotonic() - edited < 5

    watched.sqs.send_message(QueueUrl=watched.outputs["Go"], MessageBody="go on")
    in_flight.join()
    assert answers == ["first"]
    assert watched.sqs.receive_message(QueueUrl=kept)["Messages"][0]["Body"] == "from before"


def test_an_edit_that_fails_is_shown_and_the_next_one_is_taken(watched: Watched) -> None:
    watched.until("watching")
    watched.edit("template.yaml", "Kept: {Type: AWS::SQS::Queue}", "Kept: {Type: AWS::SQS::Kew}")
    assert "AWS::SQS::Kew" in watched.until("watch failed")
    assert watched.answer("Python") == "first"
    watched.edit("template.yaml", "Kept: {Type: AWS::SQS::Kew}", "Kept: {Type: AWS::SQS::Queue}")
    watched.edit("python/app.py", '"first"', '"second"')
    watched.until("Python")
    watched.until("watching")
    assert watched.answer("Python") == "second"
    stopping = time.monotonic()
    finish(watched.process, signal.SIGINT)
    assert watched.process.returncode == 0
    assert time.monotonic() - stopping < 5, "a watch kept the server from stopping"


def test_watching_needs_a_template_and_a_terminal(tmp_path: Path) -> None:
    for arguments in (["--watch"], ["--watch", "--detach"]):
        ran = subprocess.run([sys.executable, "-m", "penstock", "up", *arguments], cwd=tmp_path, env=environment(),
                             capture_output=True, text=True, check=False)  # fmt: skip
        assert ran.returncode == 2 and "--watch follows" in ran.stderr
