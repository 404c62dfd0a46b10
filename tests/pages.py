"""Makes the generated pages of docs/ again: ``python -m tests.pages`` (``make docs``). Tests say when one is stale."""

from __future__ import annotations

from pathlib import Path

from penstock.settings import reference

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Write every generated page."""
    DOCS.joinpath("settings.md").write_text(reference())


if __name__ == "__main__":
    main()
