"""What SAM's resources may hold, by the models that AWS generates SAM's schema from: pure.

The translator refuses properties of a resource or an event that it does not know, and drops without a word what else
stands around and inside them: another attribute of a resource, a misspelled member of DeadLetterQueue.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from samtranslator.internal.schema_source import aws_serverless_function, aws_serverless_layerversion

from penstock.deploy.check import KNOWN_ATTRIBUTES, REFUSED_ATTRIBUTES
from penstock.deploy.problems import Problems

_MODELS: Final[Mapping[str, Any]] = {
    "AWS::Serverless::Function": aws_serverless_function.Properties,
    "AWS::Serverless::LayerVersion": aws_serverless_layerversion.Properties,
}
_SAM_ATTRIBUTES: Final = frozenset({"Connectors", "IgnoreGlobals"})

Stranger = tuple[tuple[str, ...], tuple[str, ...]]
"""Where something stands that does not belong there, and what does."""


def note_strangers(body: Mapping[str, Any], problems: Problems) -> None:
    """Note what the translator would drop from a template's resources."""
    for logical_id, resource in body["Resources"].items():
        model = _MODELS.get(resource.get("Type", ""))
        if model is None:
            continue
        for name in resource:
            if name in _SAM_ATTRIBUTES:
                continue
            if name in REFUSED_ATTRIBUTES:
                problems.add(f"{name} is not executed here; {REFUSED_ATTRIBUTES[name]}", resource=logical_id)
            elif name not in KNOWN_ATTRIBUTES:
                problems.add(f"{name!r} is nothing a resource has; remove it", resource=logical_id)
        for path, known in strangers(resource.get("Properties") or {}, model):
            if len(path) == 1 or (path[0] == "Events" and path[2:3] == ("Properties",) and len(path) == 4):
                continue  # the translator says so itself
            where, name = ".".join(path), ".".join(path[:-1])
            problems.add(
                f"{resource['Type']} has no property {where} here; remove it ({name} has: {', '.join(known)})",
                resource=logical_id, property_=path,
            )  # fmt: skip


def properties_of(type_: str) -> frozenset[str]:
    """The names of the properties that a SAM resource may have; none for a type that is not here."""
    return frozenset(_members(_MODELS.get(type_)))


def strangers(value: Any, type_: Any, path: tuple[str, ...] = ()) -> Iterator[Stranger]:
    """What stands in a value and is not in its type: a model, or a list, mapping or choice of such."""
    origin, inner = get_origin(type_), get_args(type_)
    if origin in (Union, types.UnionType):
        found = [list(strangers(value, each, path)) for each in inner if _may_be(value, each)]
        yield from min(found, key=len, default=[])
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from strangers(item, inner[0], (*path, str(index)))
    elif not isinstance(value, dict) or _is_intrinsic(value):
        return
    elif origin is dict:
        for name, item in value.items():
            yield from strangers(item, inner[1], (*path, name))
    elif members := _members(type_):
        for name, item in value.items():
            if name in members:
                yield from strangers(item, members[name], (*path, name))
            else:
                yield (*path, name), tuple(members)


def _may_be(value: Any, type_: Any) -> bool:
    """Whether a value is meant to be of this type. A plain mapping stands for an intrinsic function in the models."""
    origin, members = get_origin(type_), _members(type_)
    if isinstance(value, dict) and not _is_intrinsic(value):
        words = {name: get_args(each) for name, each in members.items() if get_origin(each) is Literal}
        return bool(members or type_ is Any or (origin is dict and get_args(type_)[1] is not Any)) and all(
            value.get(name) in allowed for name, allowed in words.items() if name in value
        )
    return origin is list if isinstance(value, list) else True


def _members(type_: Any) -> dict[str, Any]:
    """The members of a model; none where it takes anything."""
    if not (isinstance(type_, type) and hasattr(type_, "__fields__")) or "__root__" in type_.__fields__:
        return {}
    return {name: hint for name, hint in get_type_hints(type_).items() if name in type_.__fields__}


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::", "Condition"))
