"""What a message contains: its body, message attributes and system attributes, their sizes and MD5 digests.

Pure. docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html has the rules of
attributes and how their digest is computed.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from penstock.services.sqs.errors import InvalidMessageContents, InvalidParameterValue

try:
    from _md5 import md5  # Python's own, which for a short text takes half the time of OpenSSL's in hashlib
except ImportError:
    from hashlib import md5

ATTRIBUTES: Final = 10  # message attributes of one message: quotas-messages.html
NAME_LENGTH: Final = 256  # of an attribute's name and of its type

_OUTSIDE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_USUAL: Final = b"\t\n\r" + bytes(range(0x20, 0x80))
_NAME: Final = re.compile(r"[A-Za-z0-9_\-.]+")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TYPES: Final = ("String", "Number", "Binary")

Attributes = Mapping[str, Mapping[str, Any]]


def check_text(text: str) -> bytes:
    """Check that SQS takes every character, and return the text as bytes; InvalidMessageContents."""
    held = text.encode("utf-8", "surrogatepass")
    if not _is_usual(held) and _OUTSIDE.search(text) is not None:
        raise InvalidMessageContents(
            "Invalid characters found. Valid unicode characters are"
            " #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
        )
    return held


def check_body(body: bytes) -> None:
    """Check that SQS takes every character of a body that is there as bytes; InvalidMessageContents."""
    if not _is_usual(body):
        check_text(body.decode("utf-8", "replace"))


def _is_usual(text: bytes) -> bool:
    """Whether nothing but ASCII's usual characters is in it, which is seen many times faster than what else may be."""
    return not text.translate(None, _USUAL)


def digest(body: bytes) -> str:
    """The MD5 of a body, in hexadecimal."""
    return md5(body, usedforsecurity=False).hexdigest()


def check_attributes(attributes: Attributes) -> int:
    """Check message attributes and return their size in bytes; InvalidParameterValue."""
    if len(attributes) > ATTRIBUTES:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES}]."
        )
    return sum(_check_attribute(name, value) for name, value in attributes.items())


def _check_attribute(name: str, value: Mapping[str, Any]) -> int:
    _check_name(name)
    kind = value.get("DataType")
    if not kind:
        raise InvalidParameterValue(f"The message attribute '{name}' must contain non-empty message attribute type.")
    if len(kind) > NAME_LENGTH:
        raise InvalidParameterValue(f"Message (user) attribute type must be shorter than {NAME_LENGTH} bytes.")
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise InvalidParameterValue("Message attribute list values in SendMessage operation are not supported.")
    base = kind.partition(".")[0]
    if base not in _TYPES:
        raise InvalidParameterValue(
            f"The message attribute '{name}' has an invalid message attribute type,"
            " the set of supported type prefixes is Binary, Number, and String."
        )
    member, other = ("BinaryValue", "StringValue") if base == "Binary" else ("StringValue", "BinaryValue")
    held = value.get(member)
    if not held or value.get(other):
        raise InvalidParameterValue(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'."
        )
    if base == "Binary":
        return len(name.encode()) + len(kind.encode()) + len(held)
    size = len(check_text(held))
    if base == "Number" and _NUMBER.fullmatch(held) is None:
        raise InvalidParameterValue(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    return len(name.encode()) + len(kind.encode()) + size


def _check_name(name: str) -> None:
    if not name:
        raise InvalidParameterValue("The request must contain non-empty message (user) attribute names.")
    if len(name) > NAME_LENGTH:
        raise InvalidParameterValue(f"Message (user) attribute name must be shorter than {NAME_LENGTH} bytes.")
    if name.lower().startswith(("aws.", "amazon.")):
        raise InvalidParameterValue(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'."
            " These strings are reserved for internal use."
        )
    if _NAME.fullmatch(name) is None or name[0] == "." or name[-1] == "." or ".." in name:
        raise InvalidParameterValue(
            f"The message attribute name '{name}' is invalid. Attribute name can contain"
            " A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters."
        )


def trace_of(attributes: Attributes) -> str | None:
    """The X-Ray trace header among message system attributes; InvalidParameterValue for any other of them."""
    trace: str | None = None
    for name, value in attributes.items():
        if name != "AWSTraceHeader":
            raise InvalidParameterValue(f"Message system attribute name '{name}' is invalid.")
        if value.get("StringListValues") or value.get("BinaryListValues"):
            raise InvalidParameterValue("Message attribute list values in SendMessage operation are not supported.")
        if value.get("DataType") != "String" or not value.get("StringValue") or value.get("BinaryValue"):
            raise InvalidParameterValue(
                f"Message (system) attribute '{name}' must contain a non-empty value of type 'String'."
            )
        trace = value["StringValue"]
    return trace


def digest_of_attributes(attributes: Attributes) -> str:
    """The MD5 of message attributes, as the developer guide computes it."""
    parts: list[bytes] = []
    for name in sorted(attributes):
        value = attributes[name]
        kind: str = value["DataType"]
        binary = kind.startswith("Binary")
        held = bytes(value["BinaryValue"]) if binary else value["StringValue"].encode()
        for part in (name.encode(), kind.encode()):
            parts += (len(part).to_bytes(4, "big"), part)
        parts += (b"\x02" if binary else b"\x01", len(held).to_bytes(4, "big"), held)
    return digest(b"".join(parts))


def stored(attributes: Attributes) -> bytes:
    """Attributes as the message's row keeps them; binary values in base64."""
    return orjson.dumps({
        name: {"DataType": value["DataType"], "BinaryValue": b64encode(value["BinaryValue"]).decode()}
        if value.get("BinaryValue")
        else {"DataType": value["DataType"], "StringValue": value["StringValue"]}
        for name, value in attributes.items()
    })  # fmt: skip


def encoded(row: bytes | str) -> dict[str, dict[str, str]]:
    """Attributes out of a message's row, binary values still in base64: as JSON shows them."""
    attributes: dict[str, dict[str, str]] = orjson.loads(row)
    return attributes


def restored(row: bytes | str) -> dict[str, dict[str, Any]]:
    """Attributes out of a message's row."""
    attributes: dict[str, dict[str, Any]] = orjson.loads(row)
    for value in attributes.values():
        if "BinaryValue" in value:
            value["BinaryValue"] = b64decode(value["BinaryValue"])
    return attributes


def selected(attributes: dict[str, dict[str, Any]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Those that a receive asks for: by name, "All" or ".*" for all, "prefix.*" for those that begin so."""
    if "All" in names or ".*" in names:
        return attributes
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: value for name, value in attributes.items() if name in names or (prefixes and name.startswith(prefixes))
    }
