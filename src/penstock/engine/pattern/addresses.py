"""IP addresses as AWS's matcher reads them."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from penstock.engine.pattern.errors import PatternError

_IPV4 = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)", re.ASCII)
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_MAPPED = 0xFFFF << 32


class Block(NamedTuple):
    """A range of addresses: those of ``width`` bits (32 or 128) whose first ``bits`` bits are ``network``."""

    width: int
    bits: int
    network: int


def address_of(text: str) -> tuple[int, int] | None:
    """(width, number) of an address, or None. An IPv6 address that maps an IPv4 one is that one, as in Java."""
    if parts := _IPV4.fullmatch(text):
        numbers = [int(part) for part in parts.groups()]
        if any(number > 255 for number in numbers):
            return None
        return 32, (numbers[0] << 24) | (numbers[1] << 16) | (numbers[2] << 8) | numbers[3]
    if _IPV6.fullmatch(text):
        try:
            number = int(ipaddress.IPv6Address(text))
        except ValueError:
            return None
        return (32, number & 0xFFFFFFFF) if number & ~0xFFFFFFFF == _MAPPED else (128, number)
    return None


def block_of(text: str) -> Block:
    """The range a CIDR names; PatternError with AWS's sentence when it is none."""
    parts = text.rstrip("/").split("/")
    if len(parts) != 2:
        raise PatternError("Malformed CIDR, one '/' required")
    try:
        bits = int(parts[1])
    except ValueError:
        raise PatternError("Malformed CIDR, mask bits must be an integer") from None
    if bits < 0:
        raise PatternError("Malformed CIDR, mask bits must not be negative")
    address = address_of(parts[0])
    if address is None:
        looks_like_one = _IPV4.fullmatch(parts[0]) or _IPV6.fullmatch(parts[0])
        raise PatternError(f"{'Invalid' if looks_like_one else 'Nonstandard'} IP address: {parts[0]}")
    width, number = address
    if bits > width - 1:
        raise PatternError(f"IPv{4 if width == 32 else 6} mask bits must be < {width}")
    return Block(width, bits, number >> (width - bits))


def holds(block: Block, text: str) -> bool:
    """Whether the text is an address in the range."""
    address = address_of(text)
    return (
        address is not None and address[0] == block.width and address[1] >> (block.width - block.bits) == block.network
    )
