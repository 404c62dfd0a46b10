"""Functions: created, changed, listed, deleted; every setting executed, kept or refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import ApiError, CannotRun, Unsupported
from penstock.services import lambda_
from tests.services.lambda_.bench import HANDLER, Benches, kept, located, zipped

FILES = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-01234567890123456"


async def refusal(call: Any, code: str) -> str:
    with pytest.raises(ApiError) as raised:
        await call
    assert raised.value.code == code, raised.value
    return raised.value.message


async def test_a_function_is_active_at_once_and_described_as_aws_does(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        data = zipped({"index.py": HANDLER})
        arn = await on.function(Code={"ZipFile": data}, Timeout=7, Environment={"Variables": {"A1": "1"}})
        found = await on.call("GetFunctionConfiguration", FunctionName="orders")
        assert found["FunctionArn"] == arn == "arn:aws:lambda:us-east-1:000000000000:function:orders"
        assert found["CodeSha256"] == base64.b64encode(hashlib.sha256(data).digest()).decode()
        assert found["CodeSize"] == len(data)
        assert (found["State"], found["LastUpdateStatus"], found["Version"]) == ("Active", "Successful", "$LATEST")
        assert found["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/orders"}
        assert (found["Timeout"], found["MemorySize"], found["Environment"]) == (7, 128, {"Variables": {"A1": "1"}})


async def test_what_is_kept_is_given_back(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function(
            Description="d", VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}, Tags={"team": "a"},
            KMSKeyArn="arn:aws:kms:us-east-1:000000000000:key/1", TracingConfig={"Mode": "Active"},
        )  # fmt: skip
        found = await on.call("GetFunction", FunctionName="orders")
        configuration = found["Configuration"]
        assert configuration["VpcConfig"] == {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "VpcId": ""}
        assert configuration["TracingConfig"] == {"Mode": "Active"}
        assert (configuration["Description"], found["Tags"]) == ("d", {"team": "a"})
        assert located(found["Code"]) == zipped({"index.py": HANDLER})


async def test_a_name_is_given_out_once(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        assert await refusal(on.function(), "ResourceConflictException") == "Function already exist: orders"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Publish": True}, "Publish of CreateFunction"),
        ({"FileSystemConfigs": [{"Arn": FILES, "LocalMountPath": "/mnt/a"}]}, "FileSystemConfigs of CreateFunction"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart of CreateFunction"),
        ({"PackageType": "Image"}, "PackageType Image of CreateFunction"),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "Code.S3Bucket of CreateFunction"),
        ({"Runtime": "java21"}, "Runtime java21 of CreateFunction is not supported: there is no Java runtime here"),
        ({"LoggingConfig": {"LogFormat": "JSON"}, "Runtime": "nodejs22.x"}, "LoggingConfig.LogFormat JSON"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:000000000000:t"}}, "SNS topics are not supported"),
    ],
)  # fmt: skip
async def test_what_is_not_executed_is_refused_by_name(
    given: dict[str, Any], words: str, tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        with pytest.raises(Unsupported) as raised:
            await on.function(**given)
        assert words in raised.value.message
        assert (await on.call("ListFunctions"))["Functions"] == []


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"MemorySize": 10241}, "ValidationException", "less than or equal to 10240"),
        ({"FunctionName": "n" * 65}, "ValidationException", "less than or equal to 64"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "AWS_REGION"),
        ({"Environment": {"Variables": {"A1": "x" * 4096}}}, "InvalidParameterValueException", "4KB limit"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file"),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code"),
        ({"Code": {"ZipFile": bytes((50 << 20) + 1)}}, "RequestEntityTooLargeException", "70167211 bytes"),
        ({"Role": "arn:aws:iam::999999999999:role/other"}, "InvalidParameterValueException", "Cross-account"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:no:1"]}, "InvalidParameterValueException", "exist"),
        ({"Role": "role"}, "ValidationException", "regular expression"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:q"}}, "InvalidParameterValueException", "arn:aws:sqs:q is"),
    ],
)
async def test_what_aws_refuses_is_refused(
    given: dict[str, Any], code: str, words: str, tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        assert words in await refusal(on.function(**given), code)


async def test_new_code_retires_the_environments_of_the_old_and_the_old_is_swept(
    tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        old = await on.call("GetFunctionConfiguration", FunctionName="orders")
        new = zipped({"index.py": b"y = 1\n"})
        changed = await on.call("UpdateFunctionCode", FunctionName="orders", ZipFile=new)
        assert changed["CodeSha256"] != old["CodeSha256"]
        assert changed["RevisionId"] != old["RevisionId"]
        await on.background_done()
        assert [function_arn for function_arn, _ in on.environments.retired] == [arn]
        digest = hashlib.sha256(new).hexdigest()
        assert kept(on) == [digest, f"{digest}.unzipped"]


async def test_a_dry_run_of_new_code_changes_nothing(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        before = await on.call("GetFunctionConfiguration", FunctionName="orders")
        tried = await on.call("UpdateFunctionCode", FunctionName="orders", ZipFile=zipped({"a": b""}), DryRun=True)
        assert tried["CodeSha256"] != before["CodeSha256"]
        assert await on.call("GetFunctionConfiguration", FunctionName="orders") == before


async def test_a_stale_revision_is_refused(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        change = on.call("UpdateFunctionConfiguration", FunctionName="orders", Timeout=9, RevisionId="old")
        assert "Revision Id provided does not match" in await refusal(change, "PreconditionFailedException")


async def test_settings_that_are_not_named_stay(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function(Timeout=7, Environment={"Variables": {"A1": "1"}})
        await on.call("UpdateFunctionConfiguration", FunctionName="orders", MemorySize=256)
        found = await on.call("GetFunctionConfiguration", FunctionName="orders")
        assert (found["Timeout"], found["MemorySize"]) == (7, 256)
        await on.invoke()
        assert on.environments.invocations[-1][0].memory_mb == 256


async def test_functions_are_listed_in_pages(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        for name in ("c", "a", "b"):
            await on.function(name)
        first = await on.call("ListFunctions", MaxItems=2)
        assert [each["FunctionName"] for each in first["Functions"]] == ["a", "b"]
        rest = await on.call("ListFunctions", Marker=first["NextMarker"])
        assert [each["FunctionName"] for each in rest["Functions"]] == ["c"]
        assert "NextMarker" not in rest


async def test_a_deleted_function_is_gone_with_its_code(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        await on.call("PutFunctionEventInvokeConfig", FunctionName=arn, MaximumRetryAttempts=0)
        await on.call("DeleteFunction", FunctionName=arn)
        assert await refusal(on.call("GetFunction", FunctionName="orders"), "ResourceNotFoundException") == (
            f"Function not found: {arn}"
        )
        await on.background_done()
        assert kept(on) == []


async def test_other_versions_than_latest_do_not_exist(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        for call in (on.call("GetFunction", FunctionName="orders", Qualifier="3"), on.invoke("orders:3")):
            assert await refusal(call, "ResourceNotFoundException") == f"Function not found: {arn}:3"
        versions = await on.call("ListVersionsByFunction", FunctionName="orders")
        assert [version["FunctionArn"] for version in versions["Versions"]] == [f"{arn}:$LATEST"]


@pytest.mark.parametrize(
    ("principal", "stands"),
    [
        ("*", "*"),
        ("111122223333", {"AWS": "arn:aws:iam::111122223333:root"}),
        ("arn:aws:iam::111122223333:role/path/r", {"AWS": "arn:aws:iam::111122223333:role/path/r"}),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("arn:aws:iam::12:user/u", None),
        ("arn:aws:s3:::bucket", None),
        ("somebody", None),
    ],
)
async def test_a_permission_names_a_principal(tmp_path: Path, bench: Benches, principal: str, stands: Any) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        given = {"FunctionName": "orders", "StatementId": "s", "Action": "lambda:InvokeFunction"}
        if stands is None:
            with pytest.raises(ApiError, match="The provided principal was invalid") as error:
                await on.call("AddPermission", **given, Principal=principal)
            assert error.value.code == "InvalidParameterValueException"
        else:
            statement = json.loads((await on.call("AddPermission", **given, Principal=principal))["Statement"])
            assert statement["Principal"] == stands


async def test_a_resource_policy_is_kept(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        given = {"FunctionName": "orders", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
        rule = "arn:aws:events:us-east-1:000000000000:rule/r"
        added = await on.call("AddPermission", StatementId="one", SourceArn=rule, **given)
        assert f'"Condition":{{"ArnLike":{{"AWS:SourceArn":"{rule}"}}}}' in added["Statement"]
        assert arn in (await on.call("GetPolicy", FunctionName="orders"))["Policy"]
        again = on.call("AddPermission", StatementId="one", **given)
        assert "already exists" in await refusal(again, "ResourceConflictException")
        await on.call("RemovePermission", FunctionName="orders", StatementId="one")
        await refusal(on.call("GetPolicy", FunctionName="orders"), "ResourceNotFoundException")


async def test_tags_are_kept(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function(Tags={"a": "1"})
        await on.call("TagResource", Resource=arn, Tags={"b": "2"})
        await on.call("UntagResource", Resource=arn, TagKeys=["a"])
        assert (await on.call("ListTags", Resource=arn))["Tags"] == {"b": "2"}


async def test_functions_survive_a_restart(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
    async with bench(tmp_path) as on:
        assert (await on.invoke(payload=5))["Payload"] == b"5"
        assert on.environments.invocations[0][0].code.joinpath("index.py").read_bytes() == HANDLER


async def test_the_account_knows_its_limits(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=30)
        settings = await on.call("GetAccountSettings")
        assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 970
        assert settings["AccountUsage"]["FunctionCount"] == 1
        too_much = on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=901)
        assert "below its minimum value of [100]" in await refusal(too_much, "InvalidParameterValueException")


async def test_functions_of_one_package_can_be_created_at_once(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        files = {f"lib/{number}.py": b"x = 1\n" * 50 for number in range(40)} | {"index.py": HANDLER}
        data = zipped(files)
        await asyncio.gather(*(on.function(f"f{number}", Code={"ZipFile": data}) for number in range(6)))
        assert len(kept(on)) == 2
        await asyncio.gather(*(on.call("DeleteFunction", FunctionName=f"f{number}") for number in range(5)))
        await on.background_done()
        assert (await on.invoke("f5", 1))["Payload"] == b"1"
        assert on.environments.invocations[0][0].code.joinpath("index.py").is_file()


@pytest.mark.parametrize("ends", ["with an answer", "cut off"])
async def test_code_that_runs_is_swept_only_when_it_has_ended(tmp_path: Path, bench: Benches, ends: str) -> None:
    async with bench(tmp_path) as on:
        going, begun = asyncio.Event(), asyncio.Event()

        async def wait(event: Any) -> Any:
            begun.set()
            await going.wait()
            if ends == "cut off":
                raise CannotRun("nothing runs any more")
            return event

        await on.function(handler=wait)
        running = asyncio.ensure_future(on.invoke(payload=1))
        await begun.wait()
        old = on.environments.invocations[0][0].code
        await on.call("UpdateFunctionCode", FunctionName="orders", ZipFile=zipped({"index.py": b"y = 1\n"}))
        await on.background_done()
        assert old.joinpath("index.py").is_file()
        going.set()
        if ends == "cut off":
            await refusal(running, "InvalidRuntimeException")
        else:
            assert (await running)["Payload"] == b"1"
        await on.background_done()
        assert not old.exists()


async def test_what_a_crash_leaves_of_an_upload_is_swept_at_the_next_start(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        data = zipped({"index.py": HANDLER})
        digest = hashlib.sha256(data).hexdigest()
        await on.parts.blobs.put(data)
        await on.store.transact(lambda tx: tx.write("INSERT INTO lambda_loose_code VALUES (?)", (digest,)))
        assert kept(on) == [digest]
    async with bench(tmp_path) as on:
        await on.background_done()
        assert kept(on) == []


async def test_a_reset_forgets_functions_and_their_code(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.invoke()
        await on.work("lambda", lambda cx: lambda_.SERVICE.reset(cx, cx.account))
        await refusal(on.invoke(), "ResourceNotFoundException")
        await on.background_done()
        assert kept(on) == []
