"""Functions: create, update, get, list, delete."""

from __future__ import annotations

from dataclasses import replace

from penstock.base.errors import CannotRun, Unsupported
from penstock.engine.context import Context, Parts, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_ import configuration, consumers, layers, records, uploads
from penstock.services.lambda_.configuration import AT_CREATION, KEPT, REFUSED, FunctionRow
from penstock.services.lambda_.errors import (
    InvalidParameterValue,
    PreconditionFailed,
    ResourceConflict,
)
from penstock.services.lambda_.records import find, get, put, reference_of, runnable
from penstock.services.lambda_.rules import (
    LATEST,
    UNZIPPED_BYTES,
    page,
    parse_reference,
)
from penstock.services.lambda_.tags import check_tags


@operation(kept=KEPT, refused=REFUSED)
async def create_function(cx: WaitingContext, request: Request) -> Response:
    """Create a function from a zip package; it is Active at once."""
    return await create(cx, request, uploads.zip_in("CreateFunction", "Code", request["Code"]))


async def create(cx: WaitingContext, request: Request, data: bytes) -> Response:
    """Create a function whose package is at hand: CreateFunction without the limit of direct uploads."""
    configuration.refuse_values("CreateFunction", request)
    reference = parse_reference(request["FunctionName"], None, cx.account, cx.region)
    settings = configuration.new_settings(request, reference.name, reference.account)
    tags = check_tags(request.get("Tags") or {})
    async with uploads.uploaded(cx, data) as package:

        def insert(inner: Context) -> FunctionRow:
            if find(inner, reference.account, reference.region, reference.name) is not None:
                raise ResourceConflict(f"Function already exist: {reference.name}")
            row = FunctionRow(
                reference.account, reference.region, reference.name,
                settings | {"Layers": layers.resolve(inner, request.get("Layers") or [])},
                package.digest, package.size, package.unzipped, inner.names.uuid(), inner.now, None, tags, None,
            )  # fmt: skip
            check_runnable(inner.parts, row, "CreateFunction")
            put(inner, row)
            layers.use(inner, row)
            consumers.reconcile(inner, reference)
            return row

        return configuration.describe(await cx.transact(insert))


@operation(
    kept={"Architectures"},
    refused={
        "PublishTo": REFUSED["PublishTo"],
        "ImageUri": "upload a zip package in ZipFile: container images come later",
        "S3Bucket": uploads.NO_BUCKETS,
        "S3Key": uploads.NO_BUCKETS,
        "S3ObjectVersion": uploads.NO_BUCKETS,
        "S3ObjectStorageMode": uploads.NO_BUCKETS,
        "SourceKMSKeyArn": "upload an unencrypted package: code is not encrypted at rest here",
    },
)
async def update_function_code(cx: WaitingContext, request: Request) -> Response:
    """Replace a function's package. Running invocations end on the old code, the next ones start on the new."""
    return await update_code(cx, request, uploads.zip_in("UpdateFunctionCode", "Code", request))


async def update_code(cx: WaitingContext, request: Request, data: bytes) -> Response:
    """UpdateFunctionCode without the limit of direct uploads."""
    configuration.refuse_values("UpdateFunctionCode", request)
    reference = reference_of(cx, request)
    architectures = request.get("Architectures")
    if architectures is not None and len(architectures) != 1:
        raise InvalidParameterValue("Architectures must name exactly one architecture: x86_64 or arm64")

    async with uploads.uploaded(cx, data) as package:

        def change(inner: Context) -> FunctionRow:
            old = get(inner, reference)
            check_revision(request, old.revision)
            settings = old.settings | ({"Architectures": architectures} if architectures else {})
            row = replace(
                old, settings=settings, code_digest=package.digest, code_size=package.size,
                unzipped=package.unzipped, revision=inner.names.uuid(), modified=inner.now,
            )  # fmt: skip
            check_runnable(inner.parts, row, "UpdateFunctionCode")
            if request.get("DryRun"):
                return row
            store_change(inner, old, row)
            return row

        return configuration.describe(await cx.transact(change))


@operation(
    kept=KEPT - {"Architectures", "Tags"},
    refused={name: why for name, why in REFUSED.items() if name not in AT_CREATION},
)
def update_function_configuration(cx: Context, request: Request) -> Response:
    """Change a function's settings; what is not named stays."""
    configuration.refuse_values("UpdateFunctionConfiguration", request)
    reference = reference_of(cx, request)
    old = get(cx, reference)
    check_revision(request, old.revision)
    settings = configuration.changed_settings(old.settings, request, old.name, old.account)
    if request.get("Layers") is not None:
        settings["Layers"] = layers.resolve(cx, request["Layers"])
    row = replace(old, settings=settings, revision=cx.names.uuid(), modified=cx.now)
    check_runnable(cx.parts, row, "UpdateFunctionConfiguration")
    store_change(cx, old, row)
    return configuration.describe(row)


@operation
def get_function(cx: Context, request: Request) -> Response:
    """A function's settings, tags, reserved concurrency and where its package is."""
    row = get(cx, reference_of(cx, request))
    answer: Response = {
        "Configuration": configuration.describe(row, request.get("Qualifier")),
        "Code": {"RepositoryType": "File", "Location": cx.parts.blobs.path(row.code_digest).as_uri()},
    }
    if row.tags:
        answer["Tags"] = row.tags
    if row.reserved is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": row.reserved}
    return answer


@operation
def get_function_configuration(cx: Context, request: Request) -> Response:
    """A function's settings."""
    return configuration.describe(get(cx, reference_of(cx, request)), request.get("Qualifier"))


@operation(refused={"MasterRegion": "leave it out: functions are not replicated to edge locations"})
def list_functions(cx: Context, request: Request) -> Response:
    """The functions of the account and region, by name, fifty at a time."""
    rows, marker = page(request, records.every(cx), lambda row: row.name)
    qualifier = LATEST if request.get("FunctionVersion") == "ALL" else None
    return {"Functions": [configuration.describe(row, qualifier) for row in rows], **marker}


@operation
def list_versions_by_function(cx: Context, request: Request) -> Response:
    """The one version a function has here: $LATEST."""
    row = get(cx, reference_of(cx, request))
    rows, _ = page(request, [row], lambda row: LATEST)
    return {"Versions": [configuration.describe(each, LATEST) for each in rows]}


@operation(kept={"FunctionVersion", "Marker", "MaxItems"})  # there is nothing to choose from
def list_aliases(cx: Context, request: Request) -> Response:
    """No function has aliases here."""
    get(cx, reference_of(cx, request))
    return {"Aliases": []}


@operation
def delete_function(cx: Context, request: Request) -> Response:
    """Delete a function. Running invocations end; mappings stay and take nothing until the function is back."""
    reference = reference_of(cx, request)
    if reference.qualifier == LATEST:
        raise InvalidParameterValue("$LATEST version cannot be deleted without deleting the function.")
    row = get(cx, reference)
    where = (row.account, row.region, row.name)
    cx.write("DELETE FROM lambda_function WHERE account = ? AND region = ? AND name = ?", where)
    cx.write("DELETE FROM lambda_invoke_config WHERE account = ? AND region = ? AND name = ?", where)
    layers.unuse(cx, row)
    records.forget(cx, row.account, row.region, None if row.reserved is not None else row.name)
    consumers.reconcile(cx, reference)
    uploads.let_go(cx, row.code_digest, row.arn)
    return {"StatusCode": 204}


def store_change(cx: Context, old: FunctionRow, row: FunctionRow) -> None:
    """Write a changed function and retire the environments of its earlier state."""
    put(cx, row)
    if old.settings.get("Layers") != row.settings.get("Layers"):
        layers.unuse(cx, old)
        layers.use(cx, row)
    uploads.let_go(cx, old.code_digest, row.arn, runnable(cx.parts, row).revision)


def check_revision(request: Request, current: str) -> None:
    """AWS's answer to a RevisionId that is not the current one."""
    if request.get("RevisionId") not in (None, current):
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def check_runnable(parts: Parts, row: FunctionRow, operation_name: str) -> None:
    """Refuse what cannot run: code and layers over 250 MB, a runtime that this machine does not have."""
    total = row.unzipped + sum(layer["Unzipped"] for layer in row.settings.get("Layers") or ())
    if total > UNZIPPED_BYTES:
        raise InvalidParameterValue(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES} bytes. "
            f"The actual size is {total} bytes."
        )
    try:
        parts.environments.check(runnable(parts, row))
    except CannotRun as error:
        raise Unsupported(f"Runtime {row.settings['Runtime']} of {operation_name} is not supported: {error}") from error
