"""The process in which templates are prepared: a wish as a line of JSON on standard input, lines of JSON on output.

Standard input stays open for as long as the server lives; when it ends, this process does, with all that it runs.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy.prepare import prepare
from penstock.deploy.preparing import to_json, wish_of


def main() -> None:
    """Prepare one template. The last line is {"prepared": …} or {"error": …}; lines before it are {"say": …}."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answers

    def answer(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    try:
        wish = wish_of(json.loads(_line()))
        threading.Thread(target=_end_with_server, daemon=True).start()
        prepared = prepare(wish, lambda text: answer(say=text))
    except TemplateError as error:
        answer(error={"message": error.message, "resource": error.resource, "line": error.line})
    else:
        answer(prepared=to_json(prepared))


def _line() -> bytes:
    """The first line of standard input; nothing is read ahead."""
    read = b""
    while not read.endswith(b"\n"):
        piece = os.read(sys.stdin.fileno(), 1 << 16)
        if not piece:
            os._exit(1)
        read += piece
    return read


def _end_with_server() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGKILL)  # the server started it as the leader of a group of its own


if __name__ == "__main__":
    main()
