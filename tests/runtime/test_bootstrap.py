"""Executable bootstraps over the standard Runtime API: a shell script, a Go program, and what can go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from penstock.base.errors import CannotRun

from .conftest import Machine, last, texts, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the shell bootstrap needs curl"),
]

# After docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html
SHELL = """\
    #!/bin/sh
    T="${TMPDIR:-/tmp}"
    echo "starting $_HANDLER"
    api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
    while true; do
      event=$(curl -sS -D $T/headers "$api/invocation/next")
      id=$(grep -i Lambda-Runtime-Aws-Request-Id $T/headers | tr -d '[:space:]' | cut -d: -f2)
      echo "got $event"
      case "$event" in
        *fail*) curl -sS -X POST "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: Shell.Failed' \\
                  -d '{"errorMessage":"it failed","errorType":"ShellFailed"}' ;;
        *exit*) exit 3 ;;
        *wrong*) curl -sS -X POST "$api/invocation/another/response" -d 1 >$T/told
                 curl -sS -X POST "$api/invocation/$id/response" --data-binary @$T/told ;;
        *headers*) curl -sS -X POST "$api/invocation/$id/response" --data-binary @$T/headers ;;
        *env*) env | curl -sS -X POST "$api/invocation/$id/response" --data-binary @- ;;
        *big*) head -c 7000000 /dev/zero | curl -sS -X POST "$api/invocation/$id/response" --data-binary @- ;;
        *) curl -sS -X POST "$api/invocation/$id/response" -d "$event" ;;
      esac
    done
    """


@pytest.fixture
def shell(machine: Machine) -> dict[str, str]:
    return {"bootstrap": SHELL}


async def test_a_shell_script_answers_events(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2023", handler="any.thing")
    first = await machine.invoke(function, {"a": 1})
    assert first.payload == b'{"a": 1}' and first.init_ms is not None
    assert texts(first)[0] == "INIT_START Runtime Version: provided"
    assert {"starting any.thing", 'got {"a": 1}'} <= set(texts(first))
    second = await machine.invoke(function, "again")
    assert second.payload == b'"again"' and second.init_ms is None and second.log_stream == first.log_stream
    assert 0 < second.max_memory_mb <= 128


async def test_runtimes_that_are_ended_see_no_connection_break(machine: Machine, shell: dict[str, str]) -> None:
    functions = [machine.function(shell, runtime="provided.al2023", account="111111111111") for _ in range(12)]
    assert [await machine.answer(function, 1) for function in functions] == [1] * 12
    await machine.environments.retire(account="111111111111", wait=True)
    assert [text for text in machine.outside if "curl" in text] == []


async def test_its_errors_are_the_functions(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2")
    assert await machine.error(function, "fail") == {"errorMessage": "it failed", "errorType": "ShellFailed"}
    assert await machine.answer(function, 5) == 5
    error = await machine.error(function, "exit")
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert await machine.answer(function, 6) == 6


async def test_the_runtime_api_tells_what_lambdas_tells(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2023", environment={"TABLE": "t"})
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"
    told = (
        await machine.invoke(function, "headers", arn="arn:x", trace_header=header, client_context='{"a":1}')
    ).payload
    headers = dict(line.split(": ", 1) for line in told.decode().splitlines() if ": " in line)
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:x"
    assert headers["Lambda-Runtime-Trace-Id"] == header and headers["Lambda-Runtime-Client-Context"] == '{"a":1}'
    left = int(headers["Lambda-Runtime-Deadline-Ms"]) - machine.clock.now_ms()
    assert 0 < left <= 3000 and headers["Content-Type"] == "application/json"
    env = dict(line.split("=", 1) for line in (await machine.invoke(function, "env")).payload.decode().splitlines())
    assert "AWS_EXECUTION_ENV" not in env and env["TABLE"] == "t" and env["LAMBDA_TASK_ROOT"] == "/var/task"
    assert await machine.answer(function, "wrong") == {
        "errorMessage": "Invalid request ID",
        "errorType": "InvalidRequestID",
    }


async def test_an_answer_over_six_megabytes_is_refused_with_413(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2023", timeout_ms=10_000)
    error = await machine.error(function, "big")
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert await machine.answer(function, 1) == 1


async def test_a_bootstrap_in_a_layer_is_used_when_the_package_has_none(
    machine: Machine, shell: dict[str, str]
) -> None:
    layer = machine.function(shell).code
    function = machine.function({"data.txt": "x"}, runtime="provided.al2023", layers=(layer,))
    assert await machine.answer(function, 1) == 1


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"app.py": ""}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        ({"bootstrap": "not a program"}, "fork/exec /var/task/bootstrap: exec format error"),
        ({"bootstrap": "#!/no/such/interpreter\n"}, "fork/exec /var/task/bootstrap: no such file or directory"),
    ],
)
async def test_a_bootstrap_that_cannot_be_executed(machine: Machine, files: dict[str, str], why: str) -> None:
    result = await machine.invoke(machine.function(files, runtime="provided.al2023"))
    document = json.loads(result.payload)
    assert document["errorType"] == "Runtime.InvalidEntrypoint"
    assert document["errorMessage"].endswith(f" Error: {why}")
    assert last(result)["Error Type"] == "Runtime.InvalidEntrypoint"


async def test_a_bootstrap_without_permission_to_execute(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2023")
    (function.code / "bootstrap").chmod(0o644)
    error = await machine.error(function)
    assert error["errorMessage"].endswith("Error: fork/exec /var/task/bootstrap: permission denied")


async def test_it_runs_in_a_plain_world_too(tmp_path: Path, shell: dict[str, str]) -> None:
    machine = Machine(tmp_path, sandbox="plain")
    try:
        function = machine.function(shell, runtime="provided.al2023")
        env = dict(line.split("=", 1) for line in (await machine.invoke(function, "env")).payload.decode().splitlines())
        assert env["LAMBDA_TASK_ROOT"] == str(function.code) and Path(env["TMPDIR"]).is_relative_to(tmp_path)
        assert machine.environments.sandbox()["mode"] == "plain"
    finally:
        await machine.close()


async def test_a_runtime_that_polls_with_a_time_limit_misses_nothing(machine: Machine) -> None:
    polling = SHELL.replace("curl -sS -D", "curl -sS --max-time 0.15 -D")
    polling = polling.replace("      id=", '      if [ "$?" != 0 ]; then echo polled; continue; fi\n      id=')
    function = machine.function({"bootstrap": polling}, runtime="provided.al2023")
    assert await machine.answer(function, 1) == 1
    for event in range(3):
        machine.outside.clear()
        await until(lambda: "polled" in machine.outside)
        assert await machine.answer(function, event) == event


async def test_an_answer_whose_stream_breaks_off_is_an_error(machine: Machine) -> None:
    source = """
        import os, socket
        api = socket.create_connection(os.environ["AWS_LAMBDA_RUNTIME_API"].split(":"))
        path = "/2018-06-01/runtime/invocation/"
        api.sendall(f"GET {path}next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
        told = api.recv(65536).decode()
        request = told.split("Lambda-Runtime-Aws-Request-Id: ")[1].split("\\r")[0]
        api.sendall((f"POST {path}{request}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n"
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n\\r\\n"
            "4\\r\\nhalf\\r\\n0\\r\\nLambda-Runtime-Function-Error-Type: Broken\\r\\n"
            "Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiAiQnJva2VuIn0=\\r\\n\\r\\n").encode())
        api.recv(65536)
        api.recv(1)
        """
    files = {"bootstrap": f"#!{PYTHON}\n" + textwrap.dedent(source)}
    function = machine.function(files, runtime="provided.al2023")
    assert await machine.error(function) == {"errorType": "Broken"}


# Over a bare connection: compiling net/http takes a minute on a small machine.
PYTHON = os.path.realpath(sys.executable)

GO = """\
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

const path = "/2018-06-01/runtime/invocation/"

func call(connection net.Conn, reader *bufio.Reader, request string) (id string, body []byte) {
	io.WriteString(connection, request)
	length := 0
	for {
		line, err := reader.ReadString('\\n')
		if err != nil {
			panic(err)
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch strings.ToLower(name) {
		case "":
			body = make([]byte, length)
			io.ReadFull(reader, body)
			return
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "lambda-runtime-aws-request-id":
			id = value
		}
	}
}

func main() {
	connection, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		panic(err)
	}
	reader := bufio.NewReader(connection)
	for count := 1; ; count++ {
		id, event := call(connection, reader, "GET "+path+"next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
		fmt.Println("event", count)
		if string(event) == `"panic"` {
			panic("asked to")
		}
		answer := fmt.Sprintf(`{"count": %d, "event": %s}`, count, event)
		head := "POST " + path + id + "/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: "
		call(connection, reader, head+strconv.Itoa(len(answer))+"\\r\\n\\r\\n"+answer)
	}
}
"""


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go toolchain")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    environment = {**os.environ, "CGO_ENABLED": "0"}  # with the user's build cache: the first time takes some seconds
    subprocess.run([go, "build", "-o", "bootstrap", "main.go"], cwd=folder, env=environment, check=True)
    folder.chmod(0o755)
    return folder


async def test_a_go_program_answers_events(machine: Machine, go_program: Path) -> None:
    function = machine.function({}, runtime="provided.al2023", code=go_program)
    assert await machine.answer(function, {"a": 1}) == {"count": 1, "event": {"a": 1}}
    assert await machine.answer(function, 2) == {"count": 2, "event": 2}
    result = await machine.invoke(function, "panic")
    assert json.loads(result.payload)["errorMessage"].endswith("Runtime exited with error: exit status 2")
    assert "panic: asked to" in texts(result)
    answers = await asyncio.gather(*(machine.answer(function, n) for n in range(3)))
    assert [answer["event"] for answer in answers] == [0, 1, 2]


async def test_code_that_may_not_be_read_says_what_to_do(machine: Machine, shell: dict[str, str]) -> None:
    function = machine.function(shell, runtime="provided.al2023")
    function.code.chmod(0)
    if os.geteuid() != 0:
        pytest.skip("only root can own what its functions cannot read")
    with pytest.raises(CannotRun, match="chmod -R a\\+rX"):
        await machine.invoke(function)
