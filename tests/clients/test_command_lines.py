"""The AWS CLI and the SAM CLI: a queue, a rule, a function, as somebody types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.testing.platform import PlatformThread

from .preparing import SAM

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Pay:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: pay/, Handler: app.handler, Runtime: python3.11, Timeout: 10}
"""
HANDLER = "def handler(event, context):\n    print('paying', event['amount'])\n    return {'paid': event['amount']}\n"


def environment(platform: PlatformThread, home: Path) -> dict[str, str]:
    """A user's environment without anything of the machine's own account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept, "HOME": str(home), "AWS_ENDPOINT_URL": platform.url, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PAGER": "",
        "SAM_CLI_TELEMETRY": "0",
    }  # fmt: skip


def told(command: list[str], platform: PlatformThread, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(platform, folder), capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_the_aws_cli_sends_receives_puts_and_fails_as_on_aws(platform: PlatformThread, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        # Its version 1 does not heed AWS_ENDPOINT_URL (seen with 1.46.3); version 2 does.
        return told([sys.executable, "-m", "awscli", "--endpoint-url", platform.url, *words], platform, tmp_path)

    def aws(*words: str) -> Any:
        ran = run(*words, "--output", "json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout else None

    url = aws("sqs", "create-queue", "--queue-name", "orders")["QueueUrl"]
    arn = aws("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]["QueueArn"]
    entries = '[{"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "2", "DelaySeconds": 901}]'
    sent = aws("sqs", "send-message-batch", "--queue-url", url, "--entries", entries)
    assert [each["Code"] for each in sent["Failed"]] == ["InvalidParameterValue"]
    [message] = aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "5")["Messages"]
    assert message["Body"] == "1"
    aws("sqs", "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    aws("events", "put-rule", "--name", "large", "--event-pattern", '{"source": ["shop"]}')
    aws("events", "put-targets", "--rule", "large", "--targets", f"Id=q,Arn={arn}")
    aws("events", "put-events", "--entries", '[{"Source": "shop", "DetailType": "Order", "Detail": "{}"}]')
    [message] = aws("sqs", "receive-message", "--queue-url", url, "--wait-time-seconds", "5")["Messages"]
    assert json.loads(message["Body"])["detail-type"] == "Order"
    failed = run("sqs", "get-queue-url", "--queue-name", "nobody")
    assert failed.returncode in (254, 255) and "(AWS.SimpleQueueService.NonExistentQueue)" in failed.stderr


@pytest.mark.slow
def test_what_sam_builds_is_deployed_and_sam_invokes_it_and_reads_its_log(
    own_platform: PlatformThread, tmp_path: Path
) -> None:
    command = SAM.prepared()
    platform = own_platform  # its clock tells the machine's time, by which `sam logs` asks

    def sam(*words: str) -> str:
        ran = told([*command, *words], platform, tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "pay").mkdir()
    (tmp_path / "pay" / "app.py").write_text(HANDLER)
    sam("validate", "--lint")
    sam("build")
    built = tmp_path / ".aws-sam" / "build" / "template.yaml"
    result = platform.run(
        platform.platform.deploy(lambda progress: None, name="shop", template=built)  # as `penstock up` does
    )
    assert result.status == "CREATE_COMPLETE"
    [function] = platform.client("lambda").list_functions()["Functions"]
    answer = sam("remote", "invoke", function["FunctionArn"], "--event", '{"amount": 7}', "--output", "text")
    assert '{"paid": 7}' in answer.replace("\\", "")
    platform.quiet()
    log = sam("logs", "--cw-log-group", f"/aws/lambda/{function['FunctionName']}")
    assert "paying 7" in log
