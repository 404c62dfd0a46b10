"""Penstock's own API over HTTP, with the client of the command line."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from penstock.base.names import id_of
from penstock.cli.client import Client
from penstock.cli.problems import NOT_FOUND, Problem
from penstock.testing.platform import PlatformThread

ACCOUNT = "000000000000"


@pytest.fixture
def own(platform: PlatformThread) -> Iterator[Client]:
    yield Client(platform.url, account=ACCOUNT, region="us-east-1")


def queue(platform: PlatformThread, name: str, **attributes: str) -> str:
    url: str = platform.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def send(platform: PlatformThread, url: str, body: str = "{}", **more: Any) -> str:
    id_: str = platform.client("sqs").send_message(QueueUrl=url, MessageBody=body, **more)["MessageId"]
    return id_


# --- health, pages


def test_health_says_what_is_ready_and_what_is_in_force(own: Client, platform: PlatformThread) -> None:
    health = own.own("GET", "/health")
    assert health["status"] == "ready"
    assert health["endpoint"] == platform.url
    assert health["durability"] == "os"
    assert {"sqs", "lambda", "self"} <= set(health["services"])
    assert set(health["sandbox"]) == set(platform.platform.health()["sandbox"])  # nothing is known and not told
    assert health["clock"]["frozen"] is False


def test_the_api_describes_itself_as_openapi_and_as_a_page(own: Client) -> None:
    document = own.own("GET", "/openapi.json")
    validate(document)
    assert "/_penstock/clock/advance" in document["paths"]
    with urllib.request.urlopen(f"{own.url}/_penstock/") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"AdvanceClock" in answer.read()


# --- logs


def test_log_lines_come_in_the_order_in_which_they_are_written(own: Client, platform: PlatformThread) -> None:
    logs = platform.client("logs")
    now = platform.platform.clock.now()
    for group in ("one", "two"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")

    def say(group: str, at: int, message: str) -> None:
        logs.put_log_events(
            logGroupName=group, logStreamName="s", logEvents=[{"timestamp": at, "message": message}]
        )  # fmt: skip

    say("one", now, "before")
    begin = own.own("GET", "/logs")
    assert begin["lines"] == []
    say("one", now, "late news")
    say("two", now - 60_000, "ERROR of a minute ago")
    answer = own.own("GET", "/logs", after=begin["next"])
    assert [(line["logGroupName"], line["message"]) for line in answer["lines"]] == [
        ("one", "late news"), ("two", "ERROR of a minute ago"),
    ]  # fmt: skip
    [found] = logs.filter_log_events(logGroupName="two")["events"]
    assert answer["lines"][1]["eventId"] == found["eventId"] and answer["more"] is False
    errors = own.own("GET", "/logs", after=begin["next"], filter="ERROR")
    assert [line["message"] for line in errors["lines"]] == ["ERROR of a minute ago"]
    assert errors["next"] == answer["next"]
    assert own.own("GET", "/logs", after=answer["next"])["lines"] == []
    other = Client(platform.url, account="111122223333", region="us-east-1")
    unconcerned = other.own("GET", "/logs", after=begin["next"])
    assert (unconcerned["lines"], unconcerned["next"]) == ([], answer["next"])  # and looks at nothing twice


@pytest.mark.parametrize("wrong", [{"after": "there"}, {"after": "1", "filter": "{ $.a"}])
def test_a_place_or_filter_that_is_none_is_refused(own: Client, wrong: dict[str, str]) -> None:
    with pytest.raises(Problem, match=r"no place in the logs|Invalid filter pattern"):
        own.own("GET", "/logs", **wrong)


# --- clock, quiet


def test_the_clock_freezes_advances_and_flows_on(own: Client) -> None:
    frozen = own.own("POST", "/clock/freeze")
    assert own.own("GET", "/clock")["now"] == frozen["now"]
    moved = own.own("POST", "/clock/advance", {"bySeconds": 90})
    assert moved["now"] == pytest.approx(frozen["now"] + 90)
    to = own.own("POST", "/clock/advance", {"to": frozen["now"] + 3600})
    assert to["now"] == pytest.approx(frozen["now"] + 3600)
    assert own.own("POST", "/clock/resume")["frozen"] is False


def test_an_advance_says_by_how_much_or_until_when(own: Client) -> None:
    for body in ({}, {"bySeconds": 1, "to": 2}):
        with pytest.raises(Problem, match="either bySeconds"):
            own.own("POST", "/clock/advance", body)
    with pytest.raises(Problem, match="never goes back"):
        own.own("POST", "/clock/advance", {"to": 1577836800})
    for body in ({"bySeconds": 2**53}, {"bySeconds": 1e308}, {"to": 253402300799}):
        with pytest.raises(Problem, match="no further than the year 9000"):
            own.own("POST", "/clock/advance", body)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "/reset", {"acount": "000000000000"}, "acount: no such setting of Reset. Settings are account"),
        ("GET", "/quiet?acount=000000000000", None, "acount: no such setting of GetQuiet. Settings are account"),
        ("POST", "/clock/freeze", {"at": 1}, "at: no such setting of FreezeClock. It has none: leave it out."),
        ("POST", "/clock/advance", {"bySeconds": 1, "a": 1, "b": 1}, "a, b: no such setting of AdvanceClock"),
    ],
)
def test_a_misspelt_setting_is_refused_and_does_nothing(
    own: Client, platform: PlatformThread, method: str, path: str, body: Any, words: str
) -> None:
    queue(platform, "orders")
    with pytest.raises(Problem, match=words):
        own.own(method, path, body)
    assert own.own("GET", "/clock")["frozen"] is False
    assert len(platform.client("sqs").list_queues()["QueueUrls"]) == 1


def test_a_delayed_message_is_not_under_way_but_next(own: Client, platform: PlatformThread) -> None:
    platform.freeze()
    url = queue(platform, "later")
    send(platform, url, DelaySeconds=60)
    quiet = own.own("POST", "/quiet", {})
    assert quiet["quiet"] is True
    assert quiet["busy"] == []


def test_what_only_an_outsider_can_finish_is_told_as_such(own: Client, platform: PlatformThread) -> None:
    send(platform, queue(platform, "nobody"))
    quiet = own.own("GET", "/quiet")
    assert quiet["quiet"] is True
    assert any("nobody" in phrase for phrase in quiet["outside"])
    assert own.own("GET", "/quiet", account="999999999999")["outside"] == []


# --- the journal


def test_events_are_listed_filtered_and_paged(own: Client, platform: PlatformThread) -> None:
    first, second = queue(platform, "first"), queue(platform, "second")
    ids = [send(platform, first) for _ in range(5)] + [send(platform, second)]
    page = own.own("GET", "/events", kind="sqs:SendMessage", limit=4)
    rest = own.own("GET", "/events", kind="sqs:SendMessage", limit=4, after=page["next"])
    assert [event["eventId"] for event in page["events"] + rest["events"]] == ids
    assert "next" not in rest
    of_second = own.own("GET", "/events", source="second")["events"]
    assert [event["eventId"] for event in of_second] == ids[-1:]
    newest = own.own("GET", "/events", newestFirst=True, limit=2, kind="sqs")
    assert [event["eventId"] for event in newest["events"]] == [ids[5], ids[4]]
    assert own.own("GET", "/events", account="999999999999")["events"] == []
    assert len(own.own("GET", "/events", allAccounts=True, kind="sqs")["events"]) == 6
    assert own.own("GET", "/events", until="2001-01-01T00:00:00Z")["events"] == []
    assert own.own("GET", "/events", state="failed")["events"] == []


def test_an_event_is_shown_with_its_payload_and_where_it_came_from(own: Client, platform: PlatformThread) -> None:
    id_ = send(platform, queue(platform, "orders"), '{"größe": 1}')
    found = own.own("GET", f"/events/{id_}")
    assert found["payload"] == '{"größe": 1}'
    assert found["event"]["source"].endswith(":orders")
    assert found["event"]["size"] == len('{"größe": 1}'.encode())
    assert "cause" not in found["event"]
    assert own.own("GET", f"/events/{id_of(id_)}")["event"]["eventId"] == id_


def test_what_is_not_in_the_journal_is_not_found_and_says_where_to_look(own: Client) -> None:
    for path in ("/events/6f1c6b0e-0000-4000-8000-000000000000", "/events/nothing/trace"):
        with pytest.raises(Problem, match="penstock events") as problem:
            own.own("GET", path)
        assert problem.value.exit_code == NOT_FOUND


def test_a_trace_begins_with_the_event_and_has_no_end_without_one(own: Client, platform: PlatformThread) -> None:
    id_ = send(platform, queue(platform, "orders"))
    found = own.own("GET", f"/events/{id_}/trace")
    assert found["roots"] == [id_]
    assert [event["eventId"] for event in found["events"]] == [id_]
    assert found["hops"] == []
    assert found["truncated"] is False


# --- queues


def test_looking_into_a_queue_receives_nothing(own: Client, platform: PlatformThread) -> None:
    url = queue(platform, "orders")
    id_ = send(platform, url, "hello", MessageAttributes={"tone": {"DataType": "String", "StringValue": "warm"}})
    send(platform, url, "later", DelaySeconds=100)
    for name in (url, "orders", f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders"):
        first, second = own.own("GET", "/sqs/messages", QueueUrl=name)["messages"]
        assert (first["messageId"], first["body"], first["state"]) == (id_, "hello", "available")
        assert first["attributes"] == {"tone": "warm"}
        assert first["receiveCount"] == 0
        assert second["state"] == "delayed"
    with pytest.raises(Problem, match="no queue nowhere"):
        own.own("GET", "/sqs/messages", QueueUrl="nowhere")


# --- reset


def test_a_reset_deletes_one_account_and_no_other(own: Client, platform: PlatformThread) -> None:
    send(platform, queue(platform, "mine"))
    other = platform.client("sqs", account="111111111111")
    other.create_queue(QueueName="theirs")
    own.own("POST", "/reset", {"account": "000000000000"})
    assert "QueueUrls" not in platform.client("sqs").list_queues()
    assert own.own("GET", "/events")["events"] == []
    assert len(other.list_queues()["QueueUrls"]) == 1


def test_a_reset_that_names_no_account_deletes_all(own: Client, platform: PlatformThread) -> None:
    clients = [platform.client("sqs", account=account) for account in ("111111111111", "222222222222")]
    for client in clients:
        client.create_queue(QueueName="theirs")
    request = urllib.request.Request(f"{own.url}/_penstock/reset", method="POST")
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {"everything": True}
    assert not any("QueueUrls" in client.list_queues() for client in clients)


def test_resets_are_many_and_quick(own: Client, platform: PlatformThread) -> None:
    clock = platform.platform.machine
    begun = clock.monotonic_ms()
    for _ in range(100):
        own.own("POST", "/reset", {})
    each_ms = (clock.monotonic_ms() - begun) / 100
    assert each_ms < 30, f"one reset took {each_ms:.1f} ms"


# --- applications


def test_an_application_that_is_not_there_is_not_found(own: Client) -> None:
    for method in ("GET", "DELETE"):
        with pytest.raises(Problem, match="no application shop"):
            list(own.progress(method, "/applications/shop"))
    assert own.own("GET", "/applications")["applications"] == []


def test_a_template_is_named_by_an_absolute_path(own: Client) -> None:
    with pytest.raises(Problem, match="no absolute path"):
        list(own.progress("POST", "/applications", {"name": "shop", "template": "template.yaml"}))


def test_a_queue_is_deployed_and_removed_with_progress(own: Client, platform: PlatformThread, tmp_path: Any) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(
        "Parameters: {Name: {Type: String}}\n"
        "Resources: {Orders: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Name}}}\n"
        "Outputs: {Url: {Value: !Ref Orders}}\n"
    )
    request = {"name": "shop", "template": str(template), "parameters": {"Name": "orders"}}
    lines = list(own.progress("POST", "/applications", request))
    assert lines[-1]["done"]["state"] == "CREATE_COMPLETE", lines
    assert any(line.get("resource") == "Orders" for line in lines)
    found = own.own("GET", "/applications/shop")
    assert found["outputs"]["Url"].endswith("/orders")
    assert [(each["logicalId"], each["state"]) for each in found["resources"]] == [("Orders", "CREATE_COMPLETE")]
    assert [each["name"] for each in own.own("GET", "/health")["applications"]] == ["shop"]
    assert list(own.progress("DELETE", "/applications/shop"))[-1]["done"]["state"] == "DELETE_COMPLETE"
    assert "QueueUrls" not in platform.client("sqs").list_queues()


def test_a_template_that_cannot_be_deployed_names_resource_and_line(own: Client, tmp_path: Any) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Resources:\n  Orders:\n    Type: AWS::SQS::Queue\n    Properties:\n      Colour: red\n")
    lines = list(own.progress("POST", "/applications", {"name": "shop", "template": str(template)}))
    assert "Colour" in lines[-1]["error"]["message"]
    assert own.own("GET", "/applications")["applications"] == []
