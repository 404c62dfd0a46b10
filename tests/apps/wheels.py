"""Wheels of what is installed here, so that an application's requirements can be installed without a network.

The real installer runs: it is only told to look into a folder instead of an index.
"""

from __future__ import annotations

import os
import zipfile
from importlib import metadata
from pathlib import Path


def wheel_of(name: str, folder: Path) -> Path:
    """Write the wheel of an installed pure Python distribution."""
    distribution = metadata.distribution(name)
    stem = f"{distribution.metadata['Name'].replace('-', '_')}-{distribution.version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in distribution.files or ():
            if (
                ".." in file.parts
                or file.suffix == ".pyc"
                or file.name in ("INSTALLER", "REQUESTED", "direct_url.json")
            ):
                continue
            wheel.write(str(file.locate()), file.as_posix())
    return path


def offline(folder: Path, *names: str) -> dict[str, str]:
    """Environment variables that let pip and uv install these distributions, and nothing else, from a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        wheel_of(name, folder)
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(folder),
        "UV_CACHE_DIR": str(folder / "uv"),
        "PIP_CACHE_DIR": str(folder / "pip"),
    }
