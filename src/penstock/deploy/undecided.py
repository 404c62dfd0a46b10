"""What a template leaves open while a parameter has no value: pure.

A parameter that is missing or not allowed is told together with all else that is wrong; what depends on its value, the
conditions that ask for it included, may be right once there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def resources_of(body: Mapping[str, Any], unknown: Iterable[str]) -> tuple[str, ...]:
    """The resources that name one of these parameters, or a condition which depends on one; with Globals, all."""
    names = set(unknown)
    if not names:
        return ()
    conditions = _mapping(body.get("Conditions"))
    while more := {name for name, condition in conditions.items() if _names_any(condition, names)} - names:
        names |= more
    resources = _mapping(body.get("Resources"))
    if _names_any(body.get("Globals"), names):
        return tuple(resources)
    return tuple(name for name, resource in resources.items() if _names_any(resource, names))


def without_defaults(body: Mapping[str, Any], unknown: Iterable[str]) -> dict[str, Any]:
    """The template without the defaults of these parameters, which were not what was given."""
    declared = _mapping(body.get("Parameters"))
    bare = {
        name: {key: item for key, item in declared[name].items() if key != "Default"}
        for name in unknown if isinstance(declared.get(name), dict)
    }  # fmt: skip
    return {**body, "Parameters": {**declared, **bare}} if bare else dict(body)


def _names_any(value: Any, names: set[str]) -> bool:
    if isinstance(value, dict):
        return any(_names_any(item, names) for item in value.values())
    if isinstance(value, list):
        return any(_names_any(item, names) for item in value)
    return isinstance(value, str) and (value in names or any(f"${{{name}" in value for name in names))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
