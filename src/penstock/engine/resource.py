"""CloudFormation resource types, as services offer them and ``deploy`` applies them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.engine.context import WaitingContext


@dataclass(frozen=True, slots=True)
class Physical:
    """A resource that exists: what ``Ref`` gives, and what ``Fn::GetAtt`` gives per attribute."""

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as a template declares it, with every intrinsic resolved.

    ``generated_name`` is the physical name to use where the template gives none: stable across runs, made of the
    stack's name, the logical id and a suffix, as CloudFormation makes them.
    """

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    generated_name: str
    stack_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


Create = Callable[["WaitingContext", Declared], Awaitable[Physical]]
Update = Callable[["WaitingContext", Declared, Declared, Physical], Awaitable[Physical]]
Delete = Callable[["WaitingContext", Physical], Awaitable[None]]
Find = Callable[["WaitingContext", Declared], Awaitable[Physical | None]]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A CloudFormation resource type.

    Each property is executed, kept or refused: one in none of these is refused as unknown. A change of a property
    in ``replaced_by`` creates a new resource and then deletes the old one; of another one, calls ``update`` with
    (context, new, old, physical). ``delete`` of a resource that is gone already is no error. ``find`` says whether a
    creation that a crash interrupted made the resource; it may be left out where creating the same again gives the same
    or fails because its name is taken.
    """

    name: str
    create: Create
    update: Update
    delete: Delete
    executed: frozenset[str]
    kept: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    replaced_by: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    name_property: str | None = None
    name_limit: int = 64
    find: Find | None = None
