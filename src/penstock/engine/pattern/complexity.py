"""How complex a pattern's wildcards are: the number EventBridge limits when a rule is put.

The measure is AWS's (Event Ruler, "MachineComplexityEvaluator"): the greatest number of beginnings of a field's
wildcard texts that one value can match at once. ``*/lib/*`` has the beginnings ``*``, ``*/``, ``*/l`` … ``*/lib/*``, of
which ``a/lib/b/`` matches three. It is found by following every value character by character, all texts together;
characters that stand in no text are all alike. Values are strings, so a text is taken with its quotes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from penstock.engine.pattern.conditions import AnythingBut, Condition, Wildcard
from penstock.engine.pattern.matcher import Pattern

STEPS: Final = 5000  # sets of beginnings looked at per field; beyond that the greatest number found so far counts

_ANY: Final = "*"  # the token of a wildcard; literal characters are tokens "=x"
Beginning = tuple[Hashable, ...]


def complexity(pattern: Pattern, limit: int) -> int:
    """The complexity of the field of a pattern that has most; looks no further once it is beyond ``limit``."""
    greatest = 0
    for conditions in {conditions for alternative in pattern.alternatives for conditions in alternative.values()}:
        greatest = max(greatest, _of_field(conditions, limit))
        if greatest > limit:
            break
    return greatest


def _tokens(wildcard: Wildcard) -> list[str]:
    chunks = [["=" + character for character in chunk] for chunk in wildcard.chunks]
    tokens = ['="', *chunks[0]]
    for chunk in chunks[1:]:
        tokens += [_ANY, *chunk]
    return [*tokens, '="']


class _Text:
    """A wildcard text as the beginnings it has; those up to its first wildcard are shared within one condition."""

    def __init__(self, group: int, number: int, wildcard: Wildcard) -> None:
        self.tokens = _tokens(wildcard)
        first = self.tokens.index(_ANY) if _ANY in self.tokens else len(self.tokens)
        self.beginnings: list[Beginning] = [
            (group, *self.tokens[:length]) if length <= first + 1 else (group, number, length)
            for length in range(len(self.tokens) + 1)
        ]

    def reached(self, lengths: Iterable[int]) -> frozenset[int]:
        """Lengths of beginnings matched, with those that a wildcard for no character adds."""
        found = set(lengths)
        found |= {length + 1 for length in found if length < len(self.tokens) and self.tokens[length] == _ANY}
        return frozenset(found)

    def step(self, lengths: frozenset[int], token: str) -> frozenset[int]:
        """Lengths of beginnings matched after one more character."""
        stays = {length for length in lengths if length and self.tokens[length - 1] == _ANY}
        goes = {length + 1 for length in lengths if length < len(self.tokens) and self.tokens[length] == token}
        return self.reached(stays | goes)


def _of_field(conditions: tuple[Condition, ...], limit: int) -> int:
    texts: list[_Text] = []
    for group, condition in enumerate(dict.fromkeys(conditions)):
        members = condition.these if isinstance(condition, AnythingBut) else (condition,)
        texts += [_Text(group, len(texts) + at, one) for at, one in enumerate(members) if isinstance(one, Wildcard)]
    if not texts:
        return 0
    alphabet = sorted({token for text in texts for token in text.tokens if token != _ANY} | {"="})
    start = tuple(text.reached([0]) for text in texts)
    seen, pending, greatest = {start}, [start], 0
    while pending and greatest <= limit and len(seen) < STEPS:
        state = pending.pop()
        for token in alphabet:
            following = tuple(text.step(lengths, token) for text, lengths in zip(texts, state, strict=True))
            if following in seen or not any(following):
                continue
            seen.add(following)
            pending.append(following)
            matched = {
                text.beginnings[length] for text, lengths in zip(texts, following, strict=True) for length in lengths
            }
            greatest = max(greatest, len(matched))
    return greatest
