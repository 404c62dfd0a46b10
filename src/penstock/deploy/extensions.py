"""The transforms that only rewrite the template: AWS::LanguageExtensions' loops and AWS::Include.

See "AWS::LanguageExtensions transform", "Fn::ForEach" and "AWS::Include transform" in the CloudFormation User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import intrinsics
from penstock.deploy.intrinsics import Scope

_LOOP = "Fn::ForEach::"
_LOOPING_SECTIONS = ("Conditions", "Resources", "Outputs")
_ENTRIES_LIMIT = 10_000  # entries one template may grow to; CloudFormation takes 500 resources

ReadFile = Callable[[Path], dict[str, Any]]


def expand_loops(body: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The template with every Fn::ForEach written out."""
    return {
        name: _expanded(section, {}, scope) if name in _LOOPING_SECTIONS else section for name, section in body.items()
    }


def _expanded(value: Any, bound: dict[str, str], scope: Scope) -> Any:
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        for key, item in value.items():
            if key.startswith(_LOOP):
                entries = _loop(key, item, bound, scope)
            else:
                entries = {_replaced(key, bound): _expanded(item, bound, scope)}
            for name, entry in entries.items():
                if name in result:
                    raise TemplateError(f"{key} makes {name!r} twice; put the loop's identifier into the key")
                result[name] = entry
            if len(result) > _ENTRIES_LIMIT:
                raise TemplateError(f"{key} makes more than {_ENTRIES_LIMIT} entries")
        if list(result) == ["Ref"] and isinstance(result["Ref"], str) and result["Ref"] in bound:
            return bound[result["Ref"]]
        return result
    if isinstance(value, list):
        return [_expanded(item, bound, scope) for item in value]
    return _replaced(value, bound) if isinstance(value, str) else value


def _loop(key: str, loop: Any, bound: dict[str, str], scope: Scope) -> dict[str, Any]:
    if not isinstance(loop, list) or len(loop) != 3 or not isinstance(loop[0], str) or not isinstance(loop[2], dict):
        raise TemplateError(f"{key} takes an identifier, a collection and a mapping")
    identifier, collection, fragment = loop
    items = intrinsics.resolve(_expanded(collection, bound, scope), scope)
    if not isinstance(items, list) or not intrinsics.is_known(items):
        raise TemplateError(f"{key}: the collection must be a list that is known before anything is deployed")
    made: dict[str, Any] = {}
    for item in items:
        inner = bound | {identifier: intrinsics.text_of(item)}
        for name, entry in _expanded(fragment, inner, scope).items():
            if name in made:
                raise TemplateError(f"{key} makes {name!r} twice; put ${{{identifier}}} into the key")
            made[name] = entry
    return made


def _replaced(text: str, bound: dict[str, str]) -> str:
    for identifier, value in bound.items():
        text = text.replace("${" + identifier + "}", value)
        # &{…} leaves out what a logical id may not have.
        text = text.replace("&{" + identifier + "}", re.sub(r"[^A-Za-z0-9]", "", value))
    return text


def include(value: Any, base: Path, read: ReadFile) -> Any:
    """The value with every AWS::Include of a local file replaced by what the file holds."""
    if isinstance(value, list):
        return [include(item, base, read) for item in value]
    if not isinstance(value, dict):
        return value
    macro = value.get("Fn::Transform")
    if isinstance(macro, dict) and macro.get("Name") == "AWS::Include":
        location = (macro.get("Parameters") or {}).get("Location")
        included = include(read(_local(location, base)), base, read)
        rest = {key: include(item, base, read) for key, item in value.items() if key != "Fn::Transform"}
        return included | rest
    return {key: include(item, base, read) for key, item in value.items()}


def include_at_top(body: dict[str, Any], base: Path, read: ReadFile) -> dict[str, Any]:
    """The template with the AWS::Include of its section Transform, and all others, replaced by the files' contents."""
    transforms = body.get("Transform")
    entries = transforms if isinstance(transforms, list) else [transforms] if transforms else []
    rest = []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("Name") == "AWS::Include":
            location = (entry.get("Parameters") or {}).get("Location")
            body = read(_local(location, base)) | body
        else:
            rest.append(entry)
    body = {key: item for key, item in body.items() if key != "Transform"} | ({"Transform": rest} if rest else {})
    included = include(body, base, read)
    assert isinstance(included, dict)
    return included


def _local(location: Any, base: Path) -> Path:
    if not isinstance(location, str):
        raise TemplateError("AWS::Include needs a Location that is the path of a file beside the template")
    if location.startswith("s3://"):
        raise TemplateError(f"AWS::Include of {location}: there is no S3 here yet; put the file beside the template")
    return base / location
