"""Python functions through unmodified awslambdaric: events, context, variables, logs, reuse."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .conftest import ROLE, Machine, last, texts, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ECHO = "def handler(event, context):\n    return event\n"


@pytest.mark.parametrize(
    "event", [{}, [], {"a": [1, {"b": None}]}, "text", 12.5, None, True, "ünï\u2028", "x" * 300_000]
)
async def test_any_json_is_an_event_and_an_answer(machine: Machine, event: Any) -> None:
    assert await machine.answer(machine.function(ECHO), event) == event


async def test_an_empty_payload_is_an_unmarshal_error_as_on_aws(machine: Machine) -> None:
    error = await machine.error(machine.function(ECHO), b"")
    assert error["errorType"] == "Runtime.UnmarshalError"


async def test_a_payload_of_six_megabytes_goes_both_ways(machine: Machine) -> None:
    event = "x" * (6 * 1024 * 1024 - 2)
    assert await machine.answer(machine.function(ECHO), event) == event


async def test_bytes_are_answered_as_they_are(machine: Machine) -> None:
    function = machine.function("def handler(event, context):\n    return b'\\x00plain\\xff'\n")
    assert (await machine.invoke(function)).payload == b"\x00plain\xff"


async def test_the_context_is_lambdas(machine: Machine) -> None:
    function = machine.function(
        """
        def handler(event, context):
            return {name: getattr(context, name) for name in (
                "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id",
                "log_group_name", "log_stream_name")} | {"left": context.get_remaining_time_in_millis(),
                "client": context.client_context.custom if context.client_context else None}
        """,
        name="orders",
        memory_mb=256,
        log_group="/aws/lambda/orders",
    )
    invocation = machine.invocation({}, arn="arn:aws:lambda:us-east-1:000000000000:function:orders:live",
                                    client_context='{"custom": {"k": "v"}}')  # fmt: skip
    result = await machine.environments.invoke(function, invocation)
    answer = json.loads(result.payload)
    assert 2000 < answer.pop("left") <= 3000
    assert answer == {
        "function_name": "orders",
        "function_version": "$LATEST",
        "invoked_function_arn": invocation.invoked_arn,
        "memory_limit_in_mb": "256",
        "aws_request_id": invocation.request_id,
        "log_group_name": "/aws/lambda/orders",
        "log_stream_name": result.log_stream,
        "client": {"k": "v"},
    }
    assert "/[$LATEST]" in result.log_stream


async def test_the_variables_are_lambdas_with_the_functions_own_on_top(machine: Machine) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    function = machine.function(source, name="env", environment={"TABLE": "orders", "TZ": "Europe/Vienna"})
    found = await machine.answer(function, trace_header="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    key = found.pop("AWS_ACCESS_KEY_ID")
    principal = machine.keys.principal(key)
    assert principal.arn == "arn:aws:sts::000000000000:assumed-role/worker/env" and principal.role == ROLE
    assert found.pop("AWS_SECRET_ACCESS_KEY") and found.pop("AWS_SESSION_TOKEN")
    assert found.pop("AWS_LAMBDA_LOG_STREAM_NAME") and found.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.")
    assert found.pop("PATH").endswith(":/usr/local/bin:/usr/bin:/bin:/opt/bin") and found.pop("LD_LIBRARY_PATH")
    assert found == {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "env",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/env",
        "AWS_REGION": "us-east-1",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "PYTHONPATH": "/var/runtime",
        "TABLE": "orders",
        "TZ": "Europe/Vienna",
        "_HANDLER": "app.handler",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
    }


async def test_init_runs_once_and_module_state_stays_while_the_environment_is_warm(machine: Machine) -> None:
    function = machine.function(
        """
        import os
        print("loading")
        count = 0
        def handler(event, context):
            global count
            count += 1
            return [count, os.getpid()]
        """
    )
    first, second = await machine.invoke(function), await machine.invoke(function)
    assert json.loads(first.payload)[0] == 1 and json.loads(second.payload)[0] == 2
    assert json.loads(first.payload)[1] == json.loads(second.payload)[1]
    assert "loading" in texts(first) and "loading" not in texts(second)
    assert first.init_ms and second.init_ms is None
    assert first.log_stream == second.log_stream


async def test_each_environment_takes_one_event_at_a_time_and_load_makes_more(machine: Machine) -> None:
    function = machine.function(
        """
        import time, uuid
        me = str(uuid.uuid4())
        def handler(event, context):
            began = time.monotonic()
            time.sleep(0.15)
            return [me, began, time.monotonic()]
        """
    )
    answers = await asyncio.gather(*(machine.answer(function) for _ in range(4)))
    assert len({me for me, _, _ in answers}) == 4
    assert machine.environments.count(function.arn) == 4
    again = await asyncio.gather(*(machine.answer(function) for _ in range(4)))
    assert {me for me, _, _ in again} == {me for me, _, _ in answers}


async def test_the_log_has_lambdas_lines_in_the_order_they_were_written(machine: Machine) -> None:
    function = machine.function(
        """
        import logging, sys
        logging.getLogger().setLevel("INFO")
        def handler(event, context):
            print("one")
            logging.info("two\\nlines")
            print("three", file=sys.stderr)
            sys.stdout.write("no newline")
            logging.info("four")
            print()
        """
    )
    await machine.invoke(function)
    invocation = machine.invocation({})
    result = await machine.environments.invoke(function, invocation)
    id_ = invocation.request_id
    found = texts(result)
    assert found[0] == f"START RequestId: {id_} Version: $LATEST"
    assert found[1] == "one"
    assert found[2].startswith("[INFO]\t20") and found[2].endswith(f"Z\t{id_}\ttwo\nlines")
    assert found[3:5] == ["three", "no newline"]
    assert found[5].endswith(f"{id_}\tfour")
    assert found[-2] == f"END RequestId: {id_}"
    fields = last(result)
    assert list(fields) == ["RequestId", "Duration", "Billed Duration", "Memory Size", "Max Memory Used"]
    assert fields["RequestId"] == id_ and fields["Memory Size"] == "128 MB"
    assert all(before[0] <= after[0] for before, after in zip(result.log, result.log[1:], strict=False))


async def test_a_cold_start_reports_and_bills_its_init(machine: Machine) -> None:
    result = await machine.invoke(machine.function("import time\ntime.sleep(0.05)\n" + ECHO))
    fields = last(result)
    init_ms = float(fields["Init Duration"].removesuffix(" ms"))
    assert init_ms >= 50 and result.billed_ms >= init_ms + result.duration_ms
    assert texts(result)[0].startswith("INIT_START Runtime Version: python:3.")
    assert 15 < result.max_memory_mb <= 128


async def test_a_sampled_trace_is_named_in_the_report(machine: Machine) -> None:
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    result = await machine.invoke(machine.function(ECHO), trace_header=header)
    expected = "XRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: 53995c3f42cd8ad8\tSampled: true\t"
    assert texts(result)[-1].splitlines()[1] == expected


async def test_the_key_of_an_environment_names_the_invocation_it_works_on(machine: Machine) -> None:
    function = machine.function(
        """
        import os, time
        def handler(event, context):
            time.sleep(event)
            return os.environ["AWS_ACCESS_KEY_ID"]
        """
    )
    key = await machine.answer(function, 0)
    assert machine.keys.principal(key).run is None
    invocation = machine.invocation(0.2)
    task = asyncio.create_task(machine.environments.invoke(function, invocation))
    await until(lambda: machine.keys.principal(key).run == invocation.run)
    await task
    assert machine.keys.principal(key).run is None
    await machine.environments.retire(wait=True)
    assert machine.keys.find(key) is None


async def test_boto3_and_its_parts_are_there_and_nothing_of_penstock(machine: Machine) -> None:
    function = machine.function(
        """
        import importlib, sys
        def there(name):
            try:
                return importlib.import_module(name).__file__
            except ImportError:
                return None
        def handler(event, context):
            import boto3
            client = boto3.client("sqs")
            return {"endpoint": client.meta.endpoint_url, "path": sys.path[:4],
                    "found": {name: there(name) for name in event},
                    "ours": [name for name in sys.modules if name in ("zygote", "first", "sandbox", "killing")]}
        """
    )
    answer = await machine.answer(function, ["boto3", "urllib3", "awslambdaric", "penstock", "uvloop", "pytest"])
    found = answer["found"]
    assert found["boto3"] == "/var/runtime/boto3/__init__.py" and found["urllib3"] and found["awslambdaric"]
    assert {name for name, file in found.items() if file is None} == {"penstock", "uvloop", "pytest"}
    assert answer["endpoint"] == "http://127.0.0.1:4566" and answer["ours"] == []
    assert answer["path"] == ["/var/task", "/opt/python/lib/python3.11/site-packages", "/opt/python", "/var/runtime"]


async def test_a_package_that_brings_its_own_boto3_gets_it(machine: Machine) -> None:
    function = machine.function(
        {
            "boto3/__init__.py": "MINE = True\n",
            "app.py": "import boto3\ndef handler(event, context):\n    return [boto3.MINE, boto3.__file__]\n",
        }
    )
    assert await machine.answer(function) == [True, "/var/task/boto3/__init__.py"]


async def test_layers_are_merged_into_opt_with_the_later_one_on_top(machine: Machine) -> None:
    layers = []
    for text in ("one", "two"):
        layer = machine.folder / machine.names.hex(8)
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "shared.py").write_text(f"WHO = {text!r}\n")
        (layer / "python" / f"{text}.py").write_text("")
        layers.append(layer)
    source = "import one, two, shared\ndef handler(event, context):\n    return [shared.WHO, shared.__file__]\n"
    function = machine.function(source, layers=tuple(layers))
    assert await machine.answer(function) == ["two", "/opt/python/shared.py"]


async def test_an_extension_in_a_layer_is_left_out_and_the_log_says_so(machine: Machine) -> None:
    layer = machine.folder / machine.names.hex(8)
    (layer / "extensions").mkdir(parents=True)
    (layer / "extensions" / "observer").write_text("#!/bin/sh\n")
    result = await machine.invoke(machine.function(ECHO, layers=(layer,)), 1)
    assert "Penstock does not start extensions: /opt/extensions/observer is left out" in texts(result)


async def test_packages_handlers_are_found_by_path_and_by_dots(machine: Machine) -> None:
    files = {"src/__init__.py": "", "src/main.py": ECHO}
    for handler in ("src.main.handler", "src/main.handler"):
        assert await machine.answer(machine.function(files, handler=handler), 1) == 1


async def test_pythonpath_of_the_function_is_searched(machine: Machine) -> None:
    files = {"lib/inner.py": "X = 7\n", "app.py": "import inner\ndef handler(event, context):\n    return inner.X\n"}
    assert await machine.answer(machine.function(files, environment={"PYTHONPATH": "/var/task/lib"})) == 7


async def test_subprocesses_find_boto3_and_their_output_is_in_the_log(machine: Machine) -> None:
    function = machine.function(
        """
        import subprocess, sys
        def handler(event, context):
            return subprocess.run([sys.executable, "-c", "import boto3; print('from below')"]).returncode
        """,
        timeout_ms=10_000,
    )
    result = await machine.invoke(function)
    assert result.payload == b"0" and "from below" in texts(result)


async def test_newer_runtime_names_wait_for_events_in_a_thread_as_their_runtime_does(machine: Machine) -> None:
    function = machine.function(ECHO, runtime="python3.13")
    for event in (1, 2, 3):
        assert await machine.answer(function, event) == event
