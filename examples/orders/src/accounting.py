"""Keeps the books: a line for everything that happens to an order."""

from typing import Any


def handler(entry: dict[str, Any], context: Any) -> None:
    """What the rule makes of an event: {"what", "order", "at"}."""
    print(f"{entry['at']} {entry['order']} {entry['what']}")
