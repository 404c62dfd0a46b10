"""Node.js code: npm's packages, installed once per content of package.json and its lock, and esbuild's bundles.

See "Building Node.js Lambda functions with esbuild" in the SAM Developer Guide for BuildProperties and their defaults.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import TemplateError
from penstock.deploy import node_sdk, packages
from penstock.deploy.packages import Files, Package
from penstock.deploy.workshop import Code, Say, Workshop, key_for, made_once, run

_LOCKS: Final = ("package-lock.json", "npm-shrinkwrap.json")
_SOURCES: Final = (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx")
# What SAM tells esbuild unless BuildProperties say otherwise.
_DEFAULTS: Final = {"Target": "es2020", "Format": "cjs", "Minify": True}
_NOT_FOR_ESBUILD: Final = frozenset({"EntryPoints", "UseNpmCi"})


def files(code: Code, workshop: Workshop, say: Say) -> Files:
    """A function's or layer's own files, and the dependencies of its package.json in place of its node_modules."""
    prefix = "nodejs/" if code.layer else ""
    manifest = _manifest(code.path)
    if not manifest.get("dependencies"):
        own = packages.files_of(code.path, prefix=prefix, leave_out=workshop.leave_out)
        return own if code.layer else {**_sdk(code, own, {}, workshop, say), **own}
    own = packages.files_of(code.path, prefix=prefix, leave_out=(*workshop.leave_out, code.path / "node_modules"))
    installed = install(code.path, manifest, workshop, say, development=False)
    brought = packages.files_of(installed / "node_modules", prefix=f"{prefix}node_modules/")
    if code.layer:
        return {**brought, **own}
    return {**(_sdk(code, {**brought, **own}, manifest, workshop, say) or brought), **own}


def _sdk(code: Code, files: Files, manifest: dict[str, Any], workshop: Workshop, say: Say) -> Files:
    """The node_modules of a function with what the runtime has inside; nothing when that cannot be installed.

    npm installs both together, so that each gets the versions that it asks for.
    """
    names = node_sdk.missing(files, manifest, code.runtime)
    if not names:
        return {}
    try:
        installed = install(code.path, manifest, workshop, say, development=False, beside=names)
    except TemplateError as error:
        say(f"goes without {', '.join(names)}, which the runtime would have inside: {error.message}")
        return {}
    return packages.files_of(installed / "node_modules", prefix="node_modules/")


def bundle(code: Code, workshop: Workshop, say: Say) -> Package:
    """The package of what esbuild makes of a function's entry points."""
    manifest = _manifest(code.path)
    modules = code.path / "node_modules"
    if not modules.is_dir() and (manifest.get("dependencies") or manifest.get("devDependencies")):
        modules = install(code.path, manifest, workshop, say, development=True) / "node_modules"
    workshop.cache.mkdir(parents=True, exist_ok=True)
    mine = f".{os.getpid()}{packages.PARTIAL}"
    with tempfile.TemporaryDirectory(prefix="esbuild-", suffix=mine, dir=workshop.cache) as out:
        command = [_esbuild(code, modules, workshop), *entry_points(code), *arguments(code.settings), f"--outdir={out}"]
        environment = {**workshop.environment, "NODE_PATH": str(modules)}
        run(command, code.path, environment, lambda text: None, "correct the code or the BuildProperties")
        files = packages.files_of(Path(out))
        return packages.pack({**_sdk(code, files, {}, workshop, say), **files}, workshop.code, what=code.logical_id)


def arguments(settings: Any) -> list[str]:
    """BuildProperties as esbuild's arguments: a flag, a value, or one argument per item of a list.

    A name that esbuild does not know is refused by esbuild, which says so.
    """
    found = ["--bundle", "--platform=node"]
    for name, value in {**_DEFAULTS, **settings}.items():
        if name in _NOT_FOR_ESBUILD:
            continue
        flag = "--" + re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        if isinstance(value, list):
            found += [f"{flag}:{item}" for item in value] if name != "MainFields" else [f"{flag}={','.join(value)}"]
        elif isinstance(value, bool) or str(value).lower() in ("true", "false"):
            found += [flag] if str(value).lower() == "true" else [f"{flag}=false"] if name == "SourcesContent" else []
        else:
            found.append(f"{flag}={value}")
    return found


def entry_points(code: Code) -> list[str]:
    """The files that esbuild starts from: those of BuildProperties, else the handler's."""
    given = code.settings.get("EntryPoints")
    if given:
        return [str(item) for item in (given if isinstance(given, list) else [given])]
    stem = (code.handler or "").rpartition(".")[0]
    for suffix in _SOURCES:
        if stem and (code.path / f"{stem}{suffix}").is_file():
            return [stem + suffix]
    raise TemplateError(
        f"esbuild has no file to start from: {code.path} has no {stem or 'handler'}.ts; name it in "
        "Metadata.BuildProperties.EntryPoints"
    )


def _esbuild(code: Code, modules: Path, workshop: Workshop) -> str:
    for folder in (modules, *(parent / "node_modules" for parent in (code.path, *code.path.parents))):
        candidate = folder / ".bin" / "esbuild"
        if candidate.is_file():
            return str(candidate)
    found = shutil.which("esbuild", path=workshop.environment.get("PATH", os.defpath))
    if found is None:
        raise TemplateError("there is no esbuild; add it to devDependencies in package.json, or install it globally")
    return found


def install(
    folder: Path, manifest: dict[str, Any], workshop: Workshop, say: Say, *, development: bool,
    beside: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    """The folder whose node_modules has what package.json asks for, and ``beside``, installed now or earlier."""
    npm = shutil.which("npm", path=workshop.environment.get("PATH", os.defpath))
    if npm is None:
        raise TemplateError(f"there is no npm to install what {folder} needs; install Node.js")
    local = dict(_local(folder, manifest))
    locks = [] if local else [folder / name for name in _LOCKS if (folder / name).is_file()]
    key = key_for(f"npm development={development} {' '.join(beside)}".rstrip())
    key.update(json.dumps(manifest, sort_keys=True).encode())
    for path in [*locks, folder / ".npmrc"]:
        key.update(path.read_bytes() if path.is_file() else b"")
    for path in local.values():
        key.update(packages.key_of(packages.files_of(path, leave_out=(path / "node_modules",))).encode())

    def fill(partial: Path) -> None:
        say(f"installing {', '.join(beside) or folder / 'package.json'}")
        (partial / "package.json").write_text(json.dumps(_with_absolute_paths(manifest, local)))
        for path in [*locks, folder / ".npmrc"]:
            if path.is_file():
                shutil.copy(path, partial)
        omit = [] if development else ["--omit=dev"]
        command = [npm, "ci"] if locks else [npm, "install", "--no-package-lock", "--install-links"]
        run([*command, *omit, "--no-audit", "--no-fund"], partial, workshop.environment, say,
            "correct package.json, or check the network")  # fmt: skip
        if beside:
            run([npm, "install", "--no-save", "--no-package-lock", *omit, "--no-audit", "--no-fund", *beside], partial,
                workshop.environment, say, "check the network")  # fmt: skip
        (partial / "node_modules").mkdir(exist_ok=True)

    return made_once(workshop.cache / f"npm-{key.hexdigest()[:32]}", fill)


def _local(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """Dependencies that are folders beside this one: ``file:../shared``."""
    for kind in ("dependencies", "devDependencies"):
        for name, version in (manifest.get(kind) or {}).items():
            if str(version).startswith("file:"):
                yield name, (folder / str(version).removeprefix("file:")).resolve()


def _with_absolute_paths(manifest: dict[str, Any], local: dict[str, Path]) -> dict[str, Any]:
    changed = dict(manifest)
    for kind in ("dependencies", "devDependencies"):
        if isinstance(manifest.get(kind), dict):
            changed[kind] = {
                name: f"file:{local[name]}" if name in local else version for name, version in manifest[kind].items()
            }
    return changed


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "package.json"
    if not path.is_file():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TemplateError(f"{path} is no JSON: {error}") from error
    return manifest if isinstance(manifest, dict) else {}
