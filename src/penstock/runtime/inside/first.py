"""An environment's own processes: its first one, and the one that runs the function.

The first process sets up what the environment sees, starts the function's process, reaps orphans, and tells the server
how the function's process ended. Then it ends, and with it (by pid namespace or sweep) all that the function left.
On AWS, too, the runtime is not process 1: signals to oneself work, zombies do not pile up.

``life`` is a socket to the server: packets "main", "exit <wait status> <KB at most>", "fail <why>". The kernel stamps
each with the sender's process id as the server sees it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import resource
import signal
import site
import socket
import sys
import threading
import time

import killing
import sandbox

OPEN_FILES = 1024  # per process on AWS: file descriptors
PROCESSES = 1024  # per environment on AWS: processes and threads
_BYPASSED = ("boto3", "botocore", "urllib3")  # where the package or a layer brings its own, all of it is used
_FIRST_FREE = 5  # 0-2 the standard streams, 3 the runtime client's socket, 4 the log's frames


def run(zygote, message: dict, descriptors: list[int]) -> None:
    """The first process, from the fork to its end."""
    # The zygote's own files first: nobody in here may talk to the server in its name.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    zygote.server.detach()
    life = socket.socket(fileno=_arrange(descriptors))
    spaces = zygote.mode == "namespaces"
    killing.die_with_parent()
    if not spaces:
        killing.adopt_orphans()
    try:
        if spaces:
            sandbox.enter_environment(message["code"], message["layers"], message["ephemeral_mb"])
        pid = os.fork()
    except (OSError, sandbox.Denied) as error:
        life.send(f"fail {error}".encode())
        os._exit(1)
    if pid == 0:
        try:
            _function(zygote, message, life, spaces)
        finally:
            os._exit(1)
    os.closerange(0, life.fileno())
    status = _wait_for(pid)
    most_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with contextlib.suppress(OSError):  # the server is gone, and so shall we be
        life.send(f"exit {status} {most_kb}".encode())
    if not spaces:
        killing.sweep(os.getpid())
    os._exit(0)


def _arrange(descriptors: list[int]) -> int:
    """Put the streams where the function expects them, close all else; returns the life socket's number."""
    output, life, client = descriptors[0], descriptors[1], descriptors[2] if len(descriptors) > 2 else -1
    output, life, client = (
        os.dup2(each, 100 + place, inheritable=False) if each >= 0 else -1
        for place, each in enumerate((output, life, client))
    )
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in ((0, null), (1, output), (2, output), (4, output), (3, client)):
        if source >= 0:
            os.dup2(source, target)
    os.closerange(_FIRST_FREE, 101)
    os.closerange(102, 1 << 20)
    if client < 0:
        os.close(3)
    return life


def _wait_for(main: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == main:
            return status


def _function(zygote, message: dict, life: socket.socket, spaces: bool) -> None:
    """The function's process: becomes the function's code, with nothing left of the zygote's powers."""
    killing.die_with_parent()
    os.setsid()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(sign, signal.SIG_DFL)
    os.umask(0o022)
    try:
        if spaces:
            sandbox.drop_privileges(as_root=zygote.as_root, processes=PROCESSES)
            killing.die_with_parent()  # a change of user forgets it
        elif zygote.mode == "landlock":
            sandbox.restrict(message["readable"], message["writable"])
            sandbox.drop_capabilities()
        os.chdir(message["environment"]["LAMBDA_TASK_ROOT"])
        os.listdir(".")
    except PermissionError as error:
        advice = f"the function's user may not read {message['code']}: chmod -R a+rX {message['code']}"
        life.send(f"fail {error.strerror}: {advice}".encode())
        os._exit(1)
    except (OSError, sandbox.Denied) as error:
        life.send(f"fail {error}".encode())
        os._exit(1)
    life.send(b"main")
    if message["kind"] == "python":
        life.close()
        _python(message)
    else:
        _execute(message, life)


def _execute(message: dict, life: socket.socket) -> None:
    """Become the first of the programs that is there."""
    programs = [program for program in message["programs"] if os.path.lexists(program[0])]
    if programs:
        try:
            os.execve(programs[0][0], programs[0], message["environment"])
        except OSError as error:  # "no such file" here is the interpreter that a script names in its first line
            why = f"fork/exec {programs[0][0]}: {error.strerror.lower()}"
    else:
        why = f"Couldn't find valid bootstrap(s): [{' '.join(program[0] for program in message['programs'])}]"
    life.send(f"entrypoint {why}".encode())
    os._exit(1)


def _python(message: dict) -> None:
    """Become awslambdaric, as if ``python -m awslambdaric HANDLER`` had been started in the code's folder."""
    environment = message["environment"]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    own = ("first", "killing", "sandbox", "zygote")
    for name in own:
        sys.modules.pop(name, None)
    runtime = environment["LAMBDA_RUNTIME_DIR"]
    sys.path[:] = [path for path in sys.path if path != runtime]
    sys.path[:0] = _search_path(message, environment, runtime)
    sys.path_importer_cache.clear()
    if any(os.path.exists(f"{path}/{name}") for path in message["searched"] for name in _BYPASSED):
        _unload(*_BYPASSED, "s3transfer", "jmespath", "dateutil", "six")
    sys.argv[:] = ["bootstrap", environment["_HANDLER"]]
    sys.orig_argv[:] = [sys.executable, f"{runtime}/awslambdaric/__main__.py", environment["_HANDLER"]]
    site.setquit()
    site.setcopyright()
    site.sethelper()
    importlib.import_module("runtime_client").connect(3)
    bootstrap = importlib.import_module("awslambdaric.__main__")
    sys.modules["__main__"] = bootstrap
    status = 1
    try:
        bootstrap.main(sys.argv)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        if isinstance(leaving.code, str):
            sys.stderr.write(leaving.code + "\n")
    except BaseException as error:  # the interpreter's own way of ending with an error, without our own frame
        within = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(within), within)
    finally:
        _leave(status)


def _leave(status: int) -> None:
    """End as an interpreter ends: exit handlers, flushed streams; not through the zygote's frames."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
    finally:
        os._exit(status & 0xFF)


def _search_path(message: dict, environment: dict, runtime: str) -> list[str]:
    """AWS's order: the package, the layers, what the function's PYTHONPATH adds, the runtime's own packages."""
    given = [path for path in environment.get("PYTHONPATH", "").split(":") if path and path != runtime]
    return [*message["searched"], *given, runtime]


def _unload(*packages: str) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]
