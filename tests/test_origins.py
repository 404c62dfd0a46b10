"""Web pages: only those whose origin was allowed at the start may call a platform."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penstock.testing.platform import PlatformThread


def status(platform: PlatformThread, origin: str) -> int:
    request = urllib.request.Request(f"{platform.url}/_penstock/health", headers={"Origin": origin})
    with urllib.request.urlopen(request) as answer:
        return int(answer.status)


def test_only_pages_of_allowed_origins_are_answered(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, allow_origins=("https://app.example",)) as platform:
        assert status(platform, "https://app.example") == 200
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            status(platform, "https://other.example")
        assert "--allow-origin https://other.example" in refused.value.read().decode()
