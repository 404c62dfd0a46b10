"""Identifiers and ARNs: the only caller of randomness in Penstock.

An id is an integer of 60 bits, time-ordered and unique on this platform: 41 bits of machine milliseconds since
2020 and 19 bits of counter. Its public form is a UUID that looks random and can be turned back into the id, so
that no table needs an index of UUIDs: SQS message ids, EventBridge event ids and request ids are ids of events and
runs in the journal.
"""

from __future__ import annotations

import os
import random
import re
import struct
from functools import lru_cache
from typing import NamedTuple

from penstock.base.clock import MachineClock

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
PARTITION = "aws"

_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_COUNTER_BITS = 19
_MIXED_BITS = 120  # of a UUID, without its version and variant digits
_MASK = (1 << _MIXED_BITS) - 1
_MIX = 0x4ECEDA1CE2A9D6E8FEB86659FD9301  # odd, so that multiplication modulo 2**120 can be undone
_UNMIX = pow(_MIX, -1, 1 << _MIXED_BITS)
_HALF = _MIXED_BITS // 2
_IDS = 1 << 60
_groups = struct.Struct("8s4s3s3s12s").unpack  # of a UUID's digits, without its version and variant


def uuid_of(id_: int) -> str:
    """The public form of an id: a version 4 UUID, the same for the same id.

    Every part of it differs from id to id, as programs take parts of UUIDs for names.
    """
    mixed = id_ * _MIX & _MASK
    return (b"%b-%b-4%b-a%b-%b" % _groups(b"%030x" % (mixed ^ mixed >> _HALF))).decode()


def id_of(uuid: str) -> int | None:
    """The id whose public form this is, or None when it is nobody's."""
    digits = uuid.replace("-", "")
    if len(digits) != 32:
        return None
    try:
        mixed = int(digits[:12] + digits[13:16] + digits[17:], 16)
    except ValueError:
        return None
    id_ = (mixed ^ mixed >> _HALF) * _UNMIX & _MASK
    return id_ if id_ < _IDS and uuid_of(id_) == uuid.lower() else None


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
