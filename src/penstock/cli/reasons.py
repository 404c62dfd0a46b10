"""Why rules took an event or did not, as lines of a tree: pure, from the explanations of TraceEvent.

✓ rule to-payment                                                      a rule that took it
· rule audit  detail.total is 12; the pattern wants one of [> 100]      one that did not, and the first thing amiss
  ├─ ✓ source is "shop"                                              (what else it asked for, where that helps)
  └─ ✗ detail.total is 12; wanted: > 100
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from penstock.cli.show import resource

View = Mapping[str, Any]


def reasons(branch: Tree, explanation: View) -> dict[str, Tree]:
    """Hang the rules of a bus below the event or hop that brought the event there: those that took it come first.

    The branch of each rule is returned by the rule's ARN.
    """
    if "problem" in explanation:
        branch.add(Text(f"why: {explanation['problem']}", "yellow"))
        return {}
    rules = sorted(explanation["rules"], key=lambda rule: not rule["matched"])
    if not rules:
        branch.add(Text(f"{resource(explanation['bus'])} has no rules", "yellow"))
    twigs = {}
    for rule in rules:
        twig = twigs[rule["arn"]] = branch.add(rule_line(rule))
        if not rule["matched"]:
            _demands(twig, rule["alternatives"])
    left = explanation["unmatched"] - sum(not rule["matched"] for rule in rules)
    if left > 0:
        branch.add(Text(f"· and {left} more rules that did not take it", "dim"))
    return twigs


def rule_line(rule: View) -> Text:
    """A rule: whether it took the event, and why not."""
    if rule["matched"]:
        text = Text.assemble(("✓ ", "green"), f"rule {rule['name']}")
        return text if rule["hops"] else text.append(f"  {rule['reason']}", "yellow")
    style = "yellow" if rule["hops"] else "dim"
    return Text.assemble(("· ", style), f"rule {rule['name']}", (f"  {rule['reason']}", style))


def _demands(twig: Tree, alternatives: Sequence[Sequence[View]]) -> None:
    """What the pattern asked for, where the rule's own sentence does not say it all."""
    if len(alternatives) == 1 and sum(not demand["met"] for demand in alternatives[0]) == 1:
        return
    for number, demands in enumerate(alternatives, 1):
        under = twig.add(Text(f"alternative {number} of {len(alternatives)}", "dim")) if len(alternatives) > 1 else twig
        for demand in demands:
            under.add(_demand_line(demand))


def _demand_line(demand: View) -> Text:
    found = ", ".join(demand["found"])
    if demand["count"] > len(demand["found"]):
        found += f" and {demand['count'] - len(demand['found'])} more"
    text = Text.assemble(("✓ ", "green") if demand["met"] else ("✗ ", "red"), demand["path"])
    text.append(f" is {found}" if demand["count"] else " is missing")
    if not demand["met"]:
        text.append(f"; wanted: {' or '.join(demand['conditions'])}", "dim")
    return text
