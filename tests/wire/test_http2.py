"""HTTP/2 by prior knowledge, on the port of HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events

from penstock.engine.body import FileBody
from penstock.engine.context import Call
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
