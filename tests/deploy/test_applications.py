"""Applications on a real store: what is created, changed, replaced, removed, undone and taken up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy.preparing import Prepared
from tests.deploy.small_types import Shelf, an_empty_shelf, shelf

__all__ = ["an_empty_shelf"]

TWO = """
Resources:
  Label:
    Type: Toy::Shelf::Label
    Properties: {Box: !Ref Big, Text: !Sub "on ${Big.Arn}"}
  Big:
    Type: Toy::Shelf::Box
    Properties: {Size: 5}
Outputs:
  Box: {Value: !GetAtt Big.Arn}
"""


async def test_resources_are_created_in_the_order_of_their_references(an_empty_shelf: Shelf) -> None:
    result = await an_empty_shelf.deploy(TWO)
    history = [what for (what,) in await an_empty_shelf.rows("SELECT what FROM history ORDER BY id")]
    [(name,)] = await an_empty_shelf.rows("SELECT name FROM box")
    assert history == [f"create {name}", f"label {name}"]
    assert name.startswith("app-Big-") and len(name) == len("app-Big-") + 12
    assert result.outputs == {"Box": f"arn:aws:box:us-east-1:000000000000:{name}"}
    assert result.status == "CREATE_COMPLETE"
    assert [change.action for change in result.changes] == ["create", "create"]


async def test_deploying_the_same_again_changes_nothing(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(TWO)
    result = await an_empty_shelf.deploy(TWO)
    assert result.changes == () and result.status == "UPDATE_COMPLETE"
    assert len(await an_empty_shelf.rows("SELECT 1 FROM history")) == 2


async def test_only_what_changed_is_updated(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(TWO)
    result = await an_empty_shelf.deploy(TWO.replace("Size: 5", "Size: 6"))
    assert [(change.action, change.resource, change.properties) for change in result.changes] == [
        ("update", "Big", ("Size",))
    ]
    assert await an_empty_shelf.boxes() == {"Big": (6, "")}


async def test_a_replaced_resource_takes_those_that_refer_to_it_along_and_is_deleted_last(
    an_empty_shelf: Shelf,
) -> None:
    await an_empty_shelf.deploy(TWO)
    [(old,)] = await an_empty_shelf.rows("SELECT name FROM box")
    result = await an_empty_shelf.deploy(TWO.replace("Size: 5", "Size: 5, Material: wood"))
    [(new,)] = await an_empty_shelf.rows("SELECT name FROM box")
    history = [what for (what,) in await an_empty_shelf.rows("SELECT what FROM history ORDER BY id")]
    assert old != new
    assert history[2:] == [f"create {new}", f"label {new}", "unlabel", f"delete {old}"]
    assert {change.action for change in result.changes} == {"replace"}


async def test_what_the_template_no_longer_has_is_deleted(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(TWO)
    result = await an_empty_shelf.deploy("Resources:\n  Small: {Type: 'Toy::Shelf::Box'}\n")
    assert await an_empty_shelf.boxes() == {"Small": (1, "")}
    assert sorted(change.action for change in result.changes) == ["create", "delete", "delete"]


async def test_a_failed_first_deployment_leaves_nothing(an_empty_shelf: Shelf) -> None:
    template = TWO.replace("Resources:", "Resources:\n  Bad:\n    Type: Toy::Shelf::Box\n    DependsOn: Label\n"
                           "    Properties: {Note: refuse me}")  # fmt: skip
    with pytest.raises(TemplateError, match=r"template.yaml:3: Bad: Toy::Shelf::Box could not be created") as caught:
        await an_empty_shelf.deploy(template)
    assert (caught.value.resource, caught.value.line) == ("Bad", 3)
    assert await an_empty_shelf.boxes() == {}
    described = await an_empty_shelf.applications.describe("app")
    assert described["state"] == "ROLLBACK_COMPLETE" and "not acceptable" in described["reason"]
    result = await an_empty_shelf.deploy(TWO)
    assert result.status == "CREATE_COMPLETE"


async def test_a_failed_change_is_undone(an_empty_shelf: Shelf) -> None:
    before = """
Resources:
  First: {Type: 'Toy::Shelf::Box', Properties: {Size: 1}}
  Second: {Type: 'Toy::Shelf::Box', Properties: {Size: 2}, DependsOn: First}
"""
    await an_empty_shelf.deploy(before)
    after = before.replace("Size: 1", "Size: 10").replace("Size: 2", "Size: 20, Note: refuse me")
    with pytest.raises(TemplateError, match="Second"):
        await an_empty_shelf.deploy(after + "  Third: {Type: 'Toy::Shelf::Box'}\n")
    assert await an_empty_shelf.boxes() == {"First": (1, ""), "Second": (2, "")}
    assert (await an_empty_shelf.applications.describe("app"))["state"] == "UPDATE_ROLLBACK_COMPLETE"
    assert (await an_empty_shelf.deploy(before)).changes == ()


async def test_a_failed_change_that_turned_a_reference_around_is_undone(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy("""
Resources:
  First: {Type: 'Toy::Shelf::Box', Properties: {Note: !Ref Second}}
  Second: {Type: 'Toy::Shelf::Box', Properties: {Size: 2}}
""")
    before = await an_empty_shelf.boxes()
    with pytest.raises(TemplateError, match=r"Third: Toy::Shelf::Box could not be created: BadNote"):
        await an_empty_shelf.deploy("""
Resources:
  First: {Type: 'Toy::Shelf::Box', Properties: {Note: plain}}
  Second: {Type: 'Toy::Shelf::Box', Properties: {Material: wood, Note: !Ref First}}
  Third: {Type: 'Toy::Shelf::Box', Properties: {Note: refuse me}, DependsOn: Second}
""")
    assert await an_empty_shelf.boxes() == before
    assert (await an_empty_shelf.applications.describe("app"))["state"] == "UPDATE_ROLLBACK_COMPLETE"
    rows = await an_empty_shelf.rows("SELECT needs FROM stack_resource ORDER BY logical_id")
    assert rows == [('["Second"]',), ("[]",)]


async def test_a_dependency_on_what_the_template_does_not_have_is_refused(an_empty_shelf: Shelf) -> None:
    with pytest.raises(TemplateError, match=r"Box: DependsOn names Nobody, which the template does not have"):
        await an_empty_shelf.deploy("Resources:\n  Box: {Type: 'Toy::Shelf::Box', DependsOn: Nobody}\n")
    assert await an_empty_shelf.boxes() == {}


async def test_a_dependency_on_what_a_condition_leaves_out_is_none(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(
        "Conditions:\n  Never: !Equals [a, b]\n"
        "Resources:\n  Other: {Type: 'Toy::Shelf::Box', Condition: Never}\n"
        "  Box: {Type: 'Toy::Shelf::Box', DependsOn: Other}\n"
    )
    assert set(await an_empty_shelf.boxes()) == {"Box"}


async def test_removing_deletes_in_reverse_order(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(TWO)
    await an_empty_shelf.applications.remove("app")
    history = [what.split()[0] for (what,) in await an_empty_shelf.rows("SELECT what FROM history ORDER BY id")]
    assert history == ["create", "label", "unlabel", "delete"]
    assert await an_empty_shelf.applications.list() == []


async def test_a_retained_resource_stays_and_keeps_its_name(an_empty_shelf: Shelf) -> None:
    template = "Resources:\n  Keep: {Type: 'Toy::Shelf::Box', DeletionPolicy: Retain}\n"
    await an_empty_shelf.deploy(template)
    await an_empty_shelf.applications.remove("app")
    await an_empty_shelf.deploy(template)
    names = [name for (name,) in await an_empty_shelf.rows("SELECT name FROM box")]
    assert len(set(names)) == 2


async def test_physical_names_are_the_same_on_another_platform(tmp_path: Path) -> None:
    names = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        async with shelf(folder) as opened:
            await opened.deploy(TWO)
            names.append(await opened.rows("SELECT name FROM box"))
    assert names[0] == names[1]


async def test_a_resource_that_needs_a_new_one_of_the_same_name_is_refused(an_empty_shelf: Shelf) -> None:
    template = "Resources:\n  Box: {Type: 'Toy::Shelf::Box', Properties: {Name: mine, Material: wood}}\n"
    await an_empty_shelf.deploy(template)
    with pytest.raises(TemplateError, match="change Name, or leave it out"):
        await an_empty_shelf.deploy(template.replace("wood", "iron"))


async def test_exports_are_imported_and_protected(an_empty_shelf: Shelf) -> None:
    exporting = """
Resources: {Box: {Type: 'Toy::Shelf::Box'}}
Outputs: {Box: {Value: !Ref Box, Export: {Name: shared-box}}}
"""
    importing = """
Resources: {Label: {Type: 'Toy::Shelf::Label', Properties: {Box: !ImportValue shared-box}}}
"""
    with pytest.raises(TemplateError, match="no other application exports 'shared-box'"):
        await an_empty_shelf.deploy(importing, "second")
    await an_empty_shelf.deploy(exporting, "first")
    await an_empty_shelf.deploy(importing, "second")
    with pytest.raises(TemplateError, match="imported: 'shared-box' \\(by second\\)"):
        await an_empty_shelf.applications.remove("first")
    with pytest.raises(TemplateError, match="imported by second"):
        await an_empty_shelf.deploy("Resources: {Box: {Type: 'Toy::Shelf::Box'}}", "first")
    await an_empty_shelf.applications.remove("second")
    await an_empty_shelf.applications.remove("first")


async def test_a_creation_that_a_crash_interrupted_is_undone_by_the_next_server(tmp_path: Path) -> None:
    async with shelf(tmp_path) as opened:
        await opened.die_in("Resources: {Box: {Type: 'Toy::Shelf::Box', Properties: {Note: hang}}}")
        assert await opened.boxes() == {"Box": (1, "hang")}
        assert (await opened.applications.describe("app"))["state"] == "CREATE_IN_PROGRESS"
    async with shelf(tmp_path) as opened:
        await opened.applications.start()
        await asyncio.gather(*opened.tasks)
        assert await opened.boxes() == {}
        assert (await opened.applications.describe("app"))["state"] == "ROLLBACK_COMPLETE"


async def test_a_change_that_a_crash_interrupted_is_undone_by_the_next_deployment(tmp_path: Path) -> None:
    template = "Resources: {Box: {Type: 'Toy::Shelf::Box', Properties: {Note: first, Size: 3}}}"
    async with shelf(tmp_path) as opened:
        await opened.deploy(template)
        await opened.die_in(template.replace("first", "hang"))
    async with shelf(tmp_path) as opened:
        result = await opened.deploy(template)
        assert result.changes == ()
        assert await opened.boxes() == {"Box": (3, "first")}


async def test_a_deployment_that_is_faster_than_the_taking_up_is_not_undone_by_it(tmp_path: Path) -> None:
    template = "Resources: {Box: {Type: 'Toy::Shelf::Box', Properties: {Note: first, Size: 3}}}"
    async with shelf(tmp_path) as opened:
        await opened.die_in(template.replace("first", "hang"))
    async with shelf(tmp_path) as opened:
        deploying = asyncio.create_task(opened.deploy(template))
        await opened.applications.start()
        await deploying
        await asyncio.gather(*opened.tasks)
        assert (await opened.applications.describe("app"))["state"] == "CREATE_COMPLETE"
        assert await opened.boxes() == {"Box": (3, "first")}


async def test_a_server_that_closes_ends_what_is_still_being_built(an_empty_shelf: Shelf) -> None:
    building, ended = asyncio.Event(), asyncio.Event()

    async def build(*_: object) -> Prepared:
        building.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("nothing ends it but the server")

    an_empty_shelf.prepare = build
    deployment = asyncio.create_task(an_empty_shelf.deploy(TWO))
    await building.wait()
    an_empty_shelf.applications.close()
    with pytest.raises(TemplateError, match="the server was stopped before app was built; nothing changed"):
        await deployment
    assert ended.is_set() and await an_empty_shelf.applications.list() == []


async def test_a_reset_ends_the_deployments_of_its_account_where_they_stand(an_empty_shelf: Shelf) -> None:
    parts, applications = an_empty_shelf.parts, an_empty_shelf.applications
    hanging = "Resources: {Box: {Type: 'Toy::Shelf::Box', Properties: {Note: hang}}}"
    stopped = asyncio.create_task(an_empty_shelf.deploy(hanging, account="111111111111"))
    await parts.states["shelf"].wait()
    waiting = asyncio.create_task(an_empty_shelf.deploy(hanging, account="111111111111"))
    other = asyncio.create_task(an_empty_shelf.deploy(TWO, account="222222222222"))
    await asyncio.sleep(0)  # both have begun
    await applications.stop("111111111111")
    await parts.store.transact(lambda tx: applications.forget(tx, "111111111111"))
    for task in (stopped, waiting):
        with pytest.raises(TemplateError, match="the account of app was reset"):
            await task
    await other
    assert [one["account"] for one in await applications.list()] == ["222222222222"]


async def test_kept_settings_are_told_once(an_empty_shelf: Shelf) -> None:
    template = "Resources: {Box: {Type: 'Toy::Shelf::Box', Properties: {Colour: red}}}"
    first = await an_empty_shelf.deploy(template)
    second = await an_empty_shelf.deploy(template)
    assert first.newly_kept == first.kept == second.kept == ("Toy::Shelf::Box.Colour",)
    assert second.newly_kept == ()


async def test_unknown_types_are_all_listed_or_stubbed_with_a_warning(an_empty_shelf: Shelf) -> None:
    template = """
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
  Topic: {Type: 'AWS::SNS::Topic'}
  Box: {Type: 'Toy::Shelf::Box', Properties: {Note: !GetAtt Table.Arn}}
"""
    with pytest.raises(TemplateError) as caught:
        await an_empty_shelf.deploy(template)
    assert "AWS::DynamoDB::Table" in caught.value.message and "AWS::SNS::Topic" in caught.value.message
    result = await an_empty_shelf.deploy(template, stub_unknown=True)
    assert len(result.warnings) == 2
    [(note,)] = await an_empty_shelf.rows("SELECT note FROM box")
    assert note.startswith("arn:aws:dynamodb:us-east-1:000000000000:stub/app-Table-")
    assert (await an_empty_shelf.deploy(template, stub_unknown=True)).changes == ()


async def test_settings_that_are_refused_unknown_or_missing_are_named_with_their_lines(an_empty_shelf: Shelf) -> None:
    with pytest.raises(TemplateError) as caught:
        await an_empty_shelf.deploy("""
Resources:
  Box:
    Type: Toy::Shelf::Box
    Properties:
      Weight: 5
      Height: 2
      Note: !GetAtt Box2.Shape
  Box2:
    Type: Toy::Shelf::Box
  Label:
    Type: Toy::Shelf::Label
""")
    lines = [line.partition("template.yaml:")[2] for line in caught.value.message.splitlines()]
    assert lines == [
        "6: Box: Toy::Shelf::Box does not execute Weight: leave it out: boxes weigh nothing here",
        "7: Box: Toy::Shelf::Box has no property Height here; remove it",
        "8: Box: Note: Toy::Shelf::Box has no attribute 'Shape' here; it has: Arn, Size",
        "11: Label: Toy::Shelf::Label needs the property Box",
    ]


async def test_circles_are_named(an_empty_shelf: Shelf) -> None:
    with pytest.raises(TemplateError, match="A → B → A need each other"):
        await an_empty_shelf.deploy("""
Resources:
  A: {Type: 'Toy::Shelf::Box', Properties: {Note: !Ref B}}
  B: {Type: 'Toy::Shelf::Box', Properties: {Note: !Ref A}}
""")


async def test_progress_tells_every_resource_and_the_application(an_empty_shelf: Shelf) -> None:
    await an_empty_shelf.deploy(TWO)
    told = [(item.resource, item.status) for item in an_empty_shelf.progress]
    assert told == [
        (None, "CREATE_IN_PROGRESS"),
        ("Big", "CREATE_IN_PROGRESS"),
        ("Big", "CREATE_COMPLETE"),
        ("Label", "CREATE_IN_PROGRESS"),
        ("Label", "CREATE_COMPLETE"),
        (None, "CREATE_COMPLETE"),
    ]
