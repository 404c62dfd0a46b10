"""How complex a pattern's wildcards are: the number EventBridge limits when a rule is put.

The measure is AWS's (Event Ruler, "MachineComplexityEvaluator"): the greatest number of beginnings of a field's
wildcard texts that one value can match at once. ``*/lib/*`` has the beginnings ``*``, ``*/``, ``*/l`` … ``*/lib/*``, of
which ``a/lib/b/`` matches three. It is found by following every value character by character, all texts together;
characters that stand in no text are all alike. Values are strings, so a text is taken with its quotes.
"""

from __future__ import annotations

from typing import Final

from penstock.engine.pattern.conditions import AnythingBut, Condition, Wildcard
from penstock.engine.pattern.matcher import Pattern

STEPS: Final = 5000  # sets of beginnings looked at per field; beyond that the greatest number found so far counts

_ANY: Final = "*"  # the token of a wildcard; literal characters are tokens "=x"


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


class _Texts:
    """All wildcard texts of a field. Every beginning of every text has a bit, from each text's shortest to its
    longest, so that a set of beginnings is a number, and a character takes it to the next in a few operations."""

    def __init__(self) -> None:
        self.start = 0
        self.before: dict[str, int] = {}  # by token: the beginnings that it follows
        self._after_any = 0  # beginnings that end with a wildcard
        self._counted = 0  # all but whole texts, and those that an earlier text of the same condition has as well
        self._whole: dict[int, int] = {}  # by condition: its texts as wholes, which count as one
        # By the bit of a beginning (or what stands for a condition) and the token after it: the bit of the longer one.
        self._shared: dict[tuple[int, str], int] = {}
        self._bits = 0

    def add(self, group: int, wildcard: Wildcard) -> None:
        """Take up a text of a condition, whose number is ``group``: up to the first wildcard its texts share."""
        tokens = _tokens(wildcard)
        shared = tokens.index(_ANY) + 1 if _ANY in tokens else len(tokens)
        first = 1 << self._bits
        known = -1 - group
        for length, token in enumerate(["", *tokens]):
            bit = first << length
            if length:
                self.before[token] = self.before.get(token, 0) | bit >> 1
            if token == _ANY:
                self._after_any |= bit
            known = self._shared.setdefault((known, token), bit) if length <= shared else bit
            if length == len(tokens):
                self._whole[group] = self._whole.get(group, 0) | bit
            elif known == bit:
                self._counted |= bit
        self.start |= first
        self._bits += len(tokens) + 1

    def step(self, beginnings: int, token: str) -> int:
        """The beginnings matched after one more character. A wildcard is matched by no character too."""
        found = (beginnings & self._after_any) | (beginnings & self.before.get(token, 0)) << 1
        return found | (found & self.before.get(_ANY, 0)) << 1

    def count(self, beginnings: int) -> int:
        """How many different beginnings these are."""
        whole = sum(1 for texts in self._whole.values() if beginnings & texts)
        return (beginnings & self._counted).bit_count() + whole


def _of_field(conditions: tuple[Condition, ...], limit: int) -> int:
    texts = _Texts()
    for group, condition in enumerate(dict.fromkeys(conditions)):
        members = condition.these if isinstance(condition, AnythingBut) else (condition,)
        for one in members:
            if isinstance(one, Wildcard):
                texts.add(group, one)
    if not texts.start:
        return 0
    alphabet = sorted((texts.before.keys() - {_ANY}) | {"="})
    seen, pending, greatest = {texts.start}, [texts.start], 0
    while pending and greatest <= limit and len(seen) < STEPS:
        state = pending.pop()
        for token in alphabet:
            following = texts.step(state, token)
            if following and following not in seen:
                seen.add(following)
                pending.append(following)
                greatest = max(greatest, texts.count(following))
    return greatest
