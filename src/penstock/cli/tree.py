"""The graph of an event as a tree: pure, from the answer of TraceEvent to lines with styles.

    sqs:SendMessage  queue orders  812 B  12:00:00.000                      an event
    ├─ → function payment  delivered in 31 ms, 2 attempts  (batch of 5)     a hop; what goes on from there is below it
    │  ├─ ✗ attempt 1  12 ms  Unhandled: card declined                      an attempt that failed
    │  └─ sqs:SendMessage  queue receipts …                                 what the hop's invocation caused
    └─ → …

With why in the trace, the rules of the bus that took an event stand below it (below the hop where a rule has sent it
to another bus), each with the hops it made; with payloads, every line is followed by what it carried.

Everything appears once: what several events of a batch caused hangs under the first of them, and the others say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from penstock.cli.reasons import reasons
from penstock.cli.show import STATE_STYLES, clock_time, duration, payload_text, resource, size

View = Mapping[str, Any]
Hops = Mapping[str, Sequence[View]]
REDRIVE = "sqs:redrive"  # a hop into a dead-letter queue: its attempts are receives
ROUTED = "events:target"  # a hop that a rule made
QUEUED = "lambda:async"  # a hop from a function's own queue into it
DEAD = "dead letter"
# What a hop that has not been tried waits for.
_FIRST = {"lambda:mapping": "its batch fills until", "events:schedule": "the schedule's next moment is"}


def event_tree(trace: View, *, logs: bool = False) -> list[Tree]:
    """One tree per root of the trace; ``logs``: with the log streams of runs."""
    return _Growing(trace, logs).trees()


class _Growing:
    """The trees while they grow: what was shown already, and where everything hangs."""

    def __init__(self, trace: View, logs: bool) -> None:
        self._logs = logs
        self._now = trace.get("now")
        self._why = {(one["eventId"], one["bus"]): one for one in trace.get("explanations", ())}
        self._roots = trace["roots"]
        self._events = {event["eventId"]: event for event in trace["events"]}
        self._hops: dict[str, list[View]] = {}
        self._caused: dict[str, list[View]] = {}
        for hop in trace["hops"]:
            self._hops.setdefault(hop["eventId"], []).append(hop)
        for event in trace["events"]:
            if event.get("cause"):
                self._caused.setdefault(event["cause"], []).append(event)
        self._shown: set[str] = set()
        self._shown_runs: set[str] = set()

    def trees(self) -> list[Tree]:
        """The roots, each with everything below it."""
        grown = []
        for root in self._roots:
            if root in self._events and root not in self._shown:
                tree = Tree(_with_payload(event_line(self._events[root]), self._events[root]), guide_style="dim")
                self._below_event(tree, self._events[root])
                grown.append(tree)
        return grown

    def _event(self, tree: Tree, event: View) -> None:
        if event["eventId"] in self._shown:
            return
        self._below_event(tree.add(_with_payload(event_line(event), event)), event)

    def _below_event(self, tree: Tree, event: View) -> None:
        self._shown.add(event["eventId"])
        rules = self._rules(tree, event["eventId"], event["source"])
        first, after = chained(self._hops.get(event["eventId"], ()))
        self._below(tree, first, after, rules)
        for caused in self._caused.get(event["eventId"], ()):
            self._event(tree, caused)

    def _below(self, branch: Tree, hops: Sequence[View], after: Hops, rules: Mapping[str, Tree]) -> None:
        """Hops, each with those that go on from where it led; below the rule that made it, where rules are shown."""
        for hop in hops:
            line = hop_line(hop, self._now, below_rule=hop["source"] in rules)
            carried = {} if self._is_below(hop) else hop
            twig = rules.get(hop["source"], branch).add(_with_payload(line, carried))
            further = self._rules(twig, hop["eventId"], hop["target"]) if hop["kind"] == ROUTED else {}
            self._hop(twig, hop)
            self._below(twig, after.get(hop["hopId"], ()), after, further)

    def _is_below(self, hop: View) -> bool:
        """Whether what a hop carried is shown a line further down: by the event that it became there."""
        below = [each for each in self._caused.get(hop["hopId"], ()) if each["eventId"] not in self._shown]
        return any(each.get("payload") == hop.get("payload") for each in below)

    def _rules(self, branch: Tree, event: str, bus: str) -> Mapping[str, Tree]:
        """The branches of the rules of a bus that took an event, by the rule's ARN."""
        explanation = self._why.get((event, bus))
        return {} if explanation is None else reasons(branch, explanation)

    def _hop(self, branch: Tree, hop: View) -> None:
        stream = _outcome(hop).get("log_stream")
        if self._logs and stream:
            branch.add(Text(f"log stream {stream}", style="dim"))
        failed = hop.get("failed", ())
        if len(failed) != 1 or failed[0].get("runId") != hop.get("runId"):  # else the hop's own line has said it
            for number, attempt in enumerate(failed, 1):
                twig = branch.add(attempt_line(attempt, number))
                self._run(twig, attempt.get("runId"))
        for caused in self._caused.get(hop["hopId"], ()):
            self._event(branch, caused)
        self._run(branch, hop.get("runId"))

    def _run(self, branch: Tree, run: str | None) -> None:
        if run is None:
            return
        caused = self._caused.get(run, ())
        if run in self._shown_runs and caused:
            branch.add(Text("the same batch: what it caused is shown above", style="dim"))
            return
        self._shown_runs.add(run)
        for event in caused:
            self._event(branch, event)


def chained(hops: Sequence[View]) -> tuple[list[View], Hops]:
    """The hops of one event that begin at its source, and by hop those that go on from where it led.

    A queue hands on what was brought to it, a bus routes it, a function's own queue runs it, what was given up goes to
    a dead-letter queue and what a function has made of it to a destination: such a hop goes on from the latest one
    before it that led there.
    """
    first: list[View] = []
    after: dict[str, list[View]] = {}
    led: dict[tuple[str, ...], str] = {}  # where hops led: a resource, a function's queue, a dead-letter queue
    for hop in hops:
        source, target, queued = hop["source"], hop["target"], hop["kind"] == QUEUED
        keys = [(QUEUED if queued else DEAD, source, target), (_bus_of(source) if hop["kind"] == ROUTED else source,)]
        before = next((led[key] for key in keys if key in led), None)
        (first if before is None else after.setdefault(before, [])).append(hop)
        if hop["state"] == "delivered" or queued:
            led[(target,)] = hop["hopId"]
        if hop["state"] == "delivered" and not queued:
            led[QUEUED, source, target] = hop["hopId"]
        if hop["state"] in ("failed", "expired") and hop.get("deadLetter"):
            led[DEAD, source, hop["deadLetter"]] = hop["hopId"]
    return first, after


def _bus_of(rule: str) -> str:
    """The ARN of the bus a rule belongs to."""
    place, _, path = rule.partition(":rule/")
    bus, _, _ = path.rpartition("/")
    return f"{place}:event-bus/{bus or 'default'}"


def event_line(event: View) -> Text:
    """An event: what happened, to what, how much, when, and its id."""
    return Text.assemble(
        (event["kind"], "bold"), "  ", resource(event["source"]), "  ",
        (f"{size(event['size'])}  {clock_time(event['at'])}  {event['eventId']}", "dim"),
    )  # fmt: skip


def _with_payload(line: Text, carried: View) -> Text:
    """A line with the payload of its event or hop below it, where the trace has it."""
    if "payload" not in carried:
        return line
    return line.append("\n").append(payload_text(carried["payload"], bool(carried.get("payloadTruncated"))), "cyan")


def hop_line(hop: View, now: float | None = None, *, below_rule: bool = False) -> Text:
    """A hop: where to, how it stands, how long it took, how often it was tried. ``now`` is the trace's own moment."""
    moved = hop["kind"] == REDRIVE
    state = _done(hop) if hop["state"] == "delivered" else hop["state"]
    text = Text.assemble("→ ", resource(hop["target"]), "  ", (state, STATE_STYLES.get(hop["state"], "")))
    text.append(f" after {hop['attempts']} receives" if moved else _took(hop))
    details = [size(hop["size"])]
    if not moved and (hop["attempts"] > 1 or len(hop.get("failed", ())) > 1):
        bound = f" of {hop['maxAttempts']}" if hop.get("maxAttempts") else ""
        details.append(f"{hop['attempts']} attempt{'s' * (hop['attempts'] != 1)}{bound}")
    if hop.get("runHops", 1) > 1:
        details.append(f"batch of {hop['runHops']}")
    if hop.get("orderKey"):
        details.append(f"in order of {hop['orderKey']}")
    comes = _comes(hop, now)
    if comes and not (hop["state"] == "failed" and hop.get("deadLetter")):
        tried = hop.get("failed") or hop["state"] == "failed"
        details.append(f"{'next attempt' if tried else _FIRST.get(hop['kind'], 'next attempt')} {comes}")
    if hop["kind"] == ROUTED and not below_rule:
        details.append(f"by {resource(hop['source'])}")
    details += _measured(hop)
    text.append("  " + ", ".join(details), "dim")
    if hop.get("code") or hop.get("message"):
        style = "dim" if hop["state"] == "filtered" else "red"
        text.append("  " + ": ".join(part for part in (hop.get("code"), hop.get("message")) if part), style)
    if hop["state"] in ("failed", "expired") and hop.get("deadLetter"):
        text.append(f"  dead letter: {resource(hop['deadLetter'])}{comes and f' {comes}'}", "yellow")
    return text


def _comes(hop: View, now: float | None) -> str:
    """When a hop goes on, if it does: a moment, and how long it is until then."""
    if hop["state"] not in ("waiting", "failed") or not hop.get("due"):
        return ""
    return clock_time(hop["due"]) + ("" if now is None else f" (in {duration(max(hop['due'] - now, 0))})")


def attempt_line(attempt: View, number: int) -> Text:
    """An attempt that failed."""
    took = duration(attempt["ended"] - attempt["started"])
    uncounted = "" if attempt["counted"] else " (does not count)"
    text = Text.assemble(("✗ ", "red"), f"attempt {number}{uncounted}  ", (took, "dim"), "  ")
    text.append(f"{clock_time(attempt['started'])}  ", "dim")
    return text.append(": ".join(part for part in (attempt["code"], attempt["message"]) if part), "red")


def _done(hop: View) -> str:
    """What has happened when a hop has succeeded: a function's own queue has only taken what others deliver."""
    if hop["kind"] == REDRIVE:
        return "moved"
    return "queued" if hop["kind"] == ROUTED and ":function:" in hop["target"] else "delivered"


def _took(hop: View) -> str:
    if "ended" not in hop:
        return ""
    begun = hop.get("started", hop["at"])
    waited, ran = max(begun - hop["at"], 0), max(hop["ended"] - begun, 0)
    return f" in {duration(ran)}" + (f" after {duration(waited)}" if waited >= 0.001 else "")


def _outcome(hop: View) -> dict[str, Any]:
    return dict(json.loads(hop["outcome"])) if hop.get("outcome") else {}


def _measured(hop: View) -> list[str]:
    """What a function's invocation said of itself."""
    outcome = _outcome(hop)
    found = []
    if isinstance(outcome.get("init_ms"), int | float):
        found.append(f"cold start {duration(outcome['init_ms'] / 1000)}")
    return found
