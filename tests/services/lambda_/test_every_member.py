"""Members of requests and properties that the other tests have no use for: each is executed, kept or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.paging import token_of
from tests.coverage.recorder import Recorder
from tests.engine.harness import ACCOUNT, REGION
from tests.services.lambda_.bench import HANDLER, ROLE, Bench, Benches, zipped
from tests.services.lambda_.test_resources import FUNCTION, Stack

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
LATEST = {"FunctionName": "orders", "Qualifier": "$LATEST"}
VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


async def refused(on: Bench, operation: str, words: str, **request: Any) -> None:
    with pytest.raises(Unsupported, match=words):
        await on.call(operation, **request)


async def test_sizes_and_architectures_are_given_back(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function(MemorySize=256, Architectures=["x86_64"], EphemeralStorage={"Size": 600})
        found = await on.call("GetFunctionConfiguration", **LATEST)
        assert (found["MemorySize"], found["EphemeralStorage"]) == (256, {"Size": 600})
        revision = found["RevisionId"]
        code = zipped({"index.py": HANDLER})
        changed = await on.call(
            "UpdateFunctionCode", FunctionName="orders", ZipFile=code, Architectures=["x86_64"], Publish=False,
            RevisionId=revision,
        )  # fmt: skip
        assert changed["Architectures"] == ["x86_64"]
        logging = {
            "LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO", "LogGroup": "/mine",
        }  # fmt: skip
        changed = await on.call(
            "UpdateFunctionConfiguration", FunctionName="orders", LoggingConfig=logging,
            RevisionId=changed["RevisionId"], SnapStart={"ApplyOn": "None"},
        )  # fmt: skip
        assert changed["LoggingConfig"] == logging
        for operation in ("UpdateFunctionCode", "UpdateFunctionConfiguration"):
            more = {"ZipFile": code} if operation == "UpdateFunctionCode" else {}
            with pytest.raises(ApiError) as raised:
                await on.call(operation, FunctionName="orders", RevisionId=revision, **more)
            assert raised.value.code == "PreconditionFailedException"


CODE = ("S3Bucket", "S3Key", "S3ObjectVersion", "S3ObjectStorageMode", "ImageUri", "SourceKMSKeyArn")


@pytest.mark.parametrize("member", CODE)
async def test_code_that_is_elsewhere_is_refused_by_name(tmp_path: Path, bench: Benches, member: str) -> None:
    value = {"S3ObjectStorageMode": "COPY", "SourceKMSKeyArn": KEY}.get(member, "bucket")
    request = {"FunctionName": "f", "Role": ROLE, "Handler": "a.b", "Runtime": "python3.12"}
    async with bench(tmp_path) as on:
        await refused(on, "CreateFunction", f"Code.{member} of CreateFunction", **request, Code={member: value})
        if member.startswith("S3"):
            words = f"Content.{member} of PublishLayerVersion"
            await refused(on, "PublishLayerVersion", words, LayerName="l", Content={member: value})


async def test_what_has_some_values_only_is_refused_with_the_others(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        on_update = {"FunctionName": "orders"}
        published = {"ApplyOn": "PublishedVersions"}
        await refused(on, "UpdateFunctionConfiguration", "SnapStart", **on_update, SnapStart=published)
        await refused(on, "UpdateFunctionCode", "Publish", **on_update, ZipFile=zipped({}), Publish=True)
        await refused(on, "PutFunctionRecursionConfig", "RecursiveLoop", **on_update, RecursiveLoop="Terminate")


async def test_the_only_qualifier_is_latest(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        assert (await on.call("GetFunction", **LATEST))["Configuration"]["Version"] == "$LATEST"
        assert (await on.call("Invoke", **LATEST, Payload=b"1"))["ExecutedVersion"] == "$LATEST"
        await on.call("PutFunctionEventInvokeConfig", **LATEST, MaximumRetryAttempts=1)
        config = {
            "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}, "OnFailure": {"Destination": QUEUE}},
        }  # fmt: skip
        await on.call("UpdateFunctionEventInvokeConfig", **LATEST, **config)
        found = await on.call("GetFunctionEventInvokeConfig", **LATEST)
        assert {name: found[name] for name in config} == config
        listed = await on.call("ListFunctionEventInvokeConfigs", FunctionName="orders", MaxItems=10)
        assert len(listed["FunctionEventInvokeConfigs"]) == 1
        await on.call("DeleteFunctionEventInvokeConfig", **LATEST)
        for operation in ("GetFunction", "GetFunctionConfiguration", "Invoke", "GetFunctionEventInvokeConfig"):
            with pytest.raises(ApiError) as raised:
                await on.call(operation, FunctionName="orders", Qualifier="9")
            assert raised.value.code == "ResourceNotFoundException", operation


async def test_a_permission_with_everything_is_kept(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        statement = {
            "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "SourceAccount": ACCOUNT,
            "SourceArn": QUEUE, "EventSourceToken": "token", "FunctionUrlAuthType": "NONE",
            "PrincipalOrgID": "o-1234567890", "InvokedViaFunctionUrl": True,
        }  # fmt: skip
        revision = (await on.call("GetFunctionConfiguration", FunctionName="orders"))["RevisionId"]
        await on.call("AddPermission", FunctionName="orders", StatementId="one", RevisionId=revision, **statement)
        answer = await on.call("GetPolicy", **LATEST)
        kept = json.dumps(json.loads(answer["Policy"])["Statement"][0])
        for value in (ACCOUNT, QUEUE, "token", "NONE", "o-1234567890"):
            assert value in kept, kept
        with pytest.raises(ApiError) as raised:
            await on.call("RemovePermission", FunctionName="orders", StatementId="one", RevisionId=revision)
        assert raised.value.code == "PreconditionFailedException"
        await on.call("RemovePermission", FunctionName="orders", StatementId="one", RevisionId=answer["RevisionId"])


async def test_small_operations_answer(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        name = {"FunctionName": "orders"}
        assert await on.call("GetFunctionCodeSigningConfig", **name) == name
        await on.call("PutFunctionConcurrency", **name, ReservedConcurrentExecutions=7)
        assert await on.call("GetFunctionConcurrency", **name) == {"ReservedConcurrentExecutions": 7}
        assert await on.call("PutFunctionRecursionConfig", **name, RecursiveLoop="Allow") == {"RecursiveLoop": "Allow"}
        assert await on.call("GetFunctionRecursionConfig", **name) == {"RecursiveLoop": "Allow"}
        assert (await on.call("InvokeAsync", **name, InvokeArgs=b"{}"))["Status"] == 202
        assert (await on.call("ListAliases", **name, FunctionVersion="$LATEST", MaxItems=1))["Aliases"] == []
        assert len((await on.call("ListVersionsByFunction", **name, MaxItems=1))["Versions"]) == 1
        assert len((await on.call("ListFunctions", FunctionVersion="ALL"))["Functions"]) == 1


async def test_listings_go_on_after_their_marker(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        for name in ("a", "b"):
            await on.function(name)
            await on.call_service("sqs", "CreateQueue", {"QueueName": name})
            await on.call(
                "CreateEventSourceMapping", FunctionName=name, EventSourceArn=QUEUE[:-1] + name, KMSKeyArn=KEY,
                MetricsConfig={"Metrics": ["EventCount"]}, Tags={"team": "red"},
            )  # fmt: skip
            await on.call(
                "PublishLayerVersion", LayerName="tools", Content={"ZipFile": zipped({"python/t.py": b""})},
                CompatibleArchitectures=["x86_64"], CompatibleRuntimes=["python3.12"], LicenseInfo="MIT",
                Description=name,
            )  # fmt: skip
            await on.call(
                "PublishLayerVersion", LayerName=f"layer-{name}", Content={"ZipFile": zipped({"python/t.py": b""})}
            )
        suits = {"CompatibleArchitecture": "x86_64", "CompatibleRuntime": "python3.12"}
        assert len((await on.call("ListLayers", **suits))["Layers"]) == 1
        assert len((await on.call("ListLayerVersions", LayerName="tools", **suits))["LayerVersions"]) == 2
        for operation, request, member in (
            ("ListEventSourceMappings", {}, "EventSourceMappings"),
            ("ListLayers", {}, "Layers"),
            ("ListLayerVersions", {"LayerName": "tools"}, "LayerVersions"),
        ):
            everything = (await on.call(operation, **request))[member]
            first = await on.call(operation, **request, MaxItems=1)
            rest = await on.call(operation, **request, Marker=first["NextMarker"])
            assert len(everything) > 1 and first[member] + rest[member] == everything
        mapping = (await on.call("ListEventSourceMappings"))["EventSourceMappings"][0]
        assert mapping["KMSKeyArn"] == KEY and mapping["MetricsConfig"] == {"Metrics": ["EventCount"]}
        settings = {
            "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}, "KMSKeyArn": KEY,
            "MetricsConfig": {"Metrics": []}, "ScalingConfig": {"MaximumConcurrency": 2},
        }  # fmt: skip
        changed = await on.call("UpdateEventSourceMapping", UUID=mapping["UUID"], **settings)
        assert {name: changed[name] for name in settings} == settings


async def test_lists_with_one_entry_end_after_it(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.call("PutFunctionEventInvokeConfig", FunctionName="orders", MaximumRetryAttempts=1)
        for operation, member in (
            ("ListAliases", "Aliases"),
            ("ListVersionsByFunction", "Versions"),
            ("ListFunctionEventInvokeConfigs", "FunctionEventInvokeConfigs"),
        ):
            answer = await on.call(operation, FunctionName="orders", MaxItems=1)
            assert "NextMarker" not in answer
            assert await on.call(operation, FunctionName="orders", Marker=token_of("$LATEST")) == {member: []}


async def test_some_operations_take_no_qualifier_as_on_aws(
    tmp_path: Path, bench: Benches, recorder: Recorder
) -> None:
    """API_AddPermission.html and API_DeleteFunction.html: a version or an alias; $LATEST is neither."""
    statement = {"StatementId": "one", "Action": "lambda:InvokeFunction", "Principal": "*"}
    async with bench(tmp_path) as on:
        await on.function()
        for operation, request in (
            ("AddPermission", statement), ("RemovePermission", {"StatementId": "one"}), ("DeleteFunction", {}),
        ):  # fmt: skip
            with pytest.raises(ApiError) as raised:
                await on.call(operation, **LATEST, **request)
            assert raised.value.code == "InvalidParameterValueException"
            recorder.refusal("lambda", operation, "Qualifier")


async def test_a_functions_other_properties(tmp_path: Path, bench: Benches) -> None:
    given = {
        "FunctionName": "mine", "Architectures": ["x86_64"], "DeadLetterConfig": {"TargetArn": QUEUE},
        "EphemeralStorage": {"Size": "600"}, "KmsKeyArn": KEY, "TracingConfig": {"Mode": "Active"}, "VpcConfig": VPC,
        "LoggingConfig": {"LogGroup": "/mine"}, "PackageType": "Zip", "RecursiveLoop": "Allow",
        "SnapStart": {"ApplyOn": "None"},
    }  # fmt: skip
    async with bench(tmp_path) as on:
        made = await Stack(on).create("Function", **FUNCTION, **given)
        found = await on.call("GetFunctionConfiguration", FunctionName=made.id)
        assert (made.id, found["EphemeralStorage"], found["KMSKeyArn"]) == ("mine", {"Size": 600}, KEY)
        assert (found["DeadLetterConfig"], found["TracingConfig"]) == ({"TargetArn": QUEUE}, {"Mode": "Active"})
        assert found["LoggingConfig"]["LogGroup"] == "/mine" and found["VpcConfig"]["SubnetIds"] == ["subnet-1"]


async def test_the_other_properties_of_mappings_layers_permissions_and_configs(
    tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path, real_queues=True) as on:
        stack = Stack(on)
        function = await stack.create("Function", **FUNCTION)
        await on.call_service("sqs", "CreateQueue", {"QueueName": "q"})
        mapping = {
            "FilterCriteria": {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}, "KmsKeyArn": KEY,
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "MaximumBatchingWindowInSeconds": "2",
            "MetricsConfig": {"Metrics": ["EventCount"]}, "ScalingConfig": {"MaximumConcurrency": "3"},
        }  # fmt: skip
        made = await stack.create(
            "EventSourceMapping", EventSourceArn=QUEUE, FunctionName=function.id, BatchSize=5, **mapping,
            Tags=[{"Key": "team", "Value": "red"}],
        )  # fmt: skip
        found = await on.call("GetEventSourceMapping", UUID=made.id)
        assert (found["MaximumBatchingWindowInSeconds"], found["ScalingConfig"]) == (2, {"MaximumConcurrency": 3})
        assert (found["FilterCriteria"], found["KMSKeyArn"]) == (mapping["FilterCriteria"], KEY)
        kept = {
            "CompatibleArchitectures": ["x86_64"], "CompatibleRuntimes": ["python3.12"], "Description": "d",
            "LicenseInfo": "MIT",
        }  # fmt: skip
        layer = await stack.create("LayerVersion", Content={"ZipFile": zipped({"python/t.py": b""})}, **kept)
        found = await on.call("GetLayerVersionByArn", Arn=layer.id)
        assert {name: found[name] for name in kept} == kept
        await stack.create(
            "Permission", FunctionName=function.id, Action="lambda:InvokeFunctionUrl", Principal="*",
            EventSourceToken="t", FunctionUrlAuthType="NONE", InvokedViaFunctionUrl=True, SourceAccount=ACCOUNT,
            PrincipalOrgID="o-1234567890", SourceArn=QUEUE,
        )  # fmt: skip
        policy = (await on.call("GetPolicy", FunctionName=function.id))["Policy"]
        assert "o-1234567890" in policy and QUEUE in policy
        await stack.create(
            "EventInvokeConfig", FunctionName=function.id, Qualifier="$LATEST", MaximumEventAgeInSeconds="60"
        )
        found = await on.call("GetFunctionEventInvokeConfig", FunctionName=function.id)
        assert found["MaximumEventAgeInSeconds"] == 60
