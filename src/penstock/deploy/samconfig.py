"""What to deploy when little is said: the template of a folder, and what its samconfig.toml says of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import TemplateError

TEMPLATE_NAMES: Final = ("template.yaml", "template.yml", "template.json")
DEFAULT: Final = "default"  # the environment of samconfig.toml that is taken unless another is named


@dataclass(frozen=True, slots=True)
class Found:
    """A template to deploy: its file, the application's name, its parameters and tags.

    ``ignored`` are settings of samconfig.toml that mean nothing here, by name.
    """

    template: Path
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SamConfig:
    """What ``samconfig.toml`` says that matters here; ``ignored`` are its other settings, by name."""

    stack_name: str | None = None
    template_file: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def find(
    place: Path, *, name: str | None = None, given: Mapping[str, str] | None = None, environment: str = DEFAULT
) -> Found | None:
    """The template at ``place`` (a file, or a folder that has one), and how to deploy it; None when there is none.

    ``name`` and ``given`` parameters come before what samconfig.toml beside it says; without a name from either the
    folder's is taken. TemplateError when samconfig.toml cannot be read.
    """
    folder = (place if place.is_dir() else place.parent).absolute()
    config = load_samconfig(folder, environment) or SamConfig()
    template = find_template(folder, config) if place.is_dir() else place.absolute()
    if template is None:
        return None
    return Found(
        template,
        name or config.stack_name or _name_of(folder),
        {**config.parameters, **(given or {})},
        config.tags,
        config.ignored,
    )


def _name_of(folder: Path) -> str:
    """A folder's name as an application's: letters, digits and hyphens, a letter first."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.name).strip("-")
    return (name if name[:1].isalpha() else f"app-{name}".rstrip("-"))[:128]


def find_template(folder: Path, config: SamConfig | None = None) -> Path | None:
    """The template of a folder: the one samconfig.toml names, else template.yaml, .yml or .json."""
    names = ([config.template_file] if config and config.template_file else []) + list(TEMPLATE_NAMES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def load_samconfig(folder: Path, environment: str = DEFAULT) -> SamConfig | None:
    """Read ``samconfig.toml`` of a folder, or None when there is none; an environment it does not have is an error.

    Command sections are read from general to particular: ``global``, ``build``, ``deploy``. See "AWS SAM CLI
    configuration file" in the SAM Developer Guide.
    """
    path = folder / "samconfig.toml"
    if not path.is_file():
        if environment != DEFAULT:
            raise TemplateError(f"there is no {path} that could have an environment {environment}; leave it out")
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: not well-formed TOML: {error}") from error
    settings: dict[str, Any] = {}
    section = document.get(environment, {})
    if environment not in document and environment != DEFAULT:
        names = ", ".join(name for name, value in document.items() if isinstance(value, dict)) or "none"
        raise TemplateError(f"{path} has no environment {environment}; it has: {names}")
    for command in ("global", "build", "deploy"):
        found = section.get(command, {}) if isinstance(section, dict) else {}
        settings |= found.get("parameters", {}) if isinstance(found, dict) else {}
    template = settings.pop("template_file", settings.pop("template", None))
    return SamConfig(
        stack_name=settings.pop("stack_name", None),
        template_file=template,
        parameters=parse_overrides(settings.pop("parameter_overrides", {})),
        tags=parse_overrides(settings.pop("tags", {})),
        ignored=tuple(sorted(settings)),
    )


_OVERRIDE = re.compile(
    r"""(?:ParameterKey=)?(?P<key>[A-Za-z0-9_:./=+@-]+?)(?:,ParameterValue)?="""
    r"""(?P<value>"(?:\\.|[^"\\])*"|'[^']*'|(?:\\.|[^\s"'\\])*)(?=\s|$)"""
)


def parse_overrides(given: Any) -> dict[str, str]:
    """Parameters as samconfig.toml and ``--parameter-overrides`` write them: text, a list of texts, or a table.

    ``A=1 B="two words"`` and ``ParameterKey=A,ParameterValue=1`` are both understood.
    """
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items()}
    texts = given if isinstance(given, list) else [given]
    found: dict[str, str] = {}
    for text in texts:
        rest = str(text).strip()
        if isinstance(given, list) and "ParameterKey=" not in rest and not re.search(r"""["'\\]""", rest):
            name, _, value = rest.partition("=")  # one pair per text: blanks belong to the value
            found[name] = value
            continue
        while rest:
            match = _OVERRIDE.match(rest)
            if match is None:
                raise TemplateError(f"cannot read the parameter override {rest!r}; write Name=value")
            found[match["key"]] = _unquoted(match["value"])
            rest = rest[match.end() :].lstrip()
    return found


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return re.sub(r"\\(.)", r"\1", text)
