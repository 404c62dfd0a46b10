"""The API models: what they say of operations, and validation in AWS's words."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from typing import Any

import pytest

from penstock.base.errors import ApiError, ValidationError
from penstock.engine.body import FileBody
from penstock.engine.model import known_models, load
from penstock.engine.model.pattern import SAME, compile_pattern

SERVICES = (
    "sqs", "lambda", "events", "logs", "sts", "iam", "dynamodb", "dynamodbstreams", "s3", "sns", "kinesis",
    "firehose", "stepfunctions", "apigateway", "apigatewayv2", "apigatewaymanagementapi", "scheduler", "pipes",
    "cloudformation", "secretsmanager", "cloudwatch", "xray", "schemas",
)  # fmt: skip


def refused(service: str, operation: str, request: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        load(service).operation(operation).check(request)
    return raised.value


@pytest.mark.parametrize(
    ("service", "operation", "request_", "sentence"),
    [
        ("dynamodb", "DescribeTable", {},
         "Value null at 'tableName' failed to satisfy constraint: Member must not be null"),
        ("dynamodb", "CreateTable", {"TableName": "t", "KeySchema": [{"AttributeName": "", "KeyType": "HASH"}]},
         "Value '' at 'keySchema.1.member.attributeName' failed to satisfy constraint: Member must have length greater"
         " than or equal to 1"),
        ("dynamodb", "CreateTable", {"TableName": "t", "BillingMode": "free"},
         "Value 'free' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set:"
         " [PROVISIONED, PAY_PER_REQUEST]"),
        ("dynamodb", "Scan", {"TableName": "t", "Segment": -1},
         "Value '-1' at 'segment' failed to satisfy constraint: Member must have value greater than or equal to 0"),
        ("dynamodb", "BatchGetItem", {"RequestItems": {"t": {"Keys": []}}},
         "Value '[]' at 'requestItems.t.member.keys' failed to satisfy constraint: Member must have length greater than"
         " or equal to 1"),
        ("kinesis", "PutRecords", {"Records": [{"Data": b"", "PartitionKey": "p" * 257}], "StreamName": "s"},
         f"Value '{'p' * 257}' at 'records.1.member.partitionKey' failed to satisfy constraint: Member must have length"
         " less than or equal to 256"),
        ("lambda", "GetFunction", {"FunctionName": "a b"},
         "Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
        ("lambda", "CreateFunction",
         {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {}, "Layers": [None]},
         "Value null at 'layers.1.member' failed to satisfy constraint: Member must not be null"),
        ("events", "PutEvents", {"Entries": [{}, None]},
         "Value null at 'entries.2.member' failed to satisfy constraint: Member must not be null"),
        ("events", "PutEvents", {"Entries": []},
         "Value '[]' at 'entries' failed to satisfy constraint: Member must have length greater than or equal to 1"),
        ("logs", "FilterLogEvents", {"logGroupName": "g", "logStreamNames": ["a:b"]},
         "Value '[a:b]' at 'logStreamNames' failed to satisfy constraint: Member must satisfy constraint: [Member must"
         " have length less than or equal to 512, Member must have length greater than or equal to 1, Member must"
         " satisfy regular expression pattern: [^:*]*]"),
    ],
)  # fmt: skip
def test_a_request_that_breaks_the_model_is_refused_in_the_words_of_aws(
    service: str, operation: str, request_: dict[str, Any], sentence: str
) -> None:
    error = refused(service, operation, request_)
    assert isinstance(error, ValidationError)
    assert sentence in error.message
    assert " detected: Value " in error.message


def test_all_problems_are_told_at_once_and_counted() -> None:
    error = refused("dynamodb", "CreateTable", {"TableName": "", "KeySchema": []})
    count = error.message.count("failed to satisfy constraint")
    assert count >= 2
    assert error.message.startswith(f"{count} validation errors detected: ")
    assert refused("dynamodb", "DescribeTable", {}).message.startswith("1 validation error detected: ")


def test_services_of_the_query_protocol_have_their_own_code() -> None:
    assert refused("iam", "CreateRole", {"RoleName": "r"}).code == "ValidationError"
    assert refused("sts", "AssumeRole", {"RoleArn": "x"}).code == "ValidationError"


def test_sqs_says_only_that_a_parameter_is_missing() -> None:
    error = refused("sqs", "SendMessage", {"QueueUrl": "u"})
    assert (error.code, error.message) == ("MissingParameter", "The request must contain the parameter MessageBody.")
    load("sqs").operation("GetQueueAttributes").check({"QueueUrl": "u", "AttributeNames": ["NoSuchAttribute"]})


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("MessageBody", 5, "NUMBER_VALUE can not be converted to a String"),
        ("MessageBody", True, "TRUE_VALUE can not be converted to a String"),
        ("MessageBody", {}, "Start of structure or map found where not expected"),
        ("MessageBody", [], "Start of list found where not expected"),
        ("DelaySeconds", "5", "STRING_VALUE can not be converted to an Integer"),
        ("DelaySeconds", 1 << 31, "NUMBER_VALUE can not be converted to an Integer"),
        ("DelaySeconds", True, "TRUE_VALUE can not be converted to an Integer"),
        ("MessageAttributes", "x", "Unexpected field type"),
        ("MessageAttributes", {"a": 5}, "Unexpected field type"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_serialization_error(member: str, value: Any, message: str) -> None:
    error = refused("sqs", "SendMessage", {"QueueUrl": "u", "MessageBody": "b", member: value})
    assert (error.code, error.message) == ("SerializationException", message)


def test_what_is_secret_is_not_repeated() -> None:
    error = refused("secretsmanager", "CreateSecret", {"Name": "n", "SecretString": "s" * 70_000})
    assert "sss" not in error.message
    assert "Value at 'secretString' failed" in error.message


def test_recursive_shapes_and_unknown_members_pass() -> None:
    item = {"k": {"L": [{"M": {"a": {"S": "x"}}}]}}
    load("dynamodb").operation("PutItem").check({"TableName": "table", "Item": item, "NotInTheModel": 1})
    error = refused("dynamodb", "PutItem", {"TableName": "table", "Item": {"k": {"L": [{"M": {"a": {"S": 5}}}]}}})
    assert error.code == "SerializationException"


def test_a_long_bad_value_does_not_make_a_long_answer() -> None:
    request = {"Entries": [{"Detail": "x", "DetailType": "y", "Source": "z"}] * 100_000}
    assert len(refused("events", "PutEvents", request).message) < 4_000


def test_a_body_in_a_file_is_a_blob(tmp_path: Any) -> None:
    load("s3").operation("PutObject").check({"Bucket": "b", "Key": "k", "Body": FileBody(tmp_path / "x", 5)})


def test_operations_know_how_they_travel() -> None:
    lambda_ = load("lambda")
    invoke = lambda_.operation("Invoke")
    assert (invoke.http_method, invoke.request_uri) == ("POST", "/2015-03-31/functions/{FunctionName}/invocations")
    assert lambda_.operation("InvokeWithResponseStream").event_output == "EventStream"
    assert load("s3").operation("PutObject").streaming_input == "Body"
    assert load("stepfunctions").operation("StartSyncExecution").host_prefix == "sync-"
    assert load("sts").operation("AssumeRoleWithWebIdentity").unsigned
    assert not load("sts").operation("AssumeRole").unsigned
    assert load("cloudwatch").protocols == ("smithy-rpc-v2-cbor", "json", "query")


def test_errors_have_their_status_and_their_code_on_the_wire() -> None:
    missing = load("lambda").error("ResourceNotFoundException")
    assert missing is not None and (missing.status, missing.sender) == (404, True)
    internal = load("lambda").error("ServiceException")
    assert internal is not None and (internal.status, internal.sender) == (500, False)
    entity = load("iam").error("NoSuchEntityException")
    assert entity is not None and (entity.wire_code, entity.status) == ("NoSuchEntity", 404)
    assert load("iam").error("NoSuchEntity") is entity
    assert load("sqs").error("NoSuchThing") is None


def test_an_unknown_operation_or_model_is_named() -> None:
    with pytest.raises(ApiError, match="SendMassage"):
        load("sqs").operation("SendMassage")
    with pytest.raises(LookupError, match="no-such-service"):
        load("no-such-service")


def test_reading_a_model_does_not_import_botocore() -> None:
    code = (
        "import sys; from penstock.engine.model import load; load('sqs').operation('SendMessage').check("
        "{'QueueUrl': 'u', 'MessageBody': 'b'}); assert not any(m.startswith('boto') for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_our_services_is_checked(service: str) -> None:
    model = load(service)
    patterns = {shape.get("pattern") for shape in model._shapes_raw.values()} - {None}
    assert [pattern for pattern in patterns if compile_pattern(pattern) is None] == []


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{Alnum}\p{Punct}]+", "a-1!", "é"),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "é ß_1", "#"),
        (r"[\w-]+", "a-b_c", "é"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a\U0001f600\n", "\x01"),
        (r"[\P{C}\s]+", "a\n", "\x01"),
        (r"[\x{1F600}]", "\U0001f600", "x"),
        (r"a\/b", "a/b", "a"),
        (r".{1,3}", "ab", "abcd"),
    ],
)
def test_javas_patterns_mean_what_they_mean_in_java(pattern: str, good: str, bad: str) -> None:
    match = compile_pattern(pattern)
    assert match is not None
    assert match(good) and not match(bad)


@pytest.mark.parametrize("service", SERVICES)
def test_no_text_keeps_a_pattern_busy(service: str) -> None:
    for shape in load(service)._shapes_raw.values():
        match = compile_pattern(shape.get("pattern") or "")
        assert match is not None
        for unit in ("a", "1", "-", "_", ".", "/", ":", " ", "\t", "a-", "a.", "a/", "aA1", "*"):
            match(unit * 200 + "\0")  # would take years, where it took too long


@pytest.mark.parametrize("pattern", SAME)
def test_a_pattern_that_stands_for_another_takes_the_same_texts(pattern: str) -> None:
    original, ours = re.compile(pattern, re.ASCII).fullmatch, compile_pattern(pattern)
    assert ours is not None
    for length in range(6):
        for text in map("".join, product(" \ta:$.\n\x01\x7f", repeat=length)):
            assert bool(original(text)) == bool(ours(text)), repr(text)


def test_almost_every_pattern_of_aws_is_checked() -> None:
    unknown = set()
    for name in ("ssm", "sagemaker", "glue", "connect", "quicksight", "codeartifact", "kms", "ecs", "cognito-idp"):
        assert name in known_models()
        patterns = {shape.get("pattern") for shape in load(name)._shapes_raw.values()} - {None}
        unknown |= {pattern for pattern in patterns if compile_pattern(pattern) is None}
    assert len(unknown) <= 2, unknown
