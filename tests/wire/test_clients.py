"""boto3 over HTTP: every way in which it signs, streams and addresses, against a server that checks signatures."""

from __future__ import annotations

import asyncio
import datetime
import io
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from penstock.base.clock import MachineClock
from penstock.engine.access import Keys
from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.wire.signature import Verifier

from .serving import Serving, serving

SECRET = "a-secret"


def client(server: Serving, service: str, *, secret: str = SECRET, url: str = "", **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=url or server.url,
        region_name="eu-west-1",
        aws_access_key_id="123456789012",
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0}, **config),
    )


async def with_verified(handler: Callable[[Call], dict[str, Any]], work: Callable[[Serving], Any]) -> Any:
    keys = Keys()
    verifier = Verifier(keys, MachineClock(), {"123456789012": SECRET})
    async with serving(handler, keys=keys, verifier=verifier) as server:
        return await asyncio.to_thread(work, server)


def content_of(call: Call) -> bytes:
    body = call.request["Body"]
    return body.read() if isinstance(body, FileBody) else bytes(body)


@pytest.mark.parametrize("size", [0, 10, 200_000, 3_000_000])
@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA1", "SHA256"])
async def test_an_upload_arrives_whole_however_it_is_checked(size: int, algorithm: str | None) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    seen: list[dict[str, Any]] = []

    def put(call: Call) -> dict[str, Any]:
        assert content_of(call) == content
        seen.append(call.request)
        return {"ETag": '"e"'}

    def work(server: Serving) -> None:
        options = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        s3 = client(server, "s3", s3={"addressing_style": "path"})
        s3.put_object(Bucket="bucket", Key="a/b c+é", Body=io.BytesIO(content), Metadata={"k": "v"}, **options)

    await with_verified(put, work)
    [request] = seen
    assert (request["Bucket"], request["Key"], request["Metadata"]) == ("bucket", "a/b c+é", {"k": "v"})
    assert request["ContentLength"] == size
    assert f"Checksum{algorithm or 'CRC32'}" in request


async def test_buckets_are_addressed_by_path_and_by_host() -> None:
    seen: list[tuple[str, str]] = []

    def head(call: Call) -> dict[str, Any]:
        seen.append((call.request["Bucket"], call.request.get("Key", "")))
        return {}

    def work(server: Serving) -> None:
        client(server, "s3", s3={"addressing_style": "path"}).head_object(Bucket="one.two", Key="k/")
        virtual = client(server, "s3", url=f"http://s3.localhost:{server.port}", s3={"addressing_style": "virtual"})

        def connect_here(request: Any, **_: Any) -> None:
            # The name need not resolve on the machine that runs this test: the Host header is what counts.
            request.headers["Host"] = urlsplit(request.url).netloc
            request.url = request.url.replace(f"bucket.s3.localhost:{server.port}", f"127.0.0.1:{server.port}")

        virtual.meta.events.register("before-send.s3", connect_here)
        virtual.head_object(Bucket="bucket", Key="k//x")

    await with_verified(head, work)
    assert seen == [("one.two", "k/"), ("bucket", "k//x")]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
async def test_a_presigned_url_works_without_credentials_until_it_is_changed(version: str) -> None:
    def work(server: Serving) -> None:
        url = client(server, "s3", signature_version=version).generate_presigned_url(
            "get_object", {"Bucket": "b", "Key": "k"}
        )
        assert ("AWSAccessKeyId" in url) == (version == "s3")
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"content"
        with pytest.raises(HTTPError) as raised:
            urllib.request.urlopen(url.replace("/k?", "/other?"))
        assert raised.value.code == 403
        assert b"<Code>SignatureDoesNotMatch</Code>" in raised.value.read()

    await with_verified(lambda call: {"Body": b"content"}, work)


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("sqs", "list_queues", {}, "InvalidSignatureException"),
        ("iam", "list_roles", {}, "SignatureDoesNotMatch"),
        ("lambda", "list_functions", {}, "InvalidSignatureException"),
        ("s3", "list_buckets", {}, "SignatureDoesNotMatch"),
        ("cloudwatch", "list_metrics", {}, "SignatureDoesNotMatch"),
    ],
)
async def test_a_wrong_secret_is_refused_by_every_protocol(
    service: str, operation: str, arguments: dict[str, Any], code: str
) -> None:
    def work(server: Serving) -> None:
        getattr(client(server, service), operation)(**arguments)
        with pytest.raises(ClientError) as raised:
            getattr(client(server, service, secret="wrong"), operation)(**arguments)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        if service != "cloudwatch":
            assert raised.value.response["Error"]["Code"] == code

    await with_verified(lambda call: {}, work)


async def test_cloudwatch_speaks_cbor() -> None:
    when = datetime.datetime(2026, 11, 21, 10, 30, tzinfo=datetime.UTC)
    seen: list[Call] = []

    def metrics(call: Call) -> dict[str, Any]:
        seen.append(call)
        return {"Label": "l", "Datapoints": [{"Timestamp": when.timestamp(), "Sum": 2.5, "Unit": "Count"}]}

    def work(server: Serving) -> Any:
        return client(server, "cloudwatch").get_metric_statistics(
            Namespace="n", MetricName="m", StartTime=when, EndTime=when, Period=60, Statistics=["Sum"]
        )

    answer = await with_verified(metrics, work)
    assert answer["Datapoints"] == [{"Timestamp": when, "Sum": 2.5, "Unit": "Count"}]
    assert seen[0].request["StartTime"] == when.timestamp()


async def test_a_large_metric_request_is_compressed() -> None:
    def work(server: Serving) -> None:
        data = [{"MetricName": f"metric-{number}", "Value": 1.0} for number in range(900)]
        client(server, "cloudwatch").put_metric_data(Namespace="n", MetricData=data)
        assert len(server.calls.seen[0].request["MetricData"]) == 900

    await with_verified(lambda call: {}, work)


async def test_a_function_answers_in_a_stream() -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        for piece in (b"one ", b"two"):
            yield {"PayloadChunk": {"Payload": piece}}
        yield {"InvokeComplete": {}}

    def work(server: Serving) -> list[Any]:
        answer = client(server, "lambda").invoke_with_response_stream(FunctionName="f", Payload=b"{}")
        return list(answer["EventStream"])

    got = await with_verified(lambda call: {"StatusCode": 200, "EventStream": events()}, work)
    assert got == [
        {"PayloadChunk": {"Payload": b"one "}}, {"PayloadChunk": {"Payload": b"two"}}, {"InvokeComplete": {}},
    ]  # fmt: skip


async def test_a_subscription_to_a_shard_is_a_stream() -> None:
    event = {"Records": [], "ContinuationSequenceNumber": "5", "MillisBehindLatest": 0}

    def work(server: Serving) -> Any:
        answer = client(server, "kinesis").subscribe_to_shard(
            ConsumerARN="arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1",
            ShardId="shardId-000000000000",
            StartingPosition={"Type": "LATEST"},
        )
        return list(answer["EventStream"])

    got = await with_verified(lambda call: {"EventStream": [{"SubscribeToShardEvent": event}]}, work)
    assert got == [{"SubscribeToShardEvent": event}]


async def test_account_and_region_are_the_signatures() -> None:
    def work(server: Serving) -> None:
        client(server, "sqs").list_queues()
        [call] = server.calls.seen
        assert (call.account, call.region) == ("123456789012", "eu-west-1")
        assert call.principal.arn == "arn:aws:iam::123456789012:root"

    await with_verified(lambda call: {}, work)
