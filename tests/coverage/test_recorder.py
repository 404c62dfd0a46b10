"""What is read of a request is noted, however it is read; what is not read and not kept is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.model import load
from penstock.engine.model.written import TEXT, structure
from penstock.engine.operation import Operation, operation
from penstock.engine.resource import Declared, Physical, ResourceType
from penstock.engine.service import Service
from tests.coverage.recorder import Recorder
from tests.coverage.watched import Watched, input_of, watch

TARGET = {"Id": "a", "Arn": "arn", "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60}}
REQUEST = {"Rule": "r", "Targets": [TARGET], "Unknown": 1, "EventBusName": None}
ALL = {
    "Rule", "Targets", "Targets.Id", "Targets.Arn", "Targets.RetryPolicy", "Targets.RetryPolicy.MaximumRetryAttempts",
    "Targets.RetryPolicy.MaximumEventAgeInSeconds",
}  # fmt: skip


def watched(request: dict[str, Any]) -> tuple[Any, set[str], set[str]]:
    sent, read = set[str](), set[str]()
    return watch(request, input_of(load("events").operation("PutTargets")), sent, read), sent, read


def test_what_was_sent_is_known_before_anything_is_read() -> None:
    request, sent, read = watched(REQUEST)
    assert sent == ALL and read == set()
    assert request == REQUEST and orjson.dumps(request) == orjson.dumps(REQUEST)


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        (lambda r: r["Rule"], {"Rule"}),
        (lambda r: r.get("Rule"), {"Rule"}),
        (lambda r: "Rule" in r, {"Rule"}),
        (lambda r: r.pop("Rule"), {"Rule"}),
        (lambda r: r.get("NoSuchThing"), set()),
        (len, set()),
        (lambda r: r["Targets"], {"Targets"}),
        (lambda r: r["Targets"][0]["RetryPolicy"], {"Targets", "Targets.RetryPolicy"}),
        (list, {"Rule", "Targets", "EventBusName"}),
        (dict, {"Rule", "Targets", "EventBusName"}),
        (lambda r: {**r}, {"Rule", "Targets", "EventBusName"}),
        (lambda r: list(r.keys()), {"Rule", "Targets", "EventBusName"}),
        (lambda r: r.copy(), ALL | {"EventBusName"}),
        (lambda r: list(r.items()), ALL | {"EventBusName"}),
        (lambda r: list(r.values()), ALL | {"EventBusName"}),
        (lambda r: r | {}, ALL | {"EventBusName"}),
        (lambda r: {} | r, ALL | {"EventBusName"}),
        (lambda r: r == {}, ALL | {"EventBusName"}),
        (json.dumps, ALL | {"EventBusName"}),
    ],
)
def test_reading_is_noted_however_it_is_done(reads: Callable[[Any], Any], expected: set[str]) -> None:
    request, _, read = watched(REQUEST)
    reads(request)
    assert read == expected


def test_a_copy_of_a_request_still_tells_what_is_read_inside_it() -> None:
    request, _, read = watched(REQUEST)
    copy = dict(request)
    assert not any("." in path for path in read)
    assert copy["Targets"][0]["RetryPolicy"]["MaximumRetryAttempts"] == 1
    assert "Targets.RetryPolicy.MaximumRetryAttempts" in read
    assert "Targets.RetryPolicy.MaximumEventAgeInSeconds" not in read


def test_the_attributes_of_a_queue_are_members_and_its_tags_are_not() -> None:
    place = input_of(load("sqs").operation("CreateQueue"))
    paths = [leaf.path for leaf in place.leaves()]
    assert "Attributes.DelaySeconds" in paths and "tags" in paths and "Attributes" not in paths
    sent, read = set[str](), set[str]()
    request = watch({"QueueName": "q", "Attributes": {"DelaySeconds": "1"}, "tags": {"a": "b"}}, place, sent, read)
    assert isinstance(request["Attributes"], Watched) and type(request["tags"]) is dict
    assert "Attributes.DelaySeconds" in sent and "tags" in sent


# --- operations


def service_of(function: Callable[..., Any], **marks: Any) -> tuple[Recorder, Operation]:
    """A recorder, and the events service's PutEvents as ``function`` carries it out."""
    marked: Operation = operation(name="PutEvents", **marks)(function).operation
    recorder = Recorder()
    return recorder, recorder.service(Service("events", {"PutEvents": marked})).operations["PutEvents"]


EVENTS = {"Entries": [{"Source": "shop", "Detail": "{}"}], "EndpointId": "abcde.veo"}


def test_a_setting_that_nobody_reads_is_silently_ignored_unless_it_is_kept() -> None:
    def put_events(cx: Any, request: Any) -> dict[str, Any]:
        return {"read": [entry["Source"] for entry in request["Entries"]]}

    recorder, marked = service_of(put_events)
    assert marked.function(None, EVENTS) == {"read": ["shop"]}
    seen = recorder.of("events", "PutEvents")
    assert seen.answers
    assert seen.ignored(frozenset()) == ["EndpointId", "Entries.Detail"]
    assert seen.ignored(frozenset({"EndpointId"})) == ["Entries.Detail"]
    assert seen.ignored(frozenset({"EndpointId", "Entries"})) == []


def test_what_is_read_in_one_call_is_executed() -> None:
    def put_events(cx: Any, request: Any) -> dict[str, Any]:
        return {"read": request["EndpointId"] if cx else request["Entries"][0]["Detail"]}

    recorder, marked = service_of(put_events)
    marked.function(True, EVENTS)
    marked.function(False, EVENTS)
    assert recorder.of("events", "PutEvents").ignored(frozenset()) == ["Entries.Source"]


def test_a_refusal_tells_which_member_it_names_and_an_error_proves_nothing() -> None:
    def put_events(cx: Any, request: Any) -> dict[str, Any]:
        assert request["EndpointId"]
        raise cx

    recorder, marked = service_of(put_events)
    for error in (Unsupported("EndpointId of PutEvents (events) is not supported"), ApiError("Detail is wrong")):
        with pytest.raises(ApiError):
            marked.function(error, EVENTS)
    seen = recorder.of("events", "PutEvents")
    assert (seen.answers, seen.sent, seen.read, seen.refused) == (False, set(), set(), {"EndpointId"})


@pytest.mark.parametrize("answer", [{"Failed": [{"Id": "1"}]}, {"FailedEntryCount": 1}])
def test_a_batch_of_which_an_entry_failed_proves_nothing(answer: dict[str, Any]) -> None:
    recorder, marked = service_of(lambda cx, request: answer)
    marked.function(None, EVENTS)
    assert not recorder.of("events", "PutEvents").sent


async def test_operations_that_wait_are_recorded_once_they_answer() -> None:
    def at_once(cx: Any, request: Any) -> dict[str, Any] | None:
        return {"read": request["Entries"]} if cx else None

    async def put_events(cx: Any, request: Any) -> dict[str, Any]:
        return {"read": request["EndpointId"]}

    recorder, marked = service_of(put_events, first=at_once)
    assert marked.first is not None and marked.waits
    assert marked.first(False, EVENTS) is None
    assert not recorder.of("events", "PutEvents").answers
    await marked.function(False, EVENTS)
    assert recorder.of("events", "PutEvents").read == {"EndpointId"}
    marked.first(True, EVENTS)
    assert recorder.of("events", "PutEvents").read == {"EndpointId", "Entries"}


def test_nothing_is_recorded_while_muted() -> None:
    recorder, marked = service_of(lambda cx, request: {"same": request is EVENTS})
    recorder.muted = True
    assert marked.function(None, EVENTS) == {"same": True}
    assert recorder.plain() == {"seen": [], "refused": []}


async def test_what_stands_inside_a_property_is_judged_as_well() -> None:
    async def create(cx: Any, declared: Declared) -> Physical:
        return Physical(declared.properties["Retry"]["Attempts"])

    async def nothing(*_: Any) -> Any:
        return None

    form = structure({"Attempts": TEXT, "Age": TEXT, "Note": TEXT})
    type_ = ResourceType(
        "AWS::Events::Thing", create, nothing, nothing, executed=frozenset({"Retry"}), kept=frozenset({"Retry.Note"}),
        forms={"Retry": form},
    )  # fmt: skip
    recorder = Recorder()
    [recorded] = recorder.service(Service("events", {}, resources=[type_])).resources
    given = {"Retry": {"Attempts": "1", "Age": "2", "Note": "n"}}
    await recorded.create(None, Declared("Thing", type_.name, given, "thing"))  # type: ignore[arg-type]
    assert recorder.of("events", type_.name).ignored(type_.kept) == ["Retry.Age"]


async def test_properties_of_a_template_are_recorded() -> None:
    async def create(cx: Any, declared: Declared) -> Physical:
        return Physical(declared.properties["Name"])

    async def update(cx: Any, new: Declared, old: Declared, physical: Physical) -> Physical:
        return Physical(new.properties["Name"] + old.properties["Name"])

    async def delete(cx: Any, physical: Physical) -> None:
        return None

    type_ = ResourceType("AWS::Events::Thing", create, update, delete, executed=frozenset({"Name", "State"}))
    recorder = Recorder()
    [recorded] = recorder.service(Service("events", {}, resources=[type_])).resources
    declared = Declared("Thing", type_.name, {"Name": "a", "State": "ENABLED"}, "thing")
    assert await recorded.create(None, declared) == Physical("a")  # type: ignore[arg-type]
    assert await recorded.update(None, declared, declared, Physical("a")) == Physical("aa")  # type: ignore[arg-type]
    assert recorder.of("events", type_.name).ignored(frozenset()) == ["State"]


def test_records_of_several_processes_are_one_record() -> None:
    records = []
    for name in ("Entries", "EndpointId"):
        recorder, marked = service_of(lambda cx, request, name=name: {"read": request[name]})
        marked.function(None, EVENTS)
        recorder.refusal("events", f"Start{name}")
        recorder.refusal("events", "PutTargets", name)
        records.append(json.loads(json.dumps(recorder.plain())))
    merged, reverse = Recorder(), Recorder()
    for record in records:
        merged.add(record)
    for record in reversed(records):
        reverse.add(record)
    assert merged.plain() == reverse.plain()
    assert merged.of("events", "PutEvents").read == {"Entries", "EndpointId"}
    assert merged.of("events", "PutTargets").refused == {"Entries", "EndpointId"}
    assert merged.refused == {("events", "StartEntries"), ("events", "StartEndpointId")}
