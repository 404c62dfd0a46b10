"""Every way in which a request says which operation it is for."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import botocore.model
import pytest

from penstock.engine.model import known_models, load
from penstock.wire.credentials import credential_of, parse_credential
from penstock.wire.hosts import Hosts
from penstock.wire.index import every_service, make
from penstock.wire.paths import PathTable
from penstock.wire.protocols import QUERY
from penstock.wire.protocols.query import query_model
from penstock.wire.protocols.query_names import NAMES
from penstock.wire.router import NotRouted, Routed, Router
from penstock.wire.values import Request

from .botocore_wire import as_request, response_dict
from .shapes import Values, as_parameters, as_parsed

SERVED = (
    "sqs", "lambda", "events", "logs", "sts", "iam", "dynamodb", "dynamodbstreams", "s3", "s3control", "sns",
    "kinesis", "stepfunctions", "apigateway", "apigatewayv2", "scheduler", "cloudformation", "cloudwatch", "xray",
)  # fmt: skip
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture(scope="module")
def router() -> Router:
    return Router({name: name for name in SERVED})


def find(
    router: Router, method: str, path: str, *, host: str = "localhost:4566", signed: str = "", body: bytes = b"",
    **headers: str,
) -> Routed:  # fmt: skip
    path, _, query = path.partition("?")
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if signed:
        names["authorization"] = AUTHORIZATION.format(signed)
    request = Request(method, path, query, names, body, host)
    return router.route(request, Hosts().read(host), credential_of(names.get("authorization"), query))


def named(routed: Routed) -> str:
    return f"{routed.entry.service} {routed.codec.operation.name} {routed.codec.protocol.name}"


FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (("POST", "/", {"x_amz_target": "AmazonSQS.SendMessage", "content_type": "application/x-amz-json-1.0"}),
         "sqs SendMessage json-1.0"),
        (("POST", "/", {"x_amz_target": "AWSEvents.PutEvents", "content_type": "application/x-amz-json-1.1"}),
         "events PutEvents json-1.1"),
        (("POST", "/", {"x_amz_target": "DynamoDBStreams_20120810.GetRecords", "signed": "dynamodb",
                        "content_type": "application/x-amz-json-1.0"}), "dynamodbstreams GetRecords json-1.0"),
        (("POST", "/", {"x_amz_target": "Kinesis_20131202.PutRecord", "content_type": "application/x-amz-cbor-1.1"}),
         "kinesis PutRecord cbor-1.1"),
        (("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData",
          {"smithy_protocol": "rpc-v2-cbor"}), "cloudwatch PutMetricData smithy-rpc-v2-cbor"),
        (("POST", "/", {"content_type": FORM, "body": b"Action=PutMetricData&Version=2010-08-01"}),
         "cloudwatch PutMetricData query"),
        (("POST", "/", {"content_type": FORM, "body": b"Action=GetCallerIdentity&Version=2011-06-15"}),
         "sts GetCallerIdentity query"),
        (("POST", "/", {"content_type": FORM, "body": b"Action=ListRoles", "signed": "iam"}), "iam ListRoles query"),
        (("GET", "/?Action=ListTopics&Version=2010-03-31", {}), "sns ListTopics query"),
        (("GET", "/?Action=ListUsers", {"host": "iam.amazonaws.com"}), "iam ListUsers query"),
        (("POST", "/000000000000/q", {"content_type": FORM, "body": b"Action=SendMessage&MessageBody=x"}),
         "sqs SendMessage query"),
        (("GET", "/2015-03-31/functions/f", {"signed": "lambda"}), "lambda GetFunction rest-json"),
        (("GET", "/2015-03-31/functions/f", {}), "lambda GetFunction rest-json"),
        (("GET", "/2015-03-31/functions", {"host": "lambda.us-east-1.localhost"}), "lambda ListFunctions rest-json"),
        (("GET", "/2018-10-31/layers?find=LayerVersion&Arn=a", {"signed": "lambda"}),
         "lambda GetLayerVersionByArn rest-json"),
        (("GET", "/restapis", {"signed": "apigateway"}), "apigateway GetRestApis rest-json"),
        (("GET", "/v2/apis", {"signed": "apigateway"}), "apigatewayv2 GetApis rest-json"),
        (("POST", "/restapis?mode=import", {"signed": "apigateway"}), "apigateway ImportRestApi rest-json"),
        (("GET", "/", {"signed": "s3"}), "s3 ListBuckets rest-xml"),
        (("GET", "/bucket?list-type=2&prefix=a", {"signed": "s3"}), "s3 ListObjectsV2 rest-xml"),
        (("GET", "/bucket/?acl", {"signed": "s3"}), "s3 GetBucketAcl rest-xml"),
        (("GET", "/bucket?lifecycle", {"signed": "s3"}), "s3 GetBucketLifecycleConfiguration rest-xml"),
        (("PUT", "/bucket/key", {"signed": "s3"}), "s3 PutObject rest-xml"),
        (("PUT", "/bucket/key", {"signed": "s3", "x_amz_copy_source": "a/b"}), "s3 CopyObject rest-xml"),
        (("PUT", "/bucket/key?partNumber=1&uploadId=u", {"signed": "s3"}), "s3 UploadPart rest-xml"),
        (("PUT", "/b/k?partNumber=1&uploadId=u", {"signed": "s3", "x_amz_copy_source": "a/b"}),
         "s3 UploadPartCopy rest-xml"),
        (("DELETE", "/bucket/a/b/c?uploadId=u", {"signed": "s3"}), "s3 AbortMultipartUpload rest-xml"),
        (("POST", "/bucket/k?select&select-type=2", {"signed": "s3"}), "s3 SelectObjectContent rest-xml"),
        (("GET", "/some/key", {"host": "bucket.s3.eu-west-1.amazonaws.com"}), "s3 GetObject rest-xml"),
        (("GET", "/some/key", {}), "s3 GetObject rest-xml"),
        (("GET", "/v20180820/configuration/publicAccessBlock",
          {"signed": "s3", "host": "000000000000.s3-control.us-east-1.localhost"}),
         "s3control GetPublicAccessBlock rest-xml"),
    ],
)  # fmt: skip
def test_a_request_finds_its_operation(router: Router, request_: tuple[Any, ...], wanted: str) -> None:
    method, path, options = request_
    assert named(find(router, method, path, **options)) == wanted


@pytest.mark.parametrize(
    ("path", "host", "labels"),
    [
        ("/bucket/a%20b//c/", "localhost", {"Bucket": "bucket", "Key": "a b//c/"}),
        ("/a%2Fb", "my.bucket.s3.localhost:4566", {"Bucket": "my.bucket", "Key": "a/b"}),
        ("/key", "bucket.localhost", {"Bucket": "bucket", "Key": "key"}),
        ("/", "bucket.s3.dualstack.eu-west-1.amazonaws.com", {"Bucket": "bucket"}),
        ("/bucket/", "s3.localhost", {"Bucket": "bucket"}),
    ],
)
def test_buckets_come_from_path_or_host(router: Router, path: str, host: str, labels: dict[str, str]) -> None:
    assert find(router, "GET", path, host=host, signed="s3").labels == labels


def test_a_queues_own_url_names_the_queue(router: Router) -> None:
    routed = find(router, "GET", "/000000000000/q?Action=SendMessage&MessageBody=x")
    assert routed.form["QueueUrl"] == "http://localhost:4566/000000000000/q"


@pytest.mark.parametrize(
    ("request_", "code", "status", "protocol"),
    [
        (("POST", "/", {"x_amz_target": "AmazonSQS.Nothing"}), "UnknownOperationException", 404, "json-1.0"),
        (("POST", "/", {"x_amz_target": "Nobody.Nothing", "content_type": "application/x-amz-json-1.1"}),
         "UnknownOperationException", 404, "json-1.1"),
        (("POST", "/", {"x_amz_target": "TrentService.ListKeys"}), "NotImplemented", 501, "json-1.0"),
        (("POST", "/", {"content_type": FORM, "body": b"Action=DescribeInstances&Version=2016-11-15"}),
         "NotImplemented", 501, "query"),
        (("POST", "/", {"content_type": FORM, "body": b"Action=Nothing", "signed": "iam"}),
         "InvalidAction", 400, "query"),
        (("POST", "/", {"content_type": FORM, "body": b"a=b"}), "MissingAction", 400, "query"),
        (("POST", "/", {"content_type": FORM, "body": b"\xff"}), "MalformedQueryString", 400, "query"),
        (("GET", "/no/such/path", {"signed": "lambda"}), "UnknownOperationException", 404, "rest-json"),
        (("GET", "/2015-03-31/functions/%FF", {"signed": "lambda"}), "InvalidURI", 400, "rest-json"),
        (("PATCH", "/bucket/key", {"signed": "s3"}), "MethodNotAllowed", 405, "rest-xml"),
        (("GET", "/v1/apis", {"signed": "appsync"}), "NotImplemented", 501, "rest-json"),
        (("GET", "/2013-04-01/hostedzone", {"signed": "route53"}), "NotImplemented", 501, "rest-xml"),
        (("POST", "/service/Nobody/operation/Nothing", {"smithy_protocol": "rpc-v2-cbor"}),
         "UnknownOperationException", 404, "smithy-rpc-v2-cbor"),
    ],
)  # fmt: skip
def test_what_goes_nowhere_is_said_in_the_callers_protocol(
    router: Router, request_: tuple[Any, ...], code: str, status: int, protocol: str
) -> None:
    method, path, options = request_
    with pytest.raises(NotRouted) as raised:
        find(router, method, path, **options)
    assert (raised.value.error.code, raised.value.error.status) == (code, status)
    assert raised.value.protocol.name == protocol


def test_a_service_that_is_not_served_is_named(router: Router) -> None:
    with pytest.raises(NotRouted, match="Penstock does not have the service kms yet"):
        find(router, "POST", "/", x_amz_target="TrentService.ListKeys")


def test_routing_by_target_reads_no_other_model() -> None:
    load.cache_clear()
    router = Router({name: name for name in SERVED})
    assert load.cache_info().currsize == 0
    find(router, "POST", "/", x_amz_target="AmazonSQS.SendMessage", content_type="application/x-amz-json-1.0")
    assert load.cache_info().currsize == 1


def test_credentials_are_read_from_headers_and_urls() -> None:
    assert credential_of(AUTHORIZATION.format("sqs"), "") == ("AK", "20260101", "eu-west-1", "sqs")
    assert credential_of(None, "a=b&X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fs3%2Faws4_request")[3] == "s3"
    assert credential_of("AWS AK:signature", "").access_key_id == "AK"
    assert credential_of(None, "AWSAccessKeyId=AK&Signature=x").access_key_id == "AK"
    assert credential_of("Bearer token", "") == ("", "", "", "")
    assert parse_credential("a/b/c") == ("", "", "", "")
    assert parse_credential("with/slash/20260101/r/s/aws4_request").access_key_id == "with/slash"


def test_the_index_of_services_is_the_one_botocore_has() -> None:
    """Make it again with: python -m penstock.wire.index > services.json"""
    assert files("penstock.wire").joinpath("services.json").read_bytes() == make()
    assert len(every_service()) > 400


@pytest.mark.parametrize(
    "service", sorted(name for name in SERVED if load(name).metadata["protocol"].startswith("rest"))
)
def test_every_path_of_a_model_leads_to_its_operation(service: str) -> None:
    table = PathTable(load(service))
    for operation in load(service).operations():
        path, _, query = operation.request_uri.partition("?")
        assert table.find(operation.http_method, path, query, {}) is not None, operation.name


# --- the query protocol of services whose models have lost it


def old_sqs() -> botocore.model.ServiceModel:
    """SQS as botocore had it when it spoke the query protocol: its JSON model with the old names."""
    model = query_model(load("sqs"))
    metadata = {**model.metadata, "protocol": "query", "protocols": ["query"]}
    metadata.pop("awsQueryCompatible")
    operations = {
        name: {**raw, "output": {**raw["output"], "resultWrapper": f"{name}Result"}} if "output" in raw else raw
        for name, raw in model._operations_raw.items()
    }
    return botocore.model.ServiceModel(
        {"metadata": metadata, "operations": operations, "shapes": model._shapes_raw}, "sqs"
    )


def test_the_names_of_the_query_protocol_belong_to_shapes_that_exist() -> None:
    for service, names in NAMES.items():
        assert names.keys() <= set(load(service)._shapes_raw)


def test_sqs_reads_and_answers_the_query_protocol(router: Router) -> None:
    service = old_sqs()
    for operation in load("sqs").operations():
        model = service.operation_model(operation.name)
        values = Values(f"query {operation.name}", xml=True)
        sent = values.of(operation.input) if operation.input is not None else {}
        parameters = as_parameters(operation.input, sent) if operation.input is not None else {}
        serializer = botocore.serialize.create_serializer("query", include_validation=False)
        request = as_request(serializer.serialize_to_request(parameters, model))
        host = Hosts().read(request.host)
        routed = router.route(request, host, parse_credential("AK/20260101/us-east-1/sqs/aws4_request"))
        assert routed.codec.protocol is QUERY
        assert routed.codec.decode(request, routed.labels, routed.form) == sent, operation.name
        if operation.output is not None:
            answer = values.of(operation.output)
            response = routed.codec.encode(answer, "r")
            parser = botocore.parsers.create_parser("query")
            got = parser.parse(response_dict(response, operation.name), model.output_shape)
            assert got["ResponseMetadata"]["RequestId"] == "r"
            assert as_parsed(got) == answer, response


def test_a_documented_query_request_is_understood(router: Router) -> None:
    """The example of SendMessage in the SQS API Reference."""
    routed = find(
        router, "GET",
        "/177715257436/MyQueue/?Action=SendMessage&MessageBody=This+is+a+test+message"
        "&MessageAttribute.1.Name=my_attribute_name_1&MessageAttribute.1.Value.StringValue=my_attribute_value_1"
        "&MessageAttribute.1.Value.DataType=String&MessageAttribute.2.Name=my_attribute_name_2"
        "&MessageAttribute.2.Value.StringValue=my_attribute_value_2&MessageAttribute.2.Value.DataType=String"
        "&Expires=2020-05-05T22%3A52%3A43PST&Version=2012-11-05",
    )  # fmt: skip
    request = Request("GET", "/177715257436/MyQueue/")
    assert routed.codec.decode(request, {}, routed.form) == {
        "QueueUrl": "http://localhost:4566/177715257436/MyQueue/",
        "MessageBody": "This is a test message",
        "MessageAttributes": {
            "my_attribute_name_1": {"StringValue": "my_attribute_value_1", "DataType": "String"},
            "my_attribute_name_2": {"StringValue": "my_attribute_value_2", "DataType": "String"},
        },
    }


def test_every_model_of_botocore_is_known() -> None:
    assert {"sqs", "lambda", "s3"} <= known_models()


def test_who_looks_at_the_address_itself_is_told_what_is_here() -> None:
    request = Request("GET", "/", "", {"host": "localhost:4566"}, b"", "localhost:4566")
    with pytest.raises(NotRouted, match=r"this is Penstock, .*/_penstock/health"):
        Router({"lambda": "lambda"}).route(request, Hosts(()).read("localhost:4566"), credential_of(None, ""))
