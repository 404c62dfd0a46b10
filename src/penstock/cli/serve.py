"""Running a server in this process until a signal, or its session, ends it: alone in importing the platform."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

import uvloop

from penstock.base.errors import DataDirectoryInUse, PenstockError
from penstock.cli.find import address, who_listens
from penstock.cli.problems import FAILED, INTERRUPTED, Problem
from penstock.platform import Platform
from penstock.settings import Settings

Session = Callable[[Platform], int]
_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)

# Allocations between two looks for garbage in cycles. Requests leave none, but some of theirs are always under way, and
# with Python's 700 each of them was looked at. With the freeze in _serve, an SQS send takes 31 µs instead of 36.
_GARBAGE_THRESHOLD: Final = 5_000


def serve(settings: Settings, session: Session) -> int:
    """Start a platform and run ``session`` beside it, in a thread; the exit code is the session's.

    It ends when the session does, or with SIGINT or SIGTERM: what is in flight is finished, the state is kept. A second
    signal does not wait. Problem when it cannot start.
    """
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return uvloop.run(_serve(settings, session))


async def _serve(settings: Settings, session: Session) -> int:
    platform = Platform(settings)
    try:
        await platform.start()
    except (OSError, PenstockError) as error:
        raise why_not_started(settings, error) from error
    gc.freeze()  # what is there now stays: no look for garbage has to pass over it
    gc.set_threshold(_GARBAGE_THRESHOLD)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    codes: list[int] = []

    def stop() -> None:
        if ended.is_set():
            os._exit(INTERRUPTED)
        ended.set()

    def run_session() -> None:
        try:
            codes.append(session(platform))
        except Problem as problem:
            if not ended.is_set():  # else it is only that the server is going away
                codes.append(problem.exit_code)
                problems.append(problem)
        finally:
            loop.call_soon_threadsafe(ended.set)

    problems: list[Problem] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    threading.Thread(target=run_session, name="session", daemon=True).start()
    closing = asyncio.ensure_future(platform.closed())
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait((closing, waiting), return_when=asyncio.FIRST_COMPLETED)
    ended.set()
    closing.cancel()
    await platform.close()
    if problems:
        raise problems[0]
    return codes[0] if codes else 0


def why_not_started(settings: Settings, error: Exception) -> Problem:
    """A start that failed, in words that say what to do."""
    if isinstance(error, DataDirectoryInUse):
        return Problem(str(error))
    if isinstance(error, OSError) and error.errno in _TAKEN:
        where = address(settings)
        if error.errno == errno.EACCES:
            return Problem(f"Port {settings.port} may not be used by this user: choose another with --port.")
        return Problem(
            f"Port {settings.port} is taken by {who_listens(where)}. Stop it, or choose another with --port "
            "(0 takes a free one)."
        )
    if isinstance(error, OSError):
        return Problem(f"The server cannot start: {error}. Look at --data, --host and the room on the disk.")
    return Problem(str(error), exit_code=FAILED)
