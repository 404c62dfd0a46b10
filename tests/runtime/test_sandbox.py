"""What a machine allows decides how functions are isolated; every way works, and says which it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = str(Path(__file__).with_name("sandbox_probe.py"))
FORBIDDEN = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin"
LAMBDA_UID = 993


def probe(folder: Path, *wrapper: str) -> dict[str, object]:
    """Run the probe within other programs that take away what it may do."""
    command = [*wrapper, sys.executable, PROBE, str(folder)]
    if wrapper[-1:] == (FORBIDDEN,):
        command = [*wrapper[:-1], f"{FORBIDDEN} {sys.executable} {PROBE} {folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        if "unshare" in done.stderr or "setpriv" in done.stderr:
            pytest.skip(f"this cannot be tried here: {done.stderr.splitlines()[0]}")
        raise AssertionError(done.stderr)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "wrapper",
    [(), ("setpriv", "--bounding-set=-sys_admin"), ("unshare", "-Ur")],
    ids=["as we are", "root that may not mount", "root of a user namespace"],
)
def test_namespaces_are_used_wherever_they_can_be_had(tmp_path: Path, wrapper: tuple[str, ...]) -> None:
    if wrapper and (os.geteuid() != 0 or shutil.which(wrapper[0]) is None):
        pytest.skip(f"this needs root and {wrapper[0]}")
    tmp_path.chmod(0o755)
    found = probe(tmp_path, *wrapper)
    if found["mode"] != "namespaces" and not wrapper:
        pytest.skip(f"this machine allows no namespaces: {found['reason']}")
    assert found["mode"] == "namespaces" and found["right"] is True and found["uid"] == LAMBDA_UID
    assert str(found["tmp"]).startswith("private")


def test_without_user_namespaces_it_says_why_and_works_all_the_same(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("this needs unshare and setpriv")
    found = probe(tmp_path, "unshare", "-Ur", "sh", "-c", FORBIDDEN)
    assert found["mode"] in ("landlock", "plain") and found["right"] is True
    assert str(found["reason"]).startswith("unshare user and pid namespace: ")
    assert "not limited" in str(found["tmp"])
