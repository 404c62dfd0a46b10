"""The process in which templates are prepared: a wish as JSON on standard input, lines of JSON on standard output."""

from __future__ import annotations

import json
import logging
import sys
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
        prepared = prepare(wish_of(json.load(sys.stdin)), lambda text: answer(say=text))
    except TemplateError as error:
        answer(error={"message": error.message, "resource": error.resource, "line": error.line})
    else:
        answer(prepared=to_json(prepared))


if __name__ == "__main__":
    main()
