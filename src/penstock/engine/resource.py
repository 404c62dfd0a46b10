"""CloudFormation resource types, as services offer them and ``deploy`` applies them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.base.errors import ApiError
from penstock.engine.model import load
from penstock.engine.model.shapes import Member, Shape

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


class Wrong(NamedTuple):
    """What a resource could not be made with: the property (None: all of them together), and why."""

    property: str | None
    why: str


Check = Callable[["WaitingContext", Declared, frozenset[str]], Iterable[Wrong]]


def nothing_wrong(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterable[Wrong]:
    """The check of a type whose forms say all that can be said before it is made."""
    return ()


Advise = Callable[["WaitingContext", Declared, Physical], Awaitable[Iterable[str]]]


async def nothing_to_know(cx: WaitingContext, declared: Declared, physical: Physical) -> Iterable[str]:
    """The advice on a type that is here what it is on AWS."""
    return ()


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A CloudFormation resource type.

    Each property is executed, kept or refused: one in none of these is refused as unknown. ``kept`` and ``refused``
    may name what stands inside one, "Targets.RoleArn". ``forms`` are the shapes of properties: a Shape, or the place of
    one in the service's API model ("CreateFunction.KMSKeyArn"); a property that is not there has that of the member of
    its own name in ``like`` ("lambda.CreateFunction"). What a form does not have is refused by name. ``check`` tells
    what the operations would refuse about values, before anything is made: it is given what is known by then, and the
    names of the properties in which something is not.

    A change of a property in ``replaced_by`` creates a new resource and then deletes the old one; of another one, calls
    ``update`` with (context, new, old, physical). ``delete`` of a resource that is gone already is no error. ``find``
    says whether a creation that a crash interrupted made the resource; it may be left out where creating the same again
    gives the same or fails because its name is taken. ``advise`` has sentences for whoever has deployed the resource,
    given as (context, declared, physical); the same sentence about several resources is told once.
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
    like: str = ""
    forms: Mapping[str, Shape | str] = field(default_factory=dict)
    check: Check = nothing_wrong
    advise: Advise = nothing_to_know

    def form(self, property_: str) -> Shape | None:
        """The shape of a property; None where nothing is said of it."""
        form = self.forms.get(property_)
        if isinstance(form, Shape):
            return form
        service, _, operation = self.like.partition(".")
        if form is not None:
            operation, _, property_ = form.partition(".")
        found: Member | None = None
        if operation:
            found = load(service).operation(operation).input_members.get(property_)
        return None if found is None else found.shape


def all_wrong(
    check: Callable[[dict[str, Any]], Any], request: Mapping[str, Any], beside: Mapping[str, Any] | None = None
) -> Iterator[Wrong]:
    """Everything that an operation's own check, which stops at the first thing, finds wrong with a request.

    What it says is put down to the member without which it does not say it; then the rest is checked. ``beside`` are
    valid members that the check needs, for as long as the request does not give them.
    """
    left = dict(request)

    def said(members: Mapping[str, Any]) -> str | None:
        try:
            check({**(beside or {}), **members})
        except ApiError as error:
            return error.message
        return None

    while (why := said(left)) is not None:
        # Members that it names first: of two that do not go together, that is the one to change.
        names = sorted(left, key=lambda name: name not in why)
        otherwise = {name: said({key: left[key] for key in left if key != name}) for name in names}
        guilty = next((name for name, then in otherwise.items() if then is None), None)
        guilty = guilty or next((name for name, then in otherwise.items() if then != why), None)
        yield Wrong(guilty, why)
        if guilty is None:
            return
        del left[guilty]
