"""One deployment of one application: apply the plan, or undo everything and be what was before.

What a deployment replaced or no longer wants is deleted only after everything else has succeeded, so that undoing
never has to bring something back that is gone. See "Stack update process" and "Update behaviors" in the
CloudFormation User Guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from penstock.base.errors import TemplateError
from penstock.deploy import intrinsics, plan, state, stubs
from penstock.deploy.actor import Actor, Progress
from penstock.deploy.check import Checked, Output
from penstock.deploy.intrinsics import Scope
from penstock.deploy.order import each_after_its_needs
from penstock.deploy.plan import Plan, Step
from penstock.deploy.preparing import Prepared
from penstock.deploy.state import Resource, Success
from penstock.engine.resource import Physical


@dataclass(frozen=True, slots=True)
class Change:
    """What a deployment did to one resource: create, update, replace, delete or retain."""

    action: str
    resource: str
    type: str
    physical_id: str = ""
    properties: tuple[str, ...] = ()


@dataclass(slots=True)
class Deployment:
    """A plan on its way."""

    actor: Actor
    prepared: Prepared
    checked: Checked
    plan: Plan
    scope: Scope
    current: dict[str, Resource]
    changes: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    async def apply(self) -> dict[str, Any]:
        """Carry the plan out and return the outputs; TemplateError, with everything undone, when it fails."""
        stack = self.actor.stack
        self.scope = replace(self.scope, resources=frozenset(self.checked.resources), resource=self._look_up,
                             imported=set())  # fmt: skip
        steps = {step.logical_id: step for step in self.plan.steps}
        failures = await each_after_its_needs(
            {name: step.needs for name, step in steps.items()}, lambda name: self._step(steps[name])
        )
        try:
            if failures:
                raise _as_template_error(failures[0])
            outputs = self._outputs()
            await self._succeed(outputs)
        except TemplateError as error:
            await self._undo(error)
            raise
        await self.clean_up()
        await self._advise()
        self._say(stack.status)
        return {name: value for name, (value, _) in outputs.items()}

    async def _advise(self) -> None:
        """Add what the types have to say of what is there now: each sentence once, however many resources it is of."""
        said = dict.fromkeys(self.warnings)
        for name in self.checked.resources:
            said |= dict.fromkeys(await self.actor.advise(self.current[name]))
        self.warnings[:] = said

    async def _step(self, step: Step) -> None:
        wanted = self.checked.resources[step.logical_id]
        type_ = self.actor.catalogue.find(wanted.type)
        try:
            properties = plan.resolved(type_, wanted, self.scope)
        except TemplateError as error:
            raise TemplateError(
                f"{self.prepared.lines.path}:{wanted.line}: {wanted.logical_id}: {error.message}",
                resource=wanted.logical_id, line=wanted.line,
            ) from error  # fmt: skip
        resource = self.current.get(step.logical_id)
        if resource is None:
            generation = await self._next_generation(step.logical_id)
            self.current[step.logical_id] = made = await self.actor.create(wanted, properties, generation)
            self._did("create", made)
            return
        # Decided again with every value in hand: the plan did not know those of resources that it changes.
        action, changed = plan.change_of(type_, resource.existing(), properties, self.actor.tags)
        if action == "update":
            self.current[step.logical_id] = made = await self.actor.update(resource, wanted, properties)
            self._did("update", made, changed)
        elif action == "replace":
            made = await self.actor.create(wanted, properties, await self._next_generation(step.logical_id))
            self.current[step.logical_id] = made
            self._did("replace", made, changed)

    def _did(self, action: str, resource: Resource, changed: tuple[str, ...] = ()) -> None:
        self.changes.append(Change(action, resource.logical_id, resource.type, resource.physical_id or "", changed))

    def _look_up(self, logical_id: str, attribute: str | None) -> Any:
        resource = self.current[logical_id]
        stack = self.actor.stack
        physical: Physical | None = resource.physical()
        if resource.stub:
            physical = stubs.stub(logical_id, resource.type, resource.name, account=stack.account, region=stack.region)
        assert physical is not None, f"{logical_id} is looked up before it exists"
        return plan.value_of(physical, attribute)

    async def _next_generation(self, logical_id: str) -> int:
        stack = self.actor.stack
        return await self.actor.parts.store.transact(lambda tx: state.next_generation(tx, stack, logical_id))

    # --- the end that was hoped for

    def _outputs(self) -> dict[str, tuple[Any, str]]:
        """Every output's value and description."""
        found = {}
        for output in self.checked.outputs:
            value = self._value(output, output.value)
            if isinstance(value, (dict, list)):
                line = self.prepared.lines.of("Outputs", output.name)
                raise TemplateError(
                    f"{self.prepared.lines.path}:{line}: output {output.name} is a {type(value).__name__}; "
                    "make it a text with Fn::Join",
                    line=line,
                )
            found[output.name] = (intrinsics.text_of(value), output.description)
        return found

    def _value(self, output: Output, value: Any) -> Any:
        try:
            return intrinsics.resolve(value, self.scope)
        except TemplateError as error:
            lines = self.prepared.lines
            line = lines.of("Outputs", output.name)
            raise TemplateError(f"{lines.path}:{line}: output {output.name}: {error.message}", line=line) from error

    async def _succeed(self, outputs: Mapping[str, tuple[Any, str]]) -> None:
        stack, prepared = self.actor.stack, self.prepared
        exports: dict[str, Any] = {}
        for output in self.checked.outputs:
            name = self._value(output, output.export)
            if name is not None:
                exports[intrinsics.text_of(name)] = outputs[output.name][0]
        first = stack.status == state.CREATING
        success = Success(
            status=state.CREATED if first else state.CLEANING,
            wanted=self.checked.resources,
            current={name: resource.id for name, resource in self.current.items() if name in self.checked.resources},
            outputs=outputs,
            exports=exports,
            imports=self.scope.imported,
            template=prepared.lines.path,
            parameters=prepared.parameters.shown(),
            tags=self.actor.tags,
            description=str(prepared.body.get("Description", "")),
            kept={f"{item.type}.{item.property}" for item in self.checked.kept},
            code=[json.loads(json.dumps(asdict(code), default=str)) for code in prepared.code],
        )
        now = self.actor.parts.clock.now()

        def write(tx: Any) -> None:
            refuse_exports(tx, stack, exports)
            state.succeed(tx, stack, success, now)

        await self.actor.parts.store.transact(write)
        stack.status = success.status

    async def clean_up(self) -> None:
        """Delete what was replaced or is no longer wanted; what cannot be deleted is told and tried again next time."""
        rows = await self._rows()
        obsolete = [row for row in rows if row.obsolete]
        replaced = {row.logical_id for row in rows if not row.obsolete}
        for error in await self._delete_all(obsolete, replaced):
            self.warnings.append(f"{error}; it is tried again with the next deployment")
        stack = self.actor.stack
        if stack.status == state.CLEANING:
            stack.status = state.UPDATED
            await self._status(stack.status)

    async def _delete_all(self, rows: Iterable[Resource], replaced: set[str]) -> list[Exception]:
        """Delete resources, each before those that it needs."""
        by_row = {str(row.id): row for row in rows}
        needs: dict[str, set[str]] = {name: set() for name in by_row}
        for name, row in by_row.items():
            for other, candidate in by_row.items():
                if candidate.logical_id in row.needs and other != name:
                    needs[other].add(name)

        async def delete(name: str) -> None:
            row = by_row[name]
            retain = row.retain_on_replace if row.logical_id in replaced else row.retain_on_delete
            await self.actor.delete(row, retain=retain)
            if row.logical_id not in replaced:
                self._did("retain" if retain else "delete", row)

        return await each_after_its_needs({name: frozenset(each) for name, each in needs.items()}, delete, go_on=True)

    # --- the other ends

    async def _undo(self, error: TemplateError) -> None:
        """Be again what was before; a failure of that is added to the error."""
        problem = await self.roll_back(error.message)
        if problem:
            error.message += f"\nand undoing it failed as well: {problem}"
            error.args = (error.message,)

    async def roll_back(self, reason: str) -> str | None:
        """Undo everything the stack's current deployment did; the reason why that failed, or None."""
        stack = self.actor.stack
        first = stack.status in state.FIRST
        stack.status = state.ROLLING_BACK if first else state.UPDATE_ROLLING_BACK
        await self._status(stack.status, reason)
        self._say(stack.status, reason)
        rows = await self._rows()
        touched = [row for row in rows if row.deployment == stack.deployment and not row.obsolete]
        order = plan.in_order({str(row.id): self._row_needs(row, touched) for row in touched}, self.prepared.lines)
        by_row = {str(row.id): row for row in touched}
        failures: list[str] = []
        for name in reversed(order):
            row = by_row[name]
            try:
                if row.created_in == stack.deployment:
                    await self.actor.uncreate(row)
                elif row.previous is not None:
                    await self.actor.unchange(row)
            except TemplateError as error:
                failures.append(error.message)
        if failures:
            stack.status = state.ROLLBACK_FAILED if first else state.UPDATE_ROLLBACK_FAILED
            await self._status(stack.status, f"{reason}; {'; '.join(failures)}")
        else:
            stack.status = state.ROLLED_BACK if first else state.UPDATE_ROLLED_BACK
            await self._status(stack.status, reason)
        self._say(stack.status, "; ".join(failures))
        return "; ".join(failures) or None

    def _row_needs(self, row: Resource, among: list[Resource]) -> frozenset[str]:
        return frozenset(str(other.id) for other in among if other.logical_id in row.needs and other.id != row.id)

    async def remove(self) -> None:
        """Delete every resource and the application; TemplateError, with the rest kept, when some cannot be deleted."""
        stack = self.actor.stack
        stack.status = state.DELETING
        await self._status(stack.status)
        self._say(stack.status)
        rows = await self._rows()
        for row in rows:
            if row.status == state.CREATING and row.physical_id is None:
                await self.actor.uncreate(row)
        failures = await self._delete_all(await self._rows(), set())
        if failures:
            reason = "; ".join(str(failure) for failure in failures)
            stack.status = state.DELETE_FAILED
            await self._status(stack.status, reason)
            self._say(stack.status, reason)
            raise TemplateError(f"{stack.name} could not be removed whole: {reason}")
        await self.actor.parts.store.transact(lambda tx: state.remove(tx, stack.id))
        self._say(state.DELETED)

    async def _rows(self) -> list[Resource]:
        stack = self.actor.stack
        return await self.actor.parts.store.transact(lambda tx: state.resources(tx, stack.id))

    async def _status(self, status: str, reason: str = "") -> None:
        stack, now = self.actor.stack, self.actor.parts.clock.now()
        await self.actor.parts.store.transact(lambda tx: state.set_status(tx, stack.id, status, reason, now))

    def _say(self, status: str, message: str = "") -> None:
        self.actor.tell(Progress(self.actor.stack.name, status, message=message))


def _as_template_error(error: Exception) -> TemplateError:
    return error if isinstance(error, TemplateError) else TemplateError(f"{type(error).__name__}: {error}")


def refuse_exports(tx: Any, stack: state.Stack, exports: Mapping[str, Any]) -> None:
    """TemplateError when an export is another application's, or one that others import is gone or changed."""
    there = state.exports(tx, stack.account, stack.region)
    for name in exports:
        owner = there.get(name)
        if owner is not None and owner[0] != stack.id:
            raise TemplateError(f"the export {name!r} exists in another application; give it another name")
    for name, (owner_id, value) in there.items():
        if owner_id == stack.id and (name not in exports or exports[name] != value):
            users = state.importers(tx, stack.account, stack.region, name, stack.id)
            if users:
                raise TemplateError(
                    f"the export {name!r} is imported by {', '.join(users)} and cannot be changed; remove those first"
                )
