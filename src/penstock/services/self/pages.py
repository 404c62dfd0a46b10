"""This API described: as OpenAPI 3.1 and as a page to read, both made from its model."""

from __future__ import annotations

from pathlib import Path

import orjson

from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.openapi import openapi, page

MODEL = Path(__file__).with_name("service-2.json")


@operation
async def get_description(cx: WaitingContext, request: Request) -> Response:
    """This API as OpenAPI 3.1."""
    model = orjson.loads(MODEL.read_bytes())
    document = openapi(model, server=cx.parts.endpoint, version=cx.parts.control.health()["version"])
    return {"body": orjson.dumps(document, option=orjson.OPT_INDENT_2), "contentType": "application/json"}


@operation
async def get_page(cx: WaitingContext, request: Request) -> Response:
    """This API as a page to read."""
    model = orjson.loads(MODEL.read_bytes())
    text = page(model, server=cx.parts.endpoint, version=cx.parts.control.health()["version"])
    return {"body": text.encode(), "contentType": "text/html; charset=utf-8"}
