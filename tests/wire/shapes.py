"""Random values of a model's shapes, and comparison of what came back with what went out."""

from __future__ import annotations

import datetime
import random
from typing import Any

from penstock.engine.model import Member, Shape

TEXT = "abcXYZ019-_./:=+@ é\U0001f600\"'<&>\\\t\n,;%?#[]{}|"
SAFE_TEXT = "abcXYZ019-_.:=+@é\U0001f600"
HEADER_TEXT = "abcXYZ019-_.:=+@/"
DEPTH = 4


class Values:
    """Makes values; every one of a seed is the same again."""

    def __init__(self, seed: str, *, xml: bool = False) -> None:
        self.random = random.Random(seed)
        self.xml = xml

    def of(self, use: Member, depth: int = 0) -> Any:
        shape, pick = use.shape, self.random
        if use.traits.get("jsonvalue"):
            return {"k": [1, "two", None]}
        if shape.document:
            return {"a": [1, 2.5, "x", True], "b": {"c": "d"}}
        kind = shape.type
        if kind == "structure":
            return self.structure(shape, depth)
        if kind == "list":
            size = 0 if depth > DEPTH else pick.choice((1, 1, 2, 3))
            values = [self.of(shape.element, depth + 1) for _ in range(size)]
            return [value for value in values if value != {}] if self.xml else values
        if kind == "map":
            size = 0 if depth > DEPTH else pick.choice((1, 1, 2))
            made = {self.text(shape.key, "k"): self.of(shape.value, depth + 1) for _ in range(size)}
            if use.location == "headers":  # headers are written without regard to case
                return {"k" + str(number): "value" for number, _ in enumerate(made)}
            return made
        return self.scalar(use)

    def structure(self, shape: Shape, depth: int = 0, *, only: set[str] | None = None) -> dict[str, Any]:
        out: dict[str, Any] = {}
        members = [m for m in shape.members.values() if only is None or m.name in only]
        if shape.traits.get("union"):
            members = [self.random.choice(members)] if members else []
        for member in members:
            required = member.name in shape.required or shape.traits.get("union")
            if depth > DEPTH and not required:
                continue
            if depth > 2 * DEPTH:
                continue
            if required or self.random.random() < (0.9 if depth < 2 else 0.5):
                if member.shape.event_stream:
                    continue
                value = self.of(member, depth + 1)
                if value in ({}, []) and member.shape.type != "structure":
                    continue  # an empty list or map cannot be told from none in every protocol
                if value == {} and self.xml:
                    continue
                out[member.name] = value
        return out

    def text(self, use: Member, default: str = "") -> str:
        if use.shape.enum:
            return str(self.random.choice(use.shape.enum))
        alphabet = (
            TEXT if use.location is None else SAFE_TEXT if use.location in ("uri", "querystring") else HEADER_TEXT
        )
        size = self.random.randint(1, 12)
        text = "".join(self.random.choice(alphabet) for _ in range(size))
        return text.strip() + default if self.xml or use.location else text

    def scalar(self, use: Member) -> Any:
        kind, pick = use.shape.type, self.random
        if use.traits.get("hostLabel"):
            return "123456789012"
        if kind in ("string", "character"):
            return self.text(use) or "x"
        if kind == "boolean":
            return pick.random() < 0.5
        if kind in ("integer", "short", "byte", "long"):
            return pick.choice((0, 1, pick.randint(0, 10**9), -5)) if kind != "long" else pick.randint(-(2**40), 2**40)
        if kind in ("float", "double"):
            return pick.choice((0.5, -2.25, 1024.0, 3.0))
        if kind == "timestamp":
            fraction = pick.choice((0, 0.5, 0.125))
            form = use.trait("timestampFormat")
            whole = form == "rfc822" or (use.location == "header" and form is None) or use.location == "header"
            return float(pick.randint(10**9, 2 * 10**9)) + (0 if whole else fraction)
        return bytes(pick.randrange(256) for _ in range(pick.randint(1, 9)))


def as_parameters(use: Member, value: Any) -> Any:
    """A request as a caller of botocore writes it: timestamps are datetimes."""
    shape = use.shape
    if value is None or shape.document or use.traits.get("jsonvalue"):
        return value
    if shape.type == "structure":
        return {name: as_parameters(shape.members[name], item) for name, item in value.items()}
    if shape.type == "list":
        return [as_parameters(shape.element, item) for item in value]
    if shape.type == "map":
        return {key: as_parameters(shape.value, item) for key, item in value.items()}
    if shape.type == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    return value


def as_parsed(value: Any) -> Any:
    """What botocore's parser gives, with epoch seconds for datetimes and bodies read."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: as_parsed(item) for key, item in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [as_parsed(item) for item in value]
    return value
