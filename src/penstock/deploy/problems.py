"""Everything that is wrong with a template, told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from penstock.base.errors import TemplateError

_NEAR: Final = 0.85  # of difflib's ratio: one or two letters of a word are wrong
_NEAR_PART: Final = 0.8  # the same of a part of a type's name: apart enough that no type of AWS's is another's typo


@dataclass(frozen=True, slots=True)
class Lines:
    """Where in the file each part of a template stands, counted from 1.

    ``at`` maps a path such as ``Resources/Queue/Properties/DelaySeconds`` to its line; ``origins`` maps the logical id
    of a resource that a transform made to the id it was made for.
    """

    path: str = "the template"
    at: Mapping[str, int] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def of(self, *path: str) -> int | None:
        """The line of the deepest part of this path that the file has."""
        for length in range(len(path), 0, -1):
            line = self.at.get("/".join(path[:length]))
            if line is not None:
                return line
        return None

    def resource(self, logical_id: str, *property_: str) -> int | None:
        """The line of a resource, or of one of its properties: a name, and the way to what stands inside it.

        What SAM made of an event stands there; a property may also be set by SAM's Globals.
        """
        origin = self.origins.get(logical_id, logical_id)
        own = ("Resources", origin, "Properties")
        if not property_:
            return self.of("Resources", origin)
        event = logical_id.removeprefix(origin)
        for home in (own, (*own, "Events", event, "Properties"), ("Globals", "Function")):
            if "/".join((*home, property_[0])) in self.at:
                return self.of(*home, *property_)
        return self.of(*own, "Events", event) if event else self.of(*own)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    message: str
    resource: str | None = None
    line: int | None = None


class Problems:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.found: list[Problem] = []

    def add(
        self, message: str, *, resource: str | None = None, property_: str | tuple[str, ...] = (),
        line: int | None = None,
    ) -> None:  # fmt: skip
        """Note a problem; the line is looked up when only the resource and property are known."""
        if line is None and resource is not None:
            line = self.lines.resource(resource, *((property_,) if isinstance(property_, str) else property_))
        problem = Problem(message, resource, line)
        if problem not in self.found:
            self.found.append(problem)

    def raise_if_any(self) -> None:
        """Raise one TemplateError that tells every problem, the first one's place in its fields."""
        if not self.found:
            return
        found = sorted(self.found, key=lambda problem: problem.line or 0)
        first = found[0]
        text = "\n".join(located(problem, self.lines.path) for problem in found)
        raise TemplateError(text, resource=first.resource, line=first.line)


def located(problem: Problem, path: str) -> str:
    """A problem as a line of text: file, line, resource, what is wrong."""
    place = f"{path}:{problem.line}" if problem.line is not None else path
    return f"{place}: {problem.resource}: {problem.message}" if problem.resource else f"{place}: {problem.message}"


def or_write(name: str, known: Iterable[str]) -> str:
    """The end of "remove it": what was probably meant by a name that nothing has; empty when nothing comes near."""
    close = difflib.get_close_matches(name, sorted(known), 1, _NEAR)
    return f", or write {close[0]}" if close else ""


def did_you_mean(type_: str, known: Iterable[str]) -> str:
    """A question with the resource type that was probably meant, each part of its name near; empty when none is."""

    def nearness(name: str) -> float:
        parts, given = name.lower().split("::"), type_.lower().split("::")
        ratios = [difflib.SequenceMatcher(None, *pair).ratio() for pair in zip(parts, given, strict=False)]
        return sum(ratios) if len(parts) == len(given) and min(ratios) >= _NEAR_PART else 0

    best = max(sorted(known), key=nearness, default="")
    return f"did you mean {best}?" if best and nearness(best) else ""
