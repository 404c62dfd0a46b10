"""botocore's own serializer and parser, and our router and codecs, over plain values."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.awsrequest
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize

from penstock.engine.model import OperationModel, load
from penstock.wire.credentials import Credential
from penstock.wire.hosts import Hosts
from penstock.wire.router import Routed, Router
from penstock.wire.values import Request, Response


@cache
def botocore_service(name: str) -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model(name, "service-2"), name)


@cache
def router(name: str) -> Router:
    return Router({name: name})


def request_of(service: str, operation: str, parameters: dict[str, Any], protocol: str) -> Request:
    """The request that botocore sends for these parameters."""
    model = botocore_service(service).operation_model(operation)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    return as_request(serializer.serialize_to_request(parameters, model))


def as_request(serialized: dict[str, Any]) -> Request:
    serialized.setdefault("context", {})
    botocore.awsrequest.prepare_request_dict(serialized, "http://127.0.0.1:4566", context={})
    prepared = botocore.awsrequest.create_request_object(serialized).prepare()
    url = urlsplit(prepared.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
    }
    body = prepared.body or b""
    if isinstance(body, str):
        body = body.encode()
    return Request(prepared.method, url.path or "/", url.query, headers, body, "127.0.0.1:4566")


def route(service: str, request: Request) -> Routed:
    scope = Credential("k", "20260101", "us-east-1", load(service).signing_name)
    return router(service).route(request, Hosts().read(request.host), scope)


class Headers(dict[str, str]):
    """Headers as botocore's parsers get them: without regard to case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in pairs)

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())


def response_dict(response: Response, operation: str) -> dict[str, Any]:
    headers = list(response.headers)
    if response.content_type:
        headers.append(("Content-Type", response.content_type))
    return {
        "headers": Headers(headers),
        "status_code": response.status,
        "body": response.body,
        "context": {"operation_name": operation},
    }


def parsed(service: str, operation: OperationModel, response: Response, protocol: str) -> Any:
    """What botocore's parser makes of an answer."""
    shape = botocore_service(service).operation_model(operation.name).output_shape
    document = response_dict(response, operation.name)
    payload = operation.output.shape.payload if operation.output is not None else None
    blob = payload is not None and operation.output_members[payload].shape.type == "blob"
    if blob:
        document["body"] = memoryview(document["body"])  # botocore gives its parser a stream here, not bytes
    result = botocore.parsers.create_parser(protocol).parse(document, shape)
    if blob and payload in result:
        result[payload] = bytes(result[payload])
    if payload is not None and not response.body:
        result.pop(payload, None)  # it makes an empty structure of no body at all
    return result
