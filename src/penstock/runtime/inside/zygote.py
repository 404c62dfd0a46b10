"""The launcher beside the server: starts every environment's processes and lets none outlive the server.

Run as ``python -I -S zygote.py FD``; FD is a socket to the server (one JSON message per packet, with file descriptors).
Two processes come of it:

the warden    stays outside every namespace, adopts orphans, and waits. When the server is gone (its end of the socket
              closes, however it died) or the zygote is, it kills everything below itself and ends.
the zygote    process 1 of a pid namespace where the machine allows one: when it dies, the kernel kills all below it.
              Single-threaded. Imports boto3 and the runtime client once, then forks an environment per message.

An environment is two processes more: see ``first``. Nothing of this is visible to user code.
"""

from __future__ import annotations

import array
import compileall
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import first
import killing
import sandbox

sys.path.pop(0)

MESSAGE_BYTES = 1 << 20
PRELOADED = (
    "boto3", "boto3.session", "botocore.session", "botocore.client", "botocore.endpoint", "botocore.httpsession",
    "botocore.awsrequest", "botocore.auth", "botocore.signers", "botocore.credentials", "botocore.regions",
    "botocore.retries.standard", "botocore.retries.adaptive", "botocore.retryhandler", "botocore.parsers",
    "botocore.serialize", "botocore.waiter", "botocore.paginate", "botocore.handlers", "botocore.httpchecksum",
    "boto3.resources.factory", "s3transfer", "s3transfer.manager", "urllib3.connectionpool", "urllib3.util.ssl_",
    "awslambdaric.lambda_context", "awslambdaric.lambda_literals", "awslambdaric.lambda_config",
    "awslambdaric.lambda_runtime_exception", "awslambdaric.lambda_runtime_log_utils", "snapshot_restore_py",
    "simplejson", "runtime_client", "logging", "http.client", "concurrent.futures.thread", "decimal", "uuid", "hashlib",
    "ssl", "typing", "dataclasses", "enum", "base64", "traceback", "xml.etree.ElementTree", "email.message", "site",
)  # fmt: skip


def main() -> None:
    """The warden: prepare, fork the zygote, wait for whichever ends first."""
    server = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(server.recv(MESSAGE_BYTES))
    for sign in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # Ctrl-C in a terminal reaches us too: the server decides
        signal.signal(sign, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    killing.adopt_orphans()
    _compile_once(config["packages"])
    mode, as_root, reason = _mode_of(config)
    warden = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            # Inside a pid namespace the parent's id reads 0: then only the death signal watches it.
            killing.die_with_parent(None if mode == "namespaces" else warden)
            if mode == "namespaces":
                sandbox.enter_root(config["root"], config["packages"], config["visible"])
            Zygote(server, config, mode, as_root, reason).run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _watch(server, pid)
    killing.sweep(warden)
    os._exit(0)


def _watch(server: socket.socket, zygote: int) -> None:
    """Return when the server is gone or the zygote has ended."""
    woken, alarm = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(alarm, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(server, 0)  # hang-up is reported without being asked for; the messages are the zygote's to read
    poll.register(woken, select.POLLIN)
    while True:
        if any(pid == zygote for pid, _ in killing.reap()):
            return
        for descriptor, _ in poll.poll():
            if descriptor == server.fileno():
                return
            os.read(woken, 4096)


def _mode_of(config: dict) -> tuple[str, bool, str]:
    """What the machine allows, found out by doing it in a child: mode, whether as root, and why not better."""
    reason = "as asked for" if config["sandbox"] != "auto" else ""
    if config["sandbox"] in ("auto", "namespaces"):
        for as_root in (True, False) if sandbox.has_admin() else (False,):
            denied = _try(lambda as_root=as_root: _rehearse(config, as_root))
            if not denied:
                sandbox.enter_namespaces(as_root=as_root)
                return "namespaces", as_root, ""
            reason = f"{reason}; {denied}" if reason else denied
    if config["sandbox"] in ("auto", "landlock"):
        denied = _try(lambda: sandbox.restrict(["/"], []))
        if not denied:
            return "landlock", False, reason
        reason = f"{reason}; {denied}" if reason else denied
    return "plain", False, reason


def _try(steps) -> str:
    """Run steps in a child; why they failed, or an empty string."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            steps()
        except BaseException as error:
            os.write(write, str(error or type(error).__name__).encode()[:4000] or b"?")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        told = file.read().decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    return told or ("" if status == 0 else f"the rehearsal ended with {status}")


def _rehearse(config: dict, as_root: bool) -> None:
    sandbox.enter_namespaces(as_root=as_root)
    # The child of a fork is the first process of the new namespace: only there can /proc be mounted.
    told = _try(lambda: _rehearse_inside(config, as_root))
    if told:
        raise sandbox.Denied(told)


def _rehearse_inside(config: dict, as_root: bool) -> None:
    sandbox.enter_root(config["root"], config["packages"], config["visible"])
    sandbox.enter_environment(config["root"], None, 16)
    sandbox.drop_privileges(as_root=as_root, processes=first.PROCESSES)


def _compile_once(packages: dict[str, str]) -> None:
    """Compile the packages where their installer did not: environments see them read-only and could never keep it."""
    for path in packages.values():
        probe = path if path.endswith(".py") else os.path.join(path, "__init__.py")
        if os.path.isfile(probe) and not os.path.exists(importlib.util.cache_from_source(probe)):
            if not os.access(os.path.dirname(probe), os.W_OK):
                continue
            if os.path.isdir(path):
                compileall.compile_dir(path, quiet=2)
            else:
                compileall.compile_file(path, quiet=2)


class Zygote:
    """Forks environments for the server, one message after another."""

    def __init__(self, server: socket.socket, config: dict, mode: str, as_root: bool, reason: str) -> None:
        self.server = server
        self.config = config
        self.mode = mode
        self.as_root = as_root
        self.reason = reason
        self.environments: dict[int, int] = {}  # the first process of each environment → the server's number for it
        self.killed: set[int] = set()
        self.loaded = False
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY) if mode == "namespaces" else -1

    def run(self) -> None:
        """Serve until the server is gone."""
        killing.adopt_orphans()
        self.woken, self.alarm = os.pipe()
        for descriptor in (self.woken, self.alarm):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.alarm, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.server, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        self.tell({"ready": {"mode": self.mode, "as_root": self.as_root, "reason": self.reason}})
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.woken:
                    os.read(self.woken, 4096)
                elif not self.receive():
                    killing.sweep(os.getpid())
                    return
            self.reap()

    def tell(self, message: dict) -> None:
        """Send the server a message; it always has room, since it reads all the time."""
        # The server may have gone, even before we were ready: receive() sees that next, and ends us.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.sendall(json.dumps(message).encode())

    def receive(self) -> bool:
        """Do what the server asks; False when it is gone."""
        room = socket.CMSG_SPACE(8 * 4)
        try:
            data, ancillary, _, _ = self.server.recvmsg(MESSAGE_BYTES, room)
        except OSError:
            return False
        if not data:
            return False
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[: len(content) - len(content) % 4])
        message = json.loads(data)
        if message["do"] == "launch":
            self.launch(message, list(descriptors))
        elif message["do"] == "kill":
            self.kill(message["id"])
        elif message["do"] == "load":
            self.load()
        return True

    def load(self) -> None:
        """Import what every Python function gets warm."""
        if self.loaded:
            return
        self.loaded = True
        runtime = "/var/runtime" if self.mode == "namespaces" else self.config["runtime"]
        sys.path.insert(0, runtime)
        for name in PRELOADED:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()
        self.tell({"loaded": True})

    def launch(self, message: dict, descriptors: list[int]) -> None:
        """Fork one environment."""
        if message["kind"] == "python":
            self.load()
        try:
            if self.mode == "namespaces":
                sandbox.unshare(sandbox.CLONE_NEWPID, "pid namespace")
            pid = os.fork()
        except (OSError, sandbox.Denied) as error:
            for descriptor in descriptors:
                os.close(descriptor)
            self.tell({"failed": message["id"], "why": str(error)})
            return
        if pid == 0:
            try:
                first.run(self, message, descriptors)
            finally:
                os._exit(125)
        if self.mode == "namespaces":
            sandbox.rejoin_pids(self.own_pids)
        for descriptor in descriptors:
            os.close(descriptor)
        self.environments[pid] = message["id"]

    def kill(self, number: int) -> None:
        """End an environment with everything it started."""
        for pid, known in self.environments.items():
            if known == number:
                if self.mode != "namespaces":
                    killing.sweep(pid)
                os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Tell the server which environments are gone; in a plain world, kill what one left to us."""
        gone = [self.environments.pop(pid) for pid, _ in killing.reap() if pid in self.environments]
        if gone and self.mode != "namespaces":
            for stray in killing.children(os.getpid()):
                if stray not in self.environments:
                    killing.sweep(stray)
                    os.kill(stray, signal.SIGKILL)
        for number in gone:
            self.tell({"gone": number})


if __name__ == "__main__":
    main()
