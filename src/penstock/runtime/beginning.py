"""What an environment begins with: an access key of its own, and all that the launcher needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.base.names import Arn, Names
from penstock.engine.access import Credentials, Principal, root
from penstock.engine.compute import Function
from penstock.runtime.inside.sandbox import ETC, SYSTEM
from penstock.runtime.launcher import Sandbox
from penstock.runtime.packages import runtime_packages, standard_library
from penstock.runtime.runtimes import Runtime
from penstock.runtime.variables import variables

KEY_LIFE_MS = 36 * 3_600_000  # of an environment's access key: longer than environments live
FRAMES_DESCRIPTOR = 4  # where awslambdaric finds the log's frames: the same pipe as its output
READABLE = (*SYSTEM, *(f"/etc/{name}" for name in ETC), "/etc/passwd", "/etc/group", "/proc", "/dev", "/sys")


def new_key(function: Function, names: Names, now_ms: int) -> Credentials:
    """An access key for one environment: a session of the function's role, named after the function as on AWS."""
    if function.role:
        role_name = function.role.rsplit("/", 1)[-1]
        arn = str(Arn("sts", "", function.account, f"assumed-role/{role_name}/{function.name}"))
        principal = Principal(function.account, arn, f"AROA{names.text(17)}:{function.name}", role=function.role)
    else:
        principal = root(function.account)
    expires = now_ms + KEY_LIFE_MS
    return Credentials(f"ASIA{names.text(16)}", names.secret(40), names.secret(240), expires, principal)


def folders_of(function: Function, sandbox: Sandbox, opt: Path | None, scratch: Path, tmp: Path) -> dict[str, str]:
    """Where the function's process finds task, opt, runtime and tmp: Lambda's places, real ones without namespaces."""
    if sandbox.private:
        return {"task": "/var/task", "opt": "/opt", "runtime": "/var/runtime", "tmp": "/tmp"}
    return {
        "task": str(function.code),
        "opt": str(opt or scratch / "none"),
        "runtime": str(scratch / "runtime"),
        "tmp": str(tmp),
    }


def launch_message(
    function: Function, runtime: Runtime, sandbox: Sandbox, folders: dict[str, str], *, opt: Path | None,
    credentials: Credentials, endpoint: str, api: str, log_stream: str,
) -> dict[str, Any]:  # fmt: skip
    """What ``inside/first.py`` reads."""
    environment = variables(
        function, runtime, sandbox, folders, credentials=credentials, endpoint=endpoint, api=api, log_stream=log_stream
    )
    python = function.runtime if runtime.kind == "python" else ""
    if python:
        environment["_LAMBDA_TELEMETRY_LOG_FD"] = str(FRAMES_DESCRIPTOR)
    task, own = folders["task"], f"{folders['opt']}/python"
    message: dict[str, Any] = {
        "kind": "python" if python else "exec",
        "code": str(function.code.resolve()),
        "layers": None if opt is None else str(opt.resolve()),
        "ephemeral_mb": function.ephemeral_mb,
        "environment": environment,
        "searched": [task, f"{own}/lib/{python}/site-packages", own],
        "programs": runtime.commands(folders, function.memory_mb),
    }
    if not sandbox.private:
        packages = map(str, (*runtime_packages().values(), *standard_library()))
        message["readable"] = [*READABLE, *packages, *folders.values(), *runtime.programs]
        message["writable"] = [folders["tmp"], "/dev/null", "/dev/tty"]
    return message
