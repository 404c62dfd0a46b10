"""The process in which templates are prepared: a wish as JSON on standard input, lines of JSON on standard output."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy.build import Code, Workshop
from penstock.deploy.parameters import Parameters
from penstock.deploy.prepare import Prepared, Wish, prepare
from penstock.deploy.problems import Lines


def wish_of(data: Mapping[str, Any]) -> Wish:
    """A wish from its JSON form."""
    workshop = data["workshop"]
    known = data["known_types"]
    return Wish(
        **{name: data[name] for name in ("given", "account", "region", "stack_name", "stack_id", "stub_unknown")},
        template=Path(data["template"]),
        workshop=Workshop(
            Path(workshop["cache"]), Path(workshop["code"]), workshop["environment"],
            tuple(Path(path) for path in workshop["leave_out"]),
        ),
        known_types=frozenset(known) if known is not None else None,
    )  # fmt: skip


def to_json(value: Wish | Prepared) -> dict[str, Any]:
    """A wish or what was prepared, in its JSON form."""
    encoded: dict[str, Any] = json.loads(json.dumps(asdict(value), default=_plain))
    return encoded


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def prepared_of(data: Mapping[str, Any]) -> Prepared:
    """What was prepared, from its JSON form."""
    return Prepared(
        body=data["body"],
        parameters=Parameters(data["parameters"]["values"], frozenset(data["parameters"]["hidden"])),
        lines=Lines(**data["lines"]),
        packages=data["packages"],
        code=tuple(Code(**{**item, "path": Path(item["path"])}) for item in data["code"]),
        warnings=tuple(data["warnings"]),
    )


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
