"""Layers: packages that functions share, laid into /opt."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from penstock.engine.context import Context, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_ import uploads
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceNotFound
from penstock.services.lambda_.packages import code_sha256
from penstock.services.lambda_.rules import (
    LAYERS,
    page,
    timestamp,
)

_COLUMNS: Final = "name, version, settings, code_digest, code_size, unzipped, created, policy, revision, deleted"
_FIND: Final = (
    f"SELECT {_COLUMNS} FROM lambda_layer_version WHERE account = ? AND region = ? AND name = ? AND version = ?"
)
_LIST: Final = (
    f"SELECT {_COLUMNS} FROM lambda_layer_version WHERE account = ? AND region = ? AND NOT deleted "
    "ORDER BY name, version DESC"
)
_INSERT: Final = f"INSERT INTO lambda_layer_version (account, region, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,NULL,?,0)"
_NEXT: Final = (
    "INSERT INTO lambda_layer VALUES (?,?,?,1) ON CONFLICT (account, region, name) "
    "DO UPDATE SET latest = latest + 1 RETURNING latest"
)
_VERSION_ARN = re.compile(r"arn:aws:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+):(\d+)")
_KEPT = frozenset({"Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"})


@operation(kept=_KEPT)
async def publish_layer_version(cx: WaitingContext, request: Request) -> Response:
    """Publish a zip as the next version of a layer."""
    return await publish(cx, request, uploads.zip_in("PublishLayerVersion", "Content", request["Content"]))


async def publish(cx: WaitingContext, request: Request, data: bytes) -> Response:
    """PublishLayerVersion without the limit of direct uploads."""
    name = request["LayerName"].rpartition(":")[2]
    settings = {member: request[member] for member in _KEPT if request.get(member) is not None}
    async with uploads.uploaded(cx, data) as package:

        def insert(inner: Context) -> Response:
            ((version,),) = inner.tx.returning(_NEXT, (inner.account, inner.region, name))
            inner.write(
                _INSERT,
                (
                    inner.account, inner.region, name, version, orjson.dumps(settings).decode(), package.digest,
                    package.size, package.unzipped, inner.now, inner.names.uuid(),
                ),
            )  # fmt: skip
            return _full(inner, _find(inner, inner.account, inner.region, name, version))

        return await cx.transact(insert)


@operation
def get_layer_version(cx: Context, request: Request) -> Response:
    """One version of a layer and where its package is."""
    account, region, name = _layer(cx, request["LayerName"])
    return _full(cx.within(account, region), _find(cx, account, region, name, request["VersionNumber"]))


@operation
def get_layer_version_by_arn(cx: Context, request: Request) -> Response:
    """One version of a layer, by its ARN."""
    account, region, name, version = _parse(request["Arn"])
    return _full(cx.within(account, region), _find(cx, account, region, name, version))


@operation
def list_layers(cx: Context, request: Request) -> Response:
    """The layers of the account and region, each with its latest version that fits."""
    latest: dict[str, Any] = {}
    for row in _fitting(cx, request):
        latest.setdefault(row[0], row)
    names, marker = page(request, sorted(latest), str)
    return {
        "Layers": [
            {
                "LayerName": name,
                "LayerArn": cx.arn(f"layer:{name}", "lambda"),
                "LatestMatchingVersion": _brief(cx, latest[name]),
            }
            for name in names
        ],
        **marker,
    }


@operation
def list_layer_versions(cx: Context, request: Request) -> Response:
    """The versions of a layer, latest first."""
    account, region, name = _layer(cx, request["LayerName"])
    inner = cx.within(account, region)
    rows = [row for row in _fitting(inner, request) if row[0] == name]
    # The key sorts as the versions do: latest first.
    shown, marker = page(request, rows, lambda row: f"{10**9 - row[1]:010d}")
    return {"LayerVersions": [_brief(inner, row) for row in shown], **marker}


@operation
def delete_layer_version(cx: Context, request: Request) -> Response:
    """Delete a version of a layer; functions that have it keep it. Deleting one that is gone is no error."""
    account, region, name = _layer(cx, request["LayerName"])
    version = request["VersionNumber"]
    cx.write(
        "UPDATE lambda_layer_version SET deleted = 1 WHERE account = ? AND region = ? AND name = ? AND version = ?",
        (account, region, name, version),
    )
    _drop_unused(cx, f"arn:aws:lambda:{region}:{account}:layer:{name}:{version}")
    return {}


def resolve(cx: Context, arns: list[str]) -> list[dict[str, Any]]:
    """What a function needs of the layers it names, in their order; AWS's errors for those it cannot have."""
    if len(arns) > LAYERS:
        raise InvalidParameterValue(f"Cannot reference more than {LAYERS} layers.")
    resolved: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    for arn in arns:
        account, region, name, version = _parse(arn)
        layer_arn = f"arn:aws:lambda:{region}:{account}:layer:{name}"
        if layer_arn in seen:
            raise InvalidParameterValue(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer_arn]} and {arn} are versions of the same layer."
            )
        seen[layer_arn] = arn
        row = cx.one(_FIND, (account, region, name, version)) if region == cx.region else None
        if row is None or row[9]:
            raise InvalidParameterValue(
                f"Layer version {arn} does not exist. Layers are not fetched from elsewhere: publish it here first."
            )
        resolved.append({"Arn": arn, "CodeSize": row[4], "Digest": row[3], "Unzipped": row[5]})
    return resolved


def use(cx: Context, row: FunctionRow) -> None:
    """Write down which layer versions a function has."""
    for place, layer in enumerate(row.settings.get("Layers") or ()):
        cx.write(
            "INSERT INTO lambda_function_layer VALUES (?,?,?,?,?)",
            (row.account, row.region, row.name, place, layer["Arn"]),
        )


def unuse(cx: Context, row: FunctionRow) -> None:
    """A function no longer has its layer versions."""
    cx.write(
        "DELETE FROM lambda_function_layer WHERE account = ? AND region = ? AND name = ?",
        (row.account, row.region, row.name),
    )
    for layer in row.settings.get("Layers") or ():
        _drop_unused(cx, layer["Arn"])


def _drop_unused(cx: Context, arn: str) -> None:
    """Forget a deleted version that no function has any more."""
    account, region, name, version = _parse(arn)
    if cx.one("SELECT 1 FROM lambda_function_layer WHERE layer_arn = ?", (arn,)) is not None:
        return
    where = (account, region, name, version)
    row = cx.one(_FIND, where)
    if row is not None and row[9]:
        cx.write(
            "DELETE FROM lambda_layer_version WHERE account = ? AND region = ? AND name = ? AND version = ?", where
        )
        uploads.let_go(cx, row[3])


def _parse(arn: str) -> tuple[str, str, str, int]:
    match = _VERSION_ARN.fullmatch(arn)
    if match is None:
        raise InvalidParameterValue(f"{arn} is not the ARN of a layer version.")
    return match[2], match[1], match[3], int(match[4])


def _layer(cx: Context, text: str) -> tuple[str, str, str]:
    """Account, region and name of a layer named by its name or ARN."""
    if not text.startswith("arn:"):
        return cx.account, cx.region, text
    parts = text.split(":")
    return parts[4], parts[3], parts[6]


def _find(cx: Context, account: str, region: str, name: str, version: int) -> Any:
    row = cx.one(_FIND, (account, region, name, version))
    if row is None or row[9]:
        raise ResourceNotFound("The resource you requested does not exist.")
    return row


def _fitting(cx: Context, request: Request) -> list[Any]:
    """Layer versions that name the runtime and architecture asked for."""
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    rows = []
    for row in cx.all(_LIST, (cx.account, cx.region)):
        settings = orjson.loads(row[2])
        if runtime is not None and runtime not in settings.get("CompatibleRuntimes", ()):
            continue
        if architecture is not None and architecture not in settings.get("CompatibleArchitectures", ()):
            continue
        rows.append(row)
    return rows


def _brief(cx: Context, row: Any) -> dict[str, Any]:
    name, version, settings, _, _, _, created, *_ = row
    return {
        "LayerVersionArn": cx.arn(f"layer:{name}:{version}", "lambda"),
        "Version": version,
        "CreatedDate": timestamp(created),
        **orjson.loads(settings),
    }


def _full(cx: Context, row: Any) -> Response:
    name, _, _, digest, size, *_ = row
    return _brief(cx, row) | {
        "LayerArn": cx.arn(f"layer:{name}", "lambda"),
        "Content": {
            "Location": cx.parts.blobs.path(digest).as_uri(),
            "CodeSha256": code_sha256(digest),
            "CodeSize": size,
        },
    }
