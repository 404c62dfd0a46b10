"""A server with busy environments, for a test to kill: ``doomed_server.py FOLDER MARK SANDBOX``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runtime.conftest import Machine

SOURCE = """
import os, signal, time
def handler(event, context):
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sh", ["sh", "-c", "trap '' TERM HUP; while :; do sleep 1; done # " + os.environ["MARK"]])
        os._exit(0)
    if event:
        time.sleep(60)
"""


async def main() -> None:
    """Have four environments, three of them busy for a minute."""
    folder, mark, sandbox = sys.argv[1:]
    machine = Machine(Path(folder), sandbox=sandbox)
    function = machine.function(SOURCE, environment={"MARK": mark}, timeout_ms=60_000)
    await machine.invoke(function, 0)
    tasks = [asyncio.create_task(machine.invoke(function, 1)) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.gather(*tasks)


asyncio.run(main())
