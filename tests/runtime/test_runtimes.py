"""Which runtimes a machine has, and what it says where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.base.errors import CannotRun
from penstock.engine.compute import Function
from penstock.runtime.runtimes import Runtimes


def function(runtime: str) -> Function:
    return Function("arn", "f", "$LATEST", "0" * 12, "us-east-1", "1", runtime, "app.handler", Path())


def test_functions_are_refused_by_name_where_they_cannot_run() -> None:
    for runtime in ("python3.12", "nodejs22.x", "provided.al2023"):
        with pytest.raises(CannotRun, match="functions run on Linux only, and this is darwin: run Penstock on a Linux"):
            Runtimes(system="darwin").of(function(runtime))
    assert Runtimes(system="linux").of(function("provided.al2023")).kind == "provided"


def test_what_runs_nodejs_is_told_before_any_function_asks_for_it(tmp_path: Path) -> None:
    runtimes = Runtimes(path=str(tmp_path))
    assert runtimes.node() == "no nodejs*.x: there is no node in PATH"
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v22.1.0\n")
    node.chmod(0o755)
    assert runtimes.node() == f"every nodejs*.x runs on {node}"
    assert runtimes.of(function("nodejs20.x")).version == "nodejs:22.1.0"
    assert runtimes.node() == "every nodejs*.x runs on 22.1.0"
