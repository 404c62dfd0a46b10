"""Says how functions are isolated here, and runs two: ``sandbox_probe.py FOLDER``."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runtime.conftest import Machine

PYTHON = (
    "import os\ndef handler(event, context):\n    return [os.getcwd() == os.environ['LAMBDA_TASK_ROOT'], os.getuid()]"
)
NODE = "export const handler = async () => process.cwd() === process.env.LAMBDA_TASK_ROOT;"


async def main() -> None:
    """Print a line of JSON."""
    machine = Machine(Path(sys.argv[1]))
    try:
        right, uid = await machine.answer(machine.function(PYTHON))
        if shutil.which("node"):
            function = machine.function({"index.mjs": NODE}, runtime="nodejs20.x", handler="index.handler")
            right = right and await machine.answer(function)
        print(json.dumps(machine.environments.sandbox() | {"right": right, "uid": uid}))
    finally:
        await machine.close()


asyncio.run(main())
