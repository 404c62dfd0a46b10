"""Identifiers and ARNs: the only caller of randomness in Penstock.

An id is an integer of 60 bits, time-ordered and unique on this platform: 41 bits of machine milliseconds since
2020 and 19 bits of counter. Its public form is a UUID whose first digits look random and that can be turned back into
the id, so that no table needs an index of UUIDs: SQS message ids, EventBridge event ids and request ids are ids of
events and runs in the journal.
"""

from __future__ import annotations

import os
import random
import re
from functools import lru_cache
from typing import NamedTuple

from penstock.base.clock import MachineClock

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
PARTITION = "aws"

_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_COUNTER_BITS = 19
_LOW_BITS = 48  # of an id: what changes within six days
_LOW_MASK = (1 << _LOW_BITS) - 1
_MIX = 0x9E3779B97F4B  # odd, so that multiplication modulo 2**48 can be undone
_UNMIX = pow(_MIX, -1, 1 << _LOW_BITS)
_HIGH_MIX, _HIGH_SHIFT = 0x9E5, 0x3C7
_HIGH_UNMIX = pow(_HIGH_MIX, -1, 1 << 12)
_CHECK = 0xD6E8FEB86659FD93
_CHECK_MASK = (1 << 62) - 1


def uuid_of(id_: int) -> str:
    """The public form of an id: a version 4 UUID, the same for the same id.

    Its first twelve digits are the low bits, mixed; the rest are the same for six days and need not be made each time.
    """
    mixed = id_ * _MIX & _LOW_MASK
    text = "%012x" % (mixed ^ mixed >> 24)
    return f"{text[:8]}-{text[8:]}{_end_of_uuid(id_ >> _LOW_BITS)}"


@lru_cache(maxsize=64)
def _end_of_uuid(high: int) -> str:
    check = 0x8000000000000000 | (high + 1) * _CHECK & _CHECK_MASK
    text = f"{check:016x}"
    return f"-4{high * _HIGH_MIX + _HIGH_SHIFT & 0xFFF:03x}-{text[:4]}-{text[4:]}"


def id_of(uuid: str) -> int | None:
    """The id whose public form this is, or None when it is nobody's."""
    digits = uuid.replace("-", "")
    if len(digits) != 32 or digits[12] != "4":
        return None
    try:
        mixed, high = int(digits[:12], 16), int(digits[13:16], 16)
    except ValueError:
        return None
    low = (mixed ^ mixed >> 24) * _UNMIX & _LOW_MASK
    id_ = ((high - _HIGH_SHIFT) * _HIGH_UNMIX & 0xFFF) << _LOW_BITS | low
    return id_ if uuid_of(id_) == uuid.lower() else None


class Names:
    """Every identifier and random number of one platform; ``seed`` makes a run repeatable."""

    def __init__(self, machine: MachineClock, seed: int | None = None) -> None:
        self._machine = machine
        self.random = random.Random(int.from_bytes(os.urandom(16), "big") if seed is None else seed)
        self._last = 0

    def id(self) -> int:
        """The next id: greater than all earlier ones of this process."""
        id_ = (self._machine.now_ms() - _EPOCH_MS) << _COUNTER_BITS
        if id_ <= self._last:
            id_ = self._last + 1
        self._last = id_
        return id_

    def resume_after(self, id_: int) -> None:
        """Give out only ids greater than this one, the latest that an earlier process is known to have given out.

        Ids that it gave out up to a second later are not given out again either: not every id is written down. Where
        the machine's clock was set back, order and uniqueness hold nevertheless.
        """
        self._last = max(self._last, id_ + (1000 << _COUNTER_BITS) if id_ else 0)

    def uuid(self) -> str:
        """A random UUID that is nobody's id: for tokens and request ids of calls that leave no event."""
        digits = f"{self.random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def hex(self, digits: int) -> str:
        """Random hexadecimal digits."""
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"

    def text(self, length: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") -> str:
        """Random characters, such as CloudFormation's name suffixes and access key ids."""
        return "".join(self.random.choices(alphabet, k=length))

    def secret(self, length: int = 40) -> str:
        """A secret from the system's randomness, never from the seed."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        return "".join(alphabet[byte & 63] for byte in os.urandom(length))


class Arn(NamedTuple):
    """An Amazon Resource Name: ``arn:partition:service:region:account:resource``."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = PARTITION

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, text: str) -> Arn:
        """Take an ARN apart; ValueError when it is none."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
            raise ValueError(f"not an ARN: {text!r}")
        return cls(parts[2], parts[3], parts[4], parts[5], parts[1])

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def is_account(text: str) -> bool:
    """Whether this is an AWS account id: twelve digits."""
    return re.fullmatch(r"\d{12}", text) is not None
