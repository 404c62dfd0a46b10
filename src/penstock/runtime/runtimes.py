"""Which runtimes there are: ``python3.x`` names run on the server's Python, ``nodejs*`` on the machine's Node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock.base.errors import CannotRun
from penstock.engine.compute import Function

PROVIDED = frozenset({"provided", "provided.al2", "provided.al2023"})
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
NODE_BOOTSTRAP = "node/bootstrap.mjs"
NODE_SECONDS = 20  # for `node --version`, on a machine under load


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a runtime's name stands for here. ``version`` is the machine's; ``programs`` go to the front of PATH."""

    kind: str  # python, node, provided
    version: str
    managed: bool
    programs: tuple[str, ...] = ()
    program: str = ""

    def commands(self, folders: dict[str, str], memory_mb: int) -> list[list[str]]:
        """The programs that may be the function's process, the first that exists is; ``folders`` as it sees them."""
        if self.kind == "node":
            heap = f"--max-old-space-size={memory_mb * 9 // 10}"
            return [[self.program, heap, f"{folders['runtime']}/{NODE_BOOTSTRAP}"]]
        return [[f"{folders['task']}/bootstrap"], [f"{folders['opt']}/bootstrap"]]


class Runtimes:
    """The machine's runtimes, looked up once.

    ``path`` is the PATH in which programs are looked for, ``system`` the operating system as ``sys.platform`` has it.
    """

    def __init__(self, path: str | None = None, system: str = sys.platform) -> None:
        self._path = path
        self._system = system
        python = os.path.realpath(sys.executable)
        version = ".".join(map(str, sys.version_info[:3]))
        self.python = Runtime("python", f"python:{version}", True, (os.path.dirname(python),), python)
        self._provided = Runtime("provided", "provided", False)
        self._node: Runtime | None = None

    def of(self, function: Function) -> Runtime:
        """The runtime of a function; CannotRun with what to do when the machine has none."""
        name = function.runtime
        if not self._system.startswith("linux"):
            raise CannotRun(
                f"functions run on Linux only, and this is {self._system}: run Penstock on a Linux machine or in a "
                "virtual machine"
            )
        if WRAPPER in function.environment:
            raise CannotRun(
                f"{function.name} sets {WRAPPER}, and Penstock runs no wrapper scripts: remove it from the environment"
            )
        if re.fullmatch(r"python3\.\d+", name):
            return self.python
        if name in PROVIDED:
            return self._provided
        if re.fullmatch(r"nodejs\d+\.x", name):
            return self._node or self._find_node(name)
        raise CannotRun(
            f"{function.name} asks for the runtime {name or '(none)'}, which Penstock does not run: "
            "use python3.x, nodejs*.x, or provided.al2023 with a bootstrap"
        )

    def check(self, function: Function) -> Runtime:
        """``of``, and whether the function's code can begin at all."""
        runtime = self.of(function)
        if not function.code.is_dir():
            raise CannotRun(f"the code of {function.name} is not at {function.code}: deploy it again")
        return runtime

    def visible(self) -> list[str]:
        """Folders that the runtimes beside Python live in: a Node.js in somebody's home, mostly."""
        program = shutil.which("node", path=self._path)
        return [] if program is None else [prefix_of(os.path.realpath(program))]

    def node(self) -> str:
        """What runs nodejs*.x functions, in words: the version once one has run, until then where Node.js is."""
        if self._node is not None:
            return f"every nodejs*.x runs on {self._node.version.removeprefix('nodejs:')}"
        program = shutil.which("node", path=self._path)
        return "no nodejs*.x: there is no node in PATH" if program is None else f"every nodejs*.x runs on {program}"

    def _find_node(self, name: str) -> Runtime:
        program = shutil.which("node", path=self._path)
        if program is None:
            raise CannotRun(
                f"the runtime {name} needs Node.js: install it so that `node --version` answers, then try again"
            )
        program = os.path.realpath(program)
        try:
            told = subprocess.run([program, "--version"], capture_output=True, timeout=NODE_SECONDS, check=True, env={})
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotRun(f"the runtime {name} needs Node.js, but {program} --version fails: {error}") from error
        version = told.stdout.decode().strip().removeprefix("v")
        self._node = Runtime("node", f"nodejs:{version}", True, (os.path.dirname(program),), program)
        return self._node


def prefix_of(program: str) -> str:
    """The folder a program was installed under: /usr/local of /usr/local/bin/node."""
    folder = Path(program).parent
    return str(folder.parent if folder.name == "bin" else folder)
