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
from penstock.engine.body import FileBody
from penstock.engine.model.pattern import compile_pattern
from penstock.engine.model.shapes import FLOATS, INTEGERS, Member, Shape

Problems = list[tuple[str, str]]
"""(path, sentence) of everything that is wrong; a missing member's sentence is MISSING."""

Check = Callable[[Any, str, Problems], None]

MISSING = "null"
_STRINGS = {str}
_MESSAGES_AT_MOST = 100  # problems told in one answer, so that a huge bad request does not get a huge answer
_REPEATED_AT_MOST = 2048  # characters of a bad value repeated in the message


class SerializationError(ApiError):
    """The body does not have the types that the model says."""

    code = "SerializationException"


def compile_check(use: Member, dialect: str) -> Check | None:
    """A function that finds what is wrong with a request of this shape; None when nothing can be."""
    return _Compiler(dialect).compile(use)


_CODES = {"query": "ValidationError", "ec2": "ValidationError", "logs": "InvalidParameterException"}


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
    if dialect == "logs":
        problems = [(path, _without_value(path, sentence)) for path, sentence in problems]
    count = len(problems)
    message = f"{count} validation error{'s' if count > 1 else ''} detected: " + "; ".join(
        _sentence(*problem) for problem in problems[:_MESSAGES_AT_MOST]
    )
    raise ValidationError(message, code=_CODES.get(dialect))


def _sentence(path: str, sentence: str) -> str:
    if sentence is MISSING:
        return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    return sentence


def _without_value(path: str, sentence: str) -> str:
    """CloudWatch Logs was seen not to repeat the identifier of a group, and to repeat other values."""
    if not path.startswith("logGroupIdentifier") or sentence is MISSING:
        return sentence
    return "Value " + sentence[sentence.rindex(f"at '{path}' failed") :]


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


Constraints = Callable[[Any], list[str]]
"""What a scalar breaks: "Member must have length ...", in AWS's order; raises when the type is wrong."""


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
        check: Check | None
        if shape.type == "structure":
            check = self._structure(shape)
        elif shape.type == "list":
            check = self._list(shape)
        elif shape.type == "map":
            check = self._map(shape)
        else:
            check = _scalar(shape, self.constrained)
        self.open.discard(name)
        self.done[name] = check
        return check

    def _structure(self, shape: Shape) -> Check:
        members: dict[str, tuple[str, Check]] = {}
        for name, member in shape.members.items():
            check = self.compile(member)
            if check is not None:
                members[name] = (_lower(name), check)
        # Event streams are not there yet when the request is checked.
        required = [(name, _lower(name)) for name in shape.required if not shape.members[name].shape.event_stream]
        free = {name for name, (_, check) in members.items() if check is _check_string}  # any string will do
        needed = {name for name, _ in required}

        def structure(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, dict):
                raise wrong_type(value, "Structure")
            if needed <= value.keys() <= free and set(map(type, value.values())) == _STRINGS:
                return
            prefix = path + "." if path else ""
            for name, lowered in required:
                if value.get(name) is None:
                    problems.append((prefix + lowered, MISSING))
            for name, item in value.items():
                if item is not None and not (type(item) is str and name in free):
                    member = members.get(name)
                    if member is not None:
                        member[1](item, prefix + member[0], problems)

        return structure

    def _list(self, shape: Shape) -> Check:
        element = shape.element
        bounds = _size_bounds(shape) if self.constrained else None
        nested = not _is_scalar(element.shape)
        check = self.compile(element) if nested else None
        constraints = None if nested else _constraints(element.shape, self.constrained)

        def elements(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, list | tuple):
                raise wrong_type(value, "List")
            if bounds is not None:
                _tell(shape, value, path, bounds(value), problems)
            if None in value:  # smithy.io/2.0/spec/type-refinement-traits.html#sparse-trait: a server refuses them
                problems.append((f"{path}.{value.index(None) + 1}.member", MISSING))
            if check is not None:
                for number, item in enumerate(value, 1):
                    if item is not None:
                        check(item, f"{path}.{number}.member", problems)
            elif constraints is not None:
                for item in value:
                    if item is not None and constraints(item):
                        broken = _all_constraints(element.shape)
                        _tell(shape, value, path, [f"Member must satisfy constraint: [{broken}]"], problems)
                        break

        return elements

    def _map(self, shape: Shape) -> Check:
        bounds = _size_bounds(shape) if self.constrained else None
        keys = _constraints(shape.key.shape, self.constrained)
        nested = not _is_scalar(shape.value.shape)
        check = self.compile(shape.value) if nested else None
        values = None if nested else _constraints(shape.value.shape, self.constrained)

        def entries(value: Any, path: str, problems: Problems) -> None:
            if not isinstance(value, dict):
                raise wrong_type(value, "Map")
            if bounds is not None:
                _tell(shape, value, path, bounds(value), problems)
            if keys is not None and any(keys(key) for key in value):
                broken = _all_constraints(shape.key.shape)
                _tell(shape, value, path, [f"Map keys must satisfy constraint: [{broken}]"], problems)
            if check is not None:
                for key, item in value.items():
                    if item is not None:
                        check(item, f"{path}.{key}.member", problems)
            elif values is not None and any(item is not None and values(item) for item in value.values()):
                broken = _all_constraints(shape.value.shape)
                _tell(shape, value, path, [f"Map value must satisfy constraint: [{broken}]"], problems)

        return entries


def _recurse(check: Check | None, value: Any, path: str, problems: Problems) -> None:
    if check is not None:
        check(value, path, problems)


def _tell(shape: Shape, value: Any, path: str, broken: list[str], problems: Problems) -> None:
    for constraint in broken:
        problems.append((path, _failed(shape, value, path, constraint)))


def _is_scalar(shape: Shape) -> bool:
    return shape.type not in ("structure", "list", "map")


def _scalar(shape: Shape, constrained: bool) -> Check:
    constraints = _constraints(shape, constrained)
    if constraints is _any_string:
        return _check_string

    def scalar(value: Any, path: str, problems: Problems) -> None:
        broken = constraints(value)
        if broken:
            _tell(shape, value, path, broken, problems)

    return scalar


def _size_bounds(shape: Shape) -> Constraints | None:
    """The bounds on a length: of a string's characters, a blob's bytes, a list's elements, a map's entries."""
    low, high = shape.traits.get("min"), shape.traits.get("max")
    if low is None and high is None:
        return None
    too_long = f"Member must have length less than or equal to {high}"
    too_short = f"Member must have length greater than or equal to {low}"

    def bounds(value: Any) -> list[str]:
        length = len(value)
        if high is not None and length > high:
            return [too_long]
        if low is not None and length < low:
            return [too_short]
        return []

    return bounds


def _all_constraints(shape: Shape) -> str:
    """Every constraint of a scalar: AWS lists all of them when one element breaks one."""
    traits, sentences = shape.traits, []
    what = "value" if shape.type in INTEGERS or shape.type in FLOATS else "length"
    if traits.get("max") is not None:
        sentences.append(f"Member must have {what} less than or equal to {traits['max']}")
    if traits.get("min") is not None:
        sentences.append(f"Member must have {what} greater than or equal to {traits['min']}")
    if traits.get("pattern"):
        sentences.append(f"Member must satisfy regular expression pattern: {traits['pattern']}")
    if shape.enum:
        sentences.append(_enum_sentence(shape))
    return ", ".join(sentences)


def _enum_sentence(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _constraints(shape: Shape, constrained: bool) -> Constraints:
    if shape.type in ("string", "character"):
        return _string_constraints(shape, constrained)
    if shape.type in INTEGERS or shape.type in FLOATS:
        return _number_constraints(shape, constrained)
    if shape.type == "boolean":
        return _boolean
    if shape.type == "timestamp":
        return _timestamp
    return _blob_constraints(shape, constrained)


def _string_constraints(shape: Shape, constrained: bool) -> Constraints:
    bounds = _size_bounds(shape) if constrained else None
    enum = frozenset(shape.enum) if constrained else frozenset()
    source = shape.traits.get("pattern") if constrained else None
    pattern = compile_pattern(source) if source else None
    high = shape.traits.get("max")

    def string(value: Any) -> list[str]:
        if type(value) is not str:
            raise wrong_type(value, "String")
        broken: list[str] = []
        if bounds is not None:
            broken = bounds(value)
        # What is too long anyway is not matched: patterns may be slow on long input.
        if pattern is not None and (high is None or len(value) <= high) and pattern(value) is None:
            broken.append(f"Member must satisfy regular expression pattern: {source}")
        if enum and value not in enum:
            broken.append(_enum_sentence(shape))
        return broken

    return string if bounds is not None or pattern is not None or enum else _any_string


def broken_constraints(shape: Shape, value: Any) -> list[str]:
    """What a value of the right type breaks, "Member must have length ...": of itself, not of what is inside it."""
    if _is_scalar(shape):
        return _constraints(shape, constrained=True)(value)
    bounds = _size_bounds(shape)
    return [] if bounds is None else bounds(value)


def _any_string(value: Any) -> list[str]:
    if type(value) is not str:
        raise wrong_type(value, "String")
    return []


def _check_string(value: Any, path: str, problems: Problems) -> None:
    if type(value) is not str:
        raise wrong_type(value, "String")


def _number_constraints(shape: Shape, constrained: bool) -> Constraints:
    whole = shape.type in INTEGERS
    wanted = shape.type[:1].upper() + shape.type[1:]
    limit = shape.integer_limit if whole else 0
    low, high = (shape.traits.get("min"), shape.traits.get("max")) if constrained else (None, None)

    def number(value: Any) -> list[str]:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise wrong_type(value, wanted)
        if limit and not -limit <= value < limit:
            raise wrong_type(value, wanted)
        if high is not None and value > high:
            return [f"Member must have value less than or equal to {high}"]
        if low is not None and value < low:
            return [f"Member must have value greater than or equal to {low}"]
        return []

    return number


def _boolean(value: Any) -> list[str]:
    if not isinstance(value, bool):
        raise wrong_type(value, "Boolean")
    return []


def _timestamp(value: Any) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(value, "Date")
    return []


def _blob_constraints(shape: Shape, constrained: bool) -> Constraints:
    bounds = _size_bounds(shape) if constrained and not shape.traits.get("streaming") else None

    def blob(value: Any) -> list[str]:
        if isinstance(value, FileBody):
            return []
        if not isinstance(value, bytes | bytearray):
            raise wrong_type(value, "Blob")
        return bounds(value) if bounds is not None else []

    return blob
