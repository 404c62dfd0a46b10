"""The inner side of work that is done apart from the server: a request as a line of JSON on standard input, answers as
lines of JSON on standard output.

Standard input stays open for as long as the server lives; when it ends, this process does, with all that it runs.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from penstock.base.errors import TemplateError


class Tell(Protocol):
    """Answers with a line of JSON, of these fields."""

    def __call__(self, **fields: Any) -> None: ...


Ask = Callable[..., Any]
"""Tells, and returns what the server answers to that."""
Work = Callable[[Mapping[str, Any], Tell, Ask], Mapping[str, Any]]


def run(work: Work) -> None:
    """Do one piece of work; the last line is what it returned, or {"error": …}."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers

    def tell(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def ask(**fields: Any) -> Any:
        tell(**fields)
        return json.loads(replies.get())

    lines = _lines()
    request = json.loads(next(lines))
    threading.Thread(target=_listen, args=(lines, replies), daemon=True).start()
    try:
        result = work(request, tell, ask)
    except TemplateError as error:
        tell(error={"message": error.message, "resource": error.resource, "line": error.line})
    else:
        tell(**result)


def _lines() -> Iterator[bytes]:
    """The lines of standard input. Its buffer is left alone: a thread that waits in there would break the exit."""
    read = b""
    while piece := os.read(sys.stdin.fileno(), 1 << 16):
        *whole, read = (read + piece).split(b"\n")
        yield from whole


def _listen(lines: Iterator[bytes], replies: queue.SimpleQueue[bytes]) -> None:
    """Hand on what the server replies, for as long as it lives."""
    for line in lines:
        replies.put(line)
    os.killpg(0, signal.SIGKILL)  # the server started it as the leader of a group of its own
