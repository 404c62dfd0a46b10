"""HTTP/1.1: offers that are turned down, requests that are refused, and pieces that change nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from penstock.wire.limits import LINGER_SECONDS

from .serving import CLOSE, SEND, answers, post, serving, until


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
@pytest.mark.parametrize("size", [1, 40, 10_000])
async def test_a_request_that_offers_an_upgrade_keeps_its_body(offer: str, size: int) -> None:
    data = post(SEND, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    chunks = post(
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(SEND), SEND), "Connection: upgrade", f"Upgrade: {offer}",
        "Transfer-Encoding: chunked",
    )  # fmt: skip
    data += chunks + post(SEND, "Connection: Upgrade, close", f"Upgrade: {offer}")
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
        got = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert [status for status, _, _ in answers(got)] == [200] * 3
    assert [call.request["MessageBody"] for call in server.calls.seen] == ["hello"] * 3


async def test_an_upgrade_that_http_1_0_offers_is_passed_over_too() -> None:
    data = post(SEND, "Connection: upgrade", "Upgrade: h2c").replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serving() as server:
        ((status, headers, _),) = answers(await server.exchange(data))
    assert (status, headers["connection"]) == (200, "close")


async def test_a_proxy_is_what_this_is_not() -> None:
    async with serving() as server:
        data = await server.exchange(b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n" + post(SEND))
    assert [status for status, _, _ in answers(data)] == [405]
    assert not server.calls.seen


async def until_it_ends(reader: asyncio.StreamReader) -> bytes:
    """All that comes. A connection that is closed before the server has read everything ends with a reset."""
    found = b""
    with suppress(ConnectionResetError):
        while data := await reader.read(1 << 16):
            found += data
    return found


CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(SEND), SEND)


@pytest.mark.parametrize(
    "data",
    [
        post(CHUNKS + b"\r\n", "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        post(SEND, "X-Amzn-Trace-Id: a\x01b"),
        post(SEND, "X-Amzn-Trace-Id: a\x7fb"),
    ],
)
async def test_a_request_is_the_same_in_one_piece_and_in_many(data: bytes) -> None:
    ways = []
    async with serving() as server:
        for before in (b"", post(SEND, "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD", "X-Amzn-Trace-Id: r") * 9):
            for size in (1, 20, len(before + data)):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                reading = asyncio.create_task(until_it_ends(reader))
                whole = before + data
                writer.write(before)
                with suppress(ConnectionError):  # what is refused may be refused before it has been sent
                    for at in range(len(before), len(whole), size):
                        writer.write(whole[at : at + size])
                        await writer.drain()
                    writer.write_eof()
                got = answers(await asyncio.wait_for(reading, 10))
                writer.close()
                ways.append((got[-1][0], got[-1][2]))
    assert len(set(ways)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-amz-target", "AmazonSQS.DeleteQueue"), ("authorization", "AWS 1:2"), ("content-encoding", "gzip"), ("x", "y")],
)
async def test_no_trailer_changes_what_the_head_has_said(name: str, value: str) -> None:
    body = CHUNKS + f"{name}:{value}\r\n\r\n".encode()
    async with serving() as server:
        data = await server.exchange(post(body, "Content-Encoding: aws-chunked", f"X-Amz-Trailer: {name}", CLOSE))
    ((status, _, answer),) = answers(data)
    assert (status, b"x-amz-trailer header is not supported" in answer) == (400, True)
    assert not server.calls.seen


async def test_a_decoded_length_of_any_number_of_digits_is_only_wrong() -> None:
    headers = ("Content-Encoding: aws-chunked", "X-Amz-Decoded-Content-Length: " + "9" * 5000, CLOSE)
    async with serving() as server:
        data = await server.exchange(post(CHUNKS + b"\r\n", *headers))
    ((status, _, answer),) = answers(data)
    assert (status, b"IncompleteBody" in answer) == (400, True)


async def test_a_client_that_goes_on_sending_what_was_refused_still_learns_why() -> None:
    async with serving() as server:
        data = post(b"").replace(b"Content-Length: 0", b"Content-Length: 90000000") + bytes(90_000_000)

        def upload() -> bytes:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(data)  # all of it, before anything is read
                with client.makefile("rb") as answer:
                    return answer.read()

        [(status, headers, body)] = answers(await asyncio.to_thread(upload))
        assert (status, headers["connection"]) == (413, "close")
        assert b"longer than" in body
        assert not server.calls.seen


async def test_who_sends_on_and_on_after_a_refusal_is_cut_off() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(b"").replace(b"Content-Length: 0", b"Content-Length: 90000000"))
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 413 Request Entity Too Large\r\n"
        server.machine.ahead_ms += (LINGER_SECONDS + 1) * 1000
        server.server.sweep()
        await until_it_ends(reader)
        await until(lambda: server.server.connections == 0)
        writer.close()
