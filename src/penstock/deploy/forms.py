"""A resource's properties against the forms of its type, down to the innermost: pure.

CloudFormation takes "5" for a number and 5 for a text, so values are brought into the form they have in the service's
API. What a form does not have is told by its place, and so is a value which breaks the API model's constraints; the
sentences of both are the model's. What is UNKNOWN passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock.deploy.intrinsics import UNKNOWN, Unknown, is_known, text_of
from penstock.deploy.problems import or_write
from penstock.engine.model import Shape, broken_constraints
from penstock.engine.model.shapes import FLOATS, INTEGERS
from penstock.engine.resource import ResourceType

Tell = Callable[[tuple[str, ...], str], None]
"""Told (path, sentence): ("Targets", "0", "Arn") and what is wrong there."""

# Stands in a document for what is known only later: a text, and for policies an action.
_LATER: Final = "known:after-apply"
_SHOWN_AT_MOST: Final = 100  # characters of a bad value in a message
_WORDS_AT_MOST: Final = 16  # that a value may be, of those that are all listed in a message


def conformed(
    type_: ResourceType, properties: Mapping[str, Any], tell: Tell = lambda path, sentence: None,
    there: set[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The properties in the form the service's API has them; ``there`` collects the places that are set."""
    walk = _Walk(type_, tell, there if there is not None else set())
    return {name: walk.property(name, value) for name, value in properties.items()}


def known(type_: ResourceType, properties: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """What is known of conformed properties already, and the names of those in which something is not."""
    found = {name: _known(value, type_.form(name)) for name, value in properties.items()}
    unknown = frozenset(name for name, value in properties.items() if not is_known(value))
    return {name: value for name, value in found.items() if not isinstance(value, Unknown)}, unknown


def _known(value: Any, shape: Shape | None) -> Any:
    if shape is not None and shape.document:
        return _with_stand_ins(value)
    if isinstance(value, dict):
        inner = {name: _known(item, _inside(shape, name)) for name, item in value.items()}
        return {name: item for name, item in inner.items() if not isinstance(item, Unknown)}
    if isinstance(value, list):
        element = shape.element.shape if shape is not None and shape.type == "list" else None
        return [item for each in value if not isinstance(item := _known(each, element), Unknown)]
    return value


def _inside(shape: Shape | None, name: str) -> Shape | None:
    if shape is None or shape.type not in ("structure", "map"):
        return None
    member = shape.value if shape.type == "map" else shape.members.get(name)
    return None if member is None else member.shape


def _with_stand_ins(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_stand_ins(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_stand_ins(item) for item in value]
    return _LATER if isinstance(value, Unknown) else value


class _Walk:
    def __init__(self, type_: ResourceType, tell: Tell, there: set[str]) -> None:
        self.type, self.tell, self.there = type_, tell, there

    def property(self, name: str, value: Any) -> Any:
        """A property of the type, conformed."""
        shape = self.type.form(name)
        return value if shape is None else self.value(value, shape, name, (name,))

    def value(self, value: Any, shape: Shape, place: str, path: tuple[str, ...]) -> Any:
        """What stands at a place, conformed; ``path`` is the place with indexes and keys."""
        if value is None:
            return value
        self.there.add(place)
        if value is UNKNOWN or shape.document or (shape.traits.get("jsonvalue") and isinstance(value, str)):
            return value
        if shape.type == "structure":
            return self._structure(value, shape, place, path)
        if shape.type == "list":
            if not isinstance(value, list):
                return self._wrong(value, path, "must be a list")
            self._constraints(value, shape, path)
            items = enumerate(value)
            return [self.value(item, shape.element.shape, place, (*path, str(index))) for index, item in items]
        if shape.type == "map":
            if not isinstance(value, dict):
                return self._wrong(value, path, "must be a mapping")
            self._constraints(value, shape, path)
            return {key: self.value(item, shape.value.shape, place, (*path, key)) for key, item in value.items()}
        return self._scalar(value, shape, path)

    def _structure(self, value: Any, shape: Shape, place: str, path: tuple[str, ...]) -> Any:
        members = shape.members
        if not isinstance(value, dict):
            return self._wrong(value, path, f"must be a mapping of {', '.join(members)}")
        found = {}
        for name, item in value.items():
            inner = f"{place}.{name}"
            if inner in self.type.refused:
                self.tell((*path, name), f"{self.type.name} does not execute {inner}: {self.type.refused[inner]}")
            elif name not in members:
                self.tell(
                    (*path, name),
                    f"{self.type.name} has no property {inner} here; remove it ({place} has: {', '.join(members)})",
                )
            else:
                found[name] = self.value(item, members[name].shape, inner, (*path, name))
        for name in shape.required:
            if value.get(name) is None:
                self.tell(path, f"{'.'.join(path)} needs {name}")
        return found

    def _scalar(self, value: Any, shape: Shape, path: tuple[str, ...]) -> Any:
        if isinstance(value, (dict, list)):
            return self._wrong(value, path, f"must be a single value, not a {'list' if type(value) is list else 'map'}")
        if shape.type in INTEGERS:
            number = _number(value)
            if number is None:
                return self._wrong(value, path, "must be a whole number")
            if not -shape.integer_limit <= number < shape.integer_limit:
                return self._wrong(value, path, "must be a smaller number")
            value = number
        elif shape.type in FLOATS:
            try:
                value = float(value)
            except ValueError:
                return self._wrong(value, path, "must be a number")
        elif shape.type == "boolean":
            if text_of(value).lower() not in ("true", "false"):
                return self._wrong(value, path, "must be true or false")
            value = text_of(value).lower() == "true"
        elif shape.type in ("string", "character"):
            value = text_of(value)
        else:
            return value
        self._constraints(value, shape, path)
        return value

    def _constraints(self, value: Any, shape: Shape, path: tuple[str, ...]) -> None:
        for sentence in broken_constraints(shape, value):
            why = sentence.replace("Member must", "must", 1)
            if "enum value set" in why and len(shape.enum) > _WORDS_AT_MOST:
                instead = or_write(str(value), shape.enum)
                why = f"must be one of the {len(shape.enum)} values that AWS has; correct it{instead}"
            self._wrong(value, path, why, secret=shape.sensitive)

    def _wrong(self, value: Any, path: tuple[str, ...], why: str, *, secret: bool = False) -> Any:
        text = text_of(value)
        shown = "" if secret or isinstance(value, (dict, list)) else f" is {text[:_SHOWN_AT_MOST]!r} and"
        self.tell(path, f"{'.'.join(path)}{shown} {why}")
        return value


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value, re.ASCII) else None
    return int(value)
