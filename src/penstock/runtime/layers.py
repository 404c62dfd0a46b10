"""/opt: one layer as it is, several as one folder in which a later layer's files replace an earlier one's.

Source: docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path


def opt_of(layers: tuple[Path, ...], scratch: Path) -> Path | None:
    """The folder to show as /opt; made once per list of layers. Blocks: run it in a thread."""
    if len(layers) < 2:
        return layers[0] if layers else None
    key = hashlib.sha256("\0".join(map(str, layers)).encode()).hexdigest()[:32]
    merged = scratch / "opt" / key
    if merged.is_dir():
        return merged
    making = merged.with_suffix(".new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for layer in layers:
        shutil.copytree(layer, making, symlinks=True, dirs_exist_ok=True, copy_function=_place)
    making.rename(merged)
    return merged


def _place(source: str, target: str) -> None:
    """A hard link where the file system allows it: nobody writes to a layer."""
    if os.path.lexists(target):
        os.unlink(target)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
