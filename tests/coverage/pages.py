"""The coverage pages: what the tests of one run had every service do, as docs/coverage shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from penstock.engine.model import ServiceModel, load
from penstock.engine.operation import Operation
from penstock.engine.registry import Registry
from penstock.engine.resource import ResourceType
from penstock.engine.service import Service
from penstock.platform import SERVICES
from tests.coverage.recorder import Recorder, Seen, within
from tests.coverage.watched import Node, input_of, properties

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "coverage"
RECORD = ROOT / ".pytest_cache" / "coverage.json"

_INTRODUCTION = """\
Made from what the tests did in one run (`make docs`), never by hand; `make test` fails when it is not true any more.

- *executed*: a test sent it, the operation answered, and had read it;
- *kept*: a test sent it; it is stored and given back, without effect here;
- *refused*: a test saw the error that names it and says what to do instead;
- *not tested*: no test sent it. The number of these never grows.
"""


@dataclass(slots=True)
class Row:
    """One operation or resource type: its members by what became of them."""

    name: str
    executed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    not_tested: list[str] = field(default_factory=list)

    def sort(self, path: str, seen: Seen, kept: bool) -> None:
        """Put a member where what was seen of it belongs."""
        refused = path in seen.refused
        if path in seen.sent and kept:
            self.kept.append(path)
        elif path in seen.sent and path in seen.read:
            self.executed.append(path)
        elif not refused:
            self.not_tested.append(path)
        if refused:
            self.refused.append(f"some values of {path}" if path in seen.sent else path)

    def line(self) -> str:
        """As a line of the table."""
        cells = (self.executed, self.kept, self.refused, self.not_tested)
        return f"| {self.name} | " + " | ".join(", ".join(cell) for cell in cells) + " |"


@dataclass(slots=True)
class Coverage:
    """What was seen of one service."""

    name: str
    operations: list[Row] = field(default_factory=list)
    without_answer: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)  # refused operations that no test saw refused
    types: list[Row] = field(default_factory=list)

    @property
    def not_tested(self) -> int:
        """How many operations, members and properties no test tried."""
        members = sum(len(row.not_tested) for row in (*self.operations, *self.types))
        return members + len(self.without_answer) + len(self.unconfirmed)


def _shown(node: Node, seen: Seen, named: Iterable[str]) -> Iterator[str]:
    """The members to show: the innermost, or the outer one where kept or refused is all there is to say."""
    if not node.path or not (node.path in named or (node.path in seen.refused and node.path not in seen.sent)):
        inner = node.element or node
        if inner.members:
            for member in inner.members.values():
                yield from _shown(member, seen, named)
            return
    if node.path:
        yield node.path


def _operation(model: ServiceModel, operation: Operation, seen: Seen) -> Row:
    row = Row(operation.name)
    for path in _shown(input_of(model.operation(operation.name)), seen, {*operation.kept, *operation.refused}):
        row.sort(path, seen, within(path, operation.kept))
    return row


def _type(type_: ResourceType, seen: Seen) -> Row:
    row = Row(type_.name)
    here = {*_shown(properties(type_), seen, {*type_.kept, *type_.refused}), *type_.refused}
    for path in sorted(here):
        row.sort(path, seen, within(path, type_.kept))
    return row


def coverage(service: Service, recorder: Recorder) -> Coverage:
    """What was seen of a service."""
    model = load(service.model or service.name)
    found = Coverage(service.name)
    offered = {name: each for name, each in service.operations.items() if not each.internal}
    for name in sorted(model.operation_names):
        if name in offered:
            seen = recorder.of(service.name, name)
            found.operations.append(_operation(model, offered[name], seen))
            if not seen.answers:
                found.without_answer.append(name)
        else:
            (found.refused if (service.name, name) in recorder.refused else found.unconfirmed).append(name)
    found.types = [_type(type_, recorder.of(service.name, type_.name)) for type_ in _sorted(service.resources)]
    return found


def _sorted(types: Iterable[ResourceType]) -> list[ResourceType]:
    return sorted(types, key=lambda type_: type_.name)


def _services() -> list[Service]:
    return sorted(Registry(SERVICES).all(), key=lambda service: service.name)


_HEAD = "|---|---|---|---|---|"


def _page(found: Coverage) -> str:
    lines = [f"# Coverage: {found.name}", "", _INTRODUCTION]
    lines += [_counts(found), ""]
    lines += ["## Operations", "", "| operation | executed | kept | refused | not tested |", _HEAD]
    lines += [row.line() for row in found.operations]
    if found.types:
        lines += ["", "## CloudFormation", "", "| type | executed | kept | refused | not tested |", _HEAD]
        lines += [row.line() for row in found.types]
    for title, names in (
        ("Offered, and no test got an answer", found.without_answer),
        ("Refused by name", found.refused),
        ("Not offered, and no test saw the refusal", found.unconfirmed),
    ):
        if names:
            lines += ["", f"## {title}", "", ", ".join(names)]
    return "\n".join(lines) + "\n"


def _number(rows: list[Row], column: str) -> int:
    return sum(len(getattr(row, column)) for row in rows)


def _counts(found: Coverage) -> str:
    rows = [*found.operations, *found.types]
    answered = len(found.operations) - len(found.without_answer)
    types = f", {len(found.types)} CloudFormation types" if found.types else ""
    return (
        f"{answered} operations executed, {len(found.refused)} refused{types}."
        f" Members and properties: {_number(rows, 'executed')} executed, {_number(rows, 'kept')} kept,"
        f" {_number(rows, 'refused')} refused. Not tested: {found.not_tested}."
    )


def _index(found: list[Coverage]) -> str:
    lines = ["# Coverage", "", _INTRODUCTION]
    lines += [
        "| service | operations | refused | types | members executed | kept | refused | not tested |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        rows = [*each.operations, *each.types]
        numbers = (
            len(each.operations) - len(each.without_answer), len(each.refused), len(each.types),
            _number(rows, "executed"), _number(rows, "kept"), _number(rows, "refused"), each.not_tested,
        )  # fmt: skip
        lines.append(f"| [{each.name}]({each.name}.md) | " + " | ".join(str(number) for number in numbers) + " |")
    lines += [
        "",
        "Every other service of AWS is refused by name, and so is every other type in a template.",
    ]
    return "\n".join(lines) + "\n"


def pages(recorder: Recorder) -> dict[Path, str]:
    """Every page with what belongs on it."""
    found = [coverage(service, recorder) for service in _services()]
    return {PAGES / "README.md": _index(found)} | {PAGES / f"{each.name}.md": _page(each) for each in found}


def differences(made: dict[Path, str]) -> list[str]:
    """What the committed pages say otherwise, line by line; empty when they are true."""
    found = []
    for path in sorted({*made, *PAGES.glob("*.md")}):
        wanted = made.get(path, "").splitlines()
        there = path.read_text().splitlines() if path.exists() else []
        name = path.relative_to(ROOT)
        found += [f"{name}: not confirmed: {line}" for line in there if line not in wanted]
        found += [f"{name}: now true: {line}" for line in wanted if line not in there]
        if not found and there != wanted:
            found.append(f"{name}: another order")
    return [*found, "run `make docs` and commit docs/coverage"] if found else []


def ignored(recorder: Recorder) -> list[str]:
    """Settings that were sent, answered, read by nobody, and are not kept; with the operation or type of each."""
    found = []
    for service in _services():
        kept = {name: each.kept for name, each in service.operations.items()}
        kept |= {type_.name: type_.kept for type_ in service.resources}
        for name in sorted(kept):
            seen = recorder.of(service.name, name)
            found += [
                f"{path} of {name} ({service.name}): execute it, refuse it (refused={{…}}), or keep it (kept={{…}})"
                for path in seen.ignored(kept[name])
            ]
    return found
