"""Bodies of answers that are not in memory, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from penstock.engine.body import FileBody

PIECE_BYTES = 256 << 10  # of a file read and sent at once


async def file_pieces(body: FileBody) -> AsyncIterator[bytes]:
    """The pieces of a file; OSError when it is shorter than it should be."""
    loop = asyncio.get_running_loop()
    file = await loop.run_in_executor(None, body.path.open, "rb")
    with file:
        file.seek(body.offset)
        left = body.size
        while left:
            data = await loop.run_in_executor(None, file.read, min(left, PIECE_BYTES))
            if not data:
                raise OSError(f"{body.path} is shorter than {body.offset + body.size} bytes")
            left -= len(data)
            yield data
