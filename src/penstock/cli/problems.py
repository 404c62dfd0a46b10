"""What a command can fail with. Each is one helpful line for its user and an exit code, never a traceback.

Exit codes: 0 done, 1 it failed, 2 the command was used wrongly, 3 no server answers, 4 there is no such thing,
124 it took too long (as timeout(1) says it), 130 interrupted.
"""

from __future__ import annotations

FAILED = 1
WRONG_USE = 2
NO_SERVER = 3
NOT_FOUND = 4
TOO_LONG = 124
INTERRUPTED = 130


class Problem(Exception):
    """It cannot be done; the message says why and what to do next. ``code`` is AWS's error code, if there is one."""

    exit_code = FAILED

    def __init__(self, message: str, *, code: str = "", status: int = 0, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        if exit_code is not None:
            self.exit_code = exit_code
        elif status == 404 or code.endswith(("NotFound", "NotFoundException", "NonExistentQueue", "QueueDoesNotExist")):
            self.exit_code = NOT_FOUND


class Unreachable(Problem):
    """No server answers."""

    exit_code = NO_SERVER
