"""A server in a process of its own, started as ``penstock up --detach`` starts one."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


class Detached:
    """One data directory; ``start`` as often as you like. ``prefix`` is a command that runs the server's."""

    def __init__(self, data: Path, log: Path, *, port: int = 0, prefix: Sequence[str] = ()) -> None:
        self.log = log
        self.port = port
        self.url = ""
        self._data = data
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = -1

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def begin(self) -> None:
        """Start the process, and do not wait until it answers."""
        reading, writing = os.pipe()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.log.parent)}
        environment |= {"PENSTOCK_DATA": str(self._data), "PENSTOCK_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "penstock", "serve-detached", str(writing)],
                env=environment, pass_fds=(writing,), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        os.close(writing)
        self._ready = reading

    def ready(self, timeout_s: float = 60) -> bool:
        """Wait until it answers; False when it was killed before."""
        if not select.select([self._ready], [], [], timeout_s)[0]:
            raise TimeoutError(f"the server is not ready after {timeout_s} s; its log:\n{self.tail()}")
        with os.fdopen(self._ready) as pipe:
            line = pipe.readline()
        self._ready = -1
        if not line:
            return False
        told = json.loads(line)
        assert "error" not in told, f"the server did not start: {told['error']}\n{self.tail()}"
        self.url = told["url"]
        return True

    def start(self) -> None:
        """Start and wait until it answers."""
        self.begin()
        assert self.ready(), f"the server ended at once; its log:\n{self.tail()}"

    def tail(self) -> str:
        """The end of what the server said."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def client(self, service: str) -> Any:
        """A boto3 client that tries once."""
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="000000000000",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}, read_timeout=60, connect_timeout=5),
        )  # fmt: skip
