"""What is prepared, and its preparation in a process of its own.

The server never imports the translator: this module knows the values that go to the process and come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import penstock
from penstock.base.errors import TemplateError
from penstock.deploy import intrinsics
from penstock.deploy.intrinsics import Scope
from penstock.deploy.parameters import Parameters
from penstock.deploy.problems import Lines, Problem
from penstock.deploy.workshop import Code, Workshop

LINE_BYTES = 64 << 20  # the longest line the process may answer: a template is 4 MB at most, JSON of it not 16 times


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
    workshop = data["workshop"]
    return Wish(
        **{name: data[name] for name in ("given", "account", "region", "stack_name", "stack_id")},
        template=Path(data["template"]),
        workshop=Workshop(
            Path(workshop["cache"]), Path(workshop["code"]), workshop["environment"],
            tuple(Path(path) for path in workshop["leave_out"]),
        ),
    )  # fmt: skip


def to_json(value: Wish | Prepared) -> dict[str, Any]:
    """A wish or what was prepared, in its JSON form."""
    encoded: dict[str, Any] = json.loads(json.dumps(asdict(value), default=_plain))
    return encoded


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


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
        code=tuple(Code(**{**item, "path": Path(item["path"])}) for item in data["code"]),
        warnings=tuple(data["warnings"]),
        unmade=tuple(data["unmade"]),
    )  # fmt: skip


async def prepare(wish: Wish, say: Callable[[str], None], review: Review = nothing_to_say) -> Prepared:
    """Load, transform and build in a process that ends with this call; TemplateError when the template is wrong.

    ``review`` is asked here, between transforming and building.
    """
    environment = {name: value for name, value in wish.workshop.environment.items() if not name.startswith("AWS_")}
    environment["PYTHONPATH"] = str(Path(penstock.__file__).parent.parent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.deploy.worker", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True, limit=LINE_BYTES,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        await _tell(process.stdin, to_json(wish))
        async for line in process.stdout:
            answer = json.loads(line)
            if "say" in answer:
                say(answer["say"])
            elif "draft" in answer:
                found = review(prepared_of(answer["draft"]))
                await _tell(process.stdin, [asdict(problem) for problem in found])
            elif "error" in answer:
                error = answer["error"]
                raise TemplateError(error["message"], resource=error["resource"], line=error["line"])
            else:
                return prepared_of(answer["prepared"])
        status = await process.wait()
        said = (await complaints).decode(errors="replace")[-2000:]
        raise TemplateError(f"{wish.template}: preparing it ended with status {status}; please report this:\n{said}")
    finally:
        process.stdin.close()  # until here it tells the process that its server lives
        if process.returncode is None:
            # The group: an installer that the process runs ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        complaints.cancel()


async def _tell(process: asyncio.StreamWriter, value: Any) -> None:
    """A line for the process. When it has ended, what it said before and its status tell why, not the broken pipe."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.write(json.dumps(value).encode() + b"\n")
        await process.drain()
