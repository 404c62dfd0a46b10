"""How values look, what spans mean, and how a graph becomes a tree."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from penstock.cli.clock import moving
from penstock.cli.deployments import choose
from penstock.cli.events import table
from penstock.cli.problems import Problem
from penstock.cli.queues import queue_url
from penstock.cli.show import duration, resource, size
from penstock.cli.tree import chained, event_tree


def shown(trace: dict[str, Any]) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        for tree in event_tree(trace):
            console.print(tree)
    return capture.get()


def event(id_: str, kind: str, source: str, cause: str | None = None, at: float = 1_790_000_000.0) -> dict[str, Any]:
    return {"eventId": id_, "kind": kind, "source": source, "at": at, "size": 300, "hops": 1, "failedHops": 0,
            "waitingHops": 0} | ({"cause": cause} if cause else {})  # fmt: skip


def hop(id_: str, event_id: str, target: str, **more: Any) -> dict[str, Any]:
    return {"hopId": id_, "eventId": event_id, "kind": "lambda:mapping", "source": target, "target": target,
            "state": "delivered", "at": 1_790_000_000.0, "started": 1_790_000_000.002, "ended": 1_790_000_000.033,
            "attempts": 1, "size": 300, "failed": []} | more  # fmt: skip


QUEUE = "arn:aws:sqs:us-east-1:000000000000:{}"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:{}"


def test_hops_hang_below_what_they_go_on_from() -> None:
    rule, dead = "arn:aws:events:us-east-1:000000000000:rule/shop/pay", QUEUE.format("dead")
    hops = [
        hop("routed", "e", FUNCTION.format("f"), kind="events:target", source=rule),
        hop("gone", "e", QUEUE.format("q"), kind="events:target", source=rule, state="failed", deadLetter=dead),
        hop("dead", "e", dead, kind="events:dead-letter", source=rule),
        hop("run", "e", FUNCTION.format("f"), kind="lambda:async", source=rule, state="failed"),
        hop("destination", "e", QUEUE.format("d"), kind="lambda:destination", source=FUNCTION.format("f")),
        hop("taken", "e", FUNCTION.format("g"), kind="lambda:mapping", source=QUEUE.format("d")),
    ]
    first, after = chained(hops)
    assert [each["hopId"] for each in first] == ["routed", "gone"]
    assert {before: [each["hopId"] for each in next_] for before, next_ in after.items()} == {
        "routed": ["run"], "gone": ["dead"], "run": ["destination"], "destination": ["taken"],
    }  # fmt: skip


def test_a_tree_shows_hops_attempts_and_what_they_caused() -> None:
    failed = {"started": 1_790_000_000.0, "ended": 1_790_000_000.012, "counted": True, "runId": "r0",
              "code": "CardDeclined", "message": "no money"}  # fmt: skip
    text = shown({
        "roots": ["e1"],
        "events": [
            event("e1", "sqs:SendMessage", QUEUE.format("orders")),
            event("e2", "sqs:SendMessage", QUEUE.format("receipts"), cause="r1"),
        ],
        "hops": [hop("h1", "e1", FUNCTION.format("payment"), runId="r1", attempts=2, failed=[failed], runHops=5)],
    })  # fmt: skip
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0].startswith("sqs:SendMessage  queue orders  300 B")
    assert "→ function payment  delivered in 31 ms after 2 ms  300 B, 2 attempts, batch of 5" in lines[1]
    assert "✗ attempt 1  12 ms  14:13:20.000  CardDeclined: no money" in lines[2]
    assert "sqs:SendMessage  queue receipts" in lines[3]


def test_what_a_batch_caused_is_shown_once_and_pointed_at() -> None:
    text = shown({
        "roots": ["e1", "e2"],
        "events": [
            event("e1", "sqs:SendMessage", QUEUE.format("orders")),
            event("e2", "sqs:SendMessage", QUEUE.format("orders")),
            event("e3", "sqs:SendMessage", QUEUE.format("receipts"), cause="r1"),
        ],
        "hops": [hop(f"h{n}", f"e{n}", FUNCTION.format("payment"), runId="r1", runHops=2) for n in (1, 2)],
    })  # fmt: skip
    assert text.count("queue receipts") == 1
    assert text.count("the same batch: what it caused is shown above") == 1


@given(st.data())
def test_a_tree_shows_every_event_of_any_graph_once(data: st.DataObject) -> None:
    """Whatever the causes look like, circles included: what the root led to is shown once, and nothing else."""
    count = data.draw(st.integers(1, 12))
    keys = [f"{kind}{n}" for n in range(count) for kind in ("e", "h", "r")]
    causes = [None] + [data.draw(st.sampled_from(keys)) for _ in range(1, count)]
    runs = [data.draw(st.integers(0, n)) for n in range(count)]
    trace = {
        "roots": ["e0"],
        "events": [event(f"e{n}", f"kind-{n}-", "x", cause=causes[n]) for n in range(count)],
        "hops": [hop(f"h{n}", f"e{n}", "x", runId=f"r{runs[n]}") for n in range(count)],
    }
    led_to = {0}
    for _ in range(count):
        known = {key for n in led_to for key in (f"e{n}", f"h{n}", f"r{runs[n]}")}
        led_to |= {n for n in range(count) if causes[n] in known}
    text = shown(trace)
    assert [text.count(f"kind-{n}-") for n in range(count)] == [int(n in led_to) for n in range(count)]


@pytest.mark.parametrize(
    ("typed", "moved"),
    [("90s", {"bySeconds": 90}), ("2h30m", {"bySeconds": 9000}), ("1.5h", {"bySeconds": 5400}),
     ("3d", {"bySeconds": 259200}), ("250ms", {"bySeconds": 0.25}), ("2026-01-01T00:00", {"to": 1767225600.0}),
     ("2026-01-01T01:00+01:00", {"to": 1767225600.0})],
)  # fmt: skip
def test_spans_and_moments_are_understood(typed: str, moved: dict[str, float]) -> None:
    assert moving(typed) == pytest.approx(moved)


@pytest.mark.parametrize("typed", ["soon", "10", "5 minutes", "1h later"])
def test_what_is_neither_span_nor_moment_is_refused(typed: str) -> None:
    with pytest.raises(Problem, match="neither a span"):
        moving(typed)


def test_sizes_and_durations_are_as_people_say_them() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536, 6 << 20, 3 << 30)] == [
        "0 B", "1023 B", "1.0 KB", "1.5 KB", "6.0 MB", "3.0 GB"]  # fmt: skip
    assert [duration(n) for n in (0.003, 0.9996, 1, 1.25, 59, 300, 7200, 7800, 259200)] == [
        "3 ms", "1000 ms", "1 s", "1.2 s", "59 s", "5 min", "2 h", "2 h 10 min", "3 d"]  # fmt: skip


def test_arns_are_named_as_people_name_the_thing() -> None:
    assert resource(QUEUE.format("orders")) == "queue orders"
    assert resource(FUNCTION.format("payment")) == "function payment"
    assert resource("arn:aws:events:us-east-1:000000000000:event-bus/shop") == "bus shop"
    assert resource("nothing") == "nothing"


def test_a_queue_is_named_by_name_url_or_arn() -> None:
    url = "http://127.0.0.1:4566"
    assert queue_url("orders", url, "111111111111") == f"{url}/111111111111/orders"
    assert queue_url(QUEUE.format("orders"), url, "111111111111") == f"{url}/000000000000/orders"
    assert queue_url("http://elsewhere/1/q", url, "1") == "http://elsewhere/1/q"


def test_samconfig_names_the_template_the_stack_and_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("Resources: {}")
    (tmp_path / "samconfig.toml").write_text(
        '[default.deploy.parameters]\nstack_name = "shop"\ntemplate_file = "app.yaml"\n'
        'parameter_overrides = "Stage=dev Size=1"\ns3_bucket = "b"\n'
    )
    chosen = choose(tmp_path, None, ["Size=2"])
    assert chosen is not None
    assert (chosen.template.name, chosen.name, chosen.parameters) == ("app.yaml", "shop", {"Stage": "dev", "Size": "2"})
    assert chosen.ignored == ("s3_bucket",)


def test_a_template_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="does not exist"):
        choose(tmp_path / "nowhere.yaml", None, ())
    with pytest.raises(Problem, match=r"has no template\.yaml"):
        choose(tmp_path, None, ())
    with pytest.raises(Problem, match="write NAME=VALUE"):
        choose_with_template(tmp_path, ["Stage"])


def choose_with_template(folder: Path, parameters: list[str]) -> None:
    (folder / "template.yaml").write_text("Resources: {}")
    choose(folder, None, parameters)


def test_events_fit_80_columns_with_time_kind_and_id_whole() -> None:
    event = {
        "at": 1790000000.5, "kind": "events:PutEvents", "source": "arn:aws:sqs:us-east-1:000000000000:a-long-name",
        "size": 2, "hops": 2, "failedHops": 1, "waitingHops": 0, "eventId": "79782886-2d70-4510-81cf-6a9bb8d36bb4",
    }  # fmt: skip
    out = Console(width=80, file=io.StringIO())
    out.print(table([event], out.width))
    written = out.file.getvalue()  # type: ignore[attr-defined]
    assert "events:PutEvents" in written and event["eventId"] in written and "1 done, 1 failed" in written
    assert all(len(line.rstrip()) <= 80 for line in written.splitlines())
