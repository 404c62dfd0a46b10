"""The event pattern language of EventBridge, Lambda event filters, Pipes and SNS body filters.

``compile`` a pattern, ask it ``matches`` or ``why``; put all rules of a bus into an ``Index``, whose cost barely grows
with their number; ``compile_filters`` turns an event source mapping's filter criteria into a predicate.
"""

from penstock.engine.pattern.errors import PatternError
from penstock.engine.pattern.filters import compile_filters, explain_filters
from penstock.engine.pattern.index import Index
from penstock.engine.pattern.matcher import Demand, Explanation, Pattern, compile
from penstock.engine.pattern.values import parse_event

__all__ = [
    "Demand", "Explanation", "Index", "Pattern", "PatternError", "compile", "compile_filters", "explain_filters",
    "parse_event",
]  # fmt: skip
