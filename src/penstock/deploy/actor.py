"""One resource at a time: what is about to be done is written down, done, and written down as done.

So a deployment that is killed leaves rows in …_IN_PROGRESS, from which the next one knows what to undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.base.errors import ApiError, TemplateError
from penstock.deploy import plan, state, stubs
from penstock.deploy.catalogue import Catalogue
from penstock.deploy.check import Wanted
from penstock.deploy.problems import Lines, Problem, located
from penstock.deploy.state import Resource, Stack
from penstock.engine.context import Call, Parts, WaitingContext
from penstock.engine.resource import Declared, Physical, ResourceType, Wrong
from penstock.store.store import Transaction


@dataclass(frozen=True, slots=True)
class Progress:
    """Something that happened during a deployment: a resource's or the application's new status, or a message."""

    application: str
    status: str
    resource: str | None = None
    type: str | None = None
    message: str = ""
    line: int | None = None


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Actor:
    """Creates, changes and deletes the resources of one application.

    ``lines`` are the template's, for messages; ``tags`` the application's.
    """

    parts: Parts
    catalogue: Catalogue
    stack: Stack
    tell: Tell
    lines: Lines = field(default_factory=Lines)
    tags: Mapping[str, str] = field(default_factory=dict)

    # --- before a deployment

    def examine(
        self, type_: ResourceType, logical_id: str, properties: Mapping[str, Any], unknown: frozenset[str]
    ) -> Iterable[Wrong]:
        """What the type's service would refuse about a resource with these properties, those ``unknown`` in part."""
        name = self._name(type_, logical_id, 0)
        declared = Declared(logical_id, type_.name, properties, name, self.stack.name)
        return type_.check(self._cx(type_.name), declared, unknown)

    # --- what a deployment does

    async def create(self, wanted: Wanted, properties: Mapping[str, Any], generation: int) -> Resource:
        """Create a resource; its row has status CREATE_COMPLETE when this returns."""
        type_ = self.catalogue.find(wanted.type)
        name = self._name(type_, wanted.logical_id, generation)
        resource = Resource(
            0, self.stack.id, wanted.logical_id, generation, wanted.type, name, state.CREATING, "", None, {},
            dict(properties), dict(self.tags), None, sorted(wanted.needs), wanted.retain_on_delete,
            wanted.retain_on_replace, wanted.stub, self.stack.deployment, self.stack.deployment, False,
        )  # fmt: skip
        resource.id = await self._write(lambda tx, now: state.insert_resource(tx, resource, now))
        self._say(resource, state.CREATING)
        try:
            physical = await self._make(type_, resource)
        except Exception as error:
            await self._failed(resource, state.CREATE_FAILED, error, "created")
        await self._write(lambda tx, now: state.made(tx, resource.id, state.CREATED, physical, now))
        resource.physical_id, resource.attributes = physical.id, dict(physical.attributes)
        self._say(resource, state.CREATED)
        return resource

    async def update(self, resource: Resource, wanted: Wanted, properties: Mapping[str, Any]) -> Resource:
        """Change a resource that exists; its row keeps what it was until the deployment has succeeded."""
        type_, physical = self._known(resource), self._physical(resource)
        changed = replace(resource, properties=dict(properties), tags=dict(self.tags), needs=sorted(wanted.needs))
        await self._write(lambda tx, now: state.change(tx, resource, changed, self.stack.deployment, now))
        self._say(resource, state.UPDATING)
        try:
            new, old = self._declared(changed), self._declared(resource)
            physical = await type_.update(self._cx(resource.type), new, old, physical)
        except Exception as error:
            await self._failed(resource, state.UPDATE_FAILED, error, "updated")
        await self._write(lambda tx, now: state.made(tx, resource.id, state.UPDATED, physical, now))
        changed.physical_id, changed.attributes = physical.id, dict(physical.attributes)
        self._say(resource, state.UPDATED)
        return changed

    async def delete(self, resource: Resource, *, retain: bool) -> None:
        """Delete a resource and its row, or only let go of it."""
        physical = resource.physical()
        if retain or resource.stub or physical is None:
            await self._write(lambda tx, now: state.forget_resource(tx, resource, self.stack, retained=retain))
            self._say(resource, "DELETE_SKIPPED" if retain else state.DELETED)
            return
        type_ = self._known(resource)
        await self._write(lambda tx, now: state.failed(tx, resource.id, state.DELETING, "", now))
        self._say(resource, state.DELETING)
        try:
            await type_.delete(self._cx(resource.type), physical)
        except Exception as error:
            await self._failed(resource, state.DELETE_FAILED, error, "deleted")
        await self._write(lambda tx, now: state.forget_resource(tx, resource, self.stack, retained=False))
        self._say(resource, state.DELETED)

    async def advise(self, resource: Resource) -> Iterable[str]:
        """What whoever has deployed a resource should know of it."""
        type_, physical = self.catalogue.find(resource.type), resource.physical()
        if type_ is None or physical is None:
            return ()
        return await type_.advise(self._cx(resource.type), self._declared(resource), physical)

    # --- what undoes it

    async def uncreate(self, resource: Resource) -> None:
        """Undo a creation, whether it ended or not. What a failed deployment created never stays."""
        if resource.physical_id is None and not resource.stub:
            found = await self._left_by_a_crash(resource)
            if found is not None:
                resource.physical_id, resource.attributes = found.id, dict(found.attributes)
        await self.delete(resource, retain=False)

    async def unchange(self, resource: Resource) -> None:
        """Undo a change, whether it ended or not."""
        previous = resource.previous or {}
        before = replace(resource, properties=previous["properties"], tags=previous["tags"])
        physical = self._physical(resource)
        self._say(resource, state.UPDATING, "back to what it was")
        try:
            new, old = self._declared(before), self._declared(resource)
            physical = await self._known(resource).update(self._cx(resource.type), new, old, physical)
        except Exception as error:
            await self._failed(resource, state.UPDATE_FAILED, error, "changed back")
        await self._write(lambda tx, now: state.unchanged(tx, resource, physical, now))
        self._say(resource, state.UPDATED)

    # --- beside deployments

    async def recode(self, resource: Resource, location: Mapping[str, str]) -> None:
        """Give a function that exists other code; ``location`` names the package."""
        properties = {**resource.properties, "Code": dict(location)}
        self._say(resource, state.UPDATING)
        new, old = self._declared(replace(resource, properties=properties)), self._declared(resource)
        await self._known(resource).update(self._cx(resource.type), new, old, self._physical(resource))
        await self._write(lambda tx, now: state.set_properties(tx, resource.id, properties, now))
        self._say(resource, state.UPDATED)

    async def _left_by_a_crash(self, resource: Resource) -> Physical | None:
        """What an interrupted creation made, if anything."""
        type_ = self._known(resource)
        declared = self._declared(resource)
        if type_.find is not None:
            return await type_.find(self._cx(resource.type), declared)
        name = declared.properties.get(type_.name_property or "", resource.name)
        try:
            # Most creations answer an existing resource of the same name with itself or an error that says so.
            return await type_.create(self._cx(resource.type), declared)
        except ApiError:
            return Physical(str(name)) if type_.name_property else None

    # --- the resource type's functions

    async def _make(self, type_: ResourceType | None, resource: Resource) -> Physical:
        if type_ is None:
            return stubs.stub(
                resource.logical_id, resource.type, resource.name, account=self.stack.account, region=self.stack.region
            )
        return await type_.create(self._cx(resource.type), self._declared(resource))

    def _name(self, type_: ResourceType | None, logical_id: str, generation: int) -> str:
        return plan.generated_name(
            self.stack.name, logical_id, limit=type_.name_limit if type_ else 64, account=self.stack.account,
            region=self.stack.region, generation=generation,
        )  # fmt: skip

    def _known(self, resource: Resource) -> ResourceType:
        type_ = self.catalogue.find(resource.type)
        if type_ is None:
            raise TemplateError(
                f"{resource.logical_id}: this Penstock has no type {resource.type}; use the one that had"
            )
        return type_

    def _physical(self, resource: Resource) -> Physical:
        physical = resource.physical()
        if physical is None:
            raise TemplateError(f"{resource.logical_id} ({resource.type}) was never created; remove the application")
        return physical

    def _cx(self, type_: str) -> WaitingContext:
        stack = self.stack
        service = self.catalogue.service_of(type_)
        host = self.parts.endpoint.partition("://")[2]
        request_id = self.parts.names.uuid()
        call = Call.own(service, "Deploy", stack.account, stack.region, request_id=request_id, host=host)
        return WaitingContext(self.parts, call)

    def _declared(self, resource: Resource) -> Declared:
        # AWS's own tags (aws:cloudformation:…) are left out: no service lets a caller set tags that begin with aws:.
        return Declared(
            resource.logical_id, resource.type, resource.properties, resource.name, self.stack.name, resource.tags
        )

    # --- words

    async def _write(self, work: Callable[[Transaction, int], Any]) -> Any:
        now = self.parts.clock.now()
        return await self.parts.store.transact(lambda tx: work(tx, now))

    async def _failed(self, resource: Resource, status: str, error: BaseException, done: str) -> Any:
        reason = str(error) or type(error).__name__
        await self._write(lambda tx, now: state.failed(tx, resource.id, status, reason, now))
        line = self.lines.resource(resource.logical_id)
        self._say(resource, status, reason)
        problem = Problem(f"{resource.type} could not be {done}: {reason}", resource.logical_id, line)
        raise TemplateError(located(problem, self.lines.path), resource=resource.logical_id, line=line) from error

    def _say(self, resource: Resource, status: str, message: str = "") -> None:
        line = self.lines.resource(resource.logical_id)
        self.tell(Progress(self.stack.name, status, resource.logical_id, resource.type, message, line))
