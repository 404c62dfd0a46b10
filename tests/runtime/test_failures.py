"""What goes wrong in a function, reported in AWS's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Machine, last, texts

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_exception_is_an_unhandled_error_and_the_environment_survives_it(machine: Machine) -> None:
    function = machine.function(
        """
        count = 0
        def handler(event, context):
            global count
            count += 1
            if event == "fail":
                raise ValueError("no good")
            return count
        """
    )
    assert await machine.answer(function) == 1
    invocation = machine.invocation("fail")
    result = await machine.environments.invoke(function, invocation)
    document = json.loads(result.payload)
    assert result.function_error == "Unhandled" and result.status == "error"
    assert document.pop("stackTrace")[-1].startswith('  File "/var/task/app.py", line')
    assert document == {"errorMessage": "no good", "errorType": "ValueError", "requestId": invocation.request_id}
    error = next(text for text in texts(result) if text.startswith("[ERROR] ValueError: no good\nTraceback"))
    assert "\n\u00a0\u00a0\u00a0\u00a0raise ValueError" in error
    assert "Status" not in last(result)
    assert await machine.answer(function) == 3


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        ("import nothing_like_it", "app.handler", "Runtime.ImportModuleError",
         "Unable to import module 'app': No module named 'nothing_like_it'"),
        ("x = 1", "other.handler", "Runtime.ImportModuleError",
         "Unable to import module 'other': No module named 'other'"),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "),
        ("x = 1", "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': "),
        ("raise RuntimeError('at load')", "app.handler", "RuntimeError", "at load"),
    ],
)  # fmt: skip
async def test_code_that_cannot_be_loaded(
    machine: Machine, source: str, handler: str, error_type: str, message: str
) -> None:
    result = await machine.invoke(machine.function(source, handler=handler))
    document = json.loads(result.payload)
    assert result.function_error == "Unhandled"
    assert document["errorType"] == error_type and document["errorMessage"].startswith(message)
    found = texts(result)
    # INIT fails, is tried again within the invocation, and fails again: as AWS's logs show it.
    phases = [text.split("\t", 1)[1] for text in found if text.startswith("INIT_REPORT")]
    assert phases == [f"Phase: {each}\tStatus: error\tError Type: {error_type}" for each in ("init", "invoke")]
    assert next(text for text in found if text.startswith("[ERROR]")).startswith(f"[ERROR] {error_type}: {message}")
    assert found[-3].startswith("START ") and found[-2].startswith("END ")
    assert last(result)["Error Type"] == error_type and "Init Duration" not in last(result)


async def test_an_answer_that_is_no_json(machine: Machine) -> None:
    error = await machine.error(machine.function("def handler(event, context):\n    return {1, 2}\n"))
    assert error["errorType"] == "Runtime.MarshalError"
    assert error["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


async def test_an_answer_over_six_megabytes(machine: Machine) -> None:
    function = machine.function("def handler(event, context):\n    return 'x' * event\n")
    result = await machine.invoke(function, 6_291_556)
    assert result.function_error == "Unhandled"
    assert json.loads(result.payload) == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    told = "LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413."
    assert told in texts(result) and "RuntimeError: Failed to post invocation response" in texts(result)
    assert await machine.answer(function, 3) == "xxx"


async def test_a_timeout_kills_the_environment(machine: Machine) -> None:
    function = machine.function(
        "import time\ndef handler(event, context):\n    print('working')\n    time.sleep(event)\n",
        timeout_ms=150,
    )
    await machine.answer(function, 0)
    invocation = machine.invocation(60)
    result = await machine.environments.invoke(function, invocation)
    id_ = invocation.request_id
    assert result.function_error == "Unhandled" and result.status == "timeout" and result.duration_ms == 150
    assert json.loads(result.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {id_} Error: Task timed out after 0.15 seconds",
    }
    assert machine.environments.count(function.arn) == 0
    found = texts(result)
    assert found[1] == "working"
    assert found[2].startswith("20") and found[2].endswith(f"Z {id_} Task timed out after 0.15 seconds\n")
    assert found[3] == f"END RequestId: {id_}"
    assert last(result)["Status"] == "timeout"


async def test_the_log_of_a_timeout_has_what_was_printed_before(machine: Machine) -> None:
    function = machine.function(
        "import time\ndef handler(event, context):\n    print('x' * 100_000)\n    print('end')\n    time.sleep(9)\n",
        timeout_ms=200,
    )
    assert {"x" * 100_000, "end"} <= set(texts(await machine.invoke(function)))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("import sys; sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("import sys; sys.exit('bye')", "Runtime exited with error: exit status 1"),
        ("import sys; sys.exit()", "Runtime exited without providing a reason"),
        ("import os; os._exit(7)", "Runtime exited with error: exit status 7"),
        ("import os; os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("import os; os.kill(os.getpid(), 15)", "Runtime exited with error: signal: terminated"),
        ("import os; os.abort()", "Runtime exited with error: signal: aborted"),
        ("import ctypes; ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_process_that_ends_during_an_event(machine: Machine, how: str, why: str) -> None:
    function = machine.function(f"def handler(event, context):\n    if event: {how}\n    return 'well'\n")
    invocation = machine.invocation(True)
    result = await machine.environments.invoke(function, invocation)
    message = f"RequestId: {invocation.request_id} Error: {why}"
    assert json.loads(result.payload) == {"errorType": "Runtime.ExitError", "errorMessage": message}
    assert f"{message}\nRuntime.ExitError" in texts(result)
    assert last(result)["Status"] == "error" and last(result)["Error Type"] == "Runtime.ExitError"
    assert await machine.answer(function, False) == "well"


async def test_an_uncaught_exit_shows_its_traceback_without_our_frames(machine: Machine) -> None:
    function = machine.function(
        "class Stop(BaseException): pass\ndef handler(event, context):\n    raise Stop('now')\n"
    )
    result = await machine.invoke(function)
    assert json.loads(result.payload)["errorMessage"].endswith("Error: Runtime exited with error: exit status 1")
    assert "app.Stop: now" in texts(result)
    assert not any("first.py" in text or "zygote" in text for text in texts(result))


async def test_a_process_that_ends_during_init(machine: Machine) -> None:
    result = await machine.invoke(machine.function("import os\nprint('here')\nos._exit(3)\n"))
    assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
    assert json.loads(result.payload)["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert texts(result).count("here") == 2


async def test_an_init_that_takes_too_long_is_tried_again_with_the_functions_timeout(tmp_path: Path) -> None:
    machine = Machine(tmp_path, init_limit_ms=150)
    try:
        function = machine.function("import time\nprint('loading')\ntime.sleep(30)\n", timeout_ms=250)
        result = await machine.invoke(function)
        assert json.loads(result.payload)["errorMessage"].endswith("Error: Task timed out after 0.25 seconds")
        reports = [text.split("\t", 1)[1] for text in texts(result) if text.startswith("INIT_REPORT")]
        assert reports == ["Phase: init\tStatus: timeout", "Phase: invoke\tStatus: timeout"]
        assert texts(result).count("loading") == 2 and last(result)["Status"] == "timeout"

        slow = machine.function("import time\ntime.sleep(0.3)\ndef handler(event, context): return 'late'\n")
        result = await machine.invoke(slow)
        assert result.payload == b'"late"' and result.duration_ms > 300 and result.init_ms is None
    finally:
        await machine.close()


async def test_memory_over_the_limit_is_killed(machine: Machine) -> None:
    function = machine.function(
        """
        import time
        def handler(event, context):
            if event:
                hold = []
                while True:
                    hold.append(bytearray(8 << 20))
                    time.sleep(0.005)
            return "well"
        """,
        memory_mb=128,
        timeout_ms=20_000,
    )
    result = await machine.invoke(function, True)
    document = json.loads(result.payload)
    assert document["errorType"] == "Runtime.OutOfMemory"
    assert document["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert last(result)["Max Memory Used"] == "128 MB" and last(result)["Error Type"] == "Runtime.OutOfMemory"
    assert await machine.answer(function, False) == "well"


@pytest.mark.parametrize("where", ["init", "handler"])
async def test_what_a_process_that_exits_has_used_is_told(machine: Machine, where: str) -> None:
    use = "x = bytearray(60 << 20); x[::4096] = bytes(len(x) // 4096); import os; os._exit(1)\n"
    handler = "def handler(event, context):\n    "
    source = use + handler + "pass\n" if where == "init" else handler + use
    result = await machine.invoke(machine.function(source, memory_mb=512))
    assert 60 < int(last(result)["Max Memory Used"].removesuffix(" MB")) < 200


async def test_memory_of_child_processes_counts(machine: Machine) -> None:
    function = machine.function(
        """
        import subprocess, sys
        def handler(event, context):
            subprocess.run([sys.executable, "-c", "import time; x = bytearray(300 << 20); time.sleep(30)"])
        """,
        timeout_ms=20_000,
    )
    assert (await machine.error(function))["errorType"] == "Runtime.OutOfMemory"
