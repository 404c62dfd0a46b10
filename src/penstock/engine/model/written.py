"""Shapes written down in place, for what no API model describes: the properties of a template's resources.

    structure({"Key": TEXT, "Value": TEXT}, needs=("Key",))

Each is a ``Shape`` like those of the models, so whatever reads shapes (checks, coverage) takes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from penstock.engine.model.shapes import Shape

TEXT: Final = Shape("Text", {"type": "string"}, {})
TRUTH: Final = Shape("Truth", {"type": "boolean"}, {})
DOCUMENT: Final = Shape("Document", {"type": "structure", "document": True}, {})  # any JSON value


def number(low: int | None = None, high: int | None = None) -> Shape:
    """A whole number, from ``low`` to ``high`` where these are given."""
    return Shape("Number", {"type": "integer", "min": low, "max": high}, {})


def words(*allowed: str) -> Shape:
    """One of these words."""
    return Shape("Words", {"type": "string", "enum": list(allowed)}, {})


def structure(members: Mapping[str, Shape], *, needs: Iterable[str] = (), or_text: bool = False) -> Shape:
    """A mapping with these members, of which it needs some; ``or_text``: it may also be written as JSON in a text."""
    raw = {
        "type": "structure",
        "members": {name: {"shape": name} for name in members},
        "required": list(needs),
        "jsonvalue": or_text,
    }
    return Shape("Structure", raw, members)


def list_of(element: Shape) -> Shape:
    """A list of these."""
    return Shape("List", {"type": "list", "member": {"shape": "member"}}, {"member": element})


TAGS: Final = list_of(structure({"Key": TEXT, "Value": TEXT}, needs=("Key", "Value")))
