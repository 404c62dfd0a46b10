"""Makes the generated pages of docs/ again: ``python -m tests.pages`` (``make docs``). Tests say when one is stale."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, RenderableType

from penstock.cli.events import table
from penstock.cli.tree import event_tree
from penstock.settings import reference
from tests.coverage import pages as coverage
from tests.coverage.plugin import recorded

DOCS = Path(__file__).parent.parent / "docs"


def screen(title: str, shown: Iterable[RenderableType], width: int) -> str:
    """A picture of what a command prints."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for each in shown:
        console.print(each)
    return console.export_svg(title=title, unique_id="penstock")


def pages() -> dict[Path, str]:
    """Every generated page with what belongs in it. What the pictures show was recorded from examples/orders."""
    trace = json.loads((DOCS / "screens" / "trace.json").read_text())
    why = json.loads((DOCS / "screens" / "why.json").read_text())
    events = json.loads((DOCS / "screens" / "events.json").read_text())
    return {
        DOCS / "settings.md": reference(),
        DOCS / "screens" / "trace.svg": screen(f"penstock trace {trace['roots'][0]}", event_tree(trace), 180),
        DOCS / "screens" / "why.svg": screen(
            f"penstock trace {why['roots'][0]} --why", event_tree(why, logs=True), 160
        ),
        DOCS / "screens" / "events.svg": screen("penstock events -f", [table(events)], 150),
    }


def main() -> None:
    """Write every generated page; those of docs/coverage from the last record of all tests, if it is here."""
    made = pages() | (coverage.pages(recorded()) if coverage.RECORD.exists() else {})
    coverage.PAGES.mkdir(exist_ok=True)
    for path, text in made.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
