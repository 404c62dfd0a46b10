"""The AWS SDK that Lambda's Node.js runtimes have inside, for functions that ask for it and do not bring it.

Version 3 is in nodejs18.x and later, version 2 in those before; see "Runtime-included SDK versions" in
docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html. Only the packages that a function's files name are installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from penstock.deploy.packages import Files

_NAMED: Final = re.compile(rb"""['"]((?:@aws-sdk|@smithy)/[a-z0-9-]+|aws-sdk)(?:/[^'"\n]*)?['"]""")
_CODE: Final = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts")
_WITH_VERSION_3: Final = 18  # the first nodejs runtime with version 3
_READ_BYTES: Final = 8 << 20  # larger files are bundles of everything


def missing(files: Files, manifest: Mapping[str, Any], runtime: str | None) -> tuple[str, ...]:
    """The SDK packages that the runtime has inside, and that these files name but do not hold, in order."""
    found = re.match(r"nodejs(\d+)\.x$", runtime or "")
    if found is None:
        return ()
    declared = manifest.get("dependencies") or {}
    own = [path for name, path in files.items() if name.endswith(_CODE) and "node_modules/" not in name]
    held = {_package(name) for name in files if name.startswith("node_modules/")}
    return tuple(
        sorted(
            name
            for name in _named(own)
            if name not in declared
            and name not in held
            and (int(found.group(1)) < _WITH_VERSION_3) == (name == "aws-sdk")
        )
    )


def _named(paths: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for path in paths:
        if path.stat().st_size <= _READ_BYTES:
            names |= {match.decode() for match in _NAMED.findall(path.read_bytes())}
    return names


def _package(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[1:3] if parts[1].startswith("@") else parts[1:2])
