"""What is prepared, and its preparation in a process of its own.

The server never imports the translator: this module knows the values that go to the process and come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penstock.deploy import apart, intrinsics
from penstock.deploy.intrinsics import Scope
from penstock.deploy.parameters import Parameters
from penstock.deploy.problems import Lines, Problem
from penstock.deploy.workshop import Code, Workshop, code_of, to_json, workshop_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be prepared."""

    template: Path
    given: Mapping[str, str]
    workshop: Workshop
    account: str
    region: str
    stack_name: str
    stack_id: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A CloudFormation template without transforms, its code built.

    ``packages`` maps a package key in the template to its zip file; ``code`` is what was built, for whoever watches
    the folders; ``warnings`` are sentences for the user. ``unmade``, of a draft only, are resources that a transform
    could not take.
    """

    body: dict[str, Any]
    parameters: Parameters
    lines: Lines
    packages: Mapping[str, str] = field(default_factory=dict)
    code: tuple[Code, ...] = ()
    warnings: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()


Review = Callable[[Prepared], list[Problem]]
"""Finds what is wrong with a draft: a template whose code is not built yet."""


def nothing_to_say(draft: Prepared) -> list[Problem]:
    """A review that lets everything pass."""
    return []


def scope_for(
    body: Mapping[str, Any], values: Parameters, *, account: str, region: str, stack_name: str, stack_id: str
) -> Scope:
    """What names mean before anything is deployed."""
    return Scope(
        parameters={**values.values, **dict.fromkeys(values.unknown, intrinsics.UNKNOWN)},
        pseudo=intrinsics.pseudo_parameters(account=account, region=region, stack_name=stack_name, stack_id=stack_id),
        mappings=body.get("Mappings") or {},
        conditions=body.get("Conditions") or {},
        resources=frozenset(body.get("Resources") or ()),
    )


def wish_of(data: Mapping[str, Any]) -> Wish:
    """A wish from its JSON form."""
    return Wish(
        **{name: data[name] for name in ("given", "account", "region", "stack_name", "stack_id")},
        template=Path(data["template"]),
        workshop=workshop_of(data["workshop"]),
    )


def prepared_of(data: Mapping[str, Any]) -> Prepared:
    """What was prepared, from its JSON form."""
    return Prepared(
        body=data["body"],
        parameters=Parameters(
            data["parameters"]["values"], frozenset(data["parameters"]["hidden"]),
            frozenset(data["parameters"]["unknown"]),
        ),
        lines=Lines(**data["lines"]),
        packages=data["packages"],
        code=tuple(code_of(item) for item in data["code"]),
        warnings=tuple(data["warnings"]),
        unmade=tuple(data["unmade"]),
    )  # fmt: skip


async def prepare(wish: Wish, say: Callable[[str], None], review: Review = nothing_to_say) -> Prepared:
    """Load, transform and build in a process that ends with this call; TemplateError when the template is wrong.

    ``review`` is asked here, between transforming and building.
    """
    async with apart.working("penstock.deploy.worker", wish.workshop) as worker:
        await worker.tell(to_json(wish))
        async for answer in worker.answers(say):
            if "draft" in answer:
                found = review(prepared_of(answer["draft"]))
                await worker.tell([asdict(problem) for problem in found])
            else:
                return prepared_of(answer["prepared"])
    raise AssertionError("the answers end with a result or an error")
