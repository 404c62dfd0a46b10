"""Signature Version 2, which S3 still takes and with which boto3 presigns URLs unless it is told otherwise.

"Signing and authenticating REST requests (AWS signature version 2)" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from penstock.wire.values import Request

_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip


def fields_of(query: str) -> dict[str, str]:
    """The fields of a query string, decoded."""
    pairs = (field.partition("=") for field in query.split("&") if field)
    return {unquote(name): unquote(value.replace("+", " ")) for name, _, value in pairs}


def signatures_of(request: Request, secret: str) -> Iterator[str]:
    """The signatures the request may carry: one per bucket that its host may name, and one for none."""
    fields = fields_of(request.query)
    presigned = "Signature" in fields
    headers = {name: value for name, value in request.headers.items() if name.startswith("x-amz-")}
    if presigned:
        headers |= {name.lower(): value for name, value in fields.items() if name.lower().startswith("x-amz-")}
    else:
        headers.pop("x-amz-date", None)
    date = fields.get("Expires", "") if presigned else request.headers.get("date", "")
    if "x-amz-date" in request.headers and not presigned:
        headers["x-amz-date"], date = request.headers["x-amz-date"], ""
    amz = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    start = f"{request.method}\n{_header(request, fields, 'content-md5')}\n{_header(request, fields, 'content-type')}\n"
    for resource in _resources(request):
        digest = hmac.digest(secret.encode(), f"{start}{date}\n{amz}{resource}".encode(), "sha1")
        yield base64.b64encode(digest).decode()


def _header(request: Request, fields: Mapping[str, str], name: str) -> str:
    return request.headers.get(name, fields.get(name, ""))


def _resources(request: Request) -> Iterator[str]:
    pairs = [field.partition("=") for field in request.query.split("&")]
    wanted = sorted((name, separator, unquote(value)) for name, separator, value in pairs if name in _SUBRESOURCES)
    query = "&".join(f"{name}{separator}{value}" for name, separator, value in wanted)
    suffix = f"?{query}" if query else ""
    yield request.path + suffix
    labels = request.host.partition(":")[0].split(".")
    for count in range(1, len(labels)):
        yield f"/{'.'.join(labels[:count])}{request.path}{suffix}"
