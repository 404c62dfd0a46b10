"""Concurrency: what is reserved for a function, and what the account has."""

from __future__ import annotations

from dataclasses import replace

from penstock.base.errors import Unsupported
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_ import records, uploads
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.records import get, put, reference_of, unreserved
from penstock.services.lambda_.rules import (
    ACCOUNT_CODE_BYTES,
    ACCOUNT_CONCURRENCY,
    DIRECT_UPLOAD_BYTES,
    UNRESERVED_MINIMUM,
    UNZIPPED_BYTES,
)


@operation
def put_function_concurrency(cx: Context, request: Request) -> Response:
    """Reserve concurrency: the function gets as much, and no more; 0 lets nothing run."""
    row = get(cx, reference_of(cx, request))
    reserved = request["ReservedConcurrentExecutions"]
    if unreserved(cx, row.account, row.region) + (row.reserved or 0) - reserved < UNRESERVED_MINIMUM:
        raise InvalidParameterValue(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{UNRESERVED_MINIMUM}]."
        )
    put(cx, replace(row, reserved=reserved))
    records.forget(cx, row.account, row.region)
    return {"ReservedConcurrentExecutions": reserved}


@operation
def get_function_concurrency(cx: Context, request: Request) -> Response:
    """What is reserved for a function; nothing when it shares the account's."""
    row = get(cx, reference_of(cx, request))
    return {} if row.reserved is None else {"ReservedConcurrentExecutions": row.reserved}


@operation
def delete_function_concurrency(cx: Context, request: Request) -> Response:
    """Let a function share the account's concurrency again."""
    row = get(cx, reference_of(cx, request))
    put(cx, replace(row, reserved=None))
    records.forget(cx, row.account, row.region)
    return {}


@operation
def get_account_settings(cx: Context, request: Request) -> Response:
    """The account's limits in this region and what it uses of them."""
    count = cx.one("SELECT count(*) FROM lambda_function WHERE account = ? AND region = ?", (cx.account, cx.region))
    return {
        "AccountLimit": {
            "TotalCodeSize": ACCOUNT_CODE_BYTES,
            "CodeSizeUnzipped": UNZIPPED_BYTES,
            "CodeSizeZipped": DIRECT_UPLOAD_BYTES,
            "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
            "UnreservedConcurrentExecutions": unreserved(cx, cx.account, cx.region),
        },
        "AccountUsage": {"TotalCodeSize": uploads.code_bytes(cx), "FunctionCount": count[0] if count else 0},
    }


@operation
def get_function_recursion_config(cx: Context, request: Request) -> Response:
    """What happens to recursive loops: they are allowed, since they are not detected yet."""
    get(cx, reference_of(cx, request))
    return {"RecursiveLoop": "Allow"}


@operation
def put_function_recursion_config(cx: Context, request: Request) -> Response:
    """Allow recursive loops; ending them is refused, since they are not detected yet."""
    get(cx, reference_of(cx, request))
    refuse_ending_loops(request)
    return {"RecursiveLoop": "Allow"}


def refuse_ending_loops(request: Request) -> None:
    """Refuse RecursiveLoop Terminate."""
    if request["RecursiveLoop"] != "Allow":
        raise Unsupported(
            "RecursiveLoop Terminate of PutFunctionRecursionConfig is not supported: recursive loops are not detected "
            "yet; set it to Allow"
        )


@operation
def get_function_code_signing_config(cx: Context, request: Request) -> Response:
    """No function has a code signing configuration here."""
    return {"FunctionName": get(cx, reference_of(cx, request)).name}
