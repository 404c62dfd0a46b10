"""The graph of an event as a tree: pure, from the answer of TraceEvent to lines with styles.

    sqs:SendMessage  queue orders  812 B  12:00:00.000                      an event
    ├─ → function payment  delivered in 31 ms, 2 attempts  (batch of 5)     a hop
    │  ├─ ✗ attempt 1  12 ms  Unhandled: card declined                      an attempt that failed
    │  └─ sqs:SendMessage  queue receipts …                                 what the hop's invocation caused
    └─ → …

Everything appears once: what several events of a batch caused hangs under the first of them, and the others say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from penstock.cli.show import STATE_STYLES, clock_time, duration, resource, size

View = Mapping[str, Any]
REDRIVE = "sqs:redrive"  # a hop into a dead-letter queue: its attempts are receives


def event_tree(trace: View) -> list[Tree]:
    """One tree per root of the trace."""
    return _Growing(trace).trees()


class _Growing:
    """The trees while they grow: what was shown already, and where everything hangs."""

    def __init__(self, trace: View) -> None:
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
                tree = Tree(event_line(self._events[root]), guide_style="dim")
                self._below_event(tree, self._events[root])
                grown.append(tree)
        return grown

    def _event(self, tree: Tree, event: View) -> None:
        if event["eventId"] in self._shown:
            return
        self._below_event(tree.add(event_line(event)), event)

    def _below_event(self, tree: Tree, event: View) -> None:
        self._shown.add(event["eventId"])
        for hop in self._hops.get(event["eventId"], ()):
            self._hop(tree.add(hop_line(hop)), hop)
        for caused in self._caused.get(event["eventId"], ()):
            self._event(tree, caused)

    def _hop(self, branch: Tree, hop: View) -> None:
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


def event_line(event: View) -> Text:
    """An event: what happened, to what, how much, when, and its id."""
    return Text.assemble(
        (event["kind"], "bold"), "  ", resource(event["source"]), "  ",
        (f"{size(event['size'])}  {clock_time(event['at'])}  {event['eventId']}", "dim"),
    )  # fmt: skip


def hop_line(hop: View) -> Text:
    """A hop: where to, how it stands, how long it took, how often it was tried."""
    moved = hop["kind"] == REDRIVE
    state = "moved" if moved and hop["state"] == "delivered" else hop["state"]
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
    if hop["state"] == "waiting" and hop.get("due"):
        details.append(f"next attempt {clock_time(hop['due'])}")
    details += _measured(hop)
    text.append("  " + ", ".join(details), "dim")
    if hop.get("code") or hop.get("message"):
        text.append("  " + ": ".join(part for part in (hop.get("code"), hop.get("message")) if part), "red")
    if hop["state"] in ("failed", "expired") and hop.get("deadLetter"):
        text.append(f"  dead letter: {resource(hop['deadLetter'])}", "yellow")
    return text


def attempt_line(attempt: View, number: int) -> Text:
    """An attempt that failed."""
    took = duration(attempt["ended"] - attempt["started"])
    uncounted = "" if attempt["counted"] else " (throttled: does not count)"
    text = Text.assemble(("✗ ", "red"), f"attempt {number}{uncounted}  ", (took, "dim"), "  ")
    return text.append(": ".join(part for part in (attempt["code"], attempt["message"]) if part), "red")


def _took(hop: View) -> str:
    if "ended" not in hop:
        return ""
    begun = hop.get("started", hop["at"])
    waited, ran = max(begun - hop["at"], 0), max(hop["ended"] - begun, 0)
    return f" in {duration(ran)}" + (f" after {duration(waited)}" if waited >= 0.001 else "")


def _measured(hop: View) -> list[str]:
    """What a function's invocation said of itself."""
    outcome = json.loads(hop["outcome"]) if hop.get("outcome") else {}
    found = []
    if isinstance(outcome.get("init_ms"), int | float):
        found.append(f"cold start {duration(outcome['init_ms'] / 1000)}")
    return found
