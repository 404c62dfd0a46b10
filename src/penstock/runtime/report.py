"""What Lambda writes to a function's log by itself, and the documents that tell a caller what went wrong.

The forms are those of text logs since 2025: durations with INIT billed, Status on what the platform ended. Sources:
docs.aws.amazon.com/lambda/latest/dg/python-logging.html and lambda-runtime-environment.html (INIT_REPORT, phases), and
logs of functions on AWS.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import orjson

from penstock.engine.compute import Function, InvocationResult

TIMED_OUT = "Sandbox.Timedout"
RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"
OUT_OF_MEMORY = "Runtime.OutOfMemory"


def day(at_ms: int) -> str:
    """The date that begins a log stream's name."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y/%m/%d")


def init_start(runtime: str) -> str:
    """The first line of an environment."""
    return f"INIT_START Runtime Version: {runtime}"


def init_report(duration_ms: float, phase: str, status: str, error_type: str = "") -> str:
    """What became of an INIT that did not succeed at the first time. ``phase``: init or invoke."""
    line = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return f"{line}\tError Type: {error_type}" if error_type else line


def start(request_id: str, version: str) -> str:
    """The line before an invocation's own."""
    return f"START RequestId: {request_id} Version: {version}"


def end(request_id: str) -> str:
    """The line after an invocation's own."""
    return f"END RequestId: {request_id}"


def billed(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds, INIT included."""
    return max(1, math.ceil(duration_ms + (init_ms or 0.0)))


def report(function: Function, request_id: str, result: InvocationResult, error_type: str, trace_header: str) -> str:
    """An invocation's last line. ``error_type``: of what the platform ended; empty when the runtime answered."""
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {result.duration_ms:.2f} ms",
        f"Billed Duration: {result.billed_ms} ms",
        f"Memory Size: {function.memory_mb} MB",
        f"Max Memory Used: {result.max_memory_mb} MB",
    ]
    if result.init_ms is not None:
        fields.append(f"Init Duration: {result.init_ms:.2f} ms")
    if result.status == "timeout":
        fields.append("Status: timeout")
    elif error_type:
        fields += ["Status: error", f"Error Type: {error_type}"]
    line = "\t".join(fields) + "\t"
    if "Sampled=1" in trace_header:
        trace = dict(part.partition("=")[::2] for part in trace_header.split(";"))
        if trace.get("Sampled") == "1" and "Root" in trace:
            segment = trace.get("Parent", "")
            line += f"\nXRAY TraceId: {trace['Root']}\tSegmentId: {segment}\tSampled: true\t"
    return line


def timed_out(request_id: str, timeout_ms: int, at_ms: int) -> tuple[bytes, str]:
    """The document and the log line of an invocation that ran out of time."""
    sentence = f"Task timed out after {timeout_ms / 1000:.2f} seconds"
    at = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    document = {"errorType": TIMED_OUT, "errorMessage": f"RequestId: {request_id} Error: {sentence}"}
    return orjson.dumps(document), f"{at}Z {request_id} {sentence}\n"


def crashed(request_id: str, error_type: str, why: str) -> tuple[bytes, str]:
    """The document and the log line of a process that ended, or could not begin."""
    sentence = f"RequestId: {request_id} Error: {why}"
    return orjson.dumps({"errorType": error_type, "errorMessage": sentence}), f"{sentence}\n{error_type}"


def too_large(limit_bytes: int) -> bytes:
    """The document of an answer that Lambda does not take."""
    message = f"Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."
    return orjson.dumps({"errorMessage": message, "errorType": RESPONSE_TOO_LARGE})
