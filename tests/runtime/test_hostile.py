"""Handlers that misbehave: they harm nobody else, and nothing of them is left over."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from .conftest import Machine, texts, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ECHO = "def handler(event, context):\n    return event\n"


def marked(mark: str) -> list[int]:
    """The living processes which have this text in their environment or arguments."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                told = Path(f"/proc/{name}/environ").read_bytes() + Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in told:
                found.append(int(name))
    return found


DAEMON = """
    import os, signal, subprocess, sys, time
    def handler(event, context):
        for _ in range(2):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                        signal.signal(sign, signal.SIG_IGN)
                    mark = "MARK=" + os.environ["MARK"]
                    os.execv("/bin/sh", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done # " + mark])
                os._exit(0)
            os.wait()
        while event == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1)
        return "left"
    """


@pytest.mark.parametrize("sandbox", ["auto", "landlock", "plain"])
async def test_daemons_die_with_their_environment(tmp_path: Path, sandbox: str) -> None:
    machine = Machine(tmp_path, sandbox=sandbox)
    mark = machine.names.hex(20)
    try:
        function = machine.function(DAEMON, environment={"MARK": mark}, timeout_ms=1500)
        assert await machine.answer(function) == "left"
        assert len(await until(lambda: len(found := marked(mark)) >= 2 and found)) >= 2
        await machine.environments.retire(function_arn=function.arn, wait=True)
        assert marked(mark) == []

        assert (await machine.error(function, "hang"))["errorType"] == "Sandbox.Timedout"
        assert marked(mark) == []

        assert await machine.answer(function) == "left"
    finally:
        await machine.close()
    assert marked(mark) == []


FLOOD = """
import os
LINES = (b"y" * 99 + b"\\n") * 600
def handler(event, context):
    left = event
    while left != 0:
        os.write(1, LINES)
        left -= 1
    return "flooded"
"""


async def test_a_flood_of_output_is_bounded_and_the_server_goes_on(machine: Machine) -> None:
    flood, echo = machine.function(FLOOD, timeout_ms=60_000), machine.function(ECHO)
    await machine.answer(echo, 0)
    task = asyncio.create_task(machine.invoke(flood, 70))  # 4 MB, and 26 bytes more for each line
    answered = 0
    while not task.done():
        assert await machine.answer(echo, 1) == 1
        answered += 1
    result = await task
    assert result.payload == b'"flooded"' and answered >= 3
    assert sum(len(text) for text in texts(result)) < 5 << 20
    dropped, end, report = texts(result)[-3:]
    assert dropped.startswith("Penstock kept the first 4 MB")
    assert end.startswith("END RequestId: ") and report.startswith("REPORT RequestId: ")


async def test_a_flood_without_end_times_out_like_anything_else(machine: Machine) -> None:
    result = await machine.invoke(machine.function(FLOOD, timeout_ms=1500), -1)
    assert result.status == "timeout"
    timed_out, end, report = texts(result)[-3:]
    assert "Task timed out after 1.50 seconds" in timed_out
    assert end.startswith("END RequestId: ") and report.startswith("REPORT RequestId: ")


async def test_a_full_tmp_is_the_functions_own_trouble(machine: Machine) -> None:
    source = """
        def handler(event, context):
            try:
                with open("/tmp/big", "wb") as file:
                    for _ in range(event):
                        file.write(bytes(1 << 20))
            except OSError as error:
                return error.errno
            return 0
        """
    function = machine.function(source, ephemeral_mb=16, memory_mb=512)
    assert await machine.answer(function, 64) == 28  # ENOSPC
    assert await machine.answer(machine.function(source, ephemeral_mb=32, memory_mb=512), 24) == 0


async def test_tmp_is_private_and_kept_while_the_environment_is_warm(machine: Machine) -> None:
    source = """
        import os
        def handler(event, context):
            if event: open("/tmp/" + event, "w").close()
            return os.listdir("/tmp")
        """
    one, other = machine.function(source), machine.function(source)
    await machine.answer(one, "mine")
    assert await machine.answer(other) == []
    assert await machine.answer(one) == ["mine"]


@pytest.mark.parametrize("closing", ["os.close(1); os.close(2)", "os.closerange(3, 200)", "os.closerange(0, 200)"])
async def test_closed_pipes_end_at_most_their_own_environment(machine: Machine, closing: str) -> None:
    function = machine.function(f"import os\ndef handler(event, context):\n    {closing}\n    return 1\n")
    result = await machine.invoke(function)
    assert result.payload == b"1" or json.loads(result.payload)["errorType"] == "Runtime.ExitError"
    assert await machine.answer(machine.function(ECHO), 2) == 2


async def test_a_fork_bomb_is_bounded_and_killed(machine: Machine) -> None:
    bomb = machine.function(
        """
        import os
        def handler(event, context):
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        """,
        timeout_ms=400,
        memory_mb=3008,
        environment={"MARK": (mark := machine.names.hex(20))},
    )
    echo = machine.function(ECHO)
    await machine.answer(echo, 0)
    task = asyncio.create_task(machine.error(bomb))
    assert await machine.answer(echo, 1) == 1
    assert (await task)["errorType"] in ("Sandbox.Timedout", "Runtime.OutOfMemory")
    await machine.environments.retire(function_arn=bomb.arn, wait=True)
    assert marked(mark) == []


async def test_what_is_left_running_does_not_hold_up_the_answer(machine: Machine) -> None:
    function = machine.function(
        """
        import subprocess, threading, time
        def handler(event, context):
            subprocess.Popen(["sleep", "60"])
            threading.Thread(target=lambda: (time.sleep(0.1), print("later")), daemon=True).start()
            return "answered"
        """
    )
    assert await machine.answer(function) == "answered"
    await until(lambda: "later" in machine.outside)


async def test_false_frames_on_the_runtime_socket_do_not_reach_the_server(machine: Machine) -> None:
    function = machine.function(
        """
        import os, struct
        def handler(event, context):
            os.write(3, eval(event))
            return "still here"
        """,
        timeout_ms=500,
    )
    for event in ("b'R' + struct.pack('>II', 2, 0) + b'[]'", "b'Z' * 5000", "struct.pack('>cII', b'R', 1 << 31, 5)",
                  "struct.pack('>cII', b'N', 0, 0)"):  # fmt: skip
        await machine.invoke(function, event)
        assert await machine.answer(machine.function(ECHO), 1) == 1


async def test_another_invocations_answer_cannot_be_given(machine: Machine) -> None:
    function = machine.function(
        """
        import json, os, struct
        def handler(event, context):
            header = json.dumps({"id": "another"}).encode()
            os.write(3, struct.pack(">cII", b"R", len(header), 3) + header + b'"x"')
            return "mine"
        """
    )
    assert await machine.answer(function) == "mine"


async def test_user_code_cannot_see_the_machine(machine: Machine) -> None:
    function = machine.function(
        """
        import ctypes, os, pwd
        def handler(event, context):
            libc = ctypes.CDLL(None)
            def attempt(action):
                try:
                    return action()
                except OSError as error:
                    return error.strerror
            return {
                "data": attempt(lambda: os.listdir(event)), "home": attempt(lambda: os.listdir("/root/.ssh")),
                "task": attempt(lambda: open("/var/task/new", "w")), "etc": attempt(lambda: open("/etc/new", "w")),
                "runtime": attempt(lambda: open("/var/runtime/new", "w")),
                "usr": attempt(lambda: open("/usr/new", "w")),
                "shadow": attempt(lambda: open("/etc/shadow").read()),
                "root": attempt(lambda: os.setuid(0)), "own user namespace": libc.unshare(0x10000000),
                "host": attempt(lambda: os.listdir("/.host")), "who": pwd.getpwuid(os.getuid()).pw_name,
                "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            }
        """
    )
    seen = await machine.answer(function, str(machine.folder))
    assert seen.pop("host") == [] and len(seen.pop("pids")) == 2
    assert seen == {
        "data": "No such file or directory", "home": "No such file or directory", "task": "Read-only file system",
        "etc": "Read-only file system", "runtime": "Read-only file system", "usr": "Read-only file system",
        "shadow": "No such file or directory", "root": "Invalid argument", "who": "sbx_user1051",
        "own user namespace": -1,
    }  # fmt: skip


async def test_landlock_keeps_the_data_directory_from_user_code(tmp_path: Path) -> None:
    machine = Machine(tmp_path, sandbox="landlock")
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    try:
        function = machine.function(
            """
            import os, tempfile
            def handler(event, context):
                try:
                    told = open(event).read()
                except OSError as error:
                    told = error.strerror
                with tempfile.NamedTemporaryFile() as file:
                    file.write(b"x")
                return [told, os.environ["LAMBDA_TASK_ROOT"], os.listdir(".")]
            """
        )
        told = await machine.answer(function, str(secret))
        if machine.environments.sandbox()["mode"] != "landlock":
            pytest.skip("this kernel has no Landlock")
        assert told == ["Permission denied", str(function.code), ["app.py"]]
    finally:
        await machine.close()


async def test_a_killed_launcher_is_started_again(machine: Machine) -> None:
    echo = machine.function(ECHO)
    await machine.answer(echo, 1)
    pid = machine.environments.launcher_pid
    assert pid is not None
    os.kill(pid, 9)
    await until(lambda: machine.environments.count() == 0)
    assert await machine.answer(echo, 2) == 2
