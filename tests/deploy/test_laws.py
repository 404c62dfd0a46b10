"""Laws of deploying: what exists is what the last deployment that succeeded says, whatever failed or died since."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base.errors import TemplateError
from penstock.deploy.applications import Application, Progress
from penstock.deploy.plan import generated_name, in_order
from penstock.deploy.problems import Lines
from tests.deploy.small_types import Shelf, shelf

BOXES = ("Alpha", "Beta", "Gamma", "Delta")


@dataclass(frozen=True)
class Box:
    """A box a template may declare. ``note`` is a text, or another box it refers to."""

    size: int
    material: str
    note: str
    labelled: bool


boxes = st.builds(
    Box, st.integers(1, 3), st.sampled_from(["wood", "iron"]), st.sampled_from(["", "plain", "refuse me", *BOXES]),
    st.booleans(),
)  # fmt: skip
# (what the template declares, at which turn of the loop the server dies or None)
histories = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(BOXES), boxes, min_size=1), st.none() | st.integers(0, 60)),
    min_size=1, max_size=5,
)  # fmt: skip


def template_of(declared: dict[str, Box]) -> str:
    resources: dict[str, Any] = {}
    for position, (name, box) in enumerate(declared.items()):
        # A reference only to an earlier box, so that there is no circle.
        earlier = list(declared)[:position]
        note: Any = {"Ref": box.note} if box.note in earlier else box.note
        resources[name] = {
            "Type": "Toy::Shelf::Box", "Properties": {"Size": box.size, "Material": box.material, "Note": note},
        }  # fmt: skip
        if box.labelled:
            resources[f"On{name}"] = {"Type": "Toy::Shelf::Label", "Properties": {"Box": {"Ref": name}}}
    return yaml.safe_dump({"Resources": resources}, sort_keys=False)


async def world(opened: Shelf) -> tuple[list[Any], list[Any], list[Any]]:
    """Everything there is, and what the application believes there is."""
    return (
        list(await opened.rows("SELECT name, size, note FROM box ORDER BY name")),
        list(await opened.rows("SELECT box FROM label ORDER BY box")),
        list(await opened.rows("SELECT logical_id, physical_id FROM stack_resource ORDER BY logical_id")),
    )


async def deploy_or_die(opened: Shelf, template: str, turns: int | None) -> str:
    """Deploy; with ``turns`` die after so many turns of the loop from the moment that resources change."""
    begun = asyncio.Event()

    def tell(progress: Progress) -> None:
        begun.set()

    application = Application("app", opened.write(template))
    deployment = asyncio.create_task(opened.applications.deploy(application, tell))
    if turns is not None:
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait([deployment, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        deployment.cancel()
    await asyncio.wait([deployment])
    if deployment.cancelled():
        return "died"
    error = deployment.exception()
    assert error is None or isinstance(error, TemplateError), error
    return "succeeded" if error is None else "failed"


async def live(folder: Path, history: list[tuple[dict[str, Box], int | None]]) -> None:
    last: tuple[dict[str, Box], Any] | None = None
    for declared, turns in history:
        async with shelf(folder) as opened:
            ended = await deploy_or_die(opened, template_of(declared), turns)
        async with shelf(folder) as opened:
            await opened.applications.start()
            await asyncio.gather(*opened.tasks)
            now = await world(opened)
            if ended == "succeeded":
                last = (declared, now)
                names = {logical_id for logical_id, _ in now[2]}
                assert names == {*declared, *(f"On{name}" for name, box in declared.items() if box.labelled)}
                assert len(now[0]) == len(declared)
                again = await opened.deploy(template_of(declared))
                assert again.changes == (), "applying twice is a no-op"
                assert await world(opened) == now
            elif ended == "failed":
                assert now == (last[1] if last else ([], [], []))
            else:
                # It died: undone, or, when it died after its success was written, done.
                before = last[1] if last else ([], [], [])
                done = {logical_id for logical_id, _ in now[2]} >= set(declared)
                assert now == before or done
                if now != before:
                    last = (declared, now)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_what_exists_is_what_the_last_success_says(history: list[tuple[dict[str, Box], int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder), history))


@given(st.dictionaries(st.sampled_from("abcdefg"), st.frozensets(st.sampled_from("abcdefg")), max_size=7))
def test_each_comes_after_what_it_needs_or_the_circle_is_named(needs: dict[str, frozenset[str]]) -> None:
    needs = {name: each - {name} for name, each in needs.items()}
    try:
        order = in_order(needs, Lines())
    except TemplateError as error:
        circle = error.message.partition("resources ")[2].partition(" need")[0].split(" → ")
        assert circle[0] == circle[-1]
        assert all(need in needs[name] for name, need in itertools.pairwise(circle))
    else:
        assert sorted(order) == sorted(needs)
        for position, name in enumerate(order):
            assert all(need in order[:position] for need in needs[name] if need in needs)


@given(
    st.from_regex(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9]{1,255}", fullmatch=True),
    st.integers(20, 255),
    st.integers(0, 3),
)
def test_generated_names_fit_and_differ_by_generation(stack: str, logical_id: str, limit: int, generation: int) -> None:
    def name(number: int) -> str:
        return generated_name(stack, logical_id, limit=limit, account="0" * 12, region="us-east-1", generation=number)

    assert len(name(generation)) <= limit
    assert name(generation) == name(generation) != name(generation + 1)
