"""``penstock trace --why`` and ``--payloads``: which rules and filters took what, and how it looked on its way."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import Any

from penstock.cli.client import Client
from penstock.testing.platform import PlatformThread
from tests.cli.conftest import Penstock

ACCOUNT = "arn:aws:{}:us-east-1:000000000000:{}"


def arn(service: str, name: str) -> str:
    return ACCOUNT.format(service, name)


def rule(platform: PlatformThread, name: str, pattern: Any, bus: str, *targets: dict[str, Any]) -> None:
    events = platform.client("events")
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    if targets:
        events.put_targets(Rule=name, EventBusName=bus, Targets=list(targets))


def put(platform: PlatformThread, bus: str, **detail: Any) -> str:
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "Detail": json.dumps(detail), "EventBusName": bus}
    id_: str = platform.client("events").put_events(Entries=[entry])["Entries"][0]["EventId"]
    return id_


def shop(platform: PlatformThread) -> None:
    """Two buses: of the first one rule matches and sends to a queue and the second bus, where one matches."""
    events = platform.client("events")
    platform.client("sqs").create_queue(QueueName="payments")
    for bus in ("shop", "audit"):
        events.create_event_bus(Name=bus)
    transformer = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"order": <id>}'}
    to_queue = {"Id": "q", "Arn": arn("sqs", "payments"), "InputTransformer": transformer}
    to_bus = {"Id": "b", "Arn": arn("events", "event-bus/audit")}
    rule(platform, "pay", {"source": ["shop"], "detail": {"total": [{"numeric": [">", 0]}]}}, "shop", to_queue, to_bus)
    rule(platform, "vip", {"detail": {"total": [{"numeric": [">", 1000]}]}}, "shop", to_queue)
    rule(platform, "gift", {"detail": {"gift": [True], "total": [0]}}, "shop", to_queue)
    rule(platform, "all", {"source": ["shop"]}, "audit")
    rule(platform, "others", {"source": [{"anything-but": "shop"}]}, "audit")


def test_why_tells_of_every_bus_which_rules_took_the_event(penstock: Penstock, platform: PlatformThread) -> None:
    shop(platform)
    id_ = put(platform, "shop", id=7, total=12)
    found = json.loads(penstock("trace", id_, "--wait", "--why", "--json").out)
    told = {
        one["bus"].rpartition("/")[2]: {each["name"]: each for each in one["rules"]} for one in found["explanations"]
    }
    assert {bus: [name for name, each in rules.items() if each["matched"]] for bus, rules in told.items()} == {
        "shop": ["pay"],
        "audit": ["all"],
    }
    assert told["shop"]["pay"]["hops"] == 2
    assert told["shop"]["vip"]["reason"].startswith("detail.total is 12; the pattern wants")
    gift = {demand["path"]: demand for demand in told["shop"]["gift"]["alternatives"][0]}
    assert (gift["detail.gift"]["count"], gift["detail.total"]["found"]) == (0, ["12"])
    assert "made no hop" in told["audit"]["all"]["reason"], "a rule without targets says so"

    lines = penstock("trace", id_, "--why").out.splitlines()
    at = {name: next(i for i, line in enumerate(lines) if f"rule {name}" in line) for name in ("pay", "vip", "others")}
    assert "✓ rule pay" in lines[at["pay"]] and at["pay"] < at["vip"]
    assert "· rule vip  detail.total is 12" in lines[at["vip"]]
    assert any("✗ detail.gift is missing; wanted: true" in line for line in lines)
    hop = next(i for i, line in enumerate(lines) if "→ bus audit" in line)
    assert hop < at["others"], "what the second bus made of it stands below the hop that brought it there"
    assert lines[at["pay"] + 1].strip("│ ").startswith(("├── → queue payments", "├── → bus audit"))
    assert sum("by rule shop/pay" in line for line in penstock("trace", id_).out.splitlines()) == 2
    assert "explanations" not in json.loads(penstock("trace", id_, "--json").out)


def test_why_says_when_a_rule_has_changed_since(penstock: Penstock, platform: PlatformThread) -> None:
    shop(platform)
    id_ = put(platform, "shop", id=7, total=12)
    rule(platform, "pay", {"source": ["another"]}, "shop")
    rule(platform, "late", {"source": ["shop"]}, "shop")
    platform.client("events").disable_rule(Name="vip", EventBusName="shop")
    told = json.loads(penstock("trace", id_, "--why", "--json").out)["explanations"]
    rules = {each["name"]: each for each in told[0]["rules"]}
    assert rules["pay"]["matched"] is False and "2 hops when the event came" in rules["pay"]["reason"]
    assert rules["late"]["matched"] is True and "changed since" in rules["late"]["reason"]
    assert rules["vip"]["reason"].startswith("the rule is disabled")


def test_why_of_a_bus_that_is_not_there(penstock: Penstock, platform: PlatformThread) -> None:
    id_ = put(platform, "nowhere", id=1)
    assert "Event bus nowhere does not exist." in penstock("trace", id_, "--why").out


def test_of_a_large_bus_all_that_matched_and_some_of_the_rest_is_told(
    penstock: Penstock, platform: PlatformThread
) -> None:
    events = platform.client("events")
    events.create_event_bus(Name="shop")
    for number in range(230):
        rule(platform, f"r{number:03}", {"detail": {"n": [number]}}, "shop")
    told = json.loads(penstock("trace", put(platform, "shop", n=229), "--why", "--json").out)["explanations"][0]
    assert told["unmatched"] == 229
    assert [each["name"] for each in told["rules"] if each["matched"]] == ["r229"]
    assert len(told["rules"]) == 201
    assert "and 29 more rules" in penstock("trace", told["eventId"], "--why").out


def test_payloads_are_shown_before_and_after_transformation(penstock: Penstock, platform: PlatformThread) -> None:
    shop(platform)
    id_ = put(platform, "shop", id=7, total=12, note="n" * 5000)
    found = json.loads(penstock("trace", id_, "--wait", "--payloads", "--json").out)
    event = next(each for each in found["events"] if each["eventId"] == id_)
    assert event["payload"].startswith('{"version":"0"') and len(event["payload"]) == 4096
    assert event["payloadTruncated"] is True
    assert [hop.get("payload") for hop in found["hops"] if hop["target"].endswith(":payments")] == ['{"order": 7}']
    small = put(platform, "shop", id=8, total=12)
    shown = penstock("trace", small, "--payloads").out
    assert '"detail-type": "OrderPlaced"' in shown
    assert shown.count('"order": 8') == 1, "what the queue got is the event that it became there"
    assert "payload" not in json.loads(penstock("trace", small, "--json").out)["events"][0]


HANDLER = "def handler(event, context):\n    raise ValueError('as asked')\n"


def failing(platform: PlatformThread) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", HANDLER)
    platform.client("lambda").create_function(
        FunctionName="pay", Runtime=f"python3.{sys.version_info.minor}", Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": packed.getvalue()}, Timeout=10,
    )  # fmt: skip


def test_a_filtered_message_says_which_field_no_filter_wanted(penstock: Penstock, platform: PlatformThread) -> None:
    url = platform.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    failing(platform)
    filters = [{"Pattern": json.dumps({"body": {"kind": [kind]}})} for kind in ("order", "gift")]
    platform.client("lambda").create_event_source_mapping(
        FunctionName="pay", EventSourceArn=arn("sqs", "orders"), FilterCriteria={"Filters": filters}
    )
    sent = platform.client("sqs").send_message(QueueUrl=url, MessageBody='{"kind": "advert"}')["MessageId"]
    shown = penstock("trace", sent, "--wait").out
    assert "→ function pay  filtered" in shown
    assert 'filter 1: body.kind is "advert"; the pattern wants "order"; filter 2: body.kind is "advert"' in shown
    text = platform.client("sqs").send_message(QueueUrl=url, MessageBody="plain")["MessageId"]
    hop = json.loads(penstock("trace", text, "--wait", "--json").out)["hops"][0]
    assert hop["state"] == "filtered" and "the body is text; the pattern is for a body of JSON" in hop["message"]


def test_a_failed_attempt_tells_its_log_stream_and_when_the_next_one_is(
    penstock: Penstock, platform: PlatformThread
) -> None:
    failing(platform)
    platform.freeze()
    id_ = penstock("invoke", "pay", "{}", "--async").out.strip()
    lines = penstock("trace", id_, "--wait", "--why").out.splitlines()
    assert "next attempt " in lines[1] and "(in 1 min)" in lines[1]
    stream = next(line for line in lines if "log stream " in line).rpartition(" ")[2]
    streams = platform.client("logs").describe_log_streams(logGroupName="/aws/lambda/pay")["logStreams"]
    assert [each["logStreamName"] for each in streams] == [stream]


def mapped(platform: PlatformThread, visible: int = 30, maximum: int = 0, **mapping: Any) -> str:
    """A queue that the failing function takes from; its URL."""
    sqs = platform.client("sqs")
    attributes = {"VisibilityTimeout": str(visible)}
    if maximum:
        sqs.create_queue(QueueName="dead")
        policy = {"deadLetterTargetArn": arn("sqs", "dead"), "maxReceiveCount": maximum}
        attributes["RedrivePolicy"] = json.dumps(policy)
    url: str = sqs.create_queue(QueueName="orders", Attributes=attributes)["QueueUrl"]
    failing(platform)
    platform.client("lambda").create_event_source_mapping(
        FunctionName="pay", EventSourceArn=arn("sqs", "orders"), **mapping
    )
    return url


def test_what_a_mapping_failed_on_tells_when_it_is_tried_again(penstock: Penstock, platform: PlatformThread) -> None:
    platform.freeze()
    url = mapped(platform, maximum=2)
    sent = platform.client("sqs").send_message(QueueUrl=url, MessageBody="{}")["MessageId"]
    first = penstock("trace", sent, "--wait").out
    assert "→ function pay  failed" in first and "next attempt " in first and "(in 30 s)" in first
    platform.advance(10)
    hop = json.loads(penstock("trace", sent, "--json").out)["hops"][0]
    assert hop["due"] == hop["at"] + 30 and "deadLetter" not in hop
    client = Client(platform.url, account="000000000000", region="us-east-1")
    assert client.own("GET", f"/events/{sent}")["hops"] == [hop]
    platform.advance(20)
    lines = penstock("trace", sent, "--wait").out.splitlines()
    assert [line.count("next attempt") + line.count("(in ") for line in lines[:2]] == [0, 0], "it has been tried again"
    assert "dead letter: queue dead " in lines[2] and "(in 30 s)" in lines[2], lines
    platform.advance(30)
    moved = penstock("trace", sent, "--wait").out
    assert "→ queue dead  moved after 2 receives" in moved and "(in " not in moved


def test_another_visibility_timeout_is_another_next_attempt(penstock: Penstock, platform: PlatformThread) -> None:
    platform.freeze()
    url = mapped(platform, visible=30)
    sqs = platform.client("sqs")
    sent = sqs.send_message(QueueUrl=url, MessageBody="{}")["MessageId"]
    assert "(in 30 s)" in penstock("trace", sent, "--wait").out
    [mapping] = platform.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    platform.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert "next attempt" not in penstock("trace", sent, "--wait").out, "nobody takes from the queue"
    platform.advance(30)
    [held] = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=300)
    platform.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert "(in 5 min)" in penstock("trace", sent, "--wait").out
    sqs.delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    assert "(in " not in penstock("trace", sent, "--wait").out


def test_a_batch_that_fills_or_is_throttled_is_shown_as_waiting(penstock: Penstock, platform: PlatformThread) -> None:
    platform.freeze()
    url = mapped(platform, BatchSize=3, MaximumBatchingWindowInSeconds=20)
    sqs, functions = platform.client("sqs"), platform.client("lambda")
    sent = sqs.send_message(QueueUrl=url, MessageBody="1")["MessageId"]
    filling = penstock("trace", sent, "--wait").out
    assert "→ function pay  waiting  1 B, its batch fills until " in filling and "(in 20 s)" in filling
    functions.put_function_concurrency(FunctionName="pay", ReservedConcurrentExecutions=0)
    platform.advance(15)
    for body in ("2", "3"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    throttled = penstock("trace", sent, "--wait").out
    assert "→ function pay  waiting " in throttled and "batch of 3, next attempt " in throttled
    assert "(in 500 ms)" in throttled and "✗ attempt 1 (does not count)" in throttled
    functions.delete_function_concurrency(FunctionName="pay")
    platform.advance(0.5)
    hop = json.loads(penstock("trace", sent, "--wait", "--json").out)["hops"][0]
    assert (hop["state"], round(hop["started"] - hop["at"], 3)) == ("failed", 15.5)
    assert " after 15.5 s" in penstock("trace", sent).out, "the window is no run time"


def test_a_synchronous_invoke_begins_before_what_it_causes(penstock: Penstock, platform: PlatformThread) -> None:
    failing(platform)
    before = json.loads(penstock("clock", "--json").out)["now"]
    penstock("invoke", "pay", "{}")
    (event,) = json.loads(penstock("events", "--json").out)
    found = json.loads(penstock("trace", event["eventId"], "--wait", "--json").out)
    assert before <= event["at"] == found["hops"][0]["started"] < found["hops"][0]["ended"]


def test_what_goes_on_from_a_hop_stands_below_it(penstock: Penstock, platform: PlatformThread) -> None:
    shop(platform)
    failing(platform)
    rule(platform, "run", {"source": ["shop"]}, "audit", {"Id": "f", "Arn": arn("lambda", "function:pay")})
    lines = penstock("trace", put(platform, "shop", id=1, total=2), "--wait").out.splitlines()
    begun = next(i for i, line in enumerate(lines) if "→ bus audit" in line)
    shown = [(line.index("→"), line.partition("→ ")[2].split("  ")[:2]) for line in lines[begun : begun + 3]]
    assert [what[0] for _, what in shown] == ["bus audit", "function pay", "function pay"]
    assert shown[0][0] < shown[1][0] < shown[2][0]
    assert shown[1][1][1].startswith("queued") and shown[2][1][1].startswith("waiting")


def test_a_schedule_says_when_its_next_moment_is(penstock: Penstock, platform: PlatformThread) -> None:
    platform.freeze()
    platform.client("events").put_rule(Name="tick", ScheduleExpression="rate(5 minutes)")
    platform.advance(seconds=300)
    tick = platform.call("self", "ListEvents", {"kind": "events:Schedule"})["events"][0]["eventId"]
    shown = penstock("trace", tick, "--roots").out
    assert "→ rule tick  waiting" in shown and "the schedule's next moment is" in shown and "(in 5 min)" in shown
