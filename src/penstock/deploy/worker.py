"""The process in which templates are prepared: before {"prepared": …} it answers {"say": …}, and {"draft": …}, to which
the reply is a list of the problems that a review of it found."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from penstock.deploy import child
from penstock.deploy.prepare import prepare
from penstock.deploy.preparing import Prepared, to_json, wish_of
from penstock.deploy.problems import Problem


def main() -> None:
    """Prepare one template."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    child.run(_prepare)


def _prepare(request: Mapping[str, Any], tell: child.Tell, ask: child.Ask) -> Mapping[str, Any]:
    def review(draft: Prepared) -> list[Problem]:
        return [Problem(**problem) for problem in ask(draft=to_json(draft))]

    return {"prepared": to_json(prepare(wish_of(request), lambda text: tell(say=text), review))}


if __name__ == "__main__":
    main()
