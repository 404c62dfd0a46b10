"""The process in which one function's code is built again: it imports little, since somebody waits for their edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from penstock.deploy import build, child
from penstock.deploy.workshop import code_of, workshop_of


def main() -> None:
    """Build one package."""
    child.run(_build)


def _build(request: Mapping[str, Any], tell: child.Tell, ask: child.Ask) -> Mapping[str, Any]:
    package = build.build(code_of(request["code"]), workshop_of(request["workshop"]), lambda text: tell(say=text))
    return {"package": {**asdict(package), "path": str(package.path)}}


if __name__ == "__main__":
    main()
