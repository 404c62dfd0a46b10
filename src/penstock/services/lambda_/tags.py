"""Tags of functions and mappings: kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceNotFound
from penstock.services.lambda_.records import get, put, reference_of_arn

TAGS: Final = 50  # per resource


def check_tags(tags: dict[str, Any]) -> dict[str, str]:
    """Tags as AWS allows them."""
    if len(tags) > TAGS:
        raise InvalidParameterValue(f"The tags limit was exceeded: a resource has at most {TAGS} tags.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise InvalidParameterValue("Tag keys that begin with aws: are reserved: choose other keys.")
    return tags


@operation
def tag_resource(cx: Context, request: Request) -> Response:
    """Add or replace tags of a function or mapping."""
    _write(cx, request["Resource"], check_tags(_read(cx, request["Resource"]) | request["Tags"]))
    return {}


@operation
def untag_resource(cx: Context, request: Request) -> Response:
    """Remove tags of a function or mapping."""
    tags = _read(cx, request["Resource"])
    _write(cx, request["Resource"], {key: value for key, value in tags.items() if key not in request["TagKeys"]})
    return {}


@operation
def list_tags(cx: Context, request: Request) -> Response:
    """The tags of a function or mapping."""
    return {"Tags": _read(cx, request["Resource"])}


def _mapping(arn: str) -> tuple[str, str, str] | None:
    """Account, region and UUID of the mapping that an ARN names; None when it names a function."""
    parsed = Arn.parse(arn)
    kind, _, uuid = parsed.resource.partition(":")
    return (parsed.account, parsed.region, uuid) if kind == "event-source-mapping" else None


def _read(cx: Context, arn: str) -> dict[str, str]:
    mapping = _mapping(arn)
    if mapping is None:
        return get(cx, reference_of_arn(arn)).tags
    row = cx.one("SELECT tags FROM lambda_mapping WHERE account = ? AND region = ? AND uuid = ?", mapping)
    if row is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    tags: dict[str, str] = orjson.loads(row[0])
    return tags


def _write(cx: Context, arn: str, tags: dict[str, str]) -> None:
    mapping = _mapping(arn)
    if mapping is None:
        put(cx, replace(get(cx, reference_of_arn(arn)), tags=tags))
    else:
        cx.write(
            "UPDATE lambda_mapping SET tags = ? WHERE account = ? AND region = ? AND uuid = ?",
            (orjson.dumps(tags).decode(), *mapping),
        )
