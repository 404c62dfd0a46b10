"""LogFormat JSON: the platform's own lines as JSON objects, those below the SystemLogLevel left out.

The application's lines are the runtime client's business: it gets format and level in AWS_LAMBDA_LOG_FORMAT and
AWS_LAMBDA_LOG_LEVEL. What a function prints stays as it is.
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html and
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from penstock.engine.compute import Function, Invocation, InvocationResult
from penstock.services.lambda_.rules import record_timestamp

_LEVELS: Final = ("DEBUG", "INFO", "WARN")

Line = tuple[int, str]


def variables(logging: Mapping[str, str]) -> dict[str, str]:
    """What tells a runtime client which format and level to log in; nothing for text."""
    if logging.get("LogFormat") != "JSON":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": logging["ApplicationLogLevel"]}


def as_json(
    lines: Iterable[Line], function: Function, invocation: Invocation, result: InvocationResult, level: str
) -> list[Line]:
    """An invocation's log with the platform's lines as JSON."""
    identity = f"RequestId: {invocation.request_id}"
    found: list[Line] = []
    for at, text in lines:
        if text.startswith("INIT_START Runtime Version: "):
            told = _init_start(function, text.rpartition(": ")[2])
        elif text.startswith(f"START {identity} "):
            told = ("INFO", "platform.start", {"requestId": invocation.request_id, "version": function.version})
        elif text.startswith(f"END {identity}"):
            told = _runtime_done(invocation, result)
        elif text.startswith(f"REPORT {identity}\t"):
            told = _report(function, invocation, result)
        else:
            found.append((at, text))
            continue
        severity, kind, record = told
        if _LEVELS.index(severity) >= _LEVELS.index(level):
            line = orjson.dumps({"time": record_timestamp(at), "type": kind, "record": record})
            found.append((at, line.decode()))
    return found


Told = tuple[str, str, dict[str, Any]]


def _init_start(function: Function, runtime_version: str) -> Told:
    record = {
        "initializationType": "on-demand",
        "phase": "init",
        "runtimeVersion": runtime_version,
        "functionName": function.name,
        "functionVersion": function.version,
    }
    return "INFO", "platform.initStart", record


def _runtime_done(invocation: Invocation, result: InvocationResult) -> Told:
    record = {
        "requestId": invocation.request_id,
        "status": result.status,
        "metrics": {"durationMs": result.duration_ms, "producedBytes": len(result.payload)},
    }
    return "DEBUG" if result.status == "success" else "WARN", "platform.runtimeDone", record


def _report(function: Function, invocation: Invocation, result: InvocationResult) -> Told:
    metrics: dict[str, Any] = {
        "durationMs": result.duration_ms,
        "billedDurationMs": result.billed_ms,
        "memorySizeMB": function.memory_mb,
        "maxMemoryUsedMB": result.max_memory_mb,
    }
    if result.init_ms is not None:
        metrics["initDurationMs"] = round(result.init_ms, 2)
    record = {"requestId": invocation.request_id, "metrics": metrics, "status": result.status}
    return "INFO" if result.status == "success" else "WARN", "platform.report", record
