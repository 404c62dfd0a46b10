"""A template file as plain values, with the line of every part.

YAML as CloudFormation reads it (YAML 1.1, short-form intrinsics, merge keys) or JSON. What YAML would turn into a
date, a sexagesimal or an octal number stays the text that was written, since CloudFormation's dates and account ids
are text. See "CloudFormation template format" and "Intrinsic function reference" in the CloudFormation User Guide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.base.errors import TemplateError
from penstock.deploy.problems import Lines

TEMPLATE_BYTES = 4 << 20  # AWS takes 1 MB after packaging; a local template may carry more before it

_SHORT_FORMS = {
    "Ref": "Ref",
    "Condition": "Condition",
    **{
        name: f"Fn::{name}"
        for name in (
            "And", "Base64", "Cidr", "Contains", "EachMemberEquals", "EachMemberIn", "Equals", "FindInMap", "GetAZs",
            "GetAtt", "If", "ImportValue", "Join", "Length", "Not", "Or", "RefAll", "Select", "Split", "Sub",
            "ToJsonString", "Transform", "ValueOf", "ValueOfAll",
        )
    },
}  # fmt: skip
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_ENDS_KEY = re.compile(r":(\s|$)")
_DEPTH = 150  # values within values; intrinsics in intrinsics of real templates stay below 30
_VALUES = 500_000  # of one template, each alias counted with all it stands for: "billion laughs" stays small as text
_LINE_DEPTH = 10  # Resources/Id/Properties/Targets/0/RetryPolicy/…: as deep as a message points


@dataclass(frozen=True, slots=True)
class Template:
    """A template as it was written: its values, their places, and sentences about what is odd in it."""

    body: dict[str, Any]
    lines: Lines
    warnings: tuple[str, ...] = ()


def load(path: Path) -> Template:
    """Read a template file; TemplateError, with the line, when it is not one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read ({error.strerror}); name another template") from error
    if len(raw) > TEMPLATE_BYTES:
        raise TemplateError(f"{path}: larger than {TEMPLATE_BYTES} bytes, which no template may be")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, path: str = "the template") -> Template:
    """Take a template's text apart."""
    if text.lstrip().startswith("{"):
        _check_json(text, path)
        text = text.replace("\t", " ")  # JSON allows tabs between values and nowhere else; YAML allows none
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line, wrong = _wrong_yaml(text.split("\n"), error)
        raise TemplateError(f"{path}:{line}: not well-formed YAML: {wrong}", line=line) from error
    except yaml.reader.ReaderError as error:
        unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, unprintable.start()) + 1 if unprintable else 1
        wrong = f"{error.reason} (#x{error.character:04x}); remove it"
        raise TemplateError(f"{path}:{line}: not well-formed YAML: {wrong}", line=line) from error
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: not well-formed YAML: {error}") from error
    except RecursionError as error:
        raise TemplateError(f"{path}: nested more than {_DEPTH} deep; flatten it") from error
    reader = _Reader(path)
    body = reader.value(root, ()) if root is not None else None
    if not isinstance(body, dict):
        raise TemplateError(f"{path}:1: a template is a mapping with a section 'Resources'", line=1)
    return Template(body, Lines(path, reader.at), tuple(reader.warnings))


def _wrong_yaml(lines: list[str], error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """The line, from 1, that has to be looked at, and what is wrong there.

    The parser tells where it could not go on, which is a later line where something is missing at a line's end.
    """
    wrong = str(error.problem or error.context)
    at, begun = error.problem_mark or error.context_mark, error.context_mark
    if at is None:
        return 1, wrong
    here, context = lines[at.line] if at.line < len(lines) else "", str(error.context)
    if here[at.column : at.column + 1] == "\t":
        return at.line + 1, "a tab; indent with spaces"
    if begun is not None and at.line > begun.line:
        if "scanning" in context:  # a key without its colon, a text without its other quote
            return begun.line + 1, wrong.replace("found unexpected end of stream", "a text without its closing quote")
        if "flow" in context and not "".join(lines[at.line :]).strip():
            return begun.line + 1, "a bracket that nothing closes"
        if "flow" in context:
            return at.line + 1, f"{wrong}, for the bracket in line {begun.line + 1}"
    if wrong.startswith("mapping values") and not _ENDS_KEY.search(here[: at.column]):
        first = at.line
        while first and lines[first - 1].strip() and not _ENDS_KEY.search(lines[first - 1]):
            first -= 1
        if first < at.line and (not first or lines[first - 1].rstrip().endswith(":")):
            return first + 1, "could not find expected ':'"
    return min(at.line + 1, len("\n".join(lines).rstrip().split("\n"))), wrong


def _check_json(text: str, path: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        at = error.pos
        if "delimiter" in error.msg or text[at : at + 1] in ("", "}", "]"):
            at = len(text[:at].rstrip())  # something is missing, or one too much, where the text before it ends
        line = text.count("\n", 0, at) + 1
        raise TemplateError(f"{path}:{line}: not well-formed JSON: {error.msg}", line=line) from error
    except RecursionError as error:
        raise TemplateError(f"{path}: nested more than {_DEPTH} deep; flatten it") from error


class _Reader:
    """Turns YAML nodes into values and notes their lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.at: dict[str, int] = {}
        self.warnings: list[str] = []
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        """The value of a node that stands at this path."""
        if id(node) in self._open:
            self._fail(node, "an alias contains itself")
        self._values += 1
        if len(self._open) >= _DEPTH:
            self._fail(node, f"nested more than {_DEPTH} deep; flatten it")
        if self._values > _VALUES:
            self._fail(node, f"the template has more than {_VALUES} values, with what aliases repeat; repeat less")
        self._open.add(id(node))
        try:
            if node.tag.startswith("!") and node.tag != "!":
                return self._intrinsic(node, path)
            return self._plain(node, path)
        finally:
            self._open.discard(id(node))

    def _plain(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, str(index))) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)

    def _item(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        if len(path) <= _LINE_DEPTH:
            self.at["/".join(path)] = node.start_mark.line + 1
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in reversed(parts):
                    merged |= self.value(part, path)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._fail(key_node, "a key must be text")
            key = str(key_node.value)
            if key in found:
                # CloudFormation takes the last one without a word.
                line = key_node.start_mark.line + 1
                self.warnings.append(f"{self.path}:{line}: {key!r} stands twice in one mapping; the last one counts")
            inner = (*path, key)
            if len(inner) <= _LINE_DEPTH:
                self.at["/".join(inner)] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, inner)
        return merged | found

    def _intrinsic(self, node: yaml.Node, path: tuple[str, ...]) -> dict[str, Any]:
        name = _SHORT_FORMS.get(node.tag[1:])
        if name is None:
            return self._fail(node, f"{node.tag} is no intrinsic function of CloudFormation")  # type: ignore[no-any-return]
        if isinstance(node, yaml.ScalarNode):
            value: Any = node.value
            if name == "Fn::GetAtt":
                value = value.split(".", 1)
        else:
            value = self._plain(node, path)
        return {name: value}

    def _fail(self, node: yaml.Node, message: str) -> Any:
        line = node.start_mark.line + 1
        raise TemplateError(f"{self.path}:{line}: {message}", line=line)


def _scalar(node: yaml.ScalarNode) -> Any:
    text, tag = node.value, node.tag.rpartition(":")[2]
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in ("true", "yes", "on")
    if tag == "int":
        return int(text.replace("_", "")) if _DECIMAL.match(text) else text
    if tag == "float" and re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?|[-+]?[0-9]+\.", text):
        return float(text)
    return text
