"""SAM and CloudFormation templates with their code, prepared without AWS and without a network."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy import preparing
from penstock.deploy.prepare import prepare
from penstock.deploy.preparing import Prepared, Wish
from penstock.deploy.problems import Problem
from penstock.deploy.workshop import Workshop

SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Memory: {Type: Number, Default: 256}
Globals:
  Function: {Runtime: python3.12, MemorySize: !Ref Memory, CodeUri: code/}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Policies: [AWSLambdaBasicExecutionRole]
      Events:
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}
"""


def wish(folder: Path, template: str, **more: Any) -> Wish:
    path = folder / "template.yaml"
    path.write_text(template)
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "app.py").write_text("def handler(event, context): pass\n")
    fields: dict[str, Any] = {
        "template": path, "given": {}, "workshop": Workshop(folder / "cache", folder / "packages", {}),
        "account": "000000000000", "region": "us-east-1", "stack_name": "app", "stack_id": "arn:stack",
    }  # fmt: skip
    return Wish(**(fields | more))


def types_of(prepared: Prepared) -> dict[str, str]:
    return {logical_id: resource["Type"] for logical_id, resource in prepared.body["Resources"].items()}


def test_a_sam_function_becomes_what_cloudformation_makes_of_it(tmp_path: Path) -> None:
    prepared = prepare(wish(tmp_path, SAM))
    assert types_of(prepared) == {
        "Queue": "AWS::SQS::Queue",
        "Worker": "AWS::Lambda::Function",
        "WorkerRole": "AWS::IAM::Role",
        "WorkerQueue": "AWS::Lambda::EventSourceMapping",
    }
    worker = prepared.body["Resources"]["Worker"]["Properties"]
    [(key, path)] = prepared.packages.items()
    assert worker["Code"] == {"S3Bucket": "penstock-packages", "S3Key": key}
    assert worker["MemorySize"] == {"Ref": "Memory"}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["app.py"]
    assert prepared.lines.resource("WorkerRole") == prepared.lines.resource("Worker") == 9


def test_the_same_code_is_the_same_package_and_other_code_another(tmp_path: Path) -> None:
    first = prepare(wish(tmp_path, SAM)).packages
    assert prepare(wish(tmp_path, SAM)).packages == first
    wanted = wish(tmp_path, SAM)
    (tmp_path / "code" / "app.py").write_text("changed")
    assert prepare(wanted).packages != first


async def test_a_process_of_its_own_gives_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    prepared = await preparing.prepare(wish(tmp_path, SAM), said.append)
    assert prepared == prepare(wish(tmp_path, SAM))


async def test_a_process_of_its_own_tells_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no parameter Size") as caught:
        await preparing.prepare(wish(tmp_path, SAM, given={"Size": "1"}), lambda text: None)
    assert "Memory" in caught.value.message


def test_what_sam_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"template.yaml:9: Worker: .*Handler") as caught:
        prepare(wish(tmp_path, SAM.replace("      Handler: app.handler\n", "")))
    assert caught.value.resource == "Worker"


def test_what_a_review_finds_is_told_with_what_else_is_wrong_before_anything_is_built(tmp_path: Path) -> None:
    drafts: list[Prepared] = []

    def review(draft: Prepared) -> list[Problem]:
        drafts.append(draft)
        return [Problem("has a bad property", "Queue", 8)]

    with pytest.raises(TemplateError) as caught:
        prepare(wish(tmp_path, SAM.replace("Handler:", "Handlr:")), review=review)
    queue, worker = (line.partition("template.yaml:")[2] for line in caught.value.message.splitlines())
    assert queue == "8: Queue: has a bad property" and worker.startswith("9: Worker: property Handlr not defined")
    assert drafts[0].unmade == ("Worker",) and not (tmp_path / "packages").exists()


async def test_a_review_is_asked_by_the_process_that_prepares(tmp_path: Path) -> None:
    def review(draft: Prepared) -> list[Problem]:
        assert types_of(draft)["Worker"] == "AWS::Lambda::Function"
        return [Problem("has a bad property", "Queue", 8)]

    with pytest.raises(TemplateError, match=r"template.yaml:8: Queue: has a bad property"):
        await preparing.prepare(wish(tmp_path, SAM), lambda text: None, review)


def test_a_layer_gets_a_new_version_when_its_content_changes(tmp_path: Path) -> None:
    template = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: code/}
"""
    [first] = types_of(prepare(wish(tmp_path, template)))
    wanted = wish(tmp_path, template)
    (tmp_path / "code" / "app.py").write_text("changed")
    [second] = types_of(prepare(wanted))
    assert first != second and first.startswith("Common") and second.startswith("Common")


def test_inline_code_stays_inline(tmp_path: Path) -> None:
    inline = "Handler: index.f\n      InlineCode: f=1"
    template = SAM.replace(", CodeUri: code/", "").replace("Handler: app.handler", inline)
    prepared = prepare(wish(tmp_path, template))
    assert prepared.packages == {}
    assert prepared.body["Resources"]["Worker"]["Properties"]["Code"] == {"ZipFile": "f=1"}


def test_plain_cloudformation_may_name_local_code(tmp_path: Path) -> None:
    prepared = prepare(wish(tmp_path, """
Resources:
  F: {Type: AWS::Lambda::Function, Properties: {Code: ./code, Runtime: python3.12, Handler: app.f}}
"""))
    assert prepared.body["Resources"]["F"]["Properties"]["Code"]["S3Key"] in prepared.packages


def test_the_cdk_names_its_code_in_metadata(tmp_path: Path) -> None:
    prepared = prepare(wish(tmp_path, """
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties: {Code: {S3Bucket: cdk-assets, S3Key: abc.zip}, Runtime: python3.12, Handler: app.f}
    Metadata: {"aws:asset:path": code, "aws:asset:property": Code}
"""))
    assert prepared.body["Resources"]["F"]["Properties"]["Code"]["S3Key"] in prepared.packages


def test_resources_that_a_condition_leaves_out_are_not_built(tmp_path: Path) -> None:
    template = SAM.replace("Resources:\n", "Conditions: {Never: !Equals [a, b]}\nResources:\n", 1).replace(
        "    Type: AWS::Serverless::Function", "    Type: AWS::Serverless::Function\n    Condition: Never"
    )
    assert prepare(wish(tmp_path, template)).code == ()


def test_files_are_included(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("Extra: {Type: AWS::SQS::Queue}")
    prepared = prepare(wish(tmp_path, """
Resources:
  Own: {Type: AWS::SQS::Queue}
  Fn::Transform: {Name: AWS::Include, Parameters: {Location: more.yaml}}
"""))
    assert set(types_of(prepared)) == {"Own", "Extra"}


def test_loops_come_before_sam(tmp_path: Path) -> None:
    prepared = prepare(wish(tmp_path, """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Resources:
  Fn::ForEach::Functions:
    - Name
    - [One, Two]
    - Function${Name}:
        Type: AWS::Serverless::Function
        Properties: {Runtime: python3.12, Handler: app.f, CodeUri: code}
"""))
    assert {name for name, type_ in types_of(prepared).items() if type_ == "AWS::Lambda::Function"} == {
        "FunctionOne", "FunctionTwo",
    }  # fmt: skip


@pytest.mark.parametrize("first", ["", "Transform: AWS::Serverless-2016-10-31"])
def test_a_loop_without_its_transform_is_told_what_it_needs(tmp_path: Path, first: str) -> None:
    with pytest.raises(TemplateError, match=r":3: Fn::ForEach::Queues is a loop, .*AWS::LanguageExtensions"):
        prepare(wish(tmp_path, f"""{first}
Resources:
  Fn::ForEach::Queues:
    - Name
    - [One, Two]
    - Queue${{Name}}:
        Type: AWS::SQS::Queue
"""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("AWS::Serverless-2016-10-31", "MyMacro"), "2: the transform 'MyMacro' cannot be run here"),
        (("CodeUri: code/", "CodeUri: s3://bucket/key"), "6: Worker: CodeUri is in S3, which is not here yet"),
        (("CodeUri: code/", "CodeUri: nowhere/"), "6: Worker: CodeUri is .*nowhere, which does not exist"),
        (("CodeUri: code/", "PackageType: Image"), "container images are not run here"),
        (("Globals:", "Rules: {A: {}}\nGlobals:"), "5: the section Rules is not executed here"),
        (("Globals:", "Recources: {A: {}}\nGlobals:"), "5: 'Recources' is .*; remove it, or write Resources"),
        (("Handler:", "Handlr:"), "Worker: property Handlr not defined .*; remove it, or write Handler"),
        (("Type: AWS::Serverless::Function", "Type: AWS::Serverless::Function\n    Metadata: {BuildMethod: makefile}"),
         "6: Worker: BuildMethod 'makefile' is not executed here"),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_refused_by_name(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        prepare(wish(tmp_path, SAM.replace(*change)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Type: AWS::Serverless::Function", "Type: AWS::Serverless::Function\n    Colour: red"),
         "9: Worker: 'Colour' is nothing a resource has"),
        (("Type: AWS::Serverless::Function", "Type: AWS::Serverless::Function\n    CreationPolicy: {}"),
         "9: Worker: CreationPolicy is not executed here"),
        (("Policies:", "DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Queue.Arn, Queue: q}\n      Policies:"),
         "13: Worker: AWS::Serverless::Function has no property DeadLetterQueue.Queue here; .*: TargetArn, Type"),
        (("Policies:", "EventInvokeConfig: {DestinationConfig: {OnFailure: {Tpe: SQS}}}\n      Policies:"),
         "13: Worker: .* no property EventInvokeConfig.DestinationConfig.OnFailure.Tpe here"),
        (("Queue: {Type: SQS,", "Queue: {Type: SQS, Enabled: false,"),
         "15: Worker: .* no property Events.Queue.Enabled here"),
        (("Queue: !GetAtt Queue.Arn}", "Queue: !GetAtt Queue.Arn, BatchSze: 5}"),
         "15: WorkerQueue: property BatchSze not defined"),
    ],
)  # fmt: skip
def test_what_sam_would_drop_without_a_word_is_refused_by_name(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in SAM
    with pytest.raises(TemplateError, match=message):
        prepare(wish(tmp_path, SAM.replace(*change, 1)))


def test_the_process_that_prepares_ends_with_its_server(tmp_path: Path) -> None:
    program = (
        "import subprocess; from penstock.deploy import worker\n"
        "worker.prepare = lambda *_: subprocess.run(['sleep', '600'])\n"
        "worker.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(preparing.to_json(wish(tmp_path, SAM))).encode() + b"\n")
    process.stdin.close()  # as when the server is killed
    assert process.wait(30) == -signal.SIGKILL
