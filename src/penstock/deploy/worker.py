"""The process in which templates are prepared: a wish as a line of JSON on standard input, lines of JSON on output.

Standard input stays open for as long as the server lives; when it ends, this process does, with all that it runs.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy.prepare import prepare
from penstock.deploy.preparing import Prepared, to_json, wish_of
from penstock.deploy.problems import Problem


def main() -> None:
    """Prepare one template.

    The last line is {"prepared": …} or {"error": …}; lines before it are {"say": …}, and {"draft": …}, which is
    answered by a line with the problems that a review of it found.
    """
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    reviews: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def review(draft: Prepared) -> list[Problem]:
        answer(draft=to_json(draft))
        return [Problem(**problem) for problem in json.loads(reviews.get())]

    try:
        lines = _lines()
        wish = wish_of(json.loads(next(lines)))
        threading.Thread(target=_listen, args=(lines, reviews), daemon=True).start()
        prepared = prepare(wish, lambda text: answer(say=text), review)
    except TemplateError as error:
        answer(error={"message": error.message, "resource": error.resource, "line": error.line})
    else:
        answer(prepared=to_json(prepared))


def _lines() -> Iterator[bytes]:
    """The lines of standard input. Its buffer is left alone: a thread that waits in there would break the exit."""
    read = b""
    while piece := os.read(sys.stdin.fileno(), 1 << 16):
        *whole, read = (read + piece).split(b"\n")
        yield from whole


def _listen(lines: Iterator[bytes], reviews: queue.SimpleQueue[bytes]) -> None:
    """Hand on what the server answers, for as long as it lives."""
    for line in lines:
        reviews.put(line)
    os.killpg(0, signal.SIGKILL)  # the server started it as the leader of a group of its own


if __name__ == "__main__":
    main()
