"""A SAM application on a whole platform: its resources exist, its functions run, and edits reach them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.base.errors import TemplateError
from penstock.deploy.applications import Application, Progress
from penstock.platform import Platform
from penstock.testing.platform import running_platform
from tests.coverage.recorder import Recorder

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, Timeout: 10}}
Resources:
  Orders: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 30}}
  Failed: {Type: AWS::SQS::Queue}
  Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: common/}}
  Pay:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: pay/
      Handler: app.handler
      Layers: [!Ref Common]
      Environment: {Variables: {QUEUE: !GetAtt Orders.QueueName}}
      Policies: [{SQSPollerPolicy: {QueueName: !GetAtt Orders.QueueName}}]
      EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Failed.Arn}}}
      Events: {Orders: {Type: SQS, Properties: {Queue: !GetAtt Orders.Arn, BatchSize: 5}}}
Outputs: {Pay: {Value: !Ref Pay}}
"""
HANDLER = "import os, common\ndef handler(event, context): return [os.environ['QUEUE'], common.WORD, 'first']\n"


@pytest.fixture
async def platform(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path / "data", durability="os", registry=recorder.registry) as running:
        yield running


@pytest.fixture
def application(tmp_path: Path) -> Application:
    files = {"template.yaml": TEMPLATE, "pay/app.py": HANDLER, "common/python/common.py": "WORD = 'old'\n"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Application("orders", tmp_path / "template.yaml")


async def answer(platform: Platform, function: str) -> Any:
    answered = await platform.call("lambda", "Invoke", {"FunctionName": function, "Payload": b"{}"})
    return orjson.loads(answered["Payload"])


async def test_an_application_is_deployed_used_and_removed(platform: Platform, application: Application) -> None:
    result = await platform.applications.deploy(application)
    queue, word, edition = await answer(platform, result.outputs["Pay"])
    assert queue.startswith("orders-Orders-") and (word, edition) == ("old", "first")
    mappings = await platform.call("lambda", "ListEventSourceMappings", {})
    assert [mapping["BatchSize"] for mapping in mappings["EventSourceMappings"]] == [5]
    assert "AWS::IAM::Role.Policies" in result.kept
    assert (await platform.applications.deploy(application)).changes == ()
    await platform.applications.remove("orders")
    assert (await platform.call("lambda", "ListFunctions", {}))["Functions"] == []
    assert (await platform.call("sqs", "ListQueues", {})).get("QueueUrls", []) == []
    assert (await platform.applications.deploy(application)).outputs == result.outputs


async def test_another_port_reaches_functions_when_deployed_again(tmp_path: Path, application: Application) -> None:
    application.template.write_text(TEMPLATE.replace("!GetAtt Orders.QueueName}}", "!Ref Orders}}", 1))
    addresses = set()
    for expected in ((), ("Pay",)):
        async with running_platform(tmp_path / "data", durability="os") as running:
            result = await running.applications.deploy(application)
            if expected:
                assert tuple(change.resource for change in result.changes) == expected
            queue, _, _ = await answer(running, result.outputs["Pay"])
            assert queue.startswith(running.url)
            addresses.add(queue)
    assert len(addresses) == 2


async def test_edited_code_changes_its_function_alone(platform: Platform, application: Application) -> None:
    result = await platform.applications.deploy(application)
    (application.template.parent / "pay" / "app.py").write_text(HANDLER.replace("first", "second"))
    again = await platform.applications.deploy(application)
    assert [(change.action, change.resource, change.properties) for change in again.changes] == [
        ("update", "Pay", ("Code",))
    ]
    assert (await answer(platform, result.outputs["Pay"]))[2] == "second"


async def test_an_edited_layer_is_a_new_version_for_its_functions(platform: Platform, application: Application) -> None:
    result = await platform.applications.deploy(application)
    (application.template.parent / "common" / "python" / "common.py").write_text("WORD = 'new'\n")
    await platform.applications.deploy(application)
    assert (await answer(platform, result.outputs["Pay"]))[1] == "new"


async def test_a_watched_application_follows_its_files(platform: Platform, application: Application) -> None:
    result = await platform.applications.deploy(application)
    told: asyncio.Queue[Progress] = asyncio.Queue()

    async def until(status: str, resource: str | None = None) -> None:
        while True:
            progress = await asyncio.wait_for(told.get(), 20)
            if (progress.status, progress.resource) == (status, resource):
                return

    fields = {"name": application.name, "template": application.template}
    gone = asyncio.Event()
    watching = asyncio.create_task(platform.applications.watch(told.put_nowait, gone.is_set, **fields))
    try:
        await until("WATCHING")
        handler = application.template.parent / "pay" / "app.py"
        handler.write_text(HANDLER.replace("first", "watched"))
        await until("UPDATE_COMPLETE", "Pay")
        assert (await answer(platform, result.outputs["Pay"]))[2] == "watched"
        application.template.write_text(TEMPLATE.replace("VisibilityTimeout: 30", "VisibilityTimeout: no"))
        await until("WATCH_FAILED")
        edited = TEMPLATE.replace("VisibilityTimeout: 30", "VisibilityTimeout: 40").replace("3.12, T", "3.8, T")
        application.template.write_text(edited)
        await until("UPDATE_COMPLETE", "Orders")
        await until("WARNING")
    finally:
        gone.set()
        await watching


async def test_what_is_edited_while_a_deployment_goes_on_is_taken_over(
    platform: Platform, application: Application
) -> None:
    since = platform.machine.now_ms()
    result = await platform.applications.deploy(application)
    (application.template.parent / "pay" / "app.py").write_text(HANDLER.replace("first", "meanwhile"))
    told: asyncio.Queue[Progress] = asyncio.Queue()
    fields = {"name": application.name, "template": application.template}
    watching = asyncio.create_task(platform.applications.watch(told.put_nowait, since_ms=since, **fields))
    while (await asyncio.wait_for(told.get(), 20)).status != "UPDATE_COMPLETE":
        pass
    assert (await platform.quiet()).quiet
    assert (await answer(platform, result.outputs["Pay"]))[2] == "meanwhile"
    await platform.applications.remove("orders")
    with pytest.raises(TemplateError, match="orders has been removed"):
        await watching


async def test_what_a_template_cannot_have_is_refused_with_its_line(
    platform: Platform, application: Application
) -> None:
    application.template.write_text(TEMPLATE.replace("BatchSize: 5", "BatchSize: 5, ProvisionedPollerConfig: {}"))
    with pytest.raises(TemplateError, match=r"template.yaml:\d+: .*PayOrders.*ProvisionedPollerConfig"):
        await platform.applications.deploy(application)
    assert await platform.applications.list() == []


async def test_runtimes_of_another_version_are_told_once_and_a_handler_that_names_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(HANDLER)
    role = "Role: 'arn:aws:iam::000000000000:role/r'"
    functions = "".join(
        f"  {name}: {{Type: AWS::Lambda::Function, Properties: {{Runtime: {runtime}, Handler: {handler}, {role}, "
        "Code: .}}\n"
        for name, runtime, handler in (
            ("Old", "python3.8", "app.handler"), ("Older", "python3.8", "app.handler"),
            ("Lost", f"python3.{sys.version_info.minor}", "ap.handler"),
        )
    )  # fmt: skip
    (tmp_path / "template.yaml").write_text(f"Resources:\n{functions}")
    for _ in range(2):  # what has not changed is told again, once per deployment
        result = await platform.applications.deploy(Application("versions", tmp_path / "template.yaml"))
        assert result.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        first, second = result.warnings
        assert first.startswith("python3.8 runs on this machine's Python 3.1") and "run Penstock on Python 3.8" in first
        assert second.startswith("Lost: the package has no ap.py, which Handler ap.handler names")
