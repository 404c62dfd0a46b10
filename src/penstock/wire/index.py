"""What every AWS service is called on the wire, without reading its model: for routing.

``services.json`` beside this file is made from botocore's data by ``python -m penstock.wire.index`` (a test says when
it has to be made again): reading 439 models at start would take over a second.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from penstock.engine.model import known_models, load


@dataclass(frozen=True, slots=True)
class Names:
    """A service's names: in hosts, in credential scopes, in X-Amz-Target, in Version, and the protocols it speaks."""

    model: str | Path
    endpoint_prefix: str
    signing_name: str
    target_prefix: str
    version: str
    protocols: tuple[str, ...]


def names_of(model: str | Path) -> Names:
    """The names of one service, from the index, or from its model when that is its own or newer than the index."""
    if isinstance(model, str):
        row = _rows().get(model)
        if row is not None:
            endpoint_prefix, signing_name, target_prefix, version, protocols = row
            return Names(model, endpoint_prefix, signing_name, target_prefix, version, tuple(protocols))
    return _names_from_model(model)


def _names_from_model(model: str | Path) -> Names:
    service = load(model)
    metadata = service.metadata
    return Names(
        model,
        metadata["endpointPrefix"],
        service.signing_name,
        metadata.get("targetPrefix", ""),
        metadata["apiVersion"],
        service.protocols,
    )


@cache
def _rows() -> Mapping[str, list[Any]]:
    rows: Mapping[str, list[Any]] = orjson.loads(files("penstock.wire").joinpath("services.json").read_bytes())
    return rows


@cache
def every_service() -> tuple[Names, ...]:
    """The names of every service in botocore's data."""
    return tuple(names_of(model) for model in _rows())


def make() -> bytes:
    """The content of ``services.json``, from botocore's data."""
    lines = []
    for model in sorted(known_models()):
        try:
            names = _names_from_model(model)
        except LookupError:
            continue  # a folder without an API model
        row = [names.endpoint_prefix, names.signing_name, names.target_prefix, names.version, list(names.protocols)]
        lines.append(orjson.dumps(model) + b":" + orjson.dumps(row))
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(make())
