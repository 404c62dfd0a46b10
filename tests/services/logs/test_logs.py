"""CloudWatch Logs over HTTP, with boto3."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.testing.platform import PlatformThread

DAY_MS = 86_400_000


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.fixture
def logs(platform: PlatformThread) -> Any:
    return platform.client("logs")


@pytest.fixture
def now(platform: PlatformThread) -> int:
    return platform.freeze()


def put(logs: Any, stream: str, events: list[tuple[int, str]], group: str = "app") -> dict[str, Any]:
    entries = [{"timestamp": at, "message": message} for at, message in events]
    return dict(logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=entries))


def make(logs: Any, *streams: str, group: str = "app") -> None:
    logs.create_log_group(logGroupName=group)
    for stream in streams:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def filtered(logs: Any, **request: Any) -> list[str]:
    """Every message of every page."""
    found: list[str] = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName="app", **request):
        found += messages(page)
    return found


# --- groups and streams


def test_a_group_is_made_described_and_deleted(logs: Any, now: int) -> None:
    logs.create_log_group(logGroupName="app", tags={"team": "red"}, kmsKeyId="arn:aws:kms:us-east-1:0:key/k")
    (group,) = logs.describe_log_groups(logGroupNamePrefix="a")["logGroups"]
    assert group["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:app:*"
    assert group["logGroupArn"] == "arn:aws:logs:us-east-1:000000000000:log-group:app"
    assert (group["creationTime"], group["storedBytes"]) == (now, 0)
    assert group["kmsKeyId"] == "arn:aws:kms:us-east-1:0:key/k"
    assert "retentionInDays" not in group
    with pytest.raises(ClientError, match="already exists") as error:
        logs.create_log_group(logGroupName="app")
    assert code_of(error) == "ResourceAlreadyExistsException"
    logs.delete_log_group(logGroupName="app")
    assert logs.describe_log_groups()["logGroups"] == []
    with pytest.raises(ClientError, match="does not exist") as error:
        logs.delete_log_group(logGroupName="app")
    assert code_of(error) == "ResourceNotFoundException"


def test_a_group_made_again_has_none_of_the_old_events(logs: Any, platform: PlatformThread, now: int) -> None:
    make(logs, "s")
    put(logs, "s", [(now, "old")])
    logs.delete_log_group(logGroupName="app")
    make(logs, "s")
    assert filtered(logs) == []


def test_a_deleted_stream_takes_its_events_along(logs: Any, now: int) -> None:
    make(logs, "a", "b")
    put(logs, "a", [(now, "from a")])
    put(logs, "b", [(now, "from b")])
    logs.delete_log_stream(logGroupName="app", logStreamName="a")
    assert filtered(logs) == ["from b"]


def test_protected_groups_are_not_deleted(logs: Any) -> None:
    logs.create_log_group(logGroupName="app", deletionProtectionEnabled=True)
    with pytest.raises(ClientError, match="PutLogGroupDeletionProtection"):
        logs.delete_log_group(logGroupName="app")
    logs.put_log_group_deletion_protection(logGroupIdentifier="app", deletionProtectionEnabled=False)
    logs.delete_log_group(logGroupName="app")


def test_groups_are_listed_in_pages_by_prefix_part_and_pattern(logs: Any) -> None:
    for name in ("/aws/lambda/a", "/aws/lambda/b", "/aws/other", "zoo"):
        logs.create_log_group(logGroupName=name)

    def names(**request: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_groups").paginate(**request, PaginationConfig={"PageSize": 1})
        return [group["logGroupName"] for page in pages for group in page["logGroups"]]

    assert names() == ["/aws/lambda/a", "/aws/lambda/b", "/aws/other", "zoo"]
    assert names(logGroupNamePrefix="/aws/lambda/") == ["/aws/lambda/a", "/aws/lambda/b"]
    assert names(logGroupNamePattern="o") == ["/aws/other", "zoo"]
    listed = logs.list_log_groups(logGroupNamePattern="^/aws/o|zoo")["logGroups"]
    assert [group["logGroupName"] for group in listed] == ["/aws/other", "zoo"]
    with pytest.raises(ClientError, match="mutually exclusive"):
        logs.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="b")


def test_accounts_and_regions_have_groups_of_their_own(platform: PlatformThread, logs: Any) -> None:
    make(logs)
    assert platform.client("logs", region="eu-west-1").describe_log_groups()["logGroups"] == []
    assert platform.client("logs", account="111122223333").describe_log_groups()["logGroups"] == []


def test_tags_are_kept_in_both_forms(logs: Any) -> None:
    logs.create_log_group(logGroupName="app", tags={"a": "1"})
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:app"
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.tag_log_group(logGroupName="app", tags={"c": "3"})
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2", "c": "3"}
    logs.untag_log_group(logGroupName="app", tags=["b"])
    assert logs.list_tags_log_group(logGroupName="app")["tags"] == {"c": "3"}
    with pytest.raises(ClientError) as error:
        logs.tag_resource(resourceArn=arn, tags={f"k{i}": "" for i in range(50)})
    assert code_of(error) == "TooManyTagsException"


def test_streams_are_listed_by_name_and_by_last_event(logs: Any, now: int) -> None:
    make(logs, "a", "b", "c")
    put(logs, "b", [(now - 5000, "x"), (now - 1000, "y")])
    put(logs, "a", [(now - 500, "x")])

    def names(**request: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName="app", **request, PaginationConfig={"PageSize": 1}
        )
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names() == ["a", "b", "c"]
    assert names(descending=True) == ["c", "b", "a"]
    assert names(logStreamNamePrefix="b") == ["b"]
    assert names(orderBy="LastEventTime", descending=True) == ["a", "b", "c"]
    stream = logs.describe_log_streams(logGroupName="app", logStreamNamePrefix="b")["logStreams"][0]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (now - 5000, now - 1000)
    assert stream["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:app:log-stream:b"
    with pytest.raises(ClientError, match="Cannot order by LastEventTime with a logStreamNamePrefix"):
        names(orderBy="LastEventTime", logStreamNamePrefix="b")


def test_a_token_of_another_list_is_no_moment(logs: Any) -> None:
    for name in ("9" * 30, "a"):
        logs.create_log_group(logGroupName=name)
    token = logs.describe_log_groups(limit=1)["nextToken"]
    with pytest.raises(ClientError, match="a list in another order"):
        logs.describe_log_streams(logGroupName="a", orderBy="LastEventTime", nextToken=token)


# --- writing


def test_events_that_are_too_old_or_too_new_are_named_and_left_out(logs: Any, now: int) -> None:
    make(logs, "s")
    logs.put_retention_policy(logGroupName="app", retentionInDays=3)
    answer = put(
        logs,
        "s",
        [(now - 15 * DAY_MS, "old"), (now - 4 * DAY_MS, "expired"), (now, "kept"), (now + 3 * 3_600_000, "new")],
    )
    assert answer["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 1,
        "expiredLogEventEndIndex": 2,
        "tooNewLogEventStartIndex": 3,
    }
    assert filtered(logs) == ["kept"]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([(0, "a"), (-1, "b")], "chronological order"),
        ([(-DAY_MS - 1, "a"), (0, "b")], "cannot span more than 24 hours"),
        ([(0, "x" * 600_000), (0, "y" * 600_000)], "Upload too large: 1200052 bytes exceeds limit of 1048576"),
        ([(0, "x" * 1_048_576)], "Log event too large"),
    ],
)
def test_a_wrong_batch_is_refused_whole(logs: Any, now: int, events: list[tuple[int, str]], reason: str) -> None:
    make(logs, "s")
    with pytest.raises(ClientError, match=reason) as error:
        put(logs, "s", [(now + at, message) for at, message in events])
    assert code_of(error) == "InvalidParameterException"
    assert filtered(logs) == []


def test_writing_needs_group_and_stream(logs: Any, now: int) -> None:
    with pytest.raises(ClientError, match="log group does not exist"):
        put(logs, "s", [(now, "x")])
    make(logs)
    with pytest.raises(ClientError, match="log stream does not exist"):
        put(logs, "s", [(now, "x")])


# --- reading


def test_a_stream_is_read_in_both_directions(logs: Any, now: int) -> None:
    make(logs, "s")
    put(logs, "s", [(now + i, str(i)) for i in range(5)])
    put(logs, "s", [(now + i, str(i)) for i in range(5, 10)])
    where = {"logGroupName": "app", "logStreamName": "s", "limit": 4}
    newest = logs.get_log_events(**where)
    assert messages(newest) == ["6", "7", "8", "9"]
    older = logs.get_log_events(**where, nextToken=newest["nextBackwardToken"])
    assert messages(older) == ["2", "3", "4", "5"]
    oldest = logs.get_log_events(**where, nextToken=older["nextBackwardToken"])
    assert messages(oldest) == ["0", "1"]
    end = logs.get_log_events(**where, nextToken=oldest["nextBackwardToken"])
    assert messages(end) == []
    assert end["nextBackwardToken"] == oldest["nextBackwardToken"]
    assert messages(logs.get_log_events(**where, nextToken=end["nextForwardToken"])) == ["0", "1", "2", "3"]
    assert messages(logs.get_log_events(**where, startFromHead=True)) == ["0", "1", "2", "3"]
    assert messages(logs.get_log_events(**where, startTime=now + 2, endTime=now + 4)) == ["2", "3"]


def test_a_forward_token_finds_what_comes_later(logs: Any, now: int) -> None:
    make(logs, "s")
    where = {"logGroupName": "app", "logStreamName": "s"}
    empty = logs.get_log_events(**where, startFromHead=True)
    put(logs, "s", [(now, "first")])
    page = logs.get_log_events(**where, nextToken=empty["nextForwardToken"], startFromHead=True)
    assert messages(page) == ["first"]
    end = logs.get_log_events(**where, nextToken=page["nextForwardToken"], startFromHead=True)
    assert end["nextForwardToken"] == page["nextForwardToken"]
    assert messages(logs.get_log_events(**where, nextToken=end["nextBackwardToken"])) == ["first"]
    put(logs, "s", [(now, "second")])
    assert messages(logs.get_log_events(**where, nextToken=end["nextForwardToken"])) == ["second"]


def test_a_page_holds_a_megabyte_at_most(logs: Any, now: int) -> None:
    make(logs, "s")
    for i in range(3):
        put(logs, "s", [(now + i, str(i) * 500_000)])
    assert [text[0] for text in messages(logs.get_log_events(logGroupName="app", logStreamName="s"))] == ["1", "2"]
    assert [text[0] for text in filtered(logs)] == ["0", "1", "2"]
    assert len(logs.filter_log_events(logGroupName="app")["events"]) == 2


def test_streams_interleave_by_time_and_are_chosen_by_name_or_prefix(logs: Any, now: int) -> None:
    make(logs, "a1", "a2", "b")
    put(logs, "a1", [(now + 1, "1"), (now + 4, "4")])
    put(logs, "a2", [(now + 2, "2"), (now + 3, "3")])
    put(logs, "b", [(now, "0"), (now + 5, "5")])
    assert filtered(logs) == ["0", "1", "2", "3", "4", "5"]
    assert filtered(logs, logStreamNamePrefix="a") == ["1", "2", "3", "4"]
    assert filtered(logs, logStreamNames=["b", "a2"]) == ["0", "2", "3", "5"]
    assert filtered(logs, startTime=now + 1, endTime=now + 3) == ["1", "2", "3"]
    assert filtered(logs, startTime=now, startFromHead=False) == ["5", "4", "3", "2", "1", "0"]
    with pytest.raises(ClientError, match="log stream does not exist"):
        filtered(logs, logStreamNames=["missing"])
    with pytest.raises(ClientError, match="mutually exclusive"):
        filtered(logs, logStreamNames=["b"], logStreamNamePrefix="a")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 40_000), min_size=1, max_size=6).map(sorted)),
        min_size=1,
        max_size=8,
    ),
    limit=st.integers(1, 7),
    window=st.tuples(st.integers(0, 40_000), st.integers(0, 40_000)),
)
def test_every_event_is_read_once_in_order_whatever_the_writes_and_pages(
    platform: PlatformThread, writes: list[tuple[str, list[int]]], limit: int, window: tuple[int, int]
) -> None:
    platform.reset()
    logs = platform.client("logs")
    base = platform.freeze() - 60_000
    make(logs, "a", "b", "c")
    written: list[tuple[int, int, str]] = []
    for number, (stream, offsets) in enumerate(writes):
        put(logs, stream, [(base + at, f"{number}.{i}") for i, at in enumerate(offsets)])
        written += [(at, number, f"{number}.{i}") for i, at in enumerate(offsets)]
    start, end = min(window), max(window)
    wanted = [text for at, _, text in sorted(written, key=lambda each: each[:2]) if start <= at <= end]
    bounds = {"startTime": base + start, "endTime": base + end}
    pages = {"PaginationConfig": {"PageSize": limit}}
    assert filtered(logs, **bounds, **pages) == wanted
    assert filtered(logs, **bounds, **pages, startFromHead=False) == wanted[::-1]
    for stream in "abc":
        names = [text for text in wanted if writes[int(text.split(".")[0])][0] == stream]
        assert read_through(logs, stream, base + start, base + end + 1, limit, forward=True) == names
        assert read_through(logs, stream, base + start, base + end + 1, limit, forward=False) == names


def read_through(logs: Any, stream: str, start: int, end: int, limit: int, *, forward: bool) -> list[str]:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(
            logGroupName="app", logStreamName=stream, startTime=start, endTime=end, limit=limit,
            startFromHead=forward, **token,
        )  # fmt: skip
        found = found + messages(page) if forward else messages(page) + found
        following = page["nextForwardToken" if forward else "nextBackwardToken"]
        if token.get("nextToken") == following or not page["events"]:
            return found
        token = {"nextToken": following}


def test_filter_patterns_choose_events(logs: Any, now: int) -> None:
    make(logs, "s")
    put(logs, "s", [(now, "INFO all well"), (now, "ERROR disk"), (now, '{"level": "error", "took": 120}')])
    assert filtered(logs, filterPattern="ERROR -INFO") == ["ERROR disk"]
    assert filtered(logs, filterPattern='{ $.level = "error" && $.took > 100 }') == ['{"level": "error", "took": 120}']
    assert filtered(logs, filterPattern="[level = INFO, ...]") == ["INFO all well"]
    with pytest.raises(ClientError, match="Invalid filter pattern") as error:
        filtered(logs, filterPattern="{ $.level = }")
    assert code_of(error) == "InvalidParameterException"


def test_a_metric_filter_is_tested_against_messages(logs: Any) -> None:
    matches = logs.test_metric_filter(
        filterPattern="[ip, ..., status = 4*]", logEventMessages=["127.0.0.1 GET 404", "127.0.0.1 GET 200"]
    )["matches"]
    assert matches == [
        {
            "eventNumber": 1,
            "eventMessage": "127.0.0.1 GET 404",
            "extractedValues": {"$ip": "127.0.0.1", "$status": "404"},
        }
    ]


def test_what_breaks_the_model_is_an_invalid_parameter_here(logs: Any) -> None:
    make(logs, "s")
    with pytest.raises(ClientError, match="1 validation error detected: Value '51' at 'limit'") as error:
        logs.describe_log_streams(logGroupName="app", limit=51)
    assert code_of(error) == "InvalidParameterException"


def test_tokens_that_nobody_gave_are_refused(logs: Any) -> None:
    make(logs, "s")
    with pytest.raises(ClientError, match="nextToken is invalid"):
        logs.get_log_events(logGroupName="app", logStreamName="s", nextToken="mine")
    with pytest.raises(ClientError, match="nextToken is invalid"):
        logs.filter_log_events(logGroupName="app", nextToken="mine")


# --- time


def test_events_expire_on_the_platforms_clock(logs: Any, platform: PlatformThread, now: int) -> None:
    make(logs, "s", "other")
    put(logs, "s", [(now - 3_600_000, "first"), (now, "second")])
    logs.put_retention_policy(logGroupName="app", retentionInDays=1)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 1
    platform.advance(seconds=86_400 - 1800)
    assert filtered(logs) == ["second"]
    platform.advance(seconds=2 * 86_400)
    assert filtered(logs) == []
    assert logs.describe_log_groups()["logGroups"][0]["storedBytes"] == 0  # removed, not hidden
    with pytest.raises(ClientError, match="enum value set"):
        logs.put_retention_policy(logGroupName="app", retentionInDays=2)
    logs.delete_retention_policy(logGroupName="app")
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]


def test_expiry_is_taken_up_after_a_restart(own_platform: PlatformThread) -> None:
    now = own_platform.freeze()
    logs = own_platform.client("logs")
    make(logs, "s")
    put(logs, "s", [(now, "x")])
    logs.put_retention_policy(logGroupName="app", retentionInDays=1)
    own_platform.restart()
    own_platform.advance(seconds=3 * 86_400)
    assert own_platform.client("logs").describe_log_groups()["logGroups"][0]["storedBytes"] == 0


# --- what functions print


def append(platform: PlatformThread, lines: list[tuple[int, str]], stream: str = "s") -> None:
    platform.call("logs", "AppendOutput", {"logGroupName": "app", "logStreamName": stream, "lines": lines})


def test_output_makes_its_group_and_stream_and_is_read_like_any_other(platform: PlatformThread, logs: Any) -> None:
    machine_now = platform.platform.machine.now_ms()
    append(platform, [(machine_now - 20, "START"), (machine_now - 10, "odd \ud800 text"), (machine_now, "END")])
    assert filtered(logs) == ["START", "odd ? text", "END"]
    append(platform, [(machine_now, "z" * 2_000_000)], stream="large")
    assert "".join(filtered(logs, logStreamNames=["large"])) == "z" * 2_000_000


def test_output_has_the_platforms_time_whatever_the_machine_says(platform: PlatformThread, logs: Any) -> None:
    platform.freeze()
    platform.advance(seconds=40 * 86_400)
    append(platform, [(platform.platform.machine.now_ms(), "printed")])
    (event,) = logs.filter_log_events(logGroupName="app")["events"]
    assert event["timestamp"] == platform.platform.clock.now()


def test_output_is_not_an_operation_of_aws(platform: PlatformThread) -> None:
    request = urllib.request.Request(
        platform.url,
        data=b'{"logGroupName": "app", "logStreamName": "s", "lines": []}',
        headers={"X-Amz-Target": "Logs_20140328.AppendOutput", "Content-Type": "application/x-amz-json-1.1"},
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert b"UnknownOperationException" in error.value.read()


def test_what_is_not_here_is_refused_by_name(logs: Any) -> None:
    make(logs)
    with pytest.raises(ClientError, match="StartQuery of logs is not supported"):
        logs.start_query(logGroupName="app", startTime=0, endTime=1, queryString="fields @message")
    with pytest.raises(ClientError, match="logGroupClass INFREQUENT_ACCESS"):
        logs.create_log_group(logGroupName="other", logGroupClass="INFREQUENT_ACCESS")
