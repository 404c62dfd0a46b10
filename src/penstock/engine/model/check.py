"""Validation of requests, in AWS's words.

AWS's frameworks answer a request that breaks the model with one sentence per problem:

    2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null;
    Value 'x' at 'keySchema.1.member.attributeName' failed to satisfy constraint: Member must have length ...

Paths start with a lower-case letter, elements are counted from 1 and followed by "member"; problems of a scalar
element or map key are told of the whole list or map ("Member must satisfy constraint: [...]"). Sentences as in the
documented errors of DynamoDB, Lambda, Kinesis and CloudWatch Logs. Services that came from the query protocol
(awsQueryCompatible: SQS) check names and values themselves and say only that a parameter is missing.

A value of the wrong type never reaches validation on AWS; it is a SerializationException at once, with the
sentences of AWS's JSON reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from penstock.base.errors import ApiError, ValidationError
from penstock.engine.model.pattern import compile_pattern
from penstock.engine.model.shapes import FLOATS, INTEGERS, Member, Shape

Problems = list[tuple[str, str]]
"""(path, sentence) of everything that is wrong; a missing member's sentence is MISSING."""

Check = Callable[[Any, str, Problems], None]

MISSING = "null"
_MESSAGES_AT_MOST = 100  # problems told in one answer, so that a huge bad request does not get a huge answer
_REPEATED_AT_MOST = 2048  # characters of a bad value repeated in the message


class SerializationError(ApiError):
    """The body does not have the types that the model says."""

    code = "SerializationException"


def compile_check(use: Member, dialect: str) -> Check | None:
    """A function that finds what is wrong with a request of this shape; None when nothing can be."""
    return _Compiler(dialect).compile(use)


def raise_problems(problems: Problems, dialect: str) -> NoReturn:
    """Raise the error that AWS answers with."""
    if dialect == "query-compatible":
        path = problems[0][0]
        name = ".".join(part[:1].upper() + part[1:] for part in path.split("."))
        raise ApiError(f"The request must contain the parameter {name}.", code="MissingParameter")
    if dialect == "rest-xml":
        raise ApiError(
            "The XML you provided was not well-formed or did not validate against our published schema: "
            + "; ".join(_sentence(*problem) for problem in problems[:_MESSAGES_AT_MOST]),
            code="MalformedXML",
        )
    count = len(problems)
    message = f"{count} validation error{'s' if count > 1 else ''} detected: " + "; ".join(
        _sentence(*problem) for problem in problems[:_MESSAGES_AT_MOST]
    )
    raise ValidationError(message, code="ValidationError" if dialect in ("query", "ec2") else None)


def _sentence(path: str, sentence: str) -> str:
    if sentence is MISSING:
        return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    return sentence


def shown(value: Any) -> str:
    """A value as AWS repeats it in a message."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, bytes | bytearray):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


def _failed(shape: Shape, value: Any, path: str, constraint: str) -> str:
    if shape.sensitive:
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    text = shown(value)
    if len(text) > _REPEATED_AT_MOST:
        text = text[:_REPEATED_AT_MOST] + "..."
    return f"Value '{text}' at '{path}' failed to satisfy constraint: {constraint}"


def wrong_type(value: Any, wanted: str) -> SerializationError:
    """What AWS's JSON reader says of a value of the wrong type; ``wanted`` is "String", "Integer", "List", "Map"…"""
    scalar = wanted not in ("List", "Map", "Structure")
    if isinstance(value, Mapping):
        message = "Start of structure or map found where not expected"
    elif isinstance(value, list):
        message = "Start of list found where not expected"
    elif not scalar:
        message = "Unexpected field type"
    else:
        if isinstance(value, bool):
            token = "TRUE_VALUE" if value else "FALSE_VALUE"
        elif isinstance(value, int):
            token = "NUMBER_VALUE"
        elif isinstance(value, float):
            token = "DECIMAL_VALUE"
        else:
            token = "STRING_VALUE"
        message = f"{token} can not be converted to {'an' if wanted[0] in 'AEIOU' else 'a'} {wanted}"
    return SerializationError(message)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


class _Compiler:
    """Makes the checks of one operation; recursive shapes refer to themselves through ``done``."""

    def __init__(self, dialect: str) -> None:
        self.constrained = dialect != "query-compatible"
        self.done: dict[str, Check | None] = {}
        self.open: set[str] = set()

    def compile(self, use: Member) -> Check | None:
        shape = use.shape
        if shape.event_stream or shape.document or use.traits.get("jsonvalue"):
            return None
        name = shape.name
        if name in self.done:
            return self.done[name]
        if name in self.open:
            return lambda value, path, problems: _recurse(self.done[name], value, path, problems)
        self.open.add(name)
        if shape.type == "structure":
            check: Check | None = self._structure(shape)
        elif shape.type == "list":
            check = self._list(shape)
        elif shape.type == "map":
            check = self._map(shape)
        else:
            check = self._scalar(shape)
        self.open.discard(name)
        self.done[name] = check
        return check

    def _structure(self, shape: Shape) -> Check:
        members: dict[str, tuple[str, Check]] = {}
        for name, member in shape.members.items():
            check = self.compile(member)
            if check is not None:
                members[name] = (_lower(name), check)
        # A payload that streams may be empty, and what an SDK fills in by itself AWS does not miss.
        required = [(name, _lower(name)) for name in shape.required if not shape.members[name].shape.event_stream]

        def structure(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, dict):
                raise wrong_type(value, "Structure")
            for name, lowered in required:
                if value.get(name) is None:
                    problems.append((f"{path}{lowered}", MISSING))
            for name, item in value.items():
                if item is not None:
                    member = members.get(name)
                    if member is not None:
                        member[1](item, path + member[0], problems) if member[1] not in nested else member[1](
                            item, f"{path}{member[0]}.", problems
                        )

        nested = {
            check
            for name, (_, check) in members.items()
            if shape.members[name].shape.type == "structure"
        }
        return structure

    def _list(self, shape: Shape) -> Check:
        return lambda value, path, problems: None

    def _map(self, shape: Shape) -> Check:
        return lambda value, path, problems: None

    def _scalar(self, shape: Shape) -> Check | None:
        return None


def _recurse(check: Check | None, value: Any, path: str, problems: Problems) -> None:
    if check is not None:
        check(value, path, problems)
