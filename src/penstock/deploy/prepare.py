"""From a template file to a CloudFormation template whose code is built: everything that needs no platform.

Runs in a process of its own (``worker``), because the translator's import alone takes a second and tens of
megabytes; ``docs/internals/decisions/deploy-in-a-process.md`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import build, extensions, intrinsics, load, parameters, sam_forms, transform, undecided
from penstock.deploy.intrinsics import Scope, Undecided
from penstock.deploy.parameters import Parameters
from penstock.deploy.preparing import Prepared, Review, Wish, nothing_to_say, scope_for
from penstock.deploy.problems import Lines, Problems, or_write
from penstock.deploy.workshop import Code, Say, Workshop

SECTIONS = frozenset({
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Transform",
    "Resources", "Outputs", "Globals", "Rules", "Hooks",
})  # fmt: skip


def prepare(wish: Wish, say: Say = lambda text: None, review: Review = nothing_to_say) -> Prepared:
    """Load, transform and build; TemplateError tells all that is wrong, before anything is built where it can.

    ``review`` is asked about the template as it will be but for its code. What a parameter without a usable value
    decides is left open meanwhile, and nothing is said of it.
    """
    base = wish.template.parent
    template = load.load(wish.template)
    body = extensions.include_at_top(template.body, base, lambda path: load.load(path).body)
    _check_sections(body, template.lines)
    problems = Problems(template.lines)
    values = parameters.resolve(body.get("Parameters"), wish.given, problems)
    scope = scope_of(body, values, wish)
    names = transform.transforms_of(body, problems)
    if transform.LANGUAGE in names:
        body = _without_loops(body, values, scope, problems)
        scope = scope_of(body, values, wish)
    _check_loops(body, problems)
    if transform.SAM in names:
        sam_forms.note_strangers(body, problems)
    named = transform.local_code(body, base, scope, problems)
    code = [item for item in named if _wanted(body["Resources"][item.logical_id], scope)]
    _note_unbuildable(code, problems)
    body = transform.with_definitions(body, base, problems)
    left_open = undecided.resources_of(body, values.unknown)

    def translated(keys: Mapping[str, str]) -> tuple[dict[str, Any], Lines]:
        packed = transform.with_packages(body, keys)
        if transform.SAM not in names:
            return {key: value for key, value in packed.items() if key != "Transform"}, template.lines
        found = Problems(template.lines)
        result, origins = transform.translate(
            undecided.without_defaults(packed, values.unknown), values.values, region=wish.region, problems=found
        )
        if values.unknown:  # the translator may only have wanted a value that nobody knows
            found.found = [each for each in found.found if each.resource and not each.resource.startswith(left_open)]
        problems.found += found.found
        return result, replace(template.lines, origins=origins)

    # Once with made-up packages, so that what cannot be deployed is refused before anything is installed.
    unbuilt = {item.logical_id: "unbuilt" for item in named}
    draft, lines = translated(unbuilt)
    unmade = tuple(transform.made_by_sam(draft)) if transform.SAM in names else ()
    problems.found += review(Prepared(draft, values, lines, unmade=unmade))
    problems.raise_if_any()
    keys, packages = _build_all(code, wish.workshop, template.lines, say)
    final, lines = translated(unbuilt | keys) if keys else (draft, lines)
    problems.raise_if_any()
    return Prepared(final, values, lines, packages, tuple(code), template.warnings)


def _without_loops(body: dict[str, Any], values: Parameters, scope: Scope, problems: Problems) -> dict[str, Any]:
    """The template with its loops written out; TemplateError with all that is noted when that cannot be done."""
    try:
        return extensions.expand_loops(body, scope)
    except TemplateError as error:
        if not values.unknown:  # else it may be only that, and what the loops make is not known
            problems.add(error.message)
        problems.raise_if_any()
        raise


def _wanted(resource: dict[str, Any], scope: Scope) -> bool:
    try:
        return "Condition" not in resource or intrinsics.holds(resource["Condition"], scope)
    except Undecided:
        return False


def _note_unbuildable(code: list[Code], problems: Problems) -> None:
    for item in code:
        try:
            build.check(item)
        except TemplateError as error:
            problems.add(error.message, resource=item.logical_id, property_=item.property_)


def _check_sections(body: dict[str, Any], lines: Lines) -> None:
    problems = Problems(lines)
    for name in body:
        if name not in SECTIONS:
            instead = or_write(name, SECTIONS)
            problems.add(f"{name!r} is no section of a template; remove it{instead}", line=lines.of(name))
    for name in ("Hooks", "Rules"):
        if body.get(name):
            problems.add(f"the section {name} is not executed here; remove it", line=lines.of(name))
    resources = body.get("Resources")
    if not isinstance(resources, dict) or not resources:
        problems.add("the section Resources must name at least one resource", line=lines.of("Resources"))
    else:
        for logical_id, resource in resources.items():
            if logical_id.startswith("Fn::ForEach::"):
                continue
            if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
                problems.add("needs a Type", resource=logical_id)
            elif not isinstance(resource.get("Properties", {}), (dict, type(None))):
                problems.add("Properties must be a mapping", resource=logical_id)
    problems.raise_if_any()


def _check_loops(body: Mapping[str, Any], problems: Problems) -> None:
    loops = [name for name in body["Resources"] if name.startswith("Fn::ForEach::")]
    for name in loops:
        needed = f"'Transform: {transform.LANGUAGE}'"
        problems.add(f"{name} is a loop, which needs {needed}: add that", line=problems.lines.of("Resources", name))
    if loops:
        problems.raise_if_any()


def scope_of(body: Mapping[str, Any], values: Parameters, wish: Wish) -> Scope:
    """What names mean in this wish before anything is deployed."""
    return scope_for(
        body, values, account=wish.account, region=wish.region, stack_name=wish.stack_name, stack_id=wish.stack_id
    )


def _build_all(code: list[Code], workshop: Workshop, lines: Lines, say: Say) -> tuple[dict[str, str], dict[str, str]]:
    problems = Problems(lines)
    keys, packages = {}, {}
    for item in code:
        try:
            package = build.build(item, workshop, lambda text, name=item.logical_id: say(f"{name}: {text}"))  # type: ignore[misc]
        except (TemplateError, OSError) as error:
            problems.add(str(error), resource=item.logical_id, property_=item.property_)
            continue
        keys[item.logical_id] = package.key
        packages[package.key] = str(package.path)
    problems.raise_if_any()
    return keys, packages
