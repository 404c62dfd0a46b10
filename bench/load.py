"""A load generator: raw keep-alive connections on one epoll loop, as little between two requests as Python allows.

It runs in a process of its own, so that on two cores the server has the other one.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass
class Load:
    """What a load came to: ``seconds`` it took, latencies in ms sorted, and the first answer that was not 2xx.

    ``cpu_us``: processor time that the server's process took per request, which a busy machine changes least.
    """

    requests: int
    seconds: float
    latencies_ms: list[float]
    failure: str = ""
    cpu_us: float = 0.0

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency, in ms, that this share of requests stays under."""
        if not self.latencies_ms:
            return float("nan")
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


def request(host: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """One POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def complete(data: bytes) -> bool:
    """Whether this is one whole answer (with a Content-Length, or chunked)."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return data.endswith(b"0\r\n\r\n") or b" 204" in head[:16]
    stop = head.find(b"\r\n", at)
    return len(data) >= end + 4 + int(head[at + 15 : stop if stop > 0 else None])


def run(port: int, requests: Sequence[bytes], *, clients: int, seconds: float, count: int | None = None) -> Load:
    """Send the requests round and round from this many connections, in a process of its own."""
    return beside(lambda: _drive(port, requests, clients, seconds, count))


def beside(drive: Callable[[], Load]) -> Load:
    """Drive a load in a process of its own; RuntimeError when a request of it failed."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: sender.send(drive()))
    process.start()
    load: Load = receiver.recv()
    process.join()
    if load.failure:
        raise RuntimeError(f"the load failed: {load.failure}")
    return load


def _drive(port: int, requests: Sequence[bytes], clients: int, seconds: float, count: int | None) -> Load:
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    pending: dict[int, bytes] = {}
    sent_at: dict[int, float] = {}
    turn = 0
    for _ in range(clients):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
    now: Callable[[], float] = time.perf_counter
    latencies: list[float] = []
    failure = ""
    begun = now()
    end = begun + seconds
    for fd, connection in sockets.items():
        pending[fd], sent_at[fd] = b"", now()
        connection.sendall(requests[turn % len(requests)])
        turn += 1
    open_requests = clients
    while open_requests and not failure:
        for fd, _ in poll.poll(30):
            connection = sockets[fd]
            data = pending[fd] + connection.recv(262144)
            if not complete(data):
                if not data or data == pending[fd]:
                    failure = "the connection was closed"
                    break
                pending[fd] = data
                continue
            at = now()
            latencies.append((at - sent_at[fd]) * 1000)
            if not data.startswith(b"HTTP/1.1 2"):
                failure = data[:500].decode(errors="replace")
                break
            if at < end and (count is None or turn < count):
                pending[fd], sent_at[fd] = b"", at
                connection.sendall(requests[turn % len(requests)])
                turn += 1
            else:
                open_requests -= 1
    took = now() - begun
    for connection in sockets.values():
        connection.close()
    latencies.sort()
    return Load(len(latencies), took, latencies, failure)
