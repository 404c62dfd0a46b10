"""Bodies too large for memory: files which the wire wrote while they arrived, or which an answer is read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class FileBody:
    """``size`` bytes of the file at ``path`` from ``offset`` on.

    In a request it belongs to the operation: it may be renamed away; if it is still there when the answer has been
    given, it is deleted. In an answer it is only read; ``delete`` has it deleted once it was sent.
    """

    path: Path
    size: int
    offset: int = 0
    delete: bool = False

    def read(self) -> bytes:
        """All of it, in memory."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)
