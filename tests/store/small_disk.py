"""A server on a disk that can be filled up: a small file system of its own, or a limit on how long files may be.

Neither needs root. The file system is a tmpfs within user and mount namespaces, which some machines do not allow; the
limit (RLIMIT_FSIZE) is everywhere, and is raised while the server runs.
"""

from __future__ import annotations

import resource
import signal
import subprocess
from pathlib import Path

from tests.detached import Detached

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


class SmallServer(Detached):
    """A server whose data directory is on such a disk."""

    def __init__(self, disk: Disk, folder: Path, log: Path) -> None:
        super().__init__(folder / "data", log, prefix=disk.prefix)
        self.disk = disk

    @property
    def data(self) -> Path:
        """Its data directory, as this process sees it."""
        return self.disk.path / "data"

    def kill(self, sign: int = signal.SIGKILL) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sign)
            self._process.wait(30)
