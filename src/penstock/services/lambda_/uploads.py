"""Code on its way in and out: kept before a commit names it, swept when the last owner is gone.

A digest is written down as loose before its files are, and when an owner lets go of it; so whatever a crash leaves
is found again. A sweep removes what no row names and nobody is uploading; no upload begins while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from penstock.base.errors import Unsupported
from penstock.engine.context import Context, Parts, WaitingContext
from penstock.services.lambda_ import packages
from penstock.services.lambda_.errors import CodeStorageExceeded, InvalidParameterValue, RequestEntityTooLarge
from penstock.services.lambda_.packages import Package
from penstock.services.lambda_.records import decrement, memory_of
from penstock.services.lambda_.rules import ACCOUNT_CODE_BYTES, DIRECT_REQUEST_BYTES, DIRECT_UPLOAD_BYTES
from penstock.store.store import Transaction

_LOOSE = "INSERT OR IGNORE INTO lambda_loose_code VALUES (?)"
_OWNED = (
    "SELECT 1 FROM lambda_function WHERE code_digest = ?1 "
    "UNION ALL SELECT 1 FROM lambda_layer_version WHERE code_digest = ?1 LIMIT 1"
)
_USED = (
    "SELECT coalesce((SELECT sum(code_size) FROM lambda_function WHERE account = ?1 AND region = ?2), 0) + coalesce("
    "(SELECT sum(code_size) FROM lambda_layer_version WHERE account = ?1 AND region = ?2 AND NOT deleted), 0)"
)


NO_BUCKETS = "upload the package in ZipFile: there are no buckets yet"
_ELSEWHERE = ("S3Bucket", "S3Key", "S3ObjectVersion", "S3ObjectStorageMode", "SourceKMSKeyArn", "ImageUri")
_MISSING = {"Code": "Please provide a source for function code.", "Content": "Missing Content"}


def zip_in(operation: str, place: str, given: Mapping[str, Any]) -> bytes:
    """The zip in a request's Code or Content; buckets and images are refused by name."""
    for member in _ELSEWHERE:
        if given.get(member) is not None:
            raise Unsupported(f"{place}.{member} of {operation} (lambda) is not supported: {NO_BUCKETS}")
    data: bytes | None = given.get("ZipFile")
    if data is None:
        raise InvalidParameterValue(_MISSING[place])
    if len(data) > DIRECT_UPLOAD_BYTES:
        raise RequestEntityTooLarge(
            f"Request must be smaller than {DIRECT_REQUEST_BYTES} bytes for the {operation} operation"
        )
    return data


@asynccontextmanager
async def uploaded(cx: WaitingContext, data: bytes) -> AsyncIterator[Package]:
    """Keep a zip, for as long as it takes to commit the row that names it. Raises AWS's errors for bad packages."""
    memory = memory_of(cx.parts)
    package = await asyncio.to_thread(packages.measure, data)
    async with memory.code:
        memory.uploading[package.digest] += 1
    try:

        def begin(inner: Context) -> None:
            if code_bytes(inner) + package.size > ACCOUNT_CODE_BYTES:
                raise CodeStorageExceeded("Code storage limit exceeded.")
            loosen(inner, package.digest)

        await cx.transact(begin)
        await packages.keep(cx.parts.blobs, data, package)
        yield package
    finally:
        decrement(memory.uploading, package.digest)


def code_bytes(cx: Context) -> int:
    """How much code the account has in this region."""
    row = cx.one(_USED, (cx.account, cx.region))
    return row[0] if row else 0


def loosen(cx: Context, digest: str) -> None:
    """Write down that code may have nobody left."""
    cx.write(_LOOSE, (digest,))


def let_go(cx: Context, digest: str, function_arn: str | None = None, keep_revision: str | None = None) -> None:
    """An owner no longer needs this code: end environments that run it and sweep, once that is durable."""
    loosen(cx, digest)
    parts = cx.parts
    cx.after(lambda: parts.spawn(_retire_and_sweep(parts, function_arn, keep_revision), "lambda code sweep"))


async def _retire_and_sweep(parts: Parts, function_arn: str | None, keep_revision: str | None) -> None:
    if function_arn is not None:
        await parts.environments.retire(function_arn=function_arn, keep=keep_revision)
    await sweep(parts)


async def sweep(parts: Parts) -> None:
    """Remove the loose code that no row names; while functions run, which may be on old code, it is put off."""
    memory = memory_of(parts)
    async with memory.code:
        memory.unswept = bool(memory.running)
        if memory.unswept:
            return
        for (digest,) in await parts.store.transact(lambda tx: tx.all("SELECT digest FROM lambda_loose_code")):
            if memory.uploading[digest]:
                continue
            if not await parts.store.transact(partial(_owned, digest)):
                await packages.forget(parts.blobs, digest)
            await parts.store.transact(partial(_tighten, digest))


def _owned(digest: str, tx: Transaction) -> bool:
    return tx.one(_OWNED, (digest,)) is not None


def _tighten(digest: str, tx: Transaction) -> None:
    tx.write("DELETE FROM lambda_loose_code WHERE digest = ?", (digest,))
