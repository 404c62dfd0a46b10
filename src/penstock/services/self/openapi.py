"""An API model in botocore's format as OpenAPI 3.1, and as a page to read. Pure: values in, values out."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]

_TYPES: Mapping[str, Raw] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "float": {"type": "number", "format": "float"},
    "blob": {"type": "string", "contentEncoding": "base64"},
    "timestamp": {"type": "number", "description": "Seconds since 1970, UTC."},
}
_LIMITS = {
    "string": {"min": "minLength", "max": "maxLength"},
    "list": {"min": "minItems", "max": "maxItems"},
}
_PARAMETERS = {"querystring": "query", "uri": "path", "header": "header"}


def openapi(model: Raw, *, server: str, version: str) -> dict[str, Any]:
    """The model as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for name, operation in model["operations"].items():
        path = paths.setdefault(operation["http"]["requestUri"], {})
        path[operation["http"]["method"].lower()] = _operation(model, name, operation)
    used = [name for name, shape in model["shapes"].items() if shape["type"] in ("structure", "list", "map")]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{model['metadata']['serviceFullName']}'s own API",
            "summary": model["documentation"],
            "version": version,
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"schemas": {name: _schema(model["shapes"], model["shapes"][name]) for name in used}},
    }


def _operation(model: Raw, name: str, operation: Raw) -> dict[str, Any]:
    shapes = model["shapes"]
    request, response = shapes[operation["input"]["shape"]], shapes[operation["output"]["shape"]]
    placed = {key: use for key, use in request["members"].items() if "location" in use}
    in_body = {key: use for key, use in request["members"].items() if "location" not in use}
    document: dict[str, Any] = {
        "operationId": name,
        "summary": operation["documentation"],
        "parameters": [_parameter(shapes, request, key, use) for key, use in placed.items()],
        "responses": {
            str(operation["http"]["responseCode"]): {
                "description": response["documentation"],
                "content": _content(response, operation["output"]["shape"]),
            }
        },
    }
    if in_body:
        schema = _structure(shapes, {**request, "members": in_body})
        document["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    for error in operation.get("errors", ()):
        shape = shapes[error["shape"]]
        answer = document["responses"].setdefault(
            str(shape["error"]["httpStatusCode"]),
            {"description": "", "content": {"application/json": {"schema": {"$ref": _reference(error["shape"])}}}},
        )
        answer["description"] = f"{answer['description']} {error['shape']}: {shape['documentation']}".strip()
    return document


def _content(response: Raw, name: str) -> dict[str, Any]:
    if not response.get("payload"):
        return {"application/json": {"schema": {"$ref": _reference(name)}}}
    kind = (
        response["members"]["contentType"]["documentation"].rstrip(".") if "contentType" in response["members"] else ""
    )
    return {kind if "/" in kind else "*/*": {}}


def _parameter(shapes: Raw, request: Raw, name: str, use: Raw) -> dict[str, Any]:
    schema = _schema(shapes, shapes[use["shape"]])
    if use.get("timestampFormat") == "iso8601":
        schema = {"type": "string", "format": "date-time"}
    return {
        "name": use["locationName"],
        "in": _PARAMETERS[use["location"]],
        "required": use["location"] == "uri" or name in request.get("required", ()),
        "description": use["documentation"],
        "schema": schema,
    }


def _schema(shapes: Raw, shape: Raw) -> dict[str, Any]:
    kind = shape["type"]
    if kind == "structure":
        return _structure(shapes, shape)
    if kind == "list":
        schema = {"type": "array", "items": _use(shapes, shape["member"])}
    elif kind == "map":
        schema = {"type": "object", "additionalProperties": _use(shapes, shape["value"])}
    else:
        schema = dict(_TYPES[kind])
    limits = _LIMITS.get(kind, {"min": "minimum", "max": "maximum"})
    schema |= {there: shape[here] for here, there in limits.items() if here in shape}
    schema |= {key: shape[key] for key in ("enum", "pattern") if key in shape}
    return schema


def _structure(shapes: Raw, shape: Raw) -> dict[str, Any]:
    properties = {}
    for name, use in shape["members"].items():
        properties[name] = _use(shapes, use)
        if "documentation" in use:
            properties[name] = {**properties[name], "description": use["documentation"]}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [name for name in shape.get("required", ()) if name in properties]
    if required:
        schema["required"] = required
    return schema


def _use(shapes: Raw, use: Raw) -> dict[str, Any]:
    shape = shapes[use["shape"]]
    if shape["type"] in ("structure", "list", "map"):
        return {"$ref": _reference(use["shape"])}
    return _schema(shapes, shape)


def _reference(name: str) -> str:
    return f"#/components/schemas/{name}"


def page(model: Raw, *, server: str, version: str) -> str:
    """The model as one HTML page: every operation with what it takes and answers, and a curl line."""
    sections = "".join(_section(model, name, each, server) for name, each in model["operations"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Penstock's own API</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
:root {{ color-scheme: light dark }}
h2 {{ margin: 2.5rem 0 0; font-size: 1.1rem }} code, pre {{ font: 14px/1.4 ui-monospace, monospace }}
pre {{ padding: .6rem; border: 1px solid #8886; border-radius: .4rem; overflow: auto }}
table {{ border-collapse: collapse; width: 100% }}
td {{ padding: .2rem .8rem .2rem 0; vertical-align: top; border-top: 1px solid #8883 }}
</style>
<h1>Penstock's own API</h1>
<p>{html.escape(model["documentation"])} Version {html.escape(version)}.
Also as <a href="/_penstock/openapi.json">OpenAPI 3.1</a>.
Any credentials will do; an access key id of twelve digits names the account.</p>
{sections}</html>
"""


def _section(model: Raw, name: str, operation: Raw, server: str) -> str:
    shapes, http = model["shapes"], operation["http"]
    method = "" if http["method"] == "GET" else f"-X {http['method']} "
    return (
        f"<h2>{html.escape(name)}</h2><p>{html.escape(operation['documentation'])}</p>"
        f"<pre>curl {method}{html.escape(server + http['requestUri'])}</pre>"
        + _table("takes", shapes, shapes[operation["input"]["shape"]])
        + _table("answers", shapes, shapes[operation["output"]["shape"]])
    )


def _table(title: str, shapes: Raw, shape: Raw) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(use.get('locationName', name))}</code></td>"
        f"<td>{html.escape(shapes[use['shape']]['type'])}</td><td>{html.escape(use.get('documentation', ''))}</td></tr>"
        for name, use in shape["members"].items()
    )
    return f"<table><caption>{title}</caption>{rows}</table>" if rows else ""
