"""HTTP/2 beside HTTP/1.1: the same requests as streams of a few connections, from raw frames.

The frames of a request are made once (RFC 9113), with a header block that refers to no earlier one, so that what is
between two requests is as little as in ``load``.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from bench import servers
from bench.load import Load, beside
from bench.measures import BODY, Bench, Row, queue, sqs_request
from bench.servers import json_headers

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WINDOW = 1 << 30  # bytes that the server may send before it is told to go on: more than one run answers
CONNECTIONS = 4
CLIENTS = 64  # streams, over all connections


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(authority: str, headers: dict[str, str]) -> bytes:
    fields = {":method": "POST", ":scheme": "http", ":path": "/", ":authority": authority}
    fields |= {name.lower(): value for name, value in headers.items()}
    return bytes(Encoder().encode([NeverIndexedHeaderTuple(*field) for field in fields.items()], huffman=False))


class Connection:
    """One connection: its streams go on as long as there is time."""

    def __init__(self, port: int, block: bytes, body: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._block, self._body = block, body
        self._decoder = Decoder()
        self._pending = b""
        self._stream = 1
        self.sent_at: dict[int, float] = {}
        self.failure = ""
        limits = struct.pack(">HI", 4, (1 << 31) - 1)  # SETTINGS_INITIAL_WINDOW_SIZE
        grant = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, limits) + grant)

    def send(self, count: int) -> None:
        """Open this many streams, each with one request."""
        pieces = []
        for _ in range(count):
            stream, self._stream = self._stream, self._stream + 2
            pieces.append(frame(HEADERS, END_HEADERS, stream, self._block))
            pieces.append(frame(DATA, END_STREAM, stream, self._body))
            self.sent_at[stream] = time.perf_counter()
        self.socket.sendall(b"".join(pieces))

    def receive(self) -> list[float]:
        """Take what has arrived; the latencies, in ms, of the answers that are complete."""
        data = self._pending + self.socket.recv(262144)
        took: list[float] = []
        at, now = 0, time.perf_counter()
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < 9 + size:
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")
            payload = data[at + 9 : at + 9 + size]
            at += 9 + size
            if kind == HEADERS:
                status = dict(self._decoder.decode(payload))[":status"]
                if status != "200":
                    self.failure = f"status {status}"
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind not in (DATA, SETTINGS, PING, WINDOW_UPDATE):
                self.failure = f"a frame of type {kind}: {payload!r}"
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                took.append((now - self.sent_at.pop(stream)) * 1000)
        self._pending = data[at:]
        return took


def run(port: int, block: bytes, body: bytes, *, clients: int, seconds: float) -> Load:
    """Send the request again and again, this many at once, from a process of its own."""
    return beside(lambda: _drive(port, block, body, clients, seconds))


def _drive(port: int, block: bytes, body: bytes, clients: int, seconds: float) -> Load:
    poll = select.epoll()
    connections = {}
    for _ in range(CONNECTIONS):
        connection = Connection(port, block, body)
        connections[connection.socket.fileno()] = connection
        poll.register(connection.socket.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    begun = time.perf_counter()
    for connection in connections.values():
        connection.send(clients // CONNECTIONS)
    failure = ""
    while not failure and any(connection.sent_at for connection in connections.values()):
        events = poll.poll(30)
        failure = "" if events else "no answer within 30 seconds"
        for fd, _ in events:
            connection = connections[fd]
            took = connection.receive()
            latencies += took
            failure = failure or connection.failure
            if took and time.perf_counter() < begun + seconds:
                connection.send(len(took))
    ended = time.perf_counter() - begun
    for connection in connections.values():
        connection.socket.close()
    latencies.sort()
    return Load(len(latencies), ended, latencies, failure)


def http2(bench: Bench) -> list[Row]:
    """SQS sends over HTTP/2 against the same over HTTP/1.1, in turns; nothing is kept: only the wire differs."""
    with servers.penstock(None) as server:
        url = queue(server, "bench")
        message: dict[str, object] = {"QueueUrl": url, "MessageBody": BODY}
        wire = sqs_request(server, "SendMessage", message)
        block = header_block(f"127.0.0.1:{server.port}", json_headers("sqs", "AmazonSQS.SendMessage"))
        body = json.dumps(message).encode()

        def over_1(seconds: float) -> Load:
            return bench.load(server, [wire], clients=CLIENTS, seconds=seconds)

        def over_2(seconds: float) -> Load:
            return bench.timed(server, lambda: run(server.port, block, body, clients=CLIENTS, seconds=seconds))

        old, new = bench.in_turns(over_1, over_2)
    share = new.per_second / old.per_second
    streams = f"{CLIENTS} streams of {CONNECTIONS} HTTP/2 connections"
    return [
        Row(f"SQS send, --memory, {CLIENTS} HTTP/1.1 connections", old.per_second, "/s", note=bench.note(old)),
        Row(f"the same as {streams}", new.per_second, "/s", note=f"{share:.2f} × HTTP/1.1; {bench.note(new)}"),
    ]
