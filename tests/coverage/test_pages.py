"""The committed coverage pages agree with the code, with the READMEs of the services, and never get worse."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from penstock.engine.model import load
from penstock.engine.registry import Registry
from penstock.engine.service import Service
from penstock.platform import SERVICES
from tests.coverage.pages import PAGES, ROOT, differences, pages
from tests.coverage.recorder import Recorder
from tests.test_tidy import named_in

REGISTRY = Registry(SERVICES)
COLUMNS = ("executed", "kept", "refused", "not tested")

# How many members, properties and operations no test tries, by service: none. A new service may begin with more, and
# its number only ever shrinks.
RATCHET: dict[str, int] = dict.fromkeys(SERVICES, 0)


@cache
def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text()


def tables(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """Every table of a page: its head, and its lines."""
    found: list[tuple[list[str], list[list[str]]]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif not inside:
            inside = True
            found.append((cells, []))
        elif not set(line) <= set("|-: "):
            found[-1][1].append(cells)
    return found


@cache
def claimed(name: str) -> dict[str, dict[str, list[str]]]:
    """What a service's page says of each operation: its members by what became of them."""
    return {
        cells[0]: {
            column: cell.replace("some values of ", "").split(", ") if cell else []
            for column, cell in zip(COLUMNS, cells[1:], strict=True)
        }
        for head, lines in tables(page(name))
        if head[0] == "operation"
        for cells in lines
    }


def section(name: str, title: str) -> set[str]:
    """The operations that a section of a service's page lists."""
    found = re.search(rf"^## {title}\n\n(.*)$", page(name), re.MULTILINE)
    return set(found[1].split(", ")) if found else set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_operation_of_a_service_is_on_its_page(name: str) -> None:
    service = REGISTRY.service(name)
    offered = {each.name for each in service.operations.values() if not each.internal}
    assert set(claimed(name)) == offered, "run `make docs`"
    known = set(load(service.model or name).operation_names)
    assert section(name, "Refused by name") == known - offered, "run `make docs`"


@pytest.mark.parametrize("service", list(REGISTRY.all()), ids=lambda service: service.name)
def test_what_is_kept_or_refused_is_in_the_model_and_only_one_of_both(service: Service) -> None:
    model = load(service.model or service.name)
    for operation in service.operations.values():
        if not operation.internal:
            names = {*operation.kept, *operation.refused}
            members = model.operation(operation.name).input_members
            assert not [each for each in names if each.partition(".")[0] not in members], operation.name
            assert not operation.kept & set(operation.refused), operation.name
    for type_ in service.resources:
        fates = (type_.executed, type_.kept, frozenset(type_.refused))
        assert sum(map(len, fates)) == len(frozenset().union(*fates)), type_.name


def test_what_no_test_tries_only_ever_shrinks() -> None:
    """A number that grew wants a test of what is new; one that shrank is to be lowered here."""
    counted = {name: int(re.findall(r"Not tested: (\d+)", page(name))[0]) for name in SERVICES}
    assert counted == RATCHET


def test_pages_that_say_otherwise_are_told_line_by_line() -> None:
    made = pages(Recorder())
    found = differences(made)
    assert found[-1].startswith("run `make docs`")
    assert any(line.startswith("docs/coverage/sqs.md: not confirmed: | SendMessage |") for line in found)
    assert any(line.startswith("docs/coverage/sqs.md: now true: | SendMessage |") for line in found)
    committed: dict[Any, str] = {path: path.read_text() for path in PAGES.glob("*.md")}
    assert differences(committed) == []
    assert differences(dict(list(committed.items())[1:]))


# --- the READMEs


def said(head: list[str], cells: list[str]) -> dict[str, str]:
    """The words of a README's row under "executed", "kept" and "refused"."""
    columns = dict(zip(head[1:], cells[1:], strict=False))
    if "executed" in columns:
        return {column: columns.get(column, "") for column in COLUMNS[:3]}
    found = dict.fromkeys(COLUMNS[:3], "")
    for label, words in re.findall(r"(?:^|[;.] *)(executed|kept|refused):([^;.]*(?:\.\w[^;.]*)*)", cells[-1], re.I):
        found[label.lower()] += words
    return found


def matching(word: str, paths: list[str]) -> list[str]:
    """The members that a word of a README names: "Code.S3Bucket", or "S3Bucket", or "Code" for all in it."""
    return [path for path in paths if f".{word}." in f".{path}."]


@pytest.mark.parametrize("name", SERVICES)
def test_the_readme_of_a_service_says_what_its_page_says(name: str) -> None:
    folder = SERVICES[name].rpartition(".")[2]
    text = (ROOT / "src" / "penstock" / "services" / folder / "README.md").read_text()
    assert f"docs/coverage/{name}.md" in text, "link the service's page"
    pages_rows, wrong = claimed(name), []
    for head, lines in tables(text):
        if head[0] not in ("operation", "operations"):
            continue
        for cells in lines:
            words = set(re.findall(r"\w+", named_in(cells[0])))
            if "refused by name" in cells[-1]:
                wrong += [f"{each} is offered, the README says refused" for each in words & set(pages_rows)]
            rows = [pages_rows[each] for each in pages_rows if each in words]
            for column, sentence in said(head, cells).items():
                for word in re.findall(r"\b[A-Za-z]\w*(?:\.\w+)*", sentence):
                    named = [path for row in rows for each in COLUMNS for path in matching(word, row[each])]
                    there = [path for row in rows for path in matching(word, row[column])]
                    if named and not there:
                        wrong.append(f"{word} of {cells[0]}: the README says {column}, the page does not")
    wrong += [f"{each} is in no table of the README" for each in pages_rows if each not in named_in(text)]
    assert not wrong, "\n".join(wrong)
