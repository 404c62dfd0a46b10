"""Heads that come again: read by their pattern, a request is what it is when it is read plainly."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.engine.access import Credentials, Keys, Principal
from penstock.wire.heads import Heads
from penstock.wire.limits import MEMORY_BYTES
from penstock.wire.repeats import Repeats, SmallRequests
from penstock.wire.values import Request

from .serving import answers, serving

LEARNED = 8
TOKEN = st.text("abcdefXYZ0123456789-_/=;+. ", max_size=40)


def head(*lines: str, first: str = "POST / HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode()


def signed(
    body: bytes, *, target: str = "AmazonSQS.SendMessage", date: str = "20261121T000000Z", signature: str = "0" * 64,
    host: str = "localhost:4566", key: str = "000000000000", more: tuple[str, ...] = (),
) -> bytes:  # fmt: skip
    return head(
        f"Host: {host}", f"X-Amz-Target: {target}", "content-type: application/x-amz-json-1.0", f"X-Amz-Date:{date}",
        f"Authorization: AWS4-HMAC-SHA256 Credential={key}/20261121/eu-west-1/sqs/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}", *more, f"Content-Length: {len(body)}",
    ) + body  # fmt: skip


def plain(data: bytes) -> tuple[dict[str, Any], int] | None:
    found = Heads().whole_request(data, "127.0.0.1")
    return None if found is None else (values(found[0]), found[1])


def values(request: Request) -> dict[str, Any]:
    names = ("method", "path", "query", "headers", "body", "host", "peer", "trace_header")
    return {name: getattr(request, name) for name in names}


def reader(like: bytes) -> SmallRequests:
    """A connection that has learned the head of these bytes."""
    small = SmallRequests(Repeats(Heads()), "127.0.0.1")
    for _ in range(LEARNED):
        assert small.read(like) is not None
    found = small.read(like)
    assert found is not None and found[0].repeat is not None
    return small


@given(st.binary(max_size=300), TOKEN, TOKEN, st.text("0123456789abcdef", max_size=70), TOKEN, st.binary(max_size=50))
@example(b"{}", "", "", "", "", b"")
@example(
    b"{}", "AmazonSQS.DeleteMessage", "20261122T101112Z", "ab" * 32, "Root=1-5759e988-bd862e3fe1be46a994272793", b""
)
def test_a_request_read_by_its_pattern_is_the_one_read_plainly(
    body: bytes, target: str, date: str, signature: str, trace: str, after: bytes
) -> None:
    small = reader(signed(b"x", more=("x-amzn-trace-id: t", "amz-sdk-request: attempt=1; max=3")))
    data = signed(
        body, target=target, date=date, signature=signature,
        more=(f"x-amzn-trace-id: {trace}", "amz-sdk-request: attempt=2; max=3"),
    )  # fmt: skip
    found = small.read(data + after)
    assert found is not None
    assert found[0].repeat is not None
    assert (values(found[0]), found[1]) == plain(data + after)


@pytest.mark.parametrize(
    "other",
    [
        signed(b"{}", host="localhost:9"),
        signed(b"{}", more=("Origin: http://evil.example",)),
        signed(b"{}", date="2026\r\nOrigin: http://evil.example"),
        signed(b"{}", signature="0, Credential=x"),
        head("Host: localhost:4566", first="GET /a?b=c HTTP/1.1"),
    ],
)
def test_what_does_not_fit_the_pattern_is_read_plainly(other: bytes) -> None:
    small = reader(signed(b"{}"))
    found = small.read(other)
    assert found is not None
    assert found[0].repeat is None
    assert (values(found[0]), found[1]) == plain(other)


@pytest.mark.parametrize(
    "odd",
    [
        signed(b"{}", date="2026\x00"),
        signed(b"{}", date="2026\rOrigin: http://evil.example"),
        signed(b"{}", date="2026\nOrigin: http://evil.example"),
        signed(b"{}", more=("Transfer-Encoding: chunked",)),
        signed(b"{}", more=("X-Amz-Date: 20261121T000000Z",)),
        signed(b"{}" * 100)[:-1],
        signed(b"").replace(b"Content-Length: 0", b"Content-Length: %d" % (MEMORY_BYTES + 1)) + bytes(MEMORY_BYTES + 1),
    ],
    ids=["nul", "bare CR", "bare LF", "chunked", "twice", "not all there", "large"],
)
def test_what_only_the_parser_may_read_is_left_to_it(odd: bytes) -> None:
    small = reader(signed(b"{}"))
    assert small.read(odd) is None
    assert plain(odd) is None


def test_a_client_whose_heads_all_differ_costs_few_patterns() -> None:
    repeats = Repeats(Heads())
    small = SmallRequests(repeats, "127.0.0.1")
    for number in range(2000):
        found = small.read(signed(b"{}", more=(f"traceparent: {number}",)))
        assert found is not None
        assert found[0].headers["traceparent"] == str(number)
    assert len(repeats._known) < 10


def test_a_long_head_is_read_plainly_each_time() -> None:
    repeats = Repeats(Heads())
    small = SmallRequests(repeats, "127.0.0.1")
    for _ in range(3 * LEARNED):
        found = small.read(signed(b"{}", more=("X-Long: " + "-" * 4096,)))
        assert found is not None
        assert found[0].repeat is None
    assert not repeats._known


def test_clients_that_send_alike_share_a_pattern() -> None:
    repeats = Repeats(Heads())
    for _ in range(3):
        small = SmallRequests(repeats, "127.0.0.1")
        for number in range(2 * LEARNED):
            small.read(signed(b"{}", signature=f"{number:064x}"))
    assert len(repeats._known) == 1


async def test_each_request_of_a_connection_reaches_its_own_operation_in_its_own_scope() -> None:
    async with serving() as server:
        turns = [("SendMessage", "Root=1"), ("ReceiveMessage", ""), ("None", "t")] * 9
        sent = [(number, target, trace) for number, (target, trace) in enumerate(turns)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number, target, trace in sent:
            body = json.dumps({"QueueUrl": "u", "MessageBody": str(number)}).encode()
            more = (f"X-Amzn-Trace-Id:{trace}",)
            writer.write(signed(body, target=f"AmazonSQS.{target}", signature=f"{number:064x}", more=more))
        writer.write(signed(b"{}", more=("Connection: close",)))
        got = answers(await asyncio.wait_for(reader.read(), 10))
        writer.close()
    assert [status for status, _, _ in got] == [200, 200, 404] * 9 + [400]
    seen = [(call.request.get("MessageBody"), call.operation, call.trace_header) for call in server.calls.seen]
    assert seen == [
        (str(number) if target == "SendMessage" else None, target, trace) for number, target, trace in sent
        if target != "None"
    ]  # fmt: skip
    assert {(call.account, call.region) for call in server.calls.seen} == {("000000000000", "eu-west-1")}
    assert len({call.request_id for call in server.calls.seen}) == len(server.calls.seen)


async def test_a_form_is_routed_by_its_own_body_however_often_its_head_was_seen() -> None:
    def form(body: bytes) -> bytes:
        more = ["Connection: close"] if b"Action" in body else []
        return head(
            "Host: localhost:4566", "content-type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}",
            "Authorization: AWS4-HMAC-SHA256 Credential=000000000000/20261121/eu-west-1/lambda/aws4_request, "
            f"SignedHeaders=host, Signature={0:064x}", *more, first="POST /2015-03-31/functions/f/invocations HTTP/1.1",
        ) + body  # fmt: skip

    by_path = b'{"a": 1}'
    named = form(b"Action=GetCallerIdentity&Version=2011-06-15").replace(b"Connection: close\r\n", b"")
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(form(by_path) * 2 * LEARNED + named + form(b"Action=GetCallerIdentity&Version=2011-06-15"))
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
    seen = [(call.service, call.operation) for call in server.calls.seen]
    assert seen == [("lambda", "Invoke")] * 2 * LEARNED + [("sts", "GetCallerIdentity")] * 2


async def test_a_page_of_another_site_is_refused_however_often_it_asks() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(signed(b"{}", more=("Origin: http://evil.example",)) * 12)
        writer.write(signed(b"{}", host="evil.example") * 12)
        writer.write(signed(b"{}", more=("Connection: close",)))
        got = answers(await asyncio.wait_for(reader.read(), 10))
        writer.close()
    assert [status for status, _, _ in got] == [403] * 24 + [400]
    assert not server.calls.seen


async def test_a_key_is_who_holds_it_now_however_often_it_was_seen() -> None:
    keys = Keys()
    async with serving(keys=keys) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

        async def send() -> tuple[int, str]:
            writer.write(signed(b'{"QueueUrl":"u","MessageBody":"m"}', key="ASIAKEY"))
            (status, _, _), *_ = answers(await one_answer(reader))
            return status, server.calls.seen[-1].principal.arn

        for _ in range(LEARNED + 2):
            assert await send() == (200, "arn:aws:iam::000000000000:root")
        role = Principal("111111111111", "arn:aws:sts::111111111111:assumed-role/r/s", "AROA:s")
        keys.issue(Credentials("ASIAKEY", "secret", "token", 1 << 60, role))
        assert await send() == (200, role.arn)
        assert await send() == (200, role.arn)
        keys.revoke("ASIAKEY")
        assert (await send())[0] == 403
        assert (await send())[0] == 403
        writer.close()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)
