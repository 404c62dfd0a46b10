"""XML to a request's values and from an answer's, compiled once per shape; shared by query and rest-xml.

Rules of names: a member's ``locationName``, else its own; a list's elements are <member> unless named, a flattened
list's stand in the parent without a wrapper; a map's entries are <entry><key/><value/></entry>.
https://smithy.io/2.0/spec/protocol-traits.html#xml-bindings
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from penstock.base.errors import ApiError
from penstock.engine.model import Member, Shape
from penstock.wire.protocols.compiled import Compiled
from penstock.wire.protocols.scalars import ISO8601, scalar_from_text, scalar_to_text

Write = Callable[[list[str], str, Any], None]
"""(output, element name, value): appends the element."""

Read = Callable[[ElementTree.Element], Any]

log = logging.getLogger("penstock.wire")
_SPECIAL = re.compile(r"[&<>\"'\x00-\x08\x0b-\x1f\x7f\x85\u2028\ud800-\udfff\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
_DEPTH = 100  # elements within elements that a request may have; AWS's own documents stay below 20


def escape(text: str) -> str:
    """Text as XML content; control characters become references, as AWS writes them.

    What XML 1.0 cannot hold in any form (NUL, which no service keeps, lone surrogates, two others) becomes U+FFFD.
    """
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NAMED:
        return _NAMED[character]
    return "\ufffd" if character in "\0\ufffe\uffff" or character >= "\ud800" else f"&#x{ord(character):x};"


def is_flat(use: Member) -> bool:
    """Whether a list's or map's elements stand directly in the parent."""
    return bool(use.trait("flattened"))


def element_name(use: Member) -> str:
    """The name of a member's element in its parent; a flattened list takes it from its elements."""
    if use.shape.type == "list" and is_flat(use):
        return use.shape.element.wire_name or use.wire_name
    return use.wire_name


class XmlWriters:
    """Makes the writers of one operation's answers."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._compounds = Compiled[Write]()

    def of(self, use: Member) -> Write:
        """The writer of a member's values."""
        shape = use.shape
        if shape.type not in ("structure", "list", "map"):
            return _scalar_writer(use)
        return self._compounds.of((shape.name, is_flat(use)), lambda: self._compound(use))

    def _compound(self, use: Member) -> Write:
        if use.shape.type == "structure":
            return self._structure(use)
        return self._list(use.shape, is_flat(use)) if use.shape.type == "list" else self._map(use.shape, is_flat(use))

    def content(self, members: Iterable[Member], name: str) -> Callable[[list[str], Mapping[str, Any]], None]:
        """A writer of a structure's members without an element around them."""
        known = {member.name: (element_name(member), self.of(member)) for member in members}
        place = f"{self.place}: {name}"

        def write(out: list[str], value: Mapping[str, Any]) -> None:
            for key, item in value.items():
                if item is None:
                    continue
                member = known.get(key)
                if member is None:
                    log.warning("%s has no member %r: the answer goes out without it", place, key)
                    continue
                member[1](out, member[0], item)

        return write

    def _structure(self, use: Member) -> Write:
        shape = use.shape
        attributes = [member for member in shape.members.values() if member.traits.get("xmlAttribute")]
        write_content = self.content(
            [member for member in shape.members.values() if not member.traits.get("xmlAttribute")], shape.name
        )
        names = {member.name for member in attributes}
        namespace = _namespace(use)

        def write(out: list[str], name: str, value: Any) -> None:
            out.append(f"<{name}{namespace}")
            for member in attributes:
                item = value.get(member.name)
                if item is not None:
                    out.append(f' {member.wire_name}="{escape(str(item))}"')
            out.append(">")
            rest = {key: item for key, item in value.items() if key not in names} if names else value
            write_content(out, rest)
            out.append(f"</{name}>")

        return write

    def _list(self, shape: Shape, flat: bool) -> Write:
        write_element = self.of(shape.element)
        inner = shape.element.wire_name or "member"

        def write(out: list[str], name: str, value: Any) -> None:
            if flat:
                for item in value:
                    write_element(out, name, item)
                return
            out.append(f"<{name}>")
            for item in value:
                write_element(out, inner, item)
            out.append(f"</{name}>")

        return write

    def _map(self, shape: Shape, flat: bool) -> Write:
        write_key, write_value = self.of(shape.key), self.of(shape.value)
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"

        def write(out: list[str], name: str, value: Any) -> None:
            entry = name if flat else "entry"
            if not flat:
                out.append(f"<{name}>")
            for key, item in value.items():
                if item is None:
                    continue
                out.append(f"<{entry}>")
                write_key(out, key_name, key)
                write_value(out, value_name, item)
                out.append(f"</{entry}>")
            if not flat:
                out.append(f"</{name}>")

        return write


def _namespace(use: Member) -> str:
    namespace = use.trait("xmlNamespace")
    if not namespace:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{escape(namespace)}"'
    prefix = f":{namespace['prefix']}" if namespace.get("prefix") else ""
    return f' xmlns{prefix}="{escape(namespace["uri"])}"'


def _scalar_writer(use: Member) -> Write:
    if use.shape.type in ("string", "character"):
        return lambda out, name, value: out.append(f"<{name}>{escape(str(value))}</{name}>")
    return lambda out, name, value: out.append(f"<{name}>{escape(scalar_to_text(use, value, ISO8601))}</{name}>")


# --- reading


def malformed(detail: str) -> ApiError:
    """What S3 and the other rest-xml services say of a body they cannot read."""
    return ApiError(
        f"The XML you provided was not well-formed or did not validate against our published schema: {detail}",
        code="MalformedXML",
    )


def parse_xml(body: bytes) -> ElementTree.Element:
    """The root of a document. Document types and entities are refused: no AWS request has any."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise malformed("document types are not accepted")
    parser: Any = ElementTree.XMLPullParser(events=("start", "end"))
    try:
        parser.feed(text)
        parser.close()
        depth = 0
        root: ElementTree.Element | None = None
        for event, element in parser.read_events():
            depth += 1 if event == "start" else -1
            if depth > _DEPTH:
                raise malformed(f"elements are nested deeper than {_DEPTH}")
            root = element if root is None else root
    except ElementTree.ParseError as error:
        raise malformed(str(error)) from None
    if root is None:
        raise malformed("it is empty")
    return root


def local_name(element: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


class XmlReaders:
    """Makes the readers of one operation's requests."""

    def __init__(self) -> None:
        self._compounds = Compiled[Read]()

    def of(self, use: Member) -> Read:
        """The reader of a member's element; of a flattened list or map, of the parent's elements of that name."""
        shape = use.shape
        if shape.type not in ("structure", "list", "map"):
            return lambda element: scalar_from_text(use, element.text or "")
        return self._compounds.of((shape.name, is_flat(use)), lambda: self._compound(shape))

    def _compound(self, shape: Shape) -> Read:
        if shape.type == "structure":
            return self.structure(list(shape.members.values()))
        return self._list(shape) if shape.type == "list" else self._map(shape)

    def structure(self, members: list[Member]) -> Read:
        """A reader of an element whose children are these members."""
        single: dict[str, tuple[str, Read]] = {}
        flat: dict[str, tuple[str, bool, Read]] = {}
        attributes = {}
        for member in members:
            name = element_name(member)
            if member.traits.get("xmlAttribute"):
                attributes[name.rsplit(":", 1)[-1]] = member.name
            elif member.shape.type == "list" and is_flat(member):
                flat[name] = (member.name, True, self.of(member.shape.element))
            elif member.shape.type == "map" and is_flat(member):
                flat[name] = (member.name, False, self._entry(member.shape))
            else:
                single[name] = (member.name, self.of(member))

        def read(element: ElementTree.Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for child in element:
                name = local_name(child)
                if name in single:
                    member, reader = single[name]
                    out[member] = reader(child)
                elif name in flat:
                    member, is_list, reader = flat[name]
                    if is_list:
                        out.setdefault(member, []).append(reader(child))
                    else:
                        out.setdefault(member, {}).update(reader(child))
            for attribute, text in element.attrib.items():
                attributed = attributes.get(attribute.rsplit("}", 1)[-1])
                if attributed is not None:
                    out[attributed] = text
            return out

        return read

    def _list(self, shape: Shape) -> Read:
        reader = self.of(shape.element)
        return lambda element: [reader(child) for child in element]

    def _map(self, shape: Shape) -> Read:
        read_entry = self._entry(shape)

        def read(element: ElementTree.Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for entry in element:
                out.update(read_entry(entry))
            return out

        return read

    def _entry(self, shape: Shape) -> Read:
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
        read_key, read_value = self.of(shape.key), self.of(shape.value)

        def read(element: ElementTree.Element) -> dict[str, Any]:
            found = {local_name(child): child for child in element}
            if key_name not in found or value_name not in found:
                raise malformed(f"an entry needs {key_name} and {value_name}")
            return {read_key(found[key_name]): read_value(found[value_name])}

        return read
