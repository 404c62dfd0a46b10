"""The servers that are measured, as processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT = "000000000000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server: its port, its process, and how long it took to its first answer."""

    port: int
    process: subprocess.Popen[bytes]
    started_s: float

    def call(self, service: str, target: str, request: dict[str, Any]) -> dict[str, Any]:
        """One JSON-protocol operation, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", "/", json.dumps(request), json_headers(service, target))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{target}: {answer.status} {body[:500]!r}")
        return dict(json.loads(body or b"{}"))

    def rest(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One REST request, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, body, signed("lambda") | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def cpu_us(self) -> float:
        """Processor time that the server's own process has taken so far, in µs."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1000

    def processes(self) -> list[int]:
        """The server's process id and those of all its descendants."""
        found, wanted = [], [self.process.pid]
        while wanted:
            pid = wanted.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                wanted += [int(child) for child in task.read_text().split()]
        return found

    def memory_mb(self) -> dict[str, float]:
        """Proportional set size of each of its processes, by name and pid."""
        sizes: dict[str, float] = {}
        for pid in self.processes():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue
            pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
            sizes[f"{name} {pid}"] = int(pss.split()[1]) / 1024
        return sizes


def signed(service: str) -> dict[str, str]:
    """The headers an SDK signs with; nobody checks the signature without --auth."""
    return {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20261121/us-east-1/{service}/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + "0" * 64,
        "X-Amz-Date": "20261121T000000Z",
        "User-Agent": "bench/1.0",
    }


def json_headers(service: str, target: str) -> dict[str, str]:
    """The headers of a JSON 1.0 request."""
    return signed(service) | {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}


@contextmanager
def serving(command: list[str], port: int, path: str = "/") -> Iterator[Server]:
    """A server, from its first answer on."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy())
    try:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path)
                connection.getresponse().read()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - begun > 60:
                    raise RuntimeError(f"{command} does not answer (exit status {process.poll()})") from None
                time.sleep(0.002)
        yield Server(port, process, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def bare() -> Iterator[Server]:
    """uvicorn with the constant app."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--log-level", "error"]
    with serving([*command, "--no-access-log"], port) as server:
        yield server


@contextmanager
def penstock(data: Path | None, *options: str) -> Iterator[Server]:
    """A Penstock server on this data directory, or in memory."""
    port = free_port()
    where = ["--memory"] if data is None else ["--data", str(data)]
    command = [sys.executable, "-m", "penstock", "up", "--json", "--port", str(port), *where, *options]
    with serving(command, port, "/_penstock/health") as server:
        yield server
