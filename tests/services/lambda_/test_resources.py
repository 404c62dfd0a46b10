"""Lambda's CloudFormation types: created, changed in place, deleted, on real queues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.access import root
from penstock.engine.context import Call, WaitingContext
from penstock.engine.resource import Declared, Physical, ResourceType
from penstock.services.lambda_.resources import TYPES
from tests.engine.harness import ACCOUNT, REGION
from tests.services.lambda_.bench import ROLE, Bench, Benches, located, zipped

FUNCTION = {"Runtime": "python3.12", "Role": ROLE, "Handler": "index.handler", "Code": {"ZipFile": "x = 1\n"}}


class Packages:
    """The part of deploy that hands out built packages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def package(self, key: str) -> Path:
        return self.path / key


class Stack:
    """Resources of one application, made through their types."""

    def __init__(self, on: Bench) -> None:
        self.on = on
        call = Call("deploy", "Apply", {}, ACCOUNT, REGION, root(ACCOUNT), "request")
        self.cx = WaitingContext(on.parts, call)

    def type(self, name: str) -> ResourceType:
        resources = self.on.registry.service("lambda").resources
        return next(each for each in resources if each.name == f"AWS::Lambda::{name}")

    def declared(self, type_: str, properties: dict[str, Any], **given: Any) -> Declared:
        return Declared("Thing", f"AWS::Lambda::{type_}", properties, "app-Thing-1ABC", **given)

    async def create(self, type_: str, **properties: Any) -> Physical:
        return await self.type(type_).create(self.cx, self.declared(type_, properties))

    async def update(self, type_: str, physical: Physical, old: dict[str, Any], new: dict[str, Any]) -> Physical:
        declared = [self.declared(type_, properties) for properties in (new, old)]
        return await self.type(type_).update(self.cx, *declared, physical)

    async def delete(self, type_: str, physical: Physical) -> None:
        await self.type(type_).delete(self.cx, physical)
        await self.type(type_).delete(self.cx, physical)  # that it is gone already is no error


async def test_a_function_with_inline_code_gets_the_generated_name(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        stack = Stack(on)
        made = await stack.create("Function", **FUNCTION, Timeout="7", Environment={"Variables": {"N1": 5, "B1": True}})
        found = await on.call("GetFunctionConfiguration", FunctionName=made.id)
        assert (made.id, made.attributes["Arn"]) == ("app-Thing-1ABC", found["FunctionArn"])
        assert (found["Timeout"], found["Environment"]["Variables"]) == (7, {"N1": "5", "B1": "true"})
        await on.invoke(made.id)
        assert on.environments.invocations[0][0].code.joinpath("index.py").read_bytes() == b"x = 1\n"
        await stack.delete("Function", made)


async def test_settings_that_leave_the_template_return_to_their_defaults(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        stack = Stack(on)
        old = FUNCTION | {
            "MemorySize": 256, "Environment": {"Variables": {"A1": "1"}}, "ReservedConcurrentExecutions": 5,
            "Description": "d", "Tags": [{"Key": "a", "Value": "1"}],
        }  # fmt: skip
        made = await stack.create("Function", **old)
        code = (await on.call("GetFunction", FunctionName=made.id))["Configuration"]["CodeSha256"]
        await stack.update("Function", made, old, FUNCTION)
        found = await on.call("GetFunction", FunctionName=made.id)
        configuration = found["Configuration"]
        assert (configuration["MemorySize"], configuration["Description"]) == (128, "")
        assert "Environment" not in configuration
        assert "Concurrency" not in found
        assert "Tags" not in found
        assert configuration["CodeSha256"] == code


async def test_built_packages_are_found_by_their_key(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function("source")
        data = located((await on.call("GetFunction", FunctionName="source"))["Code"])
        (tmp_path / "key").write_bytes(data)
        on.parts.applications = Packages(tmp_path)
        named = FUNCTION | {"Code": {"S3Bucket": "penstock-packages", "S3Key": "key"}}
        made = await Stack(on).create("Function", **named)
        assert located((await on.call("GetFunction", FunctionName=made.id))["Code"]) == data


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Code": {"S3Bucket": "mine", "S3Key": "key"}}, "there are no buckets yet"),
        ({"Runtime": "provided.al2023"}, "inline code"),
        ({"RecursiveLoop": "Terminate"}, "recursive loops are not detected"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_reason(
    given: dict[str, Any], words: str, tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        with pytest.raises(ApiError, match=words):
            await Stack(on).create("Function", **FUNCTION | given)


async def test_a_mapping_of_a_template_consumes_its_queue(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        stack = Stack(on)
        function = await stack.create("Function", **FUNCTION)
        url = (await on.call_service("sqs", "CreateQueue", {"QueueName": "q"}))["QueueUrl"]
        old = {"EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", "FunctionName": function.id, "BatchSize": "5"}
        made = await stack.create("EventSourceMapping", **old)
        found = await on.call("GetEventSourceMapping", UUID=made.id)
        assert (found["BatchSize"], found["EventSourceMappingArn"]) == (5, made.attributes["EventSourceMappingArn"])
        new = {name: value for name, value in old.items() if name != "BatchSize"} | {"Enabled": "false"}
        await stack.update("EventSourceMapping", made, old, new)
        found = await on.call("GetEventSourceMapping", UUID=made.id)
        assert (found["BatchSize"], found["State"]) == (10, "Disabled")
        await stack.update("EventSourceMapping", made, new, old)
        await on.call_service("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": "one"})
        await on.settle()
        assert len(on.environments.invocations) == 1
        await stack.delete("EventSourceMapping", made)


async def test_permissions_configs_and_layers_come_and_go(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        stack = Stack(on)
        layer = await stack.create(
            "LayerVersion", LayerName="tools", Content={"ZipFile": zipped({"python/tool.py": b""})}
        )
        assert layer.id == layer.attributes["LayerVersionArn"]
        function = await stack.create("Function", **FUNCTION, Layers=[layer.id])
        permission = await stack.create(
            "Permission", FunctionName=function.id, Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
        )
        assert permission.id in (await on.call("GetPolicy", FunctionName=function.id))["Policy"]
        config = await stack.create(
            "EventInvokeConfig", FunctionName=function.id, Qualifier="$LATEST", MaximumRetryAttempts="1"
        )
        found = await on.call("GetFunctionEventInvokeConfig", FunctionName=function.id)
        assert found["MaximumRetryAttempts"] == 1
        for type_, physical in (("EventInvokeConfig", config), ("Permission", permission), ("Function", function)):
            await stack.delete(type_, physical)
        await stack.delete("LayerVersion", layer)
        assert (await on.call("ListLayers"))["Layers"] == []


async def test_a_layer_of_text_is_refused(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        with pytest.raises(Unsupported, match="there are no buckets yet"):
            await Stack(on).create("LayerVersion", Content={"S3Bucket": "mine", "S3Key": "key"})


def test_every_property_has_one_fate() -> None:
    for type_ in TYPES:
        fates = (type_.executed, type_.kept, frozenset(type_.refused))
        assert sum(map(len, fates)) == len(frozenset().union(*fates)), type_.name
        assert type_.required | type_.replaced_by <= type_.executed | type_.kept, type_.name
