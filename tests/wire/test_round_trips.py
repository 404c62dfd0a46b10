"""For every operation: what botocore writes we read, what we write botocore reads."""

from __future__ import annotations

import itertools
from typing import Any

import botocore.parsers
import pytest

from penstock.base.errors import ApiError
from penstock.engine.model import OperationModel, load
from penstock.wire.protocols import PROTOCOLS
from penstock.wire.protocols.protocol import failure_of

from .botocore_wire import botocore_service, parsed, request_of, response_dict, route
from .shapes import Values, as_parameters, as_parsed

SERVICES = (
    "sqs", "lambda", "events", "logs", "sts", "iam", "dynamodb", "dynamodbstreams", "s3", "s3control", "sns", "kinesis",
    "firehose", "stepfunctions", "apigateway", "apigatewayv2", "apigatewaymanagementapi", "scheduler", "pipes",
    "cloudformation", "secretsmanager", "ssm", "cloudwatch", "xray", "schemas",
)  # fmt: skip
ROUNDS = 2


# botocore gives S3's Expires another type than the model has, and reads the answer of GetBucketLocation by hand.
NOT_AS_MODELLED = {("s3", "Expires"), ("s3", "LocationConstraint")}


def without_exceptions(service: str, value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if (service, name) not in NOT_AS_MODELLED}


def spoken(service: str) -> list[str]:
    return [protocol for protocol in load(service).protocols if protocol != "ec2"]


CASES = [(service, protocol) for service in SERVICES for protocol in spoken(service)]


def ours(protocol: str, service: str) -> str:
    return f"json-{load(service).metadata['jsonVersion']}" if protocol == "json" else protocol


# They share method and path with another operation, which replaced them or is told apart by its host.
SHADOWED = {
    "GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification",
    "ListDirectoryBuckets",
}  # fmt: skip


def operations(service: str) -> list[OperationModel]:
    return [operation for operation in load(service).operations() if operation.name not in SHADOWED]


@pytest.mark.parametrize(("service", "protocol"), CASES)
def test_what_botocore_writes_is_read_as_it_was_meant(service: str, protocol: str) -> None:
    for operation, round_ in itertools.product(operations(service), range(ROUNDS)):
        values = Values(f"{service} {operation.name} {round_}", xml=protocol in ("query", "rest-xml"))
        sent: dict[str, Any] = values.of(operation.input) if operation.input is not None else {}
        for name in operation.input.shape.required if operation.input is not None else ():
            member = operation.input.shape.members[name]
            if name not in sent and not member.shape.event_stream:
                sent[name] = values.of(member)
        if operation.event_input:
            sent.pop(operation.event_input, None)
        sent = without_exceptions(service, sent)
        parameters = as_parameters(operation.input, sent) if operation.input is not None else {}
        request = request_of(service, operation.name, parameters, protocol)
        routed = route(service, request)
        assert routed.codec.operation.name == operation.name, (request, sent)
        received = routed.codec.decode(request, routed.labels, routed.form)
        for name in ("ContentLength", operation.streaming_input):
            if name is not None and name not in sent:
                received.pop(name, None)  # every HTTP request has a length and a body, if an empty one
        assert received == sent, f"{service} {operation.name}: {request}"


@pytest.mark.parametrize(("service", "protocol"), CASES)
def test_what_is_answered_botocore_reads_as_it_was_meant(service: str, protocol: str) -> None:
    for operation, round_ in itertools.product(operations(service), range(ROUNDS)):
        if operation.output is None or operation.event_output:
            continue
        values = Values(f"{service} {operation.name} {round_}", xml=protocol in ("query", "rest-xml"))
        answer = without_exceptions(service, values.of(operation.output))
        statuses = [name for name, member in operation.output_members.items() if member.location == "statusCode"]
        for name in statuses:
            answer[name] = 200
        codec = PROTOCOLS[ours(protocol, service)].codec(operation)
        response = codec.encode(answer, "a-request-id")
        result = as_parsed(parsed(service, operation, response, protocol))
        for name, member in operation.output_members.items():
            if member.location == "headers" and not answer.get(name):
                result.pop(name, None)
        assert result == answer, f"{service} {operation.name}: {response}"


@pytest.mark.parametrize(("service", "protocol"), CASES)
def test_errors_reach_botocore_with_code_message_and_members(service: str, protocol: str) -> None:
    model = load(service)
    wire = PROTOCOLS[ours(protocol, service)]
    parser = botocore.parsers.create_parser(protocol)
    for code in {code for operation in operations(service) for code in operation.errors}:
        fields = Values(code, xml=True).structure(model.shapes[code])
        fields = {name: value for name, value in fields.items() if name.lower() not in ("message", "code", "type")}
        failure = failure_of(ApiError("what is wrong & <why>", code=code, fields=fields), model)
        response = wire.failure(failure, model, "a-request-id")
        document = response_dict(response, "x")
        error = parser.parse(document, None)
        assert error["Error"]["Message"] == "what is wrong & <why>", (code, response)
        assert error["Error"]["Code"] == failure.wire_code, (code, response)
        shape = botocore_service(service).shape_for(code)
        members = as_parsed(parser.parse(document, shape))
        for name, value in fields.items():
            assert members.get(name) == value, (code, name, response)


def test_the_codes_of_the_query_protocol_are_kept_for_sqs() -> None:
    model = load("sqs")
    failure = failure_of(ApiError("no such queue", code="QueueDoesNotExist"), model)
    response = PROTOCOLS["query"].failure(failure, model, "r")
    assert b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in response.body  # type: ignore[operator]
    headers = dict(PROTOCOLS["json-1.0"].failure(failure, model, "r").headers)
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
