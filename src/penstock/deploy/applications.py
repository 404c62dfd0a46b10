"""Applications: what templates made on this platform; deployed, described, removed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from penstock.base.errors import PenstockError, TemplateError
from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from penstock.deploy import apart, packages, plan, preparing, state, stubs
from penstock.deploy.actor import Actor, Progress
from penstock.deploy.catalogue import Catalogue
from penstock.deploy.check import Checked, Question, check, find_problems
from penstock.deploy.deployment import Change, Deployment
from penstock.deploy.intrinsics import Scope
from penstock.deploy.parameters import Parameters
from penstock.deploy.plan import Plan
from penstock.deploy.preparing import Prepared, Review, Wish
from penstock.deploy.problems import Lines, Problem
from penstock.deploy.state import Resource, Stack
from penstock.deploy.turns import Turns
from penstock.deploy.watch import LOOK_EVERY_MS, Watch, in_words, settled
from penstock.deploy.workshop import Code, Workshop, code_of
from penstock.engine.context import Parts
from penstock.engine.registry import Registry
from penstock.store.store import Transaction

NAME: Final = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")  # CloudFormation API reference, CreateStack, StackName
T = TypeVar("T")
_FUNCTION: Final = "AWS::Lambda::Function"
_TEMPLATE: Final = "(template)"  # what the template's file is called among watched paths: no logical id looks so


@dataclass(frozen=True, slots=True)
class Application:
    """A template to deploy, and how. ``template`` is the file's path; code paths in it belong to its folder."""

    name: str
    template: Path
    parameters: Mapping[str, str] = field(default_factory=dict)
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    tags: Mapping[str, str] = field(default_factory=dict)
    stub_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How a deployment went. ``kept`` are all settings without effect here, such as AWS::Lambda::Function.VpcConfig;
    ``newly_kept`` those of them that no earlier deployment of the application told of."""

    name: str
    status: str
    outputs: Mapping[str, Any]
    changes: tuple[Change, ...]
    kept: tuple[str, ...] = ()
    newly_kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Tell = Callable[[Progress], None]
Prepare = Callable[[Wish, Callable[[str], None], Review], Awaitable[Prepared]]


def _silent(progress: Progress) -> None:
    return None


@dataclass(slots=True, eq=False)
class _Watching:
    """A watch of one application; ``stale``: that has been deployed or removed since it was looked at."""

    where: tuple[str, str, str]
    stale: bool = False


class Applications:
    """The applications of one platform.

    ``data`` is the platform's data directory, ``cache`` where installed requirements are kept between runs, and
    ``environment`` what build tools get as theirs. ``prepare`` loads, transforms and builds a template.
    """

    def __init__(
        self, parts: Parts, registry: Registry, *, data: Path | None = None, cache: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prepare: Prepare = preparing.prepare,
    ) -> None:  # fmt: skip
        self._parts = parts
        self._prepare_template = prepare
        self._registry = registry
        data = data or parts.blobs.root.parent
        self._data = data
        self._code = data / "packages"
        self._cache = cache or data / "cache"
        self._environment = {"PATH": os.defpath, **(environment or {})}
        self._turns = Turns()
        self._watches: list[_Watching] = []
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Undo, in the background, what an earlier server was killed in the middle of."""
        await self._parts.store.transact(lambda tx: state.move(tx, self._parts.endpoint))
        stacks = await self._parts.store.transact(state.all_stacks)
        for stack in stacks:
            if stack.status in state.UNFINISHED:
                self._parts.spawn(self._take_up(stack), f"taking up the deployment of {stack.name}")

    async def _take_up(self, stack: Stack) -> None:
        async with self._turns.take(stack.account, stack.region, stack.name):
            # Read again: a deployment may have been faster, and has done it.
            now = await self._find(stack.account, stack.region, stack.name)
            if now is not None and now.status in state.UNFINISHED:
                await self._recover(now, _silent)

    async def stop(self, account: str | None) -> None:
        """End every change of an account's applications (None: of all) where it stands: the account is being reset."""
        await self._turns.stop(account)

    def forget(self, tx: Transaction, account: str | None) -> None:
        """Forget an account's applications (None: all) when it is reset; nobody goes on watching them."""
        for stack in state.all_stacks(tx):
            if account in (None, stack.account):
                tx.after(partial(self._changed, stack))
        state.forget_account(tx, account)

    # --- deploying

    async def deploy(self, application: Application, tell: Tell = _silent) -> Result:
        """Make the platform what the template says, and nothing more than what changed.

        TemplateError, naming resource and line, when that is not possible; then everything is as it was before.
        """
        if not NAME.fullmatch(application.name):
            raise TemplateError(
                f"{application.name!r} is no name for an application; use letters, digits and hyphens, a letter first"
            )
        async with self._turns.take(application.account, application.region, application.name):
            stack = await self._stack(application, tell)
            prepared = await self._prepare(application, stack, tell)
            result = await self._deploy(application, stack, prepared, tell)
            self._changed(stack)
            return result

    async def _stack(self, application: Application, tell: Tell) -> Stack:
        """The application as it is now, nothing half done; a new one has the id 0."""
        account, region, name = application.account, application.region, application.name
        stack = await self._find(account, region, name)
        if stack is not None and stack.status in state.UNFINISHED:
            await self._recover(stack, tell)
            stack = await self._find(account, region, name)
        if stack is None:
            arn = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{self._parts.names.uuid()}"
            stack = Stack(0, account, region, name, arn, state.CREATING, "", 0, str(application.template), {}, {}, "",
                          [], [], 0, 0)  # fmt: skip
        return stack

    async def _prepare(self, application: Application, stack: Stack, tell: Tell) -> Prepared:
        def say(text: str) -> None:
            tell(Progress(application.name, "BUILDING", message=text))

        wish = Wish(
            template=application.template.absolute(),
            given=application.parameters,
            workshop=self._workshop(),
            account=application.account,
            region=application.region,
            stack_name=application.name,
            stack_id=stack.arn,
        )
        preparing_it = self._prepare_template(wish, say, lambda draft: self._review(application, stack, draft))
        return await self._unless_closing(preparing_it, application.name)

    async def _unless_closing(self, work: Awaitable[T], name: str) -> T:
        """The work's result; TemplateError as soon as the platform is about to close: builds may take long."""
        task, closing = asyncio.ensure_future(work), asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((task, closing), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TemplateError(f"the server was stopped before {name} was built; nothing changed: run it again")
            return task.result()
        finally:
            task.cancel()
            closing.cancel()
            await asyncio.gather(task, closing, return_exceptions=True)

    def _review(self, application: Application, stack: Stack, draft: Prepared) -> list[Problem]:
        """All that is wrong with a template, before anything of it is built or made."""
        catalogue = self._catalogue()
        actor = Actor(self._parts, catalogue, stack, _silent)
        scope = preparing.scope_for(
            draft.body, draft.parameters, account=stack.account, region=stack.region, stack_name=stack.name,
            stack_id=stack.arn,
        )  # fmt: skip
        question = Question(
            draft.body, scope, catalogue, draft.lines, application.stub_unknown, actor.examine, frozenset(draft.unmade)
        )
        return find_problems(question)

    async def _deploy(self, application: Application, stack: Stack, prepared: Prepared, tell: Tell) -> Result:
        catalogue = self._catalogue()
        account, region = application.account, application.region
        scope = preparing.scope_for(
            prepared.body,
            prepared.parameters,
            account=account,
            region=region,
            stack_name=stack.name,
            stack_id=stack.arn,
        )
        checked = check(prepared.body, scope, catalogue, prepared.lines, stub_unknown=application.stub_unknown)
        exports = await self._parts.store.transact(lambda tx: state.exports(tx, account, region))
        scope = replace(scope, export=_exporter(exports, stack.id))
        current = {row.logical_id: row for row in await self._rows(stack) if not row.obsolete}
        existing = {name: _existing(row, stack) for name, row in current.items()}
        steps = plan.make_plan(checked.resources, existing, scope, catalogue, prepared.lines, application.tags)
        fresh = stack.id == 0 or stack.status in (state.ROLLED_BACK, state.ROLLING_BACK)
        stack.status = state.CREATING if fresh else state.UPDATING
        stack.deployment += 1
        now = self._parts.clock.now()
        await self._parts.store.transact(lambda tx: state.begin(tx, stack, self._parts.endpoint, now))
        actor = Actor(self._parts, catalogue, stack, tell, prepared.lines, application.tags)
        tell(Progress(stack.name, stack.status, message=plan.counted(steps)))
        deployment = Deployment(actor, prepared, checked, steps, scope, current)
        outputs = await deployment.apply()
        await self._sweep()
        return _result(stack, outputs, deployment, checked, prepared)

    async def _recover(self, stack: Stack, tell: Tell) -> None:
        """End what was interrupted: go on removing and cleaning up, undo everything else."""
        actor = Actor(self._parts, self._catalogue(), stack, tell, tags=stack.tags)
        deployment = Deployment(
            actor, Prepared({}, Parameters(), Lines()), Checked({}, (), (), ()), Plan((), ()), Scope(), {}
        )
        if stack.status == state.DELETING:
            await deployment.remove()
        elif stack.status == state.CLEANING:
            await deployment.clean_up()
        else:
            reason = stack.reason or "the deployment was interrupted"
            if problem := await deployment.roll_back(reason):
                raise TemplateError(f"{stack.name}: an earlier deployment could not be undone: {problem}")

    # --- removing and looking

    async def remove(
        self, name: str, tell: Tell = _silent, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
    ) -> None:
        """Delete an application's resources in reverse order; KeyError when there is no such application."""
        async with self._turns.take(account, region, name):
            stack = await self._find(account, region, name)
            if stack is None:
                raise KeyError(name)
            await self._refuse_imported(stack)
            if stack.status in state.UNFINISHED - {state.DELETING, state.CLEANING}:
                await self._recover(stack, tell)
            actor = Actor(self._parts, self._catalogue(), stack, tell, tags=stack.tags)
            await Deployment(
                actor, Prepared({}, Parameters(), Lines()), Checked({}, (), (), ()), Plan((), ()), Scope(), {}
            ).remove()
            self._changed(stack)

    async def _refuse_imported(self, stack: Stack) -> None:
        def users(tx: Transaction) -> Sequence[str]:
            return [
                f"{name!r} (by {', '.join(importers)})"
                for name, (owner, _) in state.exports(tx, stack.account, stack.region).items()
                if owner == stack.id and (importers := state.importers(tx, stack.account, stack.region, name, stack.id))
            ]

        if found := await self._parts.store.transact(users):
            raise TemplateError(f"{stack.name} has exports that are imported: {', '.join(found)}; remove those first")

    async def list(self) -> Sequence[dict[str, Any]]:
        """Every application, as ``describe`` tells it."""
        stacks = await self._parts.store.transact(state.all_stacks)
        return [await self._described(stack) for stack in stacks]

    async def describe(
        self, name: str, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
    ) -> dict[str, Any]:
        """An application's state, outputs and resources; KeyError when there is none of this name."""
        stack = await self._find(account, region, name)
        if stack is None:
            raise KeyError(name)
        return await self._described(stack)

    async def _described(self, stack: Stack) -> dict[str, Any]:
        rows = await self._rows(stack)
        outputs = await self._parts.store.transact(lambda tx: state.outputs(tx, stack.id))
        return {
            "name": stack.name,
            "account": stack.account,
            "region": stack.region,
            "arn": stack.arn,
            "state": stack.status,
            "reason": stack.reason,
            "template": stack.template,
            "description": stack.description,
            "parameters": stack.parameters,
            "deployedAt": stack.updated / 1000,
            "outputs": outputs,
            "kept": stack.kept,
            "resources": [
                {"logicalId": row.logical_id, "type": row.type, "physicalId": row.physical_id or "",
                 "state": row.status, "reason": row.reason, "stub": row.stub}
                for row in rows
            ],
        }  # fmt: skip

    # --- living with it: code that changes while the application runs

    async def watched(
        self, name: str, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION
    ) -> Sequence[Code]:
        """The code of an application's functions and layers: whose folder it is and how it is built."""
        stack = await self._find(account, region, name)
        if stack is None:
            raise KeyError(name)
        return [code_of(item) for item in stack.code]

    async def update_code(
        self, name: str, code: Code, tell: Tell = _silent, *, account: str = DEFAULT_ACCOUNT,
        region: str = DEFAULT_REGION,
    ) -> bool:  # fmt: skip
        """Build one function's code again and give it to the function; False when the package is the same.

        TemplateError when it cannot be built, or when it is a layer's: then the whole application is deployed.
        """
        if code.layer:
            raise TemplateError(f"{code.logical_id} is a layer: its versions do not change; deploy the application")

        def say(text: str) -> None:
            tell(Progress(name, "BUILDING", code.logical_id, message=text))

        async with self._turns.take(account, region, name):
            package = await self._unless_closing(apart.build(code, self._workshop(), say), name)
            stack = await self._find(account, region, name)
            rows = [] if stack is None else await self._rows(stack)
            row = next((row for row in rows if row.logical_id == code.logical_id and not row.obsolete), None)
            if stack is None or row is None or row.type != _FUNCTION:
                raise KeyError(code.logical_id)
            location = {"S3Bucket": packages.BUCKET, "S3Key": package.key}
            if row.properties.get("Code") == location:
                return False
            actor = Actor(self._parts, self._catalogue(), stack, tell, tags=stack.tags)
            await actor.recode(row, location)
            return True

    async def watch(
        self, tell: Tell = _silent, gone: Callable[[], bool] = lambda: False, since_ms: int | None = None,
        **application: Any,
    ) -> None:  # fmt: skip
        """Keep a deployed application like its files until ``gone()`` or ``close``; then what goes on is finished.

        ``application`` are an Application's fields; ``since_ms`` is the machine's time from when on an edit counts
        (now). Edited code of a function is built and given to it alone; an edited template or layer is deployed. What
        fails is told (status WATCH_FAILED) and tried again with the next edit; the application stays as it was.
        TemplateError when the application is removed.
        """
        wanted = Application(**application)
        where = (wanted.account, wanted.region, wanted.name)
        machine = self._parts.machine
        since = machine.now_ms() if since_ms is None else since_ms
        watching = _Watching(where)
        self._watches.append(watching)
        try:
            await self._watch(wanted, watching, since, gone, tell)
        finally:
            self._watches.remove(watching)

    async def _watch(
        self, wanted: Application, watching: _Watching, since: int, gone: Callable[[], bool], tell: Tell
    ) -> None:
        machine = self._parts.machine
        while not (gone() or self._closing.is_set()):
            watching.stale = False
            codes = {code.logical_id: code for code in await self._watched(wanted)}
            paths = {name: code.path for name, code in codes.items()} | {_TEMPLATE: wanted.template}
            watch = await asyncio.to_thread(Watch, paths, (self._data,), since)
            tell(Progress(wanted.name, "WATCHING", message=in_words(paths.values(), wanted.template.parent)))
            while not (watching.stale or gone() or self._closing.is_set()):
                since = machine.now_ms()
                if changed := await settled(watch):
                    await self._follow(wanted, changed, codes, tell)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_MS / 1000)

    async def _watched(self, wanted: Application) -> Sequence[Code]:
        try:
            return await self.watched(wanted.name, account=wanted.account, region=wanted.region)
        except KeyError as error:
            raise TemplateError(f"{wanted.name} has been removed; deploy it again to watch it") from error

    async def _follow(
        self, wanted: Application, changed: Sequence[str], codes: Mapping[str, Code], tell: Tell
    ) -> None:  # fmt: skip
        """Bring what changed to the application; nothing is said to be quiet before it is there."""
        ticket = self._parts.work.begin(f"an edit of {wanted.name} is being taken over", wanted.account)
        try:
            if _TEMPLATE in changed or any(codes[name].layer for name in changed):
                for warning in (await self.deploy(wanted, tell)).warnings:
                    tell(Progress(wanted.name, "WARNING", message=warning))
                return
            for name in changed:
                with suppress(KeyError):  # removed since: the next look is at what there is then
                    await self.update_code(wanted.name, codes[name], tell, account=wanted.account, region=wanted.region)
        except PenstockError as error:
            tell(Progress(wanted.name, "WATCH_FAILED", message=str(error)))
        finally:
            self._parts.work.end(ticket)

    def close(self) -> None:
        """End every watch, and what is still being built: the platform is about to close."""
        self._closing.set()

    def package(self, key: str) -> Path:
        """The zip file of a built package, by its key in the template; TemplateError when it is gone."""
        path = self._code / f"{key}.zip"
        if not path.is_file():
            raise TemplateError(f"the built code {path} is gone; deploy again")
        return path

    # --- parts

    def _changed(self, stack: Stack) -> None:
        where = (stack.account, stack.region, stack.name)
        for watching in self._watches:
            watching.stale = watching.stale or watching.where == where

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._registry.all())

    def _workshop(self) -> Workshop:
        return Workshop(self._cache, self._code, self._environment, (self._data,))

    async def _find(self, account: str, region: str, name: str) -> Stack | None:
        return await self._parts.store.transact(lambda tx: state.find(tx, account, region, name))

    async def _rows(self, stack: Stack) -> Sequence[Resource]:
        return await self._parts.store.transact(lambda tx: state.resources(tx, stack.id))

    async def _sweep(self) -> None:
        """Remove packages that no resource has any more, unless another deployment may be about to use them."""
        async with self._turns.alone() as alone:
            if not alone:
                return
            used = await self._parts.store.transact(state.packages_in_use)
            sweeping = asyncio.ensure_future(asyncio.to_thread(packages.sweep, self._code, used))
            try:
                await asyncio.shield(sweeping)
            finally:
                await sweeping  # a thread cannot be ended: nobody begins before it has


def _existing(row: Resource, stack: Stack) -> plan.Existing:
    existing = row.existing()
    if not row.stub:
        return existing
    physical = stubs.stub(row.logical_id, row.type, row.name, account=stack.account, region=stack.region)
    return replace(existing, physical=physical)


def _exporter(exports: Mapping[str, tuple[int, Any]], own: int) -> Callable[[str], Any]:
    def export(name: str) -> Any:
        found = exports.get(name)
        if found is None or found[0] == own:
            raise TemplateError(f"no other application exports {name!r}; deploy the one that does first")
        return found[1]

    return export


def _result(
    stack: Stack, outputs: Mapping[str, Any], deployment: Deployment, checked: Checked, prepared: Prepared
) -> Result:
    kept = tuple(sorted({f"{item.type}.{item.property}" for item in checked.kept}))
    return Result(
        stack.name,
        stack.status,
        outputs,
        tuple(deployment.changes),
        kept,
        tuple(name for name in kept if name not in stack.kept),
        (*prepared.warnings, *checked.warnings, *deployment.warnings),
    )


__all__ = ["Application", "Applications", "Change", "Progress", "Result"]
