"""What user code finds in /var/runtime: boto3 and the runtime client, with what they need, and nothing else of ours."""

from __future__ import annotations

import sysconfig
from importlib import metadata
from pathlib import Path

OFFERED = ("boto3", "awslambdaric")
NODE = Path(__file__).parent / "inside" / "node"
STAND_IN = Path(__file__).parent / "inside" / "runtime_client.py"
_NATIVE = "runtime_client"  # awslambdaric's native module, which cannot be loaded before a fork


def runtime_packages() -> dict[str, Path]:
    """What is at each name in /var/runtime: installed packages, our runtime client, Node's bootstrap."""
    found: dict[str, Path] = {}
    queue, seen = list(OFFERED), set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            top = file.parts[0]
            if top in ("..", "__pycache__") or top.startswith(_NATIVE + "."):
                continue
            found[top] = Path(str(distribution.locate_file(top)))
        queue += [_name_of(line) for line in distribution.requires or () if "extra ==" not in line]
    found |= {f"{_NATIVE}.py": STAND_IN, "node": NODE}
    return dict(sorted(found.items()))


def _name_of(requirement: str) -> str:
    end = next((i for i, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def standard_library() -> list[Path]:
    """The folders of this Python that an environment needs to see: its prefix with program and standard library."""
    base = sysconfig.get_config_var("installed_base")
    return sorted({Path(sysconfig.get_path("stdlib")).resolve(), *([Path(base).resolve()] if base else [])})
