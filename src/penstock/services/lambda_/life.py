"""What the service does when the platform starts and when an account is reset."""

from __future__ import annotations

from penstock.engine.context import Context, Parts
from penstock.services.lambda_ import consumers, uploads
from penstock.services.lambda_.records import memory_of

_TABLES = ("lambda_function", "lambda_invoke_config", "lambda_layer", "lambda_layer_version", "lambda_function_layer")


def start(parts: Parts) -> None:
    """Sweep code that nobody owns any more, and let every enabled mapping go on."""
    parts.spawn(uploads.sweep(parts), "lambda code sweep")
    consumers.start(parts)


def reset(cx: Context, account: str | None) -> None:
    """Forget an account (None: every one). Its environments and consumers have ended already."""
    where, parameters = ("", ()) if account is None else (" WHERE account = ?", (account,))
    for table in ("lambda_function", "lambda_layer_version"):
        cx.write(f"INSERT OR IGNORE INTO lambda_loose_code SELECT code_digest FROM {table}{where}", parameters)
    for table in (*_TABLES, "lambda_mapping"):
        cx.write(f"DELETE FROM {table}{where}", parameters)
    parts = cx.parts

    def effect() -> None:
        functions = memory_of(parts).functions
        for key in [key for key in functions if account in (None, key[0])]:
            del functions[key]
        parts.spawn(uploads.sweep(parts), "lambda code sweep")

    cx.after(effect)
