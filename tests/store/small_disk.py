"""A server on a disk that can be filled up: a small file system of its own, or a limit on how long files may be.

Neither needs root. The file system is a tmpfs within user and mount namespaces, which some machines do not allow; the
limit (RLIMIT_FSIZE) is everywhere, and is raised while the server runs.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

MEGABYTE = 1 << 20
GIVEN_BACK = 16 * MEGABYTE  # what ``Tmpfs.empty`` makes free at least


class Tmpfs:
    """A file system of its own, which a process holds open. ``fill`` takes all that is left of it."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        mount = f"mount -t tmpfs -o size={megabytes}m none {folder} && echo mounted && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._holder.stdout is not None
        self.made = self._holder.stdout.readline() == b"mounted\n"
        self.path = Path(f"/proc/{self._holder.pid}/root{folder}")
        self.prefix = ["nsenter", "-t", str(self._holder.pid), "-U", "-m", "--preserve-credentials"]
        if self.made:
            (self.path / "filler").write_bytes(bytes(GIVEN_BACK))

    def fill(self, pid: int) -> None:
        """Take every byte that is left."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (MEGABYTE, 4096):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    def empty(self, pid: int) -> None:
        """Give it back."""
        (self.path / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """End it."""
        assert self._holder.stdin is not None and self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(10)


class FileSizes:
    """No file of the server may become longer than this."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.path = folder
        self.prefix = ["prlimit", f"--fsize={megabytes * MEGABYTE}:unlimited"]

    def fill(self, pid: int) -> None:
        """Nothing: what is full cannot become fuller."""

    def empty(self, pid: int) -> None:
        """Raise the limit of a server that runs."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        """Nothing is left."""


Disk = Tmpfs | FileSizes


class SmallServer:
    """A server whose data directory is on such a disk."""

    def __init__(self, disk: Disk, folder: Path, log: Path) -> None:
        self.disk = disk
        self._data = folder / "data"
        self._log = log
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Its data directory, as this process sees it."""
        return self.disk.path / "data"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start, and wait until it answers."""
        reading, writing = os.pipe()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._log.parent)}
        environment |= {"PENSTOCK_DATA": str(self._data), "PENSTOCK_PORT": "0"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.disk.prefix, sys.executable, "-m", "penstock", "serve-detached", str(writing)],
                env=environment, pass_fds=(writing,), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert select.select([pipe], [], [], 60)[0], f"not ready within a minute; its log:\n{self.tail()}"
            line = pipe.readline()
        assert line, f"the server ended at once; its log:\n{self.tail()}"
        told = json.loads(line)
        assert "error" not in told, f"it did not start: {told['error']}\n{self.tail()}"
        self.url = told["url"]

    def kill(self, sign: int = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sign)
            self.process.wait(30)

    def tail(self) -> str:
        """The end of what it said."""
        return self._log.read_text(errors="replace")[-6000:] if self._log.exists() else ""

    def client(self, service: str) -> Any:
        """A boto3 client that tries once."""
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="000000000000",
            aws_secret_access_key="test", config=Config(retries={"max_attempts": 0}, read_timeout=30),
        )  # fmt: skip
