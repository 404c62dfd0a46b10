"""What has to be done so that the platform becomes what the template says: pure, nothing is carried out here.

A plan is made of steps in an order that respects dependencies, then removals in the reverse one. Where a value is
known only after apply, a step says "update" although the value may turn out the same; ``change_of`` decides again
with the value in hand.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from penstock.base.errors import TemplateError
from penstock.deploy import forms, intrinsics
from penstock.deploy.check import Types, Wanted
from penstock.deploy.intrinsics import UNKNOWN, Scope
from penstock.deploy.problems import Lines, Problems
from penstock.engine.resource import Physical, ResourceType

Action = Literal["create", "update", "replace", "delete", "retain", "keep"]

_SUFFIX_LETTERS: Final = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_SUFFIX_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Existing:
    """A resource that an earlier deployment made. ``row`` names it in the store."""

    row: int
    logical_id: str
    type: str
    name: str
    generation: int
    physical: Physical
    properties: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    retain_on_delete: bool = False
    retain_on_replace: bool = False
    stub: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. ``changed`` are the properties that differ, ``needs`` the steps that come first."""

    action: Action
    logical_id: str
    type: str
    changed: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    wanted: Wanted | None = None
    existing: Existing | None = None

    @property
    def line(self) -> int | None:
        """Where the resource stands in the template."""
        return self.wanted.line if self.wanted else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order of dependencies, then removals."""

    steps: tuple[Step, ...]
    removals: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Step, ...]:
        """Everything that is not kept as it is."""
        return tuple(step for step in (*self.steps, *self.removals) if step.action != "keep")


def make_plan(
    wanted: Mapping[str, Wanted], existing: Mapping[str, Existing], scope: Scope, types: Types, lines: Lines,
    tags: Mapping[str, str] | None = None,
) -> Plan:  # fmt: skip
    """The steps from what exists to what is wanted; TemplateError when there is no way."""
    actions: dict[str, Action] = {}

    def look_up(logical_id: str, attribute: str | None) -> Any:
        if actions.get(logical_id) in ("keep", "update"):
            return value_of(existing[logical_id].physical, attribute)
        return UNKNOWN

    scope = replace(scope, resources=frozenset(wanted), resource=look_up, export=lambda name: UNKNOWN)
    problems = Problems(lines)
    steps = []
    for logical_id in in_order({name: item.needs for name, item in wanted.items()}, lines):
        item, old = wanted[logical_id], existing.get(logical_id)
        type_ = types.find(item.type)
        properties = resolved(type_, item, scope)
        action: Action = "create"
        changed: tuple[str, ...] = ()
        if old is not None and old.type != item.type:
            problems.add(
                f"the type changed from {old.type} to {item.type}, which CloudFormation does not permit; "
                "give the new resource another logical id",
                resource=logical_id,
            )
        elif old is not None:
            action, changed = change_of(type_, old, properties, tags if tags is not None else old.tags)
            if action == "replace" and (reason := _same_name(type_, old, properties)):
                problems.add(reason, resource=logical_id, property_=changed[0])
        actions[logical_id] = action
        steps.append(Step(action, logical_id, item.type, changed, item.needs, item, old))
    problems.raise_if_any()
    gone = {name: item for name, item in existing.items() if name not in wanted}
    return Plan(tuple(steps), tuple(removal(item) for item in in_reverse(gone.values())))


def resolved(type_: ResourceType | None, wanted: Wanted, scope: Scope) -> dict[str, Any]:
    """A resource's properties as far as the scope knows them, in the form that its type has them."""
    properties: dict[str, Any] = intrinsics.resolve(dict(wanted.properties), scope)
    return properties if type_ is None else forms.conformed(type_, properties)


def change_of(
    type_: ResourceType | None, old: Existing, properties: Mapping[str, Any], tags: Mapping[str, str]
) -> tuple[Action, tuple[str, ...]]:
    """Whether new properties keep, update or replace a resource, and which of them differ. None is a stub's type."""
    # The old ones were written down as the release that deployed them had them, which may be another form.
    before = old.properties if type_ is None else forms.conformed(type_, old.properties)
    names = sorted(before.keys() | properties.keys())
    changed = [name for name in names if _differ(before.get(name), properties.get(name))]
    if type_ is not None and dict(old.tags) != dict(tags) and "Tags" in type_.executed and "Tags" not in changed:
        changed.append("Tags")
    if not changed or type_ is None:
        return "keep", ()
    return ("replace" if type_.replaced_by & set(changed) else "update"), tuple(changed)


def _differ(old: Any, new: Any) -> bool:
    return old != new or not intrinsics.is_known(new)


def _same_name(type_: ResourceType | None, old: Existing, properties: Mapping[str, Any]) -> str | None:
    """Why a replacement cannot be made beside the old resource: it would have the same name."""
    name = type_.name_property if type_ else None
    if name is None or name not in properties or old.properties.get(name) != properties[name]:
        return None
    return (
        f"the change needs a new resource, which cannot have the name {properties[name]!r} while the old one exists; "
        f"change {name}, or leave it out"
    )


def removal(existing: Existing) -> Step:
    """The step that removes a resource, or lets go of it."""
    action: Action = "retain" if existing.retain_on_delete else "delete"
    return Step(action, existing.logical_id, existing.type, existing=existing)


def in_reverse(resources: Iterable[Existing]) -> list[Existing]:
    """Resources in an order in which each comes before those that it needs; the newest generation first."""
    listed = sorted(resources, key=lambda item: -item.generation)
    order = in_order({item.logical_id: item.needs for item in listed}, Lines())
    return sorted(listed, key=lambda item: -order.index(item.logical_id))


def in_order(needs: Mapping[str, frozenset[str]], lines: Lines) -> list[str]:
    """The names so that each comes after what it needs; TemplateError names a circle."""
    order: list[str] = []
    done: set[str] = set()
    for start in needs:
        trail: list[tuple[str, list[str]]] = [(start, sorted(needs[start]))] if start not in done else []
        open_ = {start}
        while trail:
            name, left = trail[-1]
            if not left:
                trail.pop()
                open_.discard(name)
                if name not in done:
                    done.add(name)
                    order.append(name)
                continue
            need = left.pop(0)
            if need in open_:
                names = [entry for entry, _ in trail]
                circle = [*names[names.index(need) :], need]
                problems = Problems(lines)
                problems.add(f"the resources {' → '.join(circle)} need each other; break the circle", resource=need)
                problems.raise_if_any()
            if need in needs and need not in done:
                open_.add(need)
                trail.append((need, sorted(needs[need])))
    return order


def value_of(physical: Physical, attribute: str | None) -> Any:
    """What Ref (attribute None) or Fn::GetAtt gives; TemplateError when the resource has no such attribute."""
    if attribute is None:
        return physical.id
    if attribute in physical.attributes:
        return physical.attributes[attribute]
    raise TemplateError(f"it has no attribute {attribute!r} after all")


def generated_name(stack: str, logical_id: str, *, limit: int, account: str, region: str, generation: int = 0) -> str:
    """stack-LogicalId-SUFFIX as CloudFormation makes it, the suffix the same in every run; at most ``limit`` long.

    ``generation`` counts replacements: each gets a suffix of its own.
    """
    digest = hashlib.sha256(f"{account}/{region}/{stack}/{logical_id}/{generation}".encode()).digest()
    suffix = "".join(_SUFFIX_LETTERS[byte % len(_SUFFIX_LETTERS)] for byte in digest[:_SUFFIX_LENGTH])
    room = max(limit - _SUFFIX_LENGTH - 2, 2)
    # As CloudFormation does: both names are cut when they do not fit, the stack's to what the logical id leaves.
    logical = logical_id[: max(room - min(len(stack), room // 2), 1)]
    return f"{stack[: room - len(logical)]}-{logical}-{suffix}"


def counted(plan: Plan) -> str:
    """What a plan comes to, in words: "2 to create, 1 to keep"."""
    counts = Counter(step.action for step in (*plan.steps, *plan.removals))
    return ", ".join(f"{count} to {action}" for action, count in counts.items()) or "nothing to do"
