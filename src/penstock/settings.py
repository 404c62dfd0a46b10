"""Every setting of a platform, and the only reader of the environment and of ``penstock.toml``.

A setting is given on the command line, as an environment variable (``PENSTOCK_PORT``), in ``penstock.toml`` (in the
folder of the template, else the current one) or not at all; the first of these that names it wins. A key that
nobody knows is refused, so that a misspelt setting is never silently without effect. ``docs/settings.md`` is made
from the fields below.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import PenstockError
from penstock.base.names import DEFAULT_ACCOUNT

CONFIG_FILE: Final = "penstock.toml"
PREFIX: Final = "PENSTOCK_"
DATA_FOLDER: Final = ".penstock"
DEFAULT_PORT: Final = 4566
LAST_PORT: Final = 65_535

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class SettingsError(PenstockError):
    """A setting that nobody knows, or a value that it cannot have."""


def _setting(default: Any, about: str, *, one_of: tuple[str, ...] = ()) -> Any:
    about_it = {"about": about, "one_of": one_of}
    return (
        field(default_factory=dict, metadata=about_it) if default == {} else field(default=default, metadata=about_it)
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a platform is started with. Each field's meaning stands beside it, and in docs/settings.md."""

    data: Path | None = _setting(
        Path(DATA_FOLDER),
        "The data directory. One server at a time owns it. None (`--memory`, `memory = true`): nothing is kept.",
    )
    host: str = _setting(
        "127.0.0.1",
        "The address to listen on. Only loopback addresses unless `allow_hosts` names who else may ask.",
    )
    port: int = _setting(DEFAULT_PORT, "The port of every service; 0 takes a free one.")
    durability: str = _setting(
        "full",
        "`full`: an answer leaves only after its change was synced to the disk; survives a power cut. "
        "`os`: after it was handed to the operating system; survives SIGKILL, not a power cut.",
        one_of=("full", "os"),
    )
    seed: int | None = _setting(None, "Makes ids and random choices repeatable. Secrets never come from it.")
    allow_hosts: tuple[str, ...] = _setting(
        (),
        "Further values of the Host header that are answered, beside loopback names and `*.localhost`; "
        "`*` answers all. Every web page a developer visits can reach a host that is allowed here.",
    )
    allow_origins: tuple[str, ...] = _setting(
        (),
        "Web pages that may call the platform from a browser, by their origin (`https://app.example`), beside those of "
        "loopback names and `*.localhost`.",
    )
    auth: bool = _setting(
        False, "Verify SigV4 signatures and refuse bad ones, as AWS does. Without it any credentials will do."
    )
    access_keys: Mapping[str, str] = _setting(
        {}, "With `auth`: the secret access key of each access key id that may sign, as a table in the file."
    )
    account: str = _setting(DEFAULT_ACCOUNT, "The account that the command line works in.")
    region: str = _setting("us-east-1", "The region that the command line deploys to and works in.")
    log_level: str = _setting(
        "warning",
        "How much the platform says of itself on standard error.",
        one_of=("debug", "info", "warning", "error"),
    )
    stub_unknown: bool = _setting(
        False, "Make a named stub of each resource whose type is unknown, with a warning, where it would be refused."
    )
    cache: Path = _setting(
        Path("~/.cache/penstock"), "Where built packages are kept between runs. Safe to delete at any time."
    )
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process's environment as it was found: where programs are (PATH) and how to reach the network (proxies)."""

    @property
    def memory(self) -> bool:
        """Whether nothing is kept."""
        return self.data is None


def names() -> dict[str, Field[Any]]:
    """Every setting by name."""
    return {each.name: each for each in fields(Settings) if "about" in each.metadata}


def load(
    folder: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    **given: Any,
) -> Settings:
    """The settings in force for a folder: ``given`` (None: not given), then environment, file, defaults.

    ``environment`` is the process's own unless given. Relative paths in the file belong to the file's folder. Raises
    SettingsError, which names the key, where it stands and what it may be.
    """
    environment = own_environment() if environment is None else dict(environment)
    folder = (folder or Path.cwd()).absolute()
    values: dict[str, Any] = {"data": folder / DATA_FOLDER}
    values |= _of_file(folder / CONFIG_FILE)
    values |= _of_environment(environment)
    values |= _checked({name: value for name, value in given.items() if value is not None}, "the command line")
    if values.pop("memory", False):
        values["data"] = None
    values["cache"] = _cache(values.get("cache"), environment)
    settings = replace(Settings(), **values, environment=environment)
    _check_address(settings)
    if settings.auth and not settings.access_keys:
        raise SettingsError(
            "auth is on and access_keys names nobody who may sign, so nobody could ask for anything: add the table"
            f" [access_keys] with KEY_ID = \"SECRET\" to {CONFIG_FILE}, or set PENSTOCK_ACCESS_KEYS=KEY_ID=SECRET."
        )
    return settings


def own_environment() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)


def _check_address(settings: Settings) -> None:
    if not 0 <= settings.port <= LAST_PORT:
        raise SettingsError(f"port is {settings.port}; it can be 1 to {LAST_PORT}, or 0 for a free one.")
    if not settings.allow_hosts and not is_loopback(settings.host):
        raise SettingsError(
            f"host is {settings.host!r}, which other machines can reach, and functions run whatever code they are sent:"
            " name with allow_hosts (--allow-host) what they may call this one, or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, for a server in a process of its own: ``load`` gives them back."""
    written = {name: value for name, value in settings.environment.items() if not name.startswith(PREFIX)}
    for name in names():
        value = getattr(settings, name)
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={each}" for key, each in value.items())
        elif isinstance(value, tuple):
            value = ",".join(value)
        if value is not None and value != "":
            written[PREFIX + name.upper()] = str(value)
    if settings.memory:
        written[PREFIX + "MEMORY"] = "true"
    return written


def _of_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        written = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from error
    values = _checked(written, str(path))
    for name in ("data", "cache"):
        if isinstance(values.get(name), Path):
            values[name] = path.parent / values[name].expanduser()
    return values


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    written = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    return _checked(written, "the environment", show=lambda name: PREFIX + name.upper())


def _checked(written: Mapping[str, Any], where: str, show: Any = str) -> dict[str, Any]:
    known = names()
    values: dict[str, Any] = {}
    for name, value in written.items():
        if name == "memory":
            values[name] = _boolean(value, show(name), where)
        elif name in known:
            values[name] = _value(known[name], value, show(name), where)
        else:
            close = difflib.get_close_matches(name, [*known, "memory"], 1)
            hint = f"did you mean {show(close[0])}?" if close else "docs/settings.md lists what there is."
            raise SettingsError(f"{show(name)} in {where} is no setting of Penstock: {hint}")
    return values


def _value(setting: Field[Any], value: Any, name: str, where: str) -> Any:
    """The value in the setting's own type, which its annotation tells."""
    kind = str(setting.type)
    one_of = setting.metadata["one_of"]
    if one_of and value not in one_of:
        raise SettingsError(f"{name} in {where} is {value!r}; it can be {' or '.join(one_of)}.")
    if kind == "bool":
        return _boolean(value, name, where)
    if kind.startswith("int"):
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{name} in {where} is {value!r}; it has to be a whole number.") from error
    if kind.startswith("Path"):
        return Path(value).expanduser()
    if kind.startswith("tuple"):
        return (
            tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else tuple(value)
        )
    if kind.startswith("Mapping"):
        return _mapping(value, name, where)
    return str(value)


def _boolean(value: Any, name: str, where: str) -> bool:
    text = str(value).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise SettingsError(f"{name} in {where} is {value!r}; it can be true or false.")


def _mapping(value: Any, name: str, where: str) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(each) for key, each in value.items()}
    pairs = [part.partition("=") for part in str(value).split(",") if part]
    if not all(middle for _, middle, _ in pairs):
        raise SettingsError(f"{name} in {where} is {value!r}; write it as KEY=VALUE,KEY=VALUE.")
    return {key: each for key, _, each in pairs}


def _cache(given: Path | None, environment: Mapping[str, str]) -> Path:
    if given is not None:
        return given
    home = environment.get("XDG_CACHE_HOME")
    return Path(home) / "penstock" if home else Path("~/.cache/penstock").expanduser()


def reference() -> str:
    """docs/settings.md: every setting, with its environment variable, its default and what it does."""
    rows = [f"| `{name}` | `{PREFIX}{name.upper()}` | {_default(each)} | {each.metadata['about']} |"
            for name, each in names().items()]  # fmt: skip
    return "\n".join(
        [
            "# Settings",
            "",
            "Made from `src/penstock/settings.py` by `make docs`; a test fails when it is stale.",
            "",
            "A setting is given on the command line (`--port`), as an environment variable, or in `penstock.toml` in",
            "the folder of the template (else the current one). The first of these that names it wins. Unknown names",
            "are refused, in the file and in the environment.",
            "",
            "| in penstock.toml | in the environment | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "| `memory` | `PENSTOCK_MEMORY` | `false` | Keep nothing: the same as no data directory. |",
            "",
        ]
    )


def _default(setting: Field[Any]) -> str:
    default = setting.default
    if default is MISSING or default is None or default == ():
        return "–"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
