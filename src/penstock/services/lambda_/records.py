"""Functions as rows, and what of them is held in memory so that a warm invoke reads nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from penstock.base.names import Arn
from penstock.engine.compute import Function
from penstock.engine.context import Context, Parts, WaitingContext
from penstock.services.lambda_ import log_format
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.packages import folder_of
from penstock.services.lambda_.rules import ACCOUNT_CONCURRENCY, LATEST, Reference, not_found, parse_reference

NAME: Final = "lambda"  # the service in ARNs and the registry

_COLUMNS: Final = (
    "account, region, name, settings, code_digest, code_size, unzipped, revision, modified, reserved, tags, policy"
)
_FIND: Final = f"SELECT {_COLUMNS} FROM lambda_function WHERE account = ? AND region = ? AND name = ?"
_LIST: Final = f"SELECT {_COLUMNS} FROM lambda_function WHERE account = ? AND region = ? ORDER BY name"
_PUT: Final = f"INSERT OR REPLACE INTO lambda_function ({_COLUMNS}) VALUES ({','.join('?' * 12)})"

Key = tuple[str, str, str]
H = TypeVar("H", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A function ready to run."""

    row: FunctionRow
    function: Function
    unreserved: int  # what the account's other functions share, in its region


@dataclass(slots=True)
class Memory:
    """What Lambda keeps in memory on one platform; a restart loses nothing by losing it."""

    functions: dict[Key, Loaded] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)  # admitted invocations, by function ARN
    unreserved: Counter[tuple[str, str]] = field(default_factory=Counter)  # of functions without a reservation
    # Batches that found no room, by function ARN and run: until when (platform ms) a unit is kept for each.
    turned_away: dict[str, dict[int, int]] = field(default_factory=dict)
    uploading: Counter[str] = field(default_factory=Counter)  # digests
    unswept: bool = False  # a sweep found functions running
    code: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by a sweep, and for a moment by an upload


def decrement(counter: Counter[H], key: H) -> None:
    """Count one down; what is at zero is forgotten."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def memory_of(parts: Parts) -> Memory:
    """The service's memory, from wherever the platform's parts are."""
    memory: Memory = parts.states[NAME]
    return memory


def reference_of(cx: Context | WaitingContext, request: dict[str, Any]) -> Reference:
    """Which function a request names."""
    return parse_reference(request["FunctionName"], request.get("Qualifier"), cx.account, cx.region)


def reference_of_arn(arn: str) -> Reference:
    """Which function an ARN names."""
    parsed = Arn.parse(arn)
    return parse_reference(arn, None, parsed.account, parsed.region)


def find(cx: Context, account: str, region: str, name: str) -> FunctionRow | None:
    """A function's row, or None."""
    row = cx.one(_FIND, (account, region, name))
    return _row(row) if row else None


def get(cx: Context, reference: Reference) -> FunctionRow:
    """The function a caller named; AWS's 404 when it, or the version named, does not exist."""
    row = find(cx, reference.account, reference.region, reference.name)
    if row is None or reference.qualifier not in (None, LATEST):
        raise not_found(reference)
    return row


def every(cx: Context) -> list[FunctionRow]:
    """Every function of the account and region, by name."""
    return [_row(row) for row in cx.all(_LIST, (cx.account, cx.region))]


def put(cx: Context, row: FunctionRow) -> None:
    """Write a function and forget what memory holds of it."""
    cx.write(
        _PUT,
        (
            row.account, row.region, row.name, orjson.dumps(row.settings).decode(), row.code_digest, row.code_size,
            row.unzipped, row.revision, row.modified, row.reserved, orjson.dumps(row.tags).decode(),
            None if row.policy is None else orjson.dumps(row.policy).decode(),
        ),
    )  # fmt: skip
    forget(cx, row.account, row.region, row.name)


def forget(cx: Context, account: str, region: str, name: str | None = None) -> None:
    """Have memory forget a function, or a whole region of an account, once this transaction is durable."""
    functions = memory_of(cx.parts).functions

    def effect() -> None:
        for key in [key for key in functions if key[:2] == (account, region) and name in (None, key[2])]:
            del functions[key]

    cx.after(effect)


async def load(cx: WaitingContext, reference: Reference) -> Loaded:
    """The function a caller named, ready to run; AWS's 404 when it does not exist."""
    key = (reference.account, reference.region, reference.name)
    loaded = memory_of(cx.parts).functions.get(key)
    if loaded is None:
        loaded = await cx.transact(lambda inner: _load(inner, reference))
    if reference.qualifier not in (None, LATEST):
        raise not_found(reference)
    return loaded


def _load(cx: Context, reference: Reference) -> Loaded:
    row = find(cx, reference.account, reference.region, reference.name)
    if row is None:
        raise not_found(reference)
    loaded = Loaded(row, runnable(cx.parts, row), unreserved(cx, row.account, row.region))
    functions = memory_of(cx.parts).functions
    # In the order of commits: a change that follows in the same group forgets it again.
    cx.after(lambda: functions.__setitem__((row.account, row.region, row.name), loaded))
    return loaded


def unreserved(cx: Context, account: str, region: str) -> int:
    """How much concurrency the functions without a reservation share."""
    row = cx.one(
        "SELECT coalesce(sum(reserved), 0) FROM lambda_function WHERE account = ? AND region = ?", (account, region)
    )
    return ACCOUNT_CONCURRENCY - (row[0] if row else 0)


def runnable(parts: Parts, row: FunctionRow) -> Function:
    """What execution environments need of a function. The revision is that of code and settings alone."""
    settings = row.settings
    digest = hashlib.sha256(orjson.dumps([row.code_digest, settings], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Function(
        arn=row.arn,
        name=row.name,
        version=LATEST,
        account=row.account,
        region=row.region,
        revision=digest[:32],
        runtime=settings["Runtime"],
        handler=settings["Handler"],
        code=folder_of(parts.blobs, row.code_digest),
        layers=tuple(folder_of(parts.blobs, layer["Digest"]) for layer in settings.get("Layers") or ()),
        memory_mb=settings["MemorySize"],
        timeout_ms=settings["Timeout"] * 1000,
        ephemeral_mb=settings["EphemeralStorage"]["Size"],
        environment={
            **((settings.get("Environment") or {}).get("Variables") or {}),
            **log_format.variables(settings["LoggingConfig"]),
        },
        role=settings["Role"],
        log_group=row.log_group,
        architecture=settings["Architectures"][0],
    )


def _row(row: tuple[Any, ...]) -> FunctionRow:
    return FunctionRow(
        row[0], row[1], row[2], orjson.loads(row[3]), row[4], row[5], row[6], row[7], row[8], row[9],
        orjson.loads(row[10]), None if row[11] is None else orjson.loads(row[11]),
    )  # fmt: skip
