"""From PutEvents to targets: what arrives, how it is retried, where it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

ACCOUNT = "000000000000"


class Shop:
    """A bus with queues behind it, driven with boto3."""

    def __init__(self, platform: Any, region: str = "us-east-1", account: str = ACCOUNT) -> None:
        self.platform, self.region, self.account = platform, region, account
        self.events = platform.client("events", region=region, account=account)
        self.sqs = platform.client("sqs", region=region, account=account)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def queue(self, name: str, **attributes: str) -> str:
        self.sqs.create_queue(QueueName=name, Attributes=attributes)
        return self.arn("sqs", name)

    def rule(self, name: str, pattern: dict[str, Any], *targets: dict[str, Any], bus: str = "default") -> str:
        arn: str = self.events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
        if targets:
            self.events.put_targets(Rule=name, EventBusName=bus, Targets=list(targets))
        return arn

    def put(self, detail: dict[str, Any], *, bus: str = "default", **entry: Any) -> str:
        entry = {"Source": "shop", "DetailType": "OrderPlaced", "Detail": json.dumps(detail), **entry}
        answer = self.events.put_events(Entries=[entry | {"EventBusName": bus}])
        assert answer["FailedEntryCount"] == 0, answer
        event: str = answer["Entries"][0]["EventId"]
        self.platform.quiet()
        return event

    def messages(self, queue: str) -> list[dict[str, Any]]:
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found: list[dict[str, Any]] = []
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
            )
            if not answer.get("Messages"):
                return found
            found += answer["Messages"]
            for message in answer["Messages"]:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def bodies(self, queue: str) -> list[Any]:
        return [json.loads(message["Body"]) for message in self.messages(queue)]


@pytest.fixture
def shop(platform: Any) -> Shop:
    return Shop(platform)


def attributes(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


def test_an_event_reaches_the_queues_of_the_rules_it_matches(shop: Shop) -> None:
    shop.rule("big", {"detail": {"total": [{"numeric": [">", 100]}]}}, {"Id": "q", "Arn": shop.queue("big")})
    shop.rule("all", {"source": ["shop"]}, {"Id": "q", "Arn": shop.queue("all")})
    event = shop.put({"total": 7}, Time=1_700_000_000, Resources=["arn:aws:x:y:z:0:r"])
    assert shop.messages("big") == []
    assert shop.bodies("all") == [
        {
            "version": "0", "id": event, "detail-type": "OrderPlaced", "source": "shop", "account": ACCOUNT,
            "time": "2023-11-14T22:13:20Z", "region": "us-east-1", "resources": ["arn:aws:x:y:z:0:r"],
            "detail": {"total": 7},
        }
    ]  # fmt: skip


def test_entries_are_taken_or_refused_alone(shop: Shop) -> None:
    good = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
    answer = shop.events.put_events(
        Entries=[
            good,
            {"DetailType": "t", "Detail": "{}"},
            good | {"Detail": "[1]"},
            good | {"Detail": "{"},
            good | {"Source": "aws.s3"},
            good | {"EventBusName": "no-such-bus"},
            good | {"DetailType": "t" * 129},
        ]
    )
    assert answer["FailedEntryCount"] == 5
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None, "InvalidArgument", "MalformedDetail", "MalformedDetail", "NotAuthorizedForSourceException", None,
        "InvalidArgument",
    ]  # fmt: skip
    assert "128" in answer["Entries"][6]["ErrorMessage"]
    assert (
        answer["Entries"][1]["ErrorMessage"] == "Parameter Source is not valid. Reason: Source is a required argument."
    )


def test_a_request_has_ten_entries_and_a_megabyte_at_most(shop: Shop) -> None:
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
    with pytest.raises(shop.events.exceptions.ClientError, match="less than or equal to 10"):
        shop.events.put_events(Entries=[entry] * 11)
    large = entry | {"Detail": json.dumps({"text": "x" * 600_000})}
    with pytest.raises(shop.events.exceptions.ClientError, match="Total size of the entries in the request is over"):
        shop.events.put_events(Entries=[large] * 2)
    assert shop.events.put_events(Entries=[large])["FailedEntryCount"] == 0


def test_a_rule_that_changes_or_goes_is_changed_or_gone_at_once(shop: Shop) -> None:
    target = {"Id": "q", "Arn": shop.queue("q")}
    shop.rule("r", {"source": ["other"]}, target)
    shop.put({"number": 1})
    shop.rule("r", {"source": ["shop"]})
    shop.put({"number": 2})
    shop.events.disable_rule(Name="r")
    shop.put({"number": 3})
    shop.events.enable_rule(Name="r")
    shop.put({"number": 4})
    shop.events.remove_targets(Rule="r", Ids=["q"])
    shop.put({"number": 5})
    shop.events.put_targets(Rule="r", Targets=[target])
    shop.put({"number": 6})
    shop.events.remove_targets(Rule="r", Ids=["q"])
    shop.events.delete_rule(Name="r")
    shop.put({"number": 7})
    assert sorted(body["detail"]["number"] for body in shop.bodies("q")) == [2, 4, 6]


def test_targets_get_the_input_they_ask_for(shop: Shop) -> None:
    arn = shop.rule(
        "r", {"source": ["shop"]},
        {"Id": "constant", "Arn": shop.queue("constant"), "Input": '{"fixed": true}'},
        {"Id": "path", "Arn": shop.queue("path"), "InputPath": "$.detail.lines[*].sku"},
        {"Id": "nowhere", "Arn": shop.queue("nowhere"), "InputPath": "$.detail.none"},
        {
            "Id": "template", "Arn": shop.queue("template"),
            "InputTransformer": {
                "InputPathsMap": {"total": "$.detail.total", "lines": "$.detail.lines"},
                "InputTemplate": '{"total": <total>, "text": "costs <total>", "lines": <lines>, "rule":'
                ' <aws.events.rule-arn>, "at": "<aws.events.event.ingestion-time>", "all": <aws.events.event.json>}',
            },
        },
    )  # fmt: skip
    event = shop.put({"total": 12345678901234567890, "lines": [{"sku": "a"}, {"sku": "b"}]})
    assert shop.bodies("constant") == [{"fixed": True}]
    assert shop.bodies("path") == [["a", "b"]]
    assert shop.bodies("nowhere") == [None]
    (made,) = shop.bodies("template")
    assert made["total"] == 12345678901234567890
    assert made["text"] == "costs 12345678901234567890"
    assert made["lines"] == [{"sku": "a"}, {"sku": "b"}]
    assert made["rule"] == arn
    assert made["all"]["id"] == event
    assert made["at"].endswith("Z")


def test_what_a_template_makes_that_is_no_json_reaches_nobody(shop: Shop) -> None:
    rule = shop.rule(
        "r", {"source": ["shop"]},
        {
            "Id": "q", "Arn": shop.queue("q"), "DeadLetterConfig": {"Arn": shop.queue("dead")},
            "InputTransformer": {"InputPathsMap": {"item": "$.detail.item"}, "InputTemplate": '{"item": "<item>"}'},
        },
    )  # fmt: skip
    event = shop.put({"item": {"sku": "a"}})
    shop.put({"item": "a"})
    assert shop.bodies("q") == [{"item": "a"}]
    (dead,) = shop.messages("dead")
    assert json.loads(dead["Body"])["id"] == event
    told = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert told.pop("ERROR_MESSAGE").startswith("The input that the template makes is not valid JSON")
    assert told == {"RULE_ARN": rule, "TARGET_ARN": shop.arn("sqs", "q"), "ERROR_CODE": "INVALID_JSON"}


def test_what_a_template_makes_that_no_target_takes_is_not_made(shop: Shop) -> None:
    shop.rule(
        "r", {"source": ["shop"]},
        {
            "Id": "q", "Arn": shop.queue("q"), "DeadLetterConfig": {"Arn": shop.queue("dead")},
            "InputTransformer": {"InputPathsMap": {"item": "$.detail.item"}, "InputTemplate": f'"{"<item>" * 1300}"'},
        },
    )  # fmt: skip
    shop.put({"item": "a" * 200_000})
    shop.put({"item": "a"})
    assert shop.bodies("q") == ["a" * 1300]
    (dead,) = shop.messages("dead")
    told = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert told["ERROR_CODE"] == "INVALID_PARAMETER"
    assert "longer than 1048576 characters, which no target takes: name smaller parts" in told["ERROR_MESSAGE"]


def test_a_fifo_queue_gets_the_group_the_target_names(shop: Shop) -> None:
    arn = shop.queue("q.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    shop.rule("r", {"source": ["shop"]}, {"Id": "q", "Arn": arn, "SqsParameters": {"MessageGroupId": "orders"}})
    for number in range(3):
        shop.put({"number": number})
    messages = shop.messages("q.fifo")
    assert [json.loads(message["Body"])["detail"]["number"] for message in messages] == [0, 1, 2]
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"orders"}


def test_a_trace_header_goes_with_the_event(shop: Shop) -> None:
    shop.events.create_event_bus(Name="b")
    shop.rule("on", {"source": ["shop"]}, {"Id": "b", "Arn": shop.arn("events", "event-bus/b")})
    shop.rule("seen", {"source": ["shop"]}, {"Id": "q", "Arn": shop.queue("q")}, bus="b")
    shop.put({"total": 1}, TraceHeader="Root=1-5759e988-bd862e3fe1be46a994272793")
    (message,) = shop.messages("q")
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-5759e988-bd862e3fe1be46a994272793"


def test_a_log_group_gets_a_log_event(shop: Shop, platform: Any) -> None:
    logs = platform.client("logs")
    logs.create_log_group(logGroupName="/events")
    arn = shop.arn("logs", "log-group:/events")
    paths = {"time": "$.time", "total": "$.detail.total"}
    template = {"InputPathsMap": paths, "InputTemplate": '{"timestamp": <time>, "message": "costs <total>"}'}
    shop.rule("r", {"source": ["shop"]}, {"Id": "l", "Arn": arn}, {"Id": "t", "Arn": arn, "InputTransformer": template})
    event = shop.put({"total": 7}, Time=1_700_000_000)
    first, second = sorted(logs.filter_log_events(logGroupName="/events")["events"], key=lambda one: one["timestamp"])
    assert (first["timestamp"], first["message"]) == (1_700_000_000_000, "costs 7")
    assert json.loads(second["message"])["id"] == event == second["logStreamName"]


@pytest.mark.parametrize("time", ['"²"', '"' + "9" * 5000 + '"', "-1", str(2**63), str(2**80), '"0001-01-01"', "true"])
def test_a_log_event_whose_time_is_none_is_of_now(shop: Shop, platform: Any, time: str) -> None:
    logs = platform.client("logs")
    logs.create_log_group(logGroupName="/events")
    template = {"InputPathsMap": {}, "InputTemplate": f'{{"timestamp": {time}, "message": "m"}}'}
    target = {"Id": "t", "Arn": shop.arn("logs", "log-group:/events"), "InputTransformer": template}
    shop.rule("r", {"source": ["shop"]}, target)
    shop.put({})
    (event,) = logs.filter_log_events(logGroupName="/events")["events"]
    assert (event["message"], event["timestamp"]) == ("m", event["ingestionTime"])


def test_what_a_gone_target_cannot_take_goes_to_the_dead_letter_queue_at_once(shop: Shop) -> None:
    dead = {"DeadLetterConfig": {"Arn": shop.queue("dead")}}
    gone = shop.queue("gone")
    arn = shop.rule(
        "r", {"source": ["shop"]},
        {"Id": "q", "Arn": gone, "InputPath": "$.detail", **dead},
        {"Id": "f", "Arn": shop.arn("lambda", "function:none"), **dead},
    )  # fmt: skip
    shop.sqs.delete_queue(QueueUrl=shop.sqs.get_queue_url(QueueName="gone")["QueueUrl"])
    event = shop.put({"total": 1})
    messages = shop.messages("dead")
    assert {json.loads(message["Body"])["id"] for message in messages} == {event}
    found = {attributes(message)["TARGET_ARN"]: attributes(message) for message in messages}
    assert set(found) == {gone, shop.arn("lambda", "function:none")}
    for one in found.values():
        assert (one["RULE_ARN"], one["ERROR_CODE"]) == (arn, "NO_RESOURCE")
        assert one["ERROR_MESSAGE"]
        assert "RETRY_ATTEMPTS" not in one


def test_a_target_whose_arn_can_name_nothing_fails_alone(shop: Shop) -> None:
    dead = {"DeadLetterConfig": {"Arn": shop.queue("dead")}}
    arns = [shop.arn("lambda", "layer:a b"), shop.arn("sqs", "q/move/1"), shop.arn("logs", "stream")]
    targets = [{"Id": str(number), "Arn": arn, **dead} for number, arn in enumerate(arns)]
    shop.rule("r", {"source": ["shop"]}, {"Id": "well", "Arn": shop.queue("well")}, *targets)
    shop.put({"total": 1})
    assert len(shop.messages("well")) == 1
    assert {attributes(message)["TARGET_ARN"] for message in shop.messages("dead")} == set(arns)


def test_events_pass_to_a_bus_of_another_account_and_region(shop: Shop, platform: Any) -> None:
    other = Shop(platform, region="eu-west-1", account="111111111111")
    bus = other.events.create_event_bus(Name="their-bus")["EventBusArn"]
    other.rule("in", {"source": ["shop"]}, {"Id": "q", "Arn": other.queue("theirs")}, bus="their-bus")
    shop.rule("out", {"source": ["shop"]}, {"Id": "b", "Arn": bus})
    event = shop.put({"total": 1})
    (body,) = other.bodies("theirs")
    assert (body["id"], body["account"], body["region"]) == (event, ACCOUNT, "us-east-1")
    shop.put({"total": 2}, bus=bus)
    (body,) = other.bodies("theirs")
    assert (body["account"], body["region"], body["detail"]) == (ACCOUNT, "eu-west-1", {"total": 2})


def test_an_event_passes_from_bus_to_bus_once(shop: Shop) -> None:
    dead = {"DeadLetterConfig": {"Arn": shop.queue("dead")}}
    for name in ("a", "b", "c"):
        shop.events.create_event_bus(Name=name)
        shop.rule("seen", {"source": ["shop"]}, {"Id": "q", "Arn": shop.queue(f"on-{name}")}, bus=name)
    shop.rule("on", {"source": ["shop"]}, {"Id": "b", "Arn": shop.arn("events", "event-bus/b"), **dead}, bus="a")
    shop.rule("on", {"source": ["shop"]}, {"Id": "c", "Arn": shop.arn("events", "event-bus/c"), **dead}, bus="b")
    shop.put({"total": 1}, bus="a")
    assert [len(shop.bodies(f"on-{name}")) for name in ("a", "b", "c")] == [1, 1, 0]
    (letter,) = shop.messages("dead")
    assert attributes(letter)["ERROR_CODE"] == "THIRD_ACCOUNT_HOP_DETECTED"
    assert "an event can be sent to an event bus target only once" in attributes(letter)["ERROR_MESSAGE"]


def test_a_rule_that_sends_to_its_own_bus_is_cut_off(shop: Shop, platform: Any) -> None:
    shop.rule("loop", {"source": ["shop"]}, {"Id": "b", "Arn": shop.arn("events", "event-bus/default")})
    shop.rule("seen", {"source": ["shop"]}, {"Id": "q", "Arn": shop.queue("q")})
    event = shop.put({"total": 1})
    assert [body["id"] for body in shop.bodies("q")] == [event, event]
    hops = platform.call("self", "TraceEvent", {"eventId": event})["hops"]
    assert [hop["code"] for hop in hops if hop["state"] == "failed"] == ["THIRD_ACCOUNT_HOP_DETECTED"]


def test_a_thousand_targets_are_reached_in_slices(shop: Shop) -> None:
    queue = shop.queue("q")
    for number in range(10):
        targets = [{"Id": f"t{each}", "Arn": queue, "Input": json.dumps([number, each])} for each in range(100)]
        shop.rule(f"r{number}", {"source": ["shop"]}, *targets)
    shop.put({"total": 1})
    assert sorted(shop.bodies("q")) == [[number, each] for number in range(10) for each in range(100)]


def test_ten_thousand_rules_are_matched_by_one_event(own_platform: Any) -> None:
    shop = Shop(own_platform)
    queue = shop.queue("q")
    own_platform.run(_many_rules(own_platform.platform, 10_000))
    shop.events.put_targets(Rule="r4711", Targets=[{"Id": "q", "Arn": queue}])
    shop.put({"sku": "sku-4711"})
    shop.put({"sku": "sku-none"})
    assert [body["detail"]["sku"] for body in shop.bodies("q")] == ["sku-4711"]
    own_platform.restart()
    while not own_platform.platform.parts.states["events"].routes:  # compiled in the background
        own_platform.call("events", "ListRules", {"Limit": 1})
    Shop(own_platform).put({"sku": "sku-4711"})
    assert len(Shop(own_platform).bodies("q")) == 1


async def _many_rules(platform: Any, count: int) -> None:
    def put(number: int) -> Any:
        pattern = json.dumps({"source": ["shop"], "detail": {"sku": [f"sku-{number}"]}})
        return platform.call("events", "PutRule", {"Name": f"r{number}", "EventPattern": pattern})

    for begin in range(0, count, 500):  # many operations share a sync
        await asyncio.gather(*(put(number) for number in range(begin, begin + 500)))


def test_why_a_rule_took_an_event_or_did_not(shop: Shop, platform: Any) -> None:
    shop.rule("big", {"detail": {"total": [{"numeric": [">", 100]}]}})
    shop.rule("all", {"source": ["shop"]})
    shop.rule("off", {"source": ["shop"]})
    shop.events.disable_rule(Name="off")
    event = shop.put({"total": 7})
    why = {rule["Name"]: rule for rule in platform.call("events", "ExplainEvent", {"EventId": event})["Rules"]}
    assert why["all"]["Matched"]
    assert not why["big"]["Matched"]
    assert why["big"]["Reason"] == 'detail.total is 7; the pattern wants {"numeric": [">", 100]}'
    assert why["off"]["Reason"] == "the rule is disabled (every field matches)"


def test_what_waits_for_targets_survives_a_restart(own_platform: Any) -> None:
    shop = Shop(own_platform)
    dead = shop.queue("dead")
    shop.rule("r", {"source": ["shop"]}, {"Id": "q", "Arn": shop.queue("q")})
    event = shop.put({"total": 1})
    own_platform.restart()
    shop = Shop(own_platform)
    assert [body["id"] for body in shop.bodies("q")] == [event]
    assert shop.put({"total": 2}) in [body["id"] for body in shop.bodies("q")]
    assert dead
