"""Code built and packed: the same content is the same package, and what cannot be built is refused."""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy import node_code, node_sdk, packages
from penstock.deploy.build import build
from penstock.deploy.workshop import Code, Workshop

TOOLS = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def workshop(folder: Path, **environment: str) -> Workshop:
    return Workshop(folder / "cache", folder / "packages", {**TOOLS, **environment})


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def code(folder: Path, **more: Any) -> Code:
    return Code(**({"logical_id": "F", "property_": "CodeUri", "path": folder} | more))


def test_a_package_has_the_code_and_not_what_lies_about(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "code", app_DOT_py="x", lib__a_DOT_py="y", __pycache____app_DOT_pyc="z", _DOT_git__HEAD="r"
    )
    (folder / ".penstock").mkdir()
    (folder / ".penstock" / "penstock.db").write_text("data")
    package = build(code(folder, runtime="python3.12"), workshop(tmp_path))
    assert names(package.path) == ["app.py", "lib/a.py"]


def test_times_do_not_count_and_the_right_to_execute_does(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", bootstrap="#!/bin/sh\n")
    first = build(code(folder, runtime="provided.al2023"), workshop(tmp_path))
    os.utime(folder / "bootstrap", (1, 1))
    assert build(code(folder, runtime="provided.al2023"), workshop(tmp_path)) == first
    (folder / "bootstrap").chmod(0o755)
    second = build(code(folder, runtime="provided.al2023"), workshop(tmp_path))
    assert second.key != first.key
    with zipfile.ZipFile(second.path) as archive:
        assert archive.infolist()[0].external_attr >> 16 & 0o111


def test_two_machines_make_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = write(tmp_path / name / "code", b_DOT_py="b", a_DOT_py="a")
        made.append(build(code(folder), workshop(tmp_path / name)).path.read_bytes())
    assert made[0] == made[1]


def test_a_zip_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", "x")
    assert names(build(code(path), workshop(tmp_path)).path) == ["index.py"]
    path.write_text("no zip")
    with pytest.raises(TemplateError, match="no zip file"):
        build(code(path), workshop(tmp_path))


def test_a_link_that_leads_in_a_circle_is_followed_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", app_DOT_py="x")
    (folder / "self").symlink_to(folder)
    assert names(build(code(folder), workshop(tmp_path)).path) == ["app.py"]


def test_requirements_are_installed_once_and_kept(tmp_path: Path) -> None:
    shared = write(tmp_path / "shared", pyproject_DOT_toml='[project]\nname="shared"\nversion="1"\n'
                   '[build-system]\nrequires=[]\nbuild-backend="backend"\nbackend-path=["."]\n',
                   backend_DOT_py=BACKEND, shared_DOT_py="VALUE = 1\n")  # fmt: skip
    folder = write(tmp_path / "code", app_DOT_py="x", requirements_DOT_txt="# ours\n../shared\n")
    said: list[str] = []
    first = build(code(folder, runtime="python3.12"), workshop(tmp_path), said.append)
    assert "shared.py" in names(first.path) and said[0].startswith("installing ")
    said.clear()
    assert build(code(folder, runtime="python3.12"), workshop(tmp_path), said.append) == first and said == []
    (shared / "shared.py").write_text("VALUE = 2\n")
    assert build(code(folder, runtime="python3.12"), workshop(tmp_path), said.append).key != first.key
    layer = build(code(folder, layer=True, method="python3.12"), workshop(tmp_path))
    assert "python/shared.py" in names(layer.path) and "python/app.py" in names(layer.path)


# A build backend of a few lines, so that nothing comes from the network.
BACKEND = """
import zipfile
def build_wheel(folder, config=None, metadata=None):
    name = "shared-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.write("shared.py")
        wheel.writestr("shared-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: shared\\nVersion: 1\\n")
        wheel.writestr("shared-1.dist-info/WHEEL",
                       "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("shared-1.dist-info/RECORD", "")
    return name
"""


def test_requirements_that_cannot_be_installed_say_what_the_installer_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", requirements_DOT_txt="./nowhere\n")
    with pytest.raises(TemplateError, match=r"(?s)ended with status \d+ in .*nowhere") as caught:
        build(code(folder, runtime="python3.12"), workshop(tmp_path))
    assert "correct the file, or check the network" in caught.value.message
    assert list((tmp_path / "cache").iterdir()) == [], "nothing half-built stays"


@pytest.mark.parametrize("method", ["makefile", "go1.x", "java21", "dotnet8", "ruby3.3", "rust-cargolambda"])
def test_a_build_method_that_is_not_executed_is_refused_by_name(tmp_path: Path, method: str) -> None:
    folder = write(tmp_path / "code", Makefile="x")
    with pytest.raises(TemplateError, match=f"BuildMethod '{method}' is not executed here"):
        build(code(folder, method=method), workshop(tmp_path))


def test_build_properties_become_what_sam_tells_esbuild() -> None:
    assert node_code.arguments({}) == ["--bundle", "--platform=node", "--target=es2020", "--format=cjs", "--minify"]
    assert node_code.arguments(
        {"Minify": False, "Target": "node20", "Sourcemap": True, "External": ["a", "b"], "Format": "esm",
         "OutExtension": [".js=.mjs"], "MainFields": "module,main", "EntryPoints": ["x.ts"], "SourcesContent": False}
    ) == [
        "--bundle", "--platform=node", "--target=node20", "--format=esm", "--sourcemap", "--external:a", "--external:b",
        "--out-extension:.js=.mjs", "--main-fields=module,main", "--sources-content=false",
    ]  # fmt: skip


def test_without_entry_points_esbuild_starts_from_the_handler(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", app_DOT_ts="export const handler = () => 1")
    assert node_code.entry_points(code(folder, handler="app.handler")) == ["app.ts"]
    with pytest.raises(TemplateError, match=r"has no other\.ts; name it in Metadata"):
        node_code.entry_points(code(folder, handler="other.handler"))


def test_typescript_is_bundled_by_the_esbuild_beside_it(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "code",
        app_DOT_ts="x",
        node_modules___DOT_bin__esbuild="""#!/bin/sh
for argument in "$@"; do case "$argument" in --outdir=*) out="${argument#--outdir=}";; esac; done
echo "$@" > "$out/app.js"
""",
    )
    (folder / "node_modules" / ".bin" / "esbuild").chmod(0o755)
    package = build(code(folder, method="esbuild", handler="app.handler"), workshop(tmp_path))
    assert names(package.path) == ["app.js"]
    assert build(code(folder, method="esbuild", handler="app.handler"), workshop(tmp_path)).size > 0


def test_what_esbuild_says_is_told(tmp_path: Path) -> None:
    failing = "#!/bin/sh\necho no such thing; exit 1"
    folder = write(tmp_path / "code", app_DOT_ts="x", node_modules___DOT_bin__esbuild=failing)
    (folder / "node_modules" / ".bin" / "esbuild").chmod(0o755)
    with pytest.raises(TemplateError, match="no such thing"):
        build(code(folder, method="esbuild", handler="app.handler"), workshop(tmp_path))


def test_node_code_without_dependencies_needs_no_npm(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", index_DOT_mjs="export const handler = () => 1", package_DOT_json="{}")
    place = workshop(tmp_path, PATH="/nonexistent")
    assert names(build(code(folder, runtime="nodejs20.x"), place).path) == ["index.mjs", "package.json"]
    (folder / "package.json").write_text('{"dependencies": {"x": "1"}}')
    with pytest.raises(TemplateError, match="no npm"):
        build(code(folder, runtime="nodejs20.x"), place)


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_dependencies_of_a_folder_beside_are_installed_once(tmp_path: Path) -> None:
    beside = '{"name": "shared", "version": "1.0.0"}'
    needing = '{"name": "c", "version": "1.0.0", "dependencies": {"shared": "file:../shared"}}'
    write(tmp_path / "shared", package_DOT_json=beside, index_DOT_js="module.exports = 1")
    folder = write(tmp_path / "code", index_DOT_js="x", package_DOT_json=needing)
    said: list[str] = []
    first = build(code(folder, runtime="nodejs20.x"), workshop(tmp_path), said.append)
    assert "node_modules/shared/index.js" in names(first.path) and said
    said.clear()
    assert build(code(folder, runtime="nodejs20.x"), workshop(tmp_path), said.append) == first and said == []


def test_the_sdk_that_a_runtime_has_inside_is_supplied_where_it_is_asked_for(tmp_path: Path) -> None:
    sources = {
        "app.mjs": "import { SQSClient } from '@aws-sdk/client-sqs';\nimport x from \"@aws-sdk/lib-storage/deep\";",
        "old.js": "const AWS = require('aws-sdk');",
        "node_modules/@aws-sdk/client-s3/index.js": "require('@aws-sdk/core')",
        "other.js": "require('@aws-sdk/client-s3'); require('@aws-sdk/client-iam'); require('./aws-sdk')",
    }
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    files = packages.files_of(tmp_path)
    declared = {"dependencies": {"@aws-sdk/client-iam": "^3"}}
    assert node_sdk.missing(files, declared, "nodejs20.x") == ("@aws-sdk/client-sqs", "@aws-sdk/lib-storage")
    assert node_sdk.missing(files, {}, "nodejs16.x") == ("aws-sdk",)
    assert node_sdk.missing(files, {}, "python3.12") == ()


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_without_the_sdk_a_function_is_built_all_the_same_and_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "code", app_DOT_mjs="import '@aws-sdk/client-sqs';")
    place = workshop(tmp_path)
    offline = replace(place, environment={**place.environment, "npm_config_offline": "true",
                                          "npm_config_cache": str(tmp_path / "empty")})  # fmt: skip
    said: list[str] = []
    assert names(build(code(folder, runtime="nodejs20.x"), offline, said.append).path) == ["app.mjs"]
    assert any("goes without @aws-sdk/client-sqs" in text for text in said)
