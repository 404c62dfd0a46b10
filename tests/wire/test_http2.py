"""HTTP/2 by prior knowledge, on the port of HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.wire.limits import RESETS
from penstock.wire.protocols.eventstream import frames

from .serving import SEND, Serving, serving, until


class Client:
    """One HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.status: dict[int, int] = {}
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.closed = False
        self.acknowledge = True

    @classmethod
    async def of(cls, server: Serving) -> Client:
        client = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        client.flush()
        return client

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def send(self, body: bytes, *, method: str = "POST", path: str = "/", end: bool = True, **headers: str) -> int:
        number = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":authority", "localhost"), (":scheme", "http")]
        self.h2.send_headers(number, pseudo + [(name.replace("_", "-"), value) for name, value in headers.items()])
        if len(body) < 60_000:
            self.h2.send_data(number, body, end_stream=end)
        self.flush()
        return number

    def sqs(self, body: bytes = SEND, **options: Any) -> int:
        return self.send(
            body, x_amz_target="AmazonSQS.SendMessage", content_type="application/x-amz-json-1.0", **options
        )

    async def step(self) -> None:
        data = await asyncio.wait_for(self.reader.read(65536), 10)
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                pairs = dict(event.headers)  # type: ignore[arg-type]
                self.headers[event.stream_id] = pairs
                self.status[event.stream_id] = int(pairs[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if self.acknowledge:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = event.error_code
        self.flush()

    async def answer(self, number: int) -> tuple[int, bytes]:
        while number not in self.ended and not self.closed:
            await self.step()
        return self.status[number], self.bodies.get(number, b"")

    async def upload(self, number: int, body: bytes) -> None:
        at = 0
        while at < len(body):
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(body) - at)
            if room <= 0:
                await self.step()
                continue
            self.h2.send_data(number, body[at : at + room], end_stream=at + room == len(body))
            at += room
            self.flush()
            await self.writer.drain()


async def test_streams_of_one_connection_are_answered_as_they_come() -> None:
    async with serving(lambda call: {"MessageId": call.request["MessageBody"]}) as server:
        client = await Client.of(server)
        server.calls.hold = True
        numbers = [client.sqs(json.dumps({"QueueUrl": "u", "MessageBody": f"{n}"}).encode()) for n in range(3)]
        await until(lambda: len(server.calls.held) == 3)
        server.calls.release(1, 2, 0)
        for at, number in enumerate(numbers):
            status, body = await client.answer(number)
            assert (status, json.loads(body)) == (200, {"MessageId": f"{at}"})
        assert client.headers[numbers[0]]["x-amzn-requestid"]
        client.writer.close()


async def test_large_bodies_pass_both_ways_under_flow_control(tmp_path: Any) -> None:
    content = bytes(range(256)) * 20_000
    file = tmp_path / "object"
    file.write_bytes(content)

    def s3(call: Call) -> dict[str, Any]:
        if call.operation == "PutObject":
            assert isinstance(call.request["Body"], FileBody)
            assert call.request["Body"].read() == content
            return {"ETag": "e"}
        return {"Body": FileBody(file, len(content))}

    async with serving(s3, spool=tmp_path / "spool") as server:
        client = await Client.of(server)
        put = client.send(b"x" * 70_000, method="PUT", path="/bucket/key", content_length=str(len(content)))
        await client.upload(put, content)
        assert (await client.answer(put))[0] == 200
        status, body = await client.answer(client.send(b"", method="GET", path="/bucket/key"))
        assert (status, body == content) == (200, True)
        client.writer.close()


async def test_events_of_a_subscription_arrive_one_by_one() -> None:
    more: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def events() -> AsyncIterator[dict[str, Any]]:
        while (event := await more.get()) is not None:
            yield event

    async with serving(lambda call: {"EventStream": events()}) as server:
        client = await Client.of(server)
        body = json.dumps({
            "ConsumerARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1",
            "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "LATEST"},
        }).encode()  # fmt: skip
        number = client.send(
            body, x_amz_target="Kinesis_20131202.SubscribeToShard", content_type="application/x-amz-json-1.1"
        )
        for count in range(3):
            while len(frames(client.bodies.get(number, b""))) < count + 1:
                await client.step()
            more.put_nowait({"SubscribeToShardEvent": {"Records": [], "ContinuationSequenceNumber": f"{count}"}})
        more.put_nowait(None)
        status, body = await client.answer(number)
        kinds = [headers[":event-type"] for headers, _ in frames(body)]
        assert (status, kinds) == (200, ["initial-response"] + ["SubscribeToShardEvent"] * 3)
        client.writer.close()


async def test_a_cancelled_stream_ends_what_it_streams() -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            stopped.set()

    async with serving(lambda call: {"Body": endless()}) as server:
        client = await Client.of(server)
        client.acknowledge = False
        number = client.send(b"", method="GET", path="/b/k")
        while len(client.bodies.get(number, b"")) < 60_000:
            await client.step()
        client.h2.reset_stream(number)
        client.flush()
        await asyncio.wait_for(stopped.wait(), 10)
        assert (await client.answer(client.send(b"", method="HEAD", path="/b/k")))[0] == 200
        client.writer.close()


async def test_a_body_that_is_too_long_is_refused() -> None:
    async with serving() as server:
        client = await Client.of(server)
        number = client.sqs(b"{}", end=False, content_length="99000000")
        status, body = await client.answer(number)
        assert (status, b"longer than" in body) == (413, True)
        client.writer.close()


async def test_rapid_resets_and_broken_frames_end_the_connection() -> None:
    async with serving() as server:
        client = await Client.of(server)
        for _ in range(1100):
            number = client.sqs(end=False)
            client.h2.reset_stream(number)
            client.flush()
        while not client.closed:
            try:
                await client.step()
            except (ConnectionResetError, h2.exceptions.ProtocolError):
                break
        broken = await Client.of(server)
        await broken.step()
        broken.writer.write(b"\xff" * 1000)
        while not broken.closed:
            try:
                await broken.step()
            except (ConnectionResetError, h2.exceptions.ProtocolError):
                break
        client.writer.close()
        broken.writer.close()
        await until(lambda: not server.server.connections)


async def test_closing_lets_streams_finish_and_refuses_new_ones() -> None:
    async with serving(lambda call: {"MessageId": "m"}) as server:
        client = await Client.of(server)
        server.calls.hold = True
        number = client.sqs()
        await until(lambda: server.calls.held)
        closing = asyncio.create_task(server.server.close(10_000))
        await asyncio.sleep(0)
        late = client.sqs()
        while late not in client.reset:
            await client.step()
        server.calls.release()
        assert (await client.answer(number))[0] == 200
        await closing
        client.writer.close()


async def test_bytes_that_only_begin_like_http_2_are_http_1() -> None:
    async with serving() as server:
        data = await server.exchange(b"PRI * HTTP/2.1\r\nHost: localhost\r\n\r\n")
        assert data.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_says_goodbye_still_gets_what_it_has_asked_for() -> None:
    async with serving(lambda call: {"MessageId": "m" * 100_000}) as server:
        client = await Client.of(server)
        server.calls.hold = True
        number = client.sqs()
        await until(lambda: server.calls.held)
        client.writer.write(GoAwayFrame(0).serialize())
        late = client.sqs()
        while late not in client.reset and not client.closed:
            await client.step()
        server.calls.release()
        status, body = await client.answer(number)
        assert (status, len(json.loads(body)["MessageId"])) == (200, 100_000)
        while not client.closed:
            await client.step()
        client.writer.close()


async def test_an_answer_to_a_stream_that_was_cancelled_meanwhile_goes_nowhere(caplog: Any) -> None:
    async with serving() as server:
        client = await Client.of(server)
        await client.step()
        number = client.h2.get_next_available_stream_id()
        client.h2.send_headers(number, [(":method", "GET"), (":path", "/b"), (":authority", "localhost"),
                                        (":scheme", "http")], end_stream=True)  # fmt: skip
        client.h2.reset_stream(number)  # in one piece with the request
        client.flush()
        assert (await client.answer(client.sqs()))[0] == 200
        assert len(server.calls.seen) == 2
        client.writer.close()
    assert not caplog.records


async def test_a_broken_connection_that_is_not_read_does_not_keep_others_from_being_watched() -> None:
    async with serving(lambda call: {"MessageId": "m" * 300_000}) as server:
        client = await Client.of(server)
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.sqs(b"", end=False)  # never finished
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        listener = server.server._listener
        assert listener is not None
        await until(lambda: listener.connections)
        (transport,) = listener.connections.values()
        while not transport.get_write_buffer_size():
            seen = len(server.calls.seen)
            client.sqs()
            await until(lambda seen=seen: len(server.calls.seen) > seen)
        client.writer.write(b"\x00\x00\x04\x08" + bytes(9))  # a window that grows by nothing
        await until(transport.is_closing)
        server.machine.ahead_ms += 200_000
        server.server.sweep()
        await until(lambda: not server.server.connections)
        client.writer.transport.abort()


async def test_what_a_cancelled_upload_was_held_back_with_is_given_back_to_the_connection(tmp_path: Any) -> None:
    disk = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            async with serving(spool=tmp_path) as server:
                client = await Client.of(server)
                before = client.h2.outbound_flow_control_window
                threads.submit(disk.wait)
                for _ in range(3):
                    number = client.send(b"x" * 70_000, method="PUT", path="/b/k")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.3):  # as much as is taken while the disk does not move
                            await client.upload(number, bytes(8 << 20))
                    client.h2.reset_stream(number)
                    client.flush()
                assert (await client.answer(client.sqs()))[0] == 200
                assert client.h2.outbound_flow_control_window >= before // 2
                client.writer.close()
        finally:
            disk.set()


async def test_a_request_with_too_many_headers_is_refused() -> None:
    async with serving() as server:
        client = await Client.of(server)
        status, body = await client.answer(client.sqs(**{f"x{number}": "" for number in range(300)}))
        assert (status, b"more than 256 headers" in body) == (431, True)
        assert (await client.answer(client.sqs()))[0] == 200
        client.writer.close()


async def test_nothing_more_runs_once_a_connection_has_cancelled_too_often(caplog: Any) -> None:
    async with serving() as server:
        client = await Client.of(server)
        await client.step()
        for _ in range(RESETS + 1):
            number = client.h2.get_next_available_stream_id()
            client.h2.send_headers(number, [(":method", "GET"), (":path", "/b"), (":authority", "localhost"),
                                            (":scheme", "http")])  # fmt: skip
            client.h2.reset_stream(number)
        client.flush()
        for _ in range(100):
            client.sqs(b"")
        with contextlib.suppress(ConnectionResetError, h2.exceptions.ProtocolError):
            while not client.closed:
                await client.step()
        await until(lambda: not server.server.connections)
        assert not server.calls.seen
        client.writer.transport.abort()
    assert not caplog.records
