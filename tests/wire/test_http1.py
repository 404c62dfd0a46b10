"""HTTP/1.1 on real sockets: order, bodies, limits, and everything that clients get wrong."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.wire.limits import BODY_SECONDS, HEAD_BYTES, HEAD_SECONDS, IDLE_SECONDS
from penstock.wire.values import RawRoute, Request, Response

from .serving import CLOSE, SEND, answers, post, serving, until


async def test_a_request_is_answered_on_both_loopback_addresses() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        for host in ("127.0.0.1", "::1"):
            [(status, headers, body)] = answers(await server.exchange(post(SEND, CLOSE), host=host))
            assert (status, json.loads(body)) == (200, {"MessageId": "m"})
            assert headers["content-type"] == "application/x-amz-json-1.0"
            assert len(headers["x-amzn-requestid"]) == 36
            assert headers["date"].endswith(" GMT")
        assert server.calls.seen[0].request == {"QueueUrl": "http://localhost/1/q", "MessageBody": "hello"}


@pytest.mark.parametrize("ends", ["close", "eof"])
async def test_pipelined_requests_are_answered_in_their_order(ends: str) -> None:
    async with serving(lambda call: {"MessageId": call.request["MessageBody"]}) as server:
        server.calls.hold = True
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        bodies = [json.dumps({"QueueUrl": "u", "MessageBody": f"{number}"}).encode() for number in range(3)]
        writer.write(post(bodies[0]) + post(bodies[1]) + post(bodies[2], *[CLOSE] * (ends == "close")))
        await writer.drain()
        await until(lambda: len(server.calls.held) == 3)
        if ends == "eof":
            writer.write_eof()
            await until(lambda: all(call.sender.gone for call, _ in server.calls.held))
        server.calls.release(2, 0, 1)
        got = answers(await asyncio.wait_for(reader.read(), 10))
        assert [json.loads(body)["MessageId"] for _, _, body in got] == ["0", "1", "2"]
        assert ["connection" in headers for _, headers, _ in got] == [False, False, True]
        writer.close()


@pytest.mark.parametrize("size", [1, 3, 17, 1000])
async def test_a_request_may_come_in_pieces_of_any_size(size: int) -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        data = post(SEND) + post(SEND) + post(SEND, CLOSE)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            await asyncio.sleep(0)
        assert [status for status, _, _ in answers(await asyncio.wait_for(reader.read(), 10))] == [200] * 3
        writer.close()


async def test_http_1_0_and_connection_close_end_the_connection() -> None:
    async with serving(lambda call: {}) as server:
        data = post(SEND).replace(b"HTTP/1.1", b"HTTP/1.0")
        [(status, headers, _)] = answers(await server.exchange(data))
        assert (status, headers["connection"]) == (200, "close")


async def test_a_client_that_has_said_all_still_gets_its_answers() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        server.calls.hold = True
        task = asyncio.create_task(server.exchange(post(SEND), eof=True))
        await until(lambda: server.calls.held)
        server.calls.release()
        [(status, _, _)] = answers(await task)
        assert status == 200


async def test_a_body_is_welcomed_before_it_is_sent() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head, body = post(SEND, "Expect: 100-continue", CLOSE).split(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        [(status, _, _)] = answers(await reader.read())
        assert status == 200
        writer.close()


async def test_a_body_that_is_too_long_is_refused_before_it_is_sent() -> None:
    async with serving() as server:
        data = post(b"", "Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 90000000")
        [(status, headers, body)] = answers(await server.exchange(data))
        assert (status, headers["connection"]) == (413, "close")
        assert b"longer than" in body


async def test_chunked_and_compressed_bodies_are_read() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        chunked = b"".join(b"%x\r\n%b\r\n" % (1, bytes([byte])) for byte in SEND) + b"0\r\nX-Amz-Target: evil\r\n\r\n"
        packed = gzip.compress(SEND)
        data = post(chunked, "Transfer-Encoding: chunked") + post(packed, "Content-Encoding: gzip", CLOSE)
        assert [status for status, _, _ in answers(await server.exchange(data))] == [200, 200]
        assert [call.request["MessageBody"] for call in server.calls.seen] == ["hello", "hello"]


async def test_a_compressed_body_may_not_grow_without_bounds() -> None:
    async with serving() as server:
        bomb = gzip.compress(b" " * 30_000_000)
        for body, wanted in ((bomb, 413), (b"no gzip", 400), (gzip.compress(SEND)[:-6], 400)):
            [(status, _, _)] = answers(await server.exchange(post(body, "Content-Encoding: gzip", CLOSE)))
            assert status == wanted


async def test_a_large_body_goes_to_a_file_that_is_gone_after_the_answer(tmp_path: Path) -> None:
    seen: list[FileBody] = []

    def put(call: Call) -> dict[str, Any]:
        body = call.request["Body"]
        assert isinstance(body, FileBody)
        assert body.read() == b"x" * 5_000_000
        seen.append(body)
        return {"ETag": "e"}

    async with serving(put, spool=tmp_path) as server:
        head = f"PUT /bucket/key HTTP/1.1\r\nHost: s3.localhost\r\nContent-Length: 5000000\r\n{CLOSE}\r\n\r\n"
        [(status, headers, _)] = answers(await server.exchange(head.encode() + b"x" * 5_000_000))
        assert (status, headers["etag"]) == (200, "e")
        assert seen and not seen[0].path.exists()
        assert server.calls.seen[0].request["Bucket"] == "bucket"


async def test_a_body_that_finds_no_room_is_answered_so_however_long_it_is(tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.write_text("a disk that takes nothing")
    async with serving(spool=no_folder) as server:
        head = f"PUT /bucket/key HTTP/1.1\r\nHost: s3.localhost\r\nContent-Length: 9000000\r\n{CLOSE}\r\n\r\n"
        [(status, _, body)] = answers(await server.exchange(head.encode() + b"x" * 9_000_000))
        assert (status, b"free disk space" in body) == (503, True)
        assert server.calls.seen == []


async def test_an_upload_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    async with serving(spool=tmp_path) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"PUT /b/k HTTP/1.1\r\nHost: s3.localhost\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 4_000_000)
        await writer.drain()
        writer.close()
        await until(lambda: not server.server.connections and not list(tmp_path.iterdir()))
        assert server.calls.seen == []


async def test_files_and_streams_are_answered_at_the_clients_pace(tmp_path: Path) -> None:
    file = tmp_path / "object"
    file.write_bytes(bytes(range(256)) * 20_000)

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d," % number

    def get(call: Call) -> dict[str, Any]:
        if call.request["Key"] == "file":
            return {"Body": FileBody(file, 5_000_000, offset=256), "ContentLength": 5_000_000}
        return {"Body": pieces()}

    async with serving(get) as server:
        request = "GET /b/{} HTTP/1.1\r\nHost: s3.localhost\r\n{}\r\n\r\n"
        data = await server.exchange((request.format("file", "A: b") + request.format("stream", CLOSE)).encode())
        (_, headers, whole), (_, _, streamed) = answers(data)
        assert headers["content-length"] == "5000000"
        assert whole == file.read_bytes()[256:5_000_256]
        assert streamed == b"".join(b"%d," % number for number in range(100))


async def test_an_answer_to_head_has_no_body() -> None:
    async with serving(lambda call: {"ContentLength": 1234, "ContentType": "text/plain"}) as server:
        data = b"HEAD /b/k HTTP/1.1\r\nHost: s3.localhost\r\n\r\n" * 2
        data = await server.exchange(data + b"HEAD /b/k HTTP/1.1\r\nHost: s3.localhost\r\nConnection: close\r\n\r\n")
        assert data.count(b"HTTP/1.1 200 OK") == 3
        assert data.count(b"Content-Length: 1234") == 3
        assert data.endswith(b"\r\n\r\n")


async def test_headers_from_callers_cannot_split_an_answer() -> None:
    async with serving(lambda call: {"Metadata": {"a": "x\r\nSet-Cookie: evil"}, "ETag": "é\n"}) as server:
        [(_, headers, _)] = answers(
            await server.exchange(b"HEAD /b/k HTTP/1.1\r\nHost: s3.localhost\r\nConnection: close\r\n\r\n")
        )
        assert "set-cookie" not in headers
        assert headers["x-amz-meta-a"] == "x  Set-Cookie: evil"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4566", "localhost.evil.example", "127.0.0.1.evil.example", "169.254.1.1"]
)
async def test_a_foreign_host_is_refused_with_what_to_do(host: str) -> None:
    async with serving() as server:
        [(status, _, body)] = answers(await server.exchange(post(SEND, CLOSE, host=host)))
        assert status == 403
        assert f"--allow-host {host.partition(':')[0]}".encode() in body
        assert server.calls.seen == []


@pytest.mark.parametrize(
    "host",
    ["[::1].evil.example", "[::1]evil", "localhost:80.evil.example", "127.0.0.1:80,evil.example", "[localhost]",
     "evil.example?.amazonaws.com", "evil.example/.localhost", "evil.example@localhost", "evil example.localhost"],
)  # fmt: skip
async def test_a_host_that_is_none_is_refused(host: str) -> None:
    async with serving() as server:
        [(status, _, _)] = answers(await server.exchange(post(SEND, CLOSE, host=host)))
        assert status == 403
        assert server.calls.seen == []


@pytest.mark.parametrize(
    "flood", [b"0;" + b"a" * 400_000, b"0\r\n" + b"a: b\r\n" * 70_000, b"1\r\nx\r\n0\r\na: " + b"b" * 400_000]
)
async def test_trailers_and_extensions_of_chunks_are_bounded(flood: bytes) -> None:
    async with serving() as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        await writer.drain()
        writer.write(flood)
        async with asyncio.timeout(10):
            assert b" 431 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    "host",
    ["localhost:1", "127.0.0.1", "127.8.9.1:80", "[::1]:4566", "sqs.us-east-1.localhost", "LOCALHOST.",
     "sqs.eu-west-1.amazonaws.com", "sync-localhost:4566", "dev.example", "a.inner.example"],
)  # fmt: skip
async def test_hosts_that_lead_here_are_served(host: str) -> None:
    async with serving(allow_hosts=["dev.example", "*.inner.example"]) as server:
        [(status, _, _)] = answers(await server.exchange(post(SEND, CLOSE, host=host)))
        assert status == 200


async def test_web_pages_of_other_sites_are_refused_and_ones_own_are_not() -> None:
    async with serving(allow_origins=["https://app.example"]) as server:
        for headers, wanted in (
            (["Origin: https://evil.example"], 403),
            (["Origin: null"], 403),
            (["Origin: http://evil-localhost"], 403),
            (["Origin: http://evil.example/.localhost"], 403),
            (["Origin: https://bucket.s3.amazonaws.com"], 403),
            (["Sec-Fetch-Site: cross-site"], 403),
            (["Origin: http://localhost:3000"], 200),
            (["Origin: https://app.example"], 200),
            (["Sec-Fetch-Site: same-origin"], 200),
        ):
            [(status, got, _)] = answers(await server.exchange(post(SEND, *headers, CLOSE)))
            assert status == wanted, headers
            if wanted == 200 and headers[0].startswith("Origin"):
                assert got["access-control-allow-origin"] == headers[0][8:]
        [(status, got, _)] = answers(
            await server.exchange(
                b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n"
                b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-amz-target\r\n"
                b"Connection: close\r\n\r\n"
            )
        )
        assert (status, got["access-control-allow-headers"]) == (204, "x-amz-target")


async def test_routes_that_are_no_operations_come_first() -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/fails":
            raise RuntimeError("inside")
        return Response(201, [("X-Body", str(len(request.body)))], b"made", "text/plain")

    route = RawRoute(lambda host, path: host.endswith(".lambda-url.us-east-1.localhost"), handler, any_origin=True)
    async with serving(routes=[route]) as server:
        host = "abc.lambda-url.us-east-1.localhost"
        data = post(b"12345", "Origin: https://anywhere.example", CLOSE, target="", path="/x?y=1", host=host)
        [(status, headers, body)] = answers(await server.exchange(data))
        assert (status, headers["x-body"], body) == (201, "5", b"made")
        [(status, _, body)] = answers(await server.exchange(post(b"", CLOSE, target="", path="/fails", host=host)))
        assert (status, body) == (500, b'{"message":"Internal Server Error"}')


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 300 + b"\r\n", 431),
        (b"GET /" + b"y" * HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    ],
)
async def test_what_is_not_http_is_refused(data: bytes, wanted: int) -> None:
    async with serving() as server:
        got = answers(await server.exchange(data))
        assert [status for status, _, _ in got] == [wanted]
        assert server.calls.seen == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"[1]", "SerializationException"),
        (b'"x"', "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"QueueUrl": 5, "MessageBody": "x"}', "SerializationException"),
        (b'{"QueueUrl": "u", "MessageBody": "x", "DelaySeconds": "soon"}', "SerializationException"),
        (b'{"QueueUrl": "u", "MessageBody": "x", "DelaySeconds": 99999999999999999999}', "SerializationException"),
        (b'{"QueueUrl": "u", "MessageBody": "x", "MessageAttributes": []}', "SerializationException"),
        (b'{"QueueUrl": "u", "MessageBody": {"a": 1}}', "SerializationException"),
        (b'{"QueueUrl": "u"}', "MissingParameter"),
    ],
)
async def test_a_bad_body_is_answered_in_the_words_of_aws(body: bytes, code: str) -> None:
    async with serving() as server:
        [(status, headers, answer)] = answers(await server.exchange(post(body, CLOSE)))
        assert status == 400
        assert json.loads(answer)["__type"].rpartition("#")[2] == code
        assert "x-amzn-requestid" in headers


async def test_what_goes_wrong_inside_is_an_internal_failure_with_a_request_id() -> None:
    async with serving(lambda call: {}["nothing"]) as server:
        [(status, headers, body)] = answers(await server.exchange(post(SEND, CLOSE)))
        assert status == 500
        assert json.loads(body)["__type"].endswith("InternalFailure")
        assert "nothing" not in body.decode()
        assert headers["x-amzn-requestid"]


async def test_random_bytes_never_lead_to_a_500_or_a_hang() -> None:
    source = random.Random(4566)
    good = [
        post(SEND, CLOSE),
        post(b"Action=SendMessage&Version=2012-11-05&MessageBody=x&QueueUrl=u", CLOSE, target="").replace(
            b"x-amz-json-1.0", b"x-www-form-urlencoded"
        ),
        b"GET /2015-03-31/functions/f?Qualifier=1 HTTP/1.1\r\nHost: lambda.localhost\r\nConnection: close\r\n\r\n",
        b"PUT /b/k?acl HTTP/1.1\r\nHost: s3.localhost\r\nConnection: close\r\nContent-Length: 18\r\n\r\n"
        b"<Access><a/></Ac>x",
        post(b"\xbf\x64name\x63abc\xff", "smithy-protocol: rpc-v2-cbor", CLOSE, target="",
             path="/service/GraniteServiceVersion20100801/operation/ListMetrics"),
    ]  # fmt: skip
    async with serving() as server:
        for _ in range(150):
            data = bytearray(source.choice(good))
            for _ in range(source.randint(1, 6)):
                at = source.randrange(len(data))
                kind = source.random()
                if kind < 0.5:
                    data[at] = source.randrange(256)
                elif kind < 0.75:
                    del data[at : at + source.randint(1, 9)]
                else:
                    data[at:at] = source.randbytes(source.randint(1, 9))
            got = await server.exchange(bytes(data), eof=True)
            assert b"HTTP/1.1 500" not in got, bytes(data)
        [(status, _, _)] = answers(await server.exchange(post(SEND, CLOSE)))
        assert status == 200


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"", IDLE_SECONDS),
        (b"POST / HT", HEAD_SECONDS),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc", BODY_SECONDS),
        (post(SEND), IDLE_SECONDS),
    ],
)
async def test_a_connection_that_does_nothing_for_too_long_is_closed(sent: bytes, seconds: int) -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        if sent == post(SEND):
            await reader.readuntil(b"\r\n\r\n")
        await until(lambda: server.server.connections)
        await asyncio.sleep(0.01)
        server.machine.ahead_ms += (seconds - 5) * 1000
        server.server.sweep()
        await asyncio.sleep(0.01)
        assert server.server.connections == 1
        server.machine.ahead_ms += 10_000
        server.server.sweep()
        with suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        await until(lambda: not server.server.connections)
        writer.close()


async def test_a_client_that_does_not_read_is_read_no_further() -> None:
    async with serving(lambda call: {"MessageId": "m" * 100_000}) as server:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        request = post(SEND)

        async def flood() -> None:
            while True:
                await loop.sock_sendall(sock, request * 10)

        task = asyncio.create_task(flood())
        before = -1
        async with asyncio.timeout(10):
            while before != len(server.calls.seen):
                before = len(server.calls.seen)
                await asyncio.sleep(0.2)
        assert before < 2_000
        task.cancel()
        sock.close()


async def test_closing_lets_requests_in_flight_finish() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        server.calls.hold = True
        task = asyncio.create_task(server.exchange(post(SEND)))
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.calls.held and server.server.connections == 2)
        closing = asyncio.create_task(server.server.close(10_000))
        assert await idle_reader.read() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port)
        assert not closing.done()
        server.calls.release()
        [(status, headers, _)] = answers(await task)
        assert (status, headers["connection"]) == (200, "close")
        await closing
        idle_writer.close()


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with serving() as server:
        with pytest.raises(OSError, match="in use"):
            async with serving() as other:
                await other.server.start(port=server.port)


async def test_a_port_that_somebody_has_on_the_other_loopback_address_is_not_chosen() -> None:
    held = [socket.socket(socket.AF_INET6, socket.SOCK_STREAM) for _ in range(600)]
    try:
        for each in held:
            each.bind(("::1", 0))
            each.listen()
        for _ in range(200):  # some of these would meet one of those
            async with serving() as on:
                assert on.port
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            pytest.skip("this machine has no IPv6")
        raise
    finally:
        for each in held:
            each.close()
