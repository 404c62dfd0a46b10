"""Environments come, are reused, are retired, and end: all of them, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

import penstock.runtime
from penstock.base.errors import CannotRun

from .conftest import Machine, until
from .test_hostile import marked

pytestmark = pytest.mark.asyncio(loop_scope="session")

ECHO = "def handler(event, context):\n    return event\n"
PID = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']\n"
HANG = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n"


async def test_idle_environments_are_ended_when_their_time_is_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path, idle_ms=60)
    try:
        function = machine.function(ECHO)
        await machine.answer(function, 1)
        assert machine.environments.count() == 1
        await until(lambda: machine.environments.count() == 0)
        assert await machine.answer(function, 2) == 2
    finally:
        await machine.close()


async def test_a_new_revision_takes_new_environments_and_the_old_ones_retire(machine: Machine) -> None:
    function = machine.function(PID)
    old = await machine.answer(function)
    changed = replace(function, revision="2")
    new = await machine.answer(changed)
    assert new != old and machine.environments.count(function.arn) == 2
    await machine.environments.retire(function_arn=function.arn, keep="2", wait=True)
    assert machine.environments.count(function.arn) == 1
    assert await machine.answer(changed) == new


async def test_busy_environments_retire_after_their_event(machine: Machine) -> None:
    function = machine.function(HANG)
    await machine.answer(function, 0)
    task = asyncio.create_task(machine.answer(function, 0.2))
    await until(lambda: machine.environments.running(function.arn))
    await machine.environments.retire(function_arn=function.arn)
    assert await task == "done"
    await until(lambda: machine.environments.count(function.arn) == 0)


async def test_what_begins_for_an_event_that_waited_when_its_function_retired_ends_after_it(machine: Machine) -> None:
    function = machine.function(HANG)
    await machine.answer(function, 0)
    first = asyncio.create_task(machine.answer(function, 0.2))
    await until(machine.environments.busy)
    second = asyncio.create_task(machine.answer(function, 0))
    await until(lambda: machine.environments.running(function.arn) == 2)  # it waits for the first one to come free
    assert machine.environments.count(function.arn) == 1
    await machine.environments.retire(function_arn=function.arn)
    assert await asyncio.gather(first, second) == ["done", "done"]
    await until(lambda: machine.environments.count(function.arn) == 0)


async def test_retiring_an_account_with_wait_ends_its_busy_environments_at_once(machine: Machine) -> None:
    mine = machine.function(HANG, account="111111111111")
    other = machine.function(HANG)
    tasks = [asyncio.create_task(machine.invoke(each, 1)) for each in (mine, other)]
    await until(lambda: len(machine.environments.busy()) == 2 and machine.environments.count(mine.arn))
    assert machine.environments.busy("111111111111")[0].startswith(f"lambda {mine.name} in ")
    await machine.environments.retire(account="111111111111", wait=True)
    assert json.loads((await tasks[0]).payload)["errorType"] == "Runtime.ExitError"
    assert (await tasks[1]).payload == b'"done"'


async def test_nothing_that_waited_begins_after_its_account_was_retired(machine: Machine) -> None:
    function = machine.function(HANG, account="111111111111")
    tasks = [asyncio.create_task(machine.invoke(function, 5)) for _ in range(40)]
    await until(lambda: machine.environments.busy("111111111111"))
    await machine.environments.retire(account="111111111111", wait=True)
    assert (machine.environments.count(), machine.environments.running(function.arn)) == (0, 0)
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(ended, CannotRun) or json.loads(ended.payload)["errorType"] == "Runtime.ExitError"


async def test_running_and_busy_tell_what_goes_on(machine: Machine) -> None:
    function = machine.function(HANG)
    await machine.answer(function, 0)
    assert machine.environments.running(function.arn) == 0 and machine.environments.busy() == []
    task = asyncio.create_task(machine.answer(function, 0.1))
    await until(lambda: machine.environments.running(function.arn) == 1)
    assert machine.environments.busy() == [f"lambda {function.name} in an invocation"]
    assert machine.work.busy("000000000000") == [f"lambda {function.name}"]
    await task
    assert machine.environments.busy() == [] == machine.work.busy(None)


async def test_cancelling_an_invocation_kills_its_environment(machine: Machine) -> None:
    mark = machine.names.hex(20)
    source = """
        import os, subprocess
        def handler(event, context):
            subprocess.run(["sh", "-c", "sleep 60 # " + os.environ["MARK"]])
        """
    function = machine.function(source, environment={"MARK": mark}, timeout_ms=60_000)
    task = asyncio.create_task(machine.invoke(function))
    await until(lambda: marked(mark))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: machine.environments.count(function.arn) == 0)
    assert marked(mark) == [] and machine.work.busy(None) == []


async def test_many_short_events_share_few_environments(machine: Machine) -> None:
    function = machine.function(ECHO)
    await machine.answer(function, 0)
    answers = await asyncio.gather(*(machine.answer(function, n) for n in range(300)))
    assert answers == list(range(300))
    assert machine.environments.count(function.arn) < 100


async def test_events_that_are_cancelled_while_they_wait_take_nothing_with_them(machine: Machine) -> None:
    function = machine.function(HANG)
    await machine.answer(function, 0)
    tasks = [asyncio.create_task(machine.answer(function, 0.02)) for _ in range(30)]
    for delay_turns, task in enumerate(tasks):
        if delay_turns % 2:
            await asyncio.sleep(0)
            task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[::2] == ["done"] * 15
    assert machine.environments.running(function.arn) == 0 and machine.work.busy(None) == []
    assert await machine.answer(function, 0) == "done"
    await machine.environments.retire(wait=True)
    assert machine.environments.count() == 0


async def test_a_process_that_ends_between_events_is_replaced(machine: Machine) -> None:
    function = machine.function(
        """
        import os, threading
        def handler(event, context):
            threading.Timer(0.05, lambda: os._exit(1)).start()
            return os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        """
    )
    first = await machine.answer(function)
    await until(lambda: machine.environments.count(function.arn) == 0)
    assert await machine.answer(function) != first


async def test_a_machine_has_room_for_so_many_and_the_idle_ones_make_way(tmp_path: Path) -> None:
    machine = Machine(tmp_path, most=2)
    try:
        one, two, three = (machine.function(HANG) for _ in range(3))
        await machine.answer(one, 0)
        await machine.answer(two, 0)
        await machine.answer(three, 0)  # the one that was idle for longest made way
        await until(lambda: machine.environments.count() == 2)
        assert machine.environments.count(one.arn) == 0
        tasks = [asyncio.create_task(machine.answer(each, 0.3)) for each in (two, three)]
        await until(lambda: len(machine.environments.busy()) == 2)
        with pytest.raises(CannotRun, match="2 environments are at work"):
            await machine.invoke(one, 0)
        await asyncio.gather(*tasks)
    finally:
        await machine.close()


async def test_what_cannot_run_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(CannotRun, match=r"ruby3\.3, which Penstock does not run: use python3\.x"):
        machine.environments.check(machine.function(ECHO, runtime="ruby3.3"))
    with pytest.raises(CannotRun, match="remove it from the environment"):
        machine.environments.check(machine.function(ECHO, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}))
    gone = replace(machine.function(ECHO), code=machine.folder / "nowhere")
    with pytest.raises(CannotRun, match="deploy it again"):
        await machine.invoke(gone)
    assert machine.environments.version(machine.function(ECHO, runtime="python3.13")).startswith("python:3.")


async def test_close_ends_everything_and_what_comes_later_is_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    mark = machine.names.hex(20)
    function = machine.function(HANG, environment={"MARK": mark}, timeout_ms=60_000)
    await machine.answer(function, 0)
    task = asyncio.create_task(machine.invoke(function, 60))
    await until(lambda: machine.environments.running(function.arn))
    await machine.close()
    assert (await task).function_error == "Unhandled" and machine.environments.launcher_pid is None
    with pytest.raises(CannotRun, match="closing"):
        await machine.invoke(function, 0)


async def test_everything_works_on_uvloop_too(tmp_path: Path) -> None:
    async def run() -> None:
        machine = Machine(tmp_path)
        try:
            function = machine.function(HANG, timeout_ms=200)
            assert await asyncio.gather(*(machine.answer(function, 0.01) for _ in range(3))) == ["done"] * 3
            assert (await machine.error(function, 9))["errorType"] == "Sandbox.Timedout"
            big = "x" * 5_000_000
            assert await machine.answer(machine.function(ECHO), big) == big
            assert (await machine.error(machine.function("import nope")))["errorType"] == "Runtime.ImportModuleError"
        finally:
            await machine.close()

    await asyncio.to_thread(uvloop.run, run())


@pytest.mark.parametrize("sandbox", ["auto", "plain"])
async def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path, sandbox: str) -> None:
    mark = f"mark{os.getpid()}{sandbox}"
    program = Path(__file__).with_name("doomed_server.py")
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(program), str(tmp_path), mark, sandbox], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        assert await asyncio.to_thread(server.stdout.readline) == b"ready\n"
        await until(lambda: len(marked(mark)) >= 5)  # the server, the daemons
        launcher = [pid for pid in marked(str(tmp_path)) if pid != server.pid]
        server.send_signal(signal.SIGKILL)
        server.wait()
        await until(lambda: marked(mark) == [] and not any(_alive(pid) for pid in launcher))
    finally:
        server.kill()
        server.wait()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_launcher_whose_server_ends_before_it_is_ready_ends_without_a_word(tmp_path: Path) -> None:
    config = {"root": str(tmp_path), "runtime": str(tmp_path), "packages": {}, "visible": [], "sandbox": "plain"}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(json.dumps(config).encode())
    ours.shutdown(socket.SHUT_RD)  # as of a server that has gone: nobody hears "ready" …
    ours.send(b"")  # … and there is nothing more to read
    program = Path(penstock.runtime.__file__).parent / "inside" / "zygote.py"
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(program), str(theirs.fileno()),
            pass_fds=[theirs.fileno()], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert await process.communicate() == (b"", b"")
