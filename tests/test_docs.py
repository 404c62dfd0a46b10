"""The pages say what is true: generated ones are fresh, links lead somewhere, commands and settings exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from penstock.cli.app import run
from penstock.settings import PREFIX, names
from tests.pages import pages

ROOT = Path(__file__).parent.parent
WRITTEN = [
    page for where in ("*.md", "docs/**/*.md", "src/**/README.md", "examples/*/README.md") for page in ROOT.glob(where)
]
COMMAND = re.compile(r"^(?:\$ )?penstock ([a-z]+)((?: .*)?)$", re.MULTILINE)


def test_generated_pages_are_fresh() -> None:
    stale = [path.name for path, text in pages().items() if path.read_text() != text]
    assert not stale, f"run `make docs`: {', '.join(stale)}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not broken, f"{page.relative_to(ROOT)} links to {', '.join(broken)}"


def test_commands_and_options_in_the_pages_exist(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for page in WRITTEN:
        for command, rest in COMMAND.findall(page.read_text()):
            assert run([command, "--help"]) in (0, 2)
            text = capsys.readouterr().out
            given = re.findall(r"(?<=\s)--?[a-z][-a-z]*", rest.split("#")[0])
            missing = [option for option in given if option not in text]
            if not text or missing:
                wrong.append(f"{page.relative_to(ROOT)}: penstock {command} {' '.join(missing)}")
    assert not wrong, "\n".join(wrong)


def test_variables_named_in_the_pages_are_settings() -> None:
    known = {PREFIX + name.upper() for name in names()} | {"PENSTOCK_MEMORY"}
    for page in WRITTEN:
        named = set(re.findall(r"PENSTOCK_[A-Z_]*[A-Z]", page.read_text()))
        assert named <= known, f"{page.relative_to(ROOT)}: {', '.join(named - known)}"


def test_python_in_the_pages_can_be_read() -> None:
    for page in WRITTEN:
        for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            ast.parse(snippet)


def test_the_readme_shows_a_running_application_within_thirty_lines_and_ends_within_120() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert any("penstock up" in line for line in lines[:30])
