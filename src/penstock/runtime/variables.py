"""The environment variables of an environment.

Source: docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, "Defined runtime environment variables".
"""

from __future__ import annotations

from penstock.engine.access import Credentials
from penstock.engine.compute import Function
from penstock.runtime.launcher import Sandbox
from penstock.runtime.runtimes import Runtime, prefix_of

LIBRARIES = "/lib64:/usr/lib64"


def variables(
    function: Function, runtime: Runtime, sandbox: Sandbox, folders: dict[str, str], *, credentials: Credentials,
    endpoint: str, api: str, log_stream: str,
) -> dict[str, str]:  # fmt: skip
    """What the function's process starts with; the function's own settings win where AWS lets them.

    ``folders``: task, opt, runtime and tmp, as the process sees them.
    """
    task, opt, own = folders["task"], folders["opt"], folders["runtime"]
    given = {
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
        "LAMBDA_TASK_ROOT": task,
        "LAMBDA_RUNTIME_DIR": own,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join((LIBRARIES, own, f"{own}/lib", task, f"{task}/lib", f"{opt}/lib")),
        "PATH": ":".join((*runtime.programs, "/usr/local/bin", "/usr/bin", "/bin", f"{opt}/bin")),
        "TZ": ":UTC",
    }
    if runtime.managed:
        given["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    if runtime.kind == "python":
        given["PYTHONPATH"] = own
    if runtime.kind == "node":
        given["NODE_PATH"] = ":".join(
            (f"{opt}/nodejs/{function.runtime.removesuffix('.x').replace('nodejs', 'node')}/node_modules",
             f"{opt}/nodejs/node_modules", f"{own}/node_modules", own, task,
             f"{prefix_of(runtime.program)}/lib/node_modules")
        )  # fmt: skip
    if not sandbox.private:
        # Without namespaces the machine's own home would be the function's: its ~/.aws is none of its business.
        given |= {"TMPDIR": folders["tmp"], "HOME": folders["tmp"]}
    given |= function.environment
    return given | {"_HANDLER": function.handler, "AWS_LAMBDA_RUNTIME_API": api}
